//! The disk under the file: how fast it is, and a log laid out before it is needed.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use control::StoreError;

use super::error::io;

/// How long the disk takes to make 4 KiB durable. It explains every later question of latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskTimes {
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// Writes that are timed.
const PROBES: usize = 50;
/// No more are timed once they have taken this long.
const PROBE_TIME_MAX: Duration = Duration::from_millis(250);

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Times small durable writes in a file beside the database, which is removed again.
pub(super) fn probe(path: &Path) -> Result<DiskTimes, StoreError> {
    let failed = || io("time the disk");
    let probe = beside(path, ".probe");
    let mut file = File::create(&probe).map_err(failed())?;
    let block = [0x5a_u8; 4_096];
    file.write_all(&block).and_then(|()| file.sync_all()).map_err(failed())?;
    let (mut times, started) = (Vec::with_capacity(PROBES), Instant::now());
    while times.len() < PROBES && (times.is_empty() || started.elapsed() < PROBE_TIME_MAX) {
        let before = Instant::now();
        file.seek(SeekFrom::Start(0)).map_err(failed())?;
        file.write_all(&block).and_then(|()| file.sync_data()).map_err(failed())?;
        times.push(before.elapsed());
    }
    drop(file);
    std::fs::remove_file(&probe).map_err(failed())?;
    times.sort_unstable();
    let rank = |share: usize| times[(times.len() - 1) * share / 100];
    Ok(DiskTimes { p50: rank(50), p99: rank(99) })
}

/// Makes the write-ahead log at least `bytes` long with zeros, which SQLite takes for the end of
/// the log. Overwriting blocks that exist is twice as fast as growing the file.
pub(super) fn lay_out_log(path: &Path, bytes: u64) -> Result<(), StoreError> {
    let failed = || io("lay out the write-ahead log");
    let log = beside(path, "-wal");
    let mut file = OpenOptions::new().append(true).create(true).open(log).map_err(failed())?;
    let mut length = file.metadata().map_err(failed())?.len();
    let zeros = vec![0_u8; 1 << 20];
    while length < bytes {
        let chunk = usize::try_from(bytes - length).unwrap_or(zeros.len()).min(zeros.len());
        file.write_all(&zeros[..chunk]).map_err(failed())?;
        length += chunk as u64;
    }
    file.sync_all().map_err(failed())
}
