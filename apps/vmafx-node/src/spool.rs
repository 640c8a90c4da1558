//! Reports on disk, from before they are sent until they are answered.
//!
//! A report lies under its final name only when all of it is durable: it is written beside it,
//! synced, renamed, and the folder synced. What lies under a final name and does not match its own
//! checksum is thrown away. One process uses a folder at a time; the lock ends with the process.
//!
//! Everything here blocks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use proto::controller::ReportResultRequest;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use types::{AttemptReport, Failure, FailureKind, Fence, Incarnation, PartId, SessionId};

use crate::config::SpoolConfig;
use crate::hands::Key;

/// Files that are looked at when a spool is opened; a node holds far fewer reports at once.
const FILES_MAX: usize = 16_384;

/// What a report's file begins with.
const MAGIC: &[u8; 8] = b"vmafxrp1";

/// Magic and checksum.
const HEADER_BYTES: usize = 8 + 32;

const REPORT_SUFFIX: &str = ".report";
const UNFINISHED_SUFFIX: &str = ".unfinished";

/// Why the spool does not work.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The folder or a file in it.
    #[error("the spool {path} cannot be used: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the spool {0} is used by another node; give each node a folder of its own")]
    InUse(PathBuf),
    /// The bound is reached.
    #[error("the spool is full: {bytes} bytes would be in it, {bytes_max} are allowed")]
    Full {
        /// With the report that was to be added.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
}

impl SpoolError {
    /// The failure of an attempt whose report cannot be kept.
    pub(crate) fn to_failure(&self) -> Failure {
        let kind = match self {
            Self::Full { .. } => FailureKind::DiskFull,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureKind::DiskFull,
                _ => FailureKind::Io,
            },
            Self::InUse(_) => FailureKind::Io,
        };
        Failure::new(kind, format!("the result could not be kept on the node: {self}"))
    }
}

/// A folder of reports.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
    _lock: File,
}

impl Spool {
    /// Opens the folder, for this process alone, and names the reports that an earlier one left.
    pub fn open(config: &SpoolConfig) -> Result<(Self, Vec<Key>), SpoolError> {
        let dir = config.dir.clone();
        std::fs::create_dir_all(&dir).map_err(|source| io_error(&dir, source))?;
        let lock_path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| io_error(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse(dir)),
            Err(TryLockError::Error(source)) => return Err(io_error(&lock_path, source)),
        }
        let bytes_max = config.bytes_max;
        let spool = Self { dir, bytes_max, bytes: AtomicU64::new(0), _lock: lock };
        let left = spool.list()?;
        Ok((spool, left))
    }

    fn list(&self) -> Result<Vec<Key>, SpoolError> {
        let mut left = Vec::new();
        let entries = std::fs::read_dir(&self.dir).map_err(|source| io_error(&self.dir, source))?;
        for entry in entries.take(FILES_MAX) {
            let entry = entry.map_err(|source| io_error(&self.dir, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(UNFINISHED_SUFFIX) {
                remove(&entry.path());
            } else if let Some(key) = key_of(&name) {
                let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
                left.push(key);
            }
        }
        left.sort_unstable();
        Ok(left)
    }

    /// Reads a report back. A damaged one is thrown away.
    pub fn read(&self, key: Key) -> Option<AttemptReport> {
        let path = self.path(key);
        match read_report(&path) {
            Ok(report) if (report.part, report.fence) == key => Some(report),
            Ok(_) => self.throw_away(key, "it is another part's"),
            Err(problem) => self.throw_away(key, &problem),
        }
    }

    fn throw_away(&self, key: Key, problem: &str) -> Option<AttemptReport> {
        let path = self.path(key);
        tracing::warn!(path = %path.display(), problem, "a damaged report is thrown away");
        self.remove(key);
        None
    }

    /// Keeps a report. It survives the process and the machine from here on.
    pub fn put(&self, report: AttemptReport) -> Result<(), SpoolError> {
        self.put_with(report, |dir| File::open(dir)?.sync_all())
    }

    /// Keeps a report in a folder that is made durable like this.
    fn put_with(
        &self,
        report: AttemptReport,
        sync_dir: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), SpoolError> {
        let path = self.path((report.part, report.fence));
        // The session is no part of it: whoever sends it does so in a session of its own.
        let request = proto::report_request(SessionId(0), Incarnation(0), report);
        let body = request.encode_to_vec();
        drop(request);
        let size = (HEADER_BYTES + body.len()) as u64;
        let bytes = self.bytes.fetch_add(size, Ordering::Relaxed) + size;
        let written = if bytes > self.bytes_max {
            Err(SpoolError::Full { bytes, bytes_max: self.bytes_max })
        } else {
            let written = self.write(&path, &body).and_then(|()| sync_dir(&self.dir));
            written.map_err(|source| io_error(&path, source))
        };
        if written.is_err() {
            // Under its final name too: what is not known to be durable is not kept.
            remove(&unfinished(&path));
            remove(&path);
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        written
    }

    fn write(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let unfinished = unfinished(path);
        let mut file = File::create(&unfinished)?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(body))?;
        file.write_all(body)?;
        file.sync_all()?;
        drop(file);
        std::fs::rename(&unfinished, path)
    }

    /// The report is answered: it need not be kept. Not synced: should it come back after a crash,
    /// it is answered again.
    pub fn remove(&self, key: Key) {
        let path = self.path(key);
        if let Ok(metadata) = path.metadata() {
            self.bytes.fetch_sub(metadata.len(), Ordering::Relaxed);
        }
        remove(&path);
    }

    fn path(&self, (part, fence): Key) -> PathBuf {
        self.dir.join(format!("{:016x}-{:016x}{REPORT_SUFFIX}", part.0, fence.0))
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(&UNFINISHED_SUFFIX[1..])
}

fn io_error(path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Io { path: path.to_owned(), source }
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "a report cannot be removed"),
    }
}

/// The attempt that a file's name stands for.
fn key_of(name: &str) -> Option<Key> {
    let (part, fence) = name.strip_suffix(REPORT_SUFFIX)?.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some((PartId(number(part)?), Fence(number(fence)?)))
}

/// Reads a report's file; the error says what is wrong with it.
fn read_report(path: &Path) -> Result<AttemptReport, String> {
    let max = HEADER_BYTES + proto::MESSAGE_BYTES_MAX;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > max {
        return Err("it is too large".to_owned());
    }
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is too short")?;
    let (magic, checksum) = header.split_at(MAGIC.len());
    if magic != MAGIC || checksum != Sha256::digest(body).as_slice() {
        return Err("its checksum does not fit".to_owned());
    }
    let request = ReportResultRequest::decode(body).map_err(|error| error.to_string())?;
    AttemptReport::try_from(request).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use types::{Outcome, StageTimings};

    use super::*;

    fn report(part: u64) -> AttemptReport {
        let outcome = Outcome::Failed(Failure::new(FailureKind::Io, "x".repeat(1_000)));
        let timings = StageTimings::default();
        AttemptReport { part: PartId(part), fence: Fence(7), outcome, timings, digest: [3; 32] }
    }

    fn open(dir: &Path) -> (Spool, Vec<AttemptReport>) {
        let (spool, keys) = Spool::open(&SpoolConfig::new(dir)).expect("a spool");
        let left = keys.into_iter().filter_map(|key| spool.read(key)).collect();
        (spool, left)
    }

    #[test]
    fn reports_survive_the_process_until_they_are_answered() {
        let dir = tempfile::tempdir().expect("a folder");
        let (spool, left) = open(dir.path());
        assert_eq!(left, []);
        spool.put(report(2)).expect("kept");
        spool.put(report(1)).expect("kept");
        spool.put(report(3)).expect("kept");
        spool.remove((PartId(3), Fence(7)));
        drop(spool);
        let (spool, left) = open(dir.path());
        assert_eq!(left, [report(1), report(2)]);
        for report in left {
            spool.remove((report.part, report.fence));
        }
        assert_eq!(spool.bytes.load(Ordering::Relaxed), 0);
        drop(spool);
        assert_eq!(open(dir.path()).1, []);
    }

    #[test]
    fn damaged_and_unfinished_reports_are_thrown_away_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let (spool, _) = open(dir.path());
        for part in 1..=3 {
            spool.put(report(part)).expect("kept");
        }
        let torn = spool.path((PartId(1), Fence(7)));
        let flipped = spool.path((PartId(2), Fence(7)));
        let half = unfinished(&spool.path((PartId(4), Fence(7))));
        drop(spool);
        let bytes = std::fs::read(&torn).expect("there");
        std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("torn");
        let mut bytes = std::fs::read(&flipped).expect("there");
        *bytes.last_mut().expect("not empty") ^= 1;
        std::fs::write(&flipped, bytes).expect("flipped");
        std::fs::write(&half, b"vm").expect("written");
        let (_spool, left) = open(dir.path());
        assert_eq!(left, [report(3)]);
        assert!(!torn.exists() && !flipped.exists() && !half.exists());
    }

    #[test]
    fn a_full_spool_refuses_and_has_room_again_after_an_answer() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = SpoolConfig { bytes_max: 2_000, ..SpoolConfig::new(dir.path()) };
        let (spool, _) = Spool::open(&config).expect("a spool");
        spool.put(report(1)).expect("kept");
        let error = spool.put(report(2)).expect_err("full");
        assert_eq!(error.to_failure().kind, FailureKind::DiskFull);
        spool.remove((PartId(1), Fence(7)));
        spool.put(report(2)).expect("room again");
    }

    #[test]
    fn a_report_that_was_not_kept_leaves_nothing_behind_and_the_count_is_right() {
        let dir = tempfile::tempdir().expect("a folder");
        let (spool, _) = open(dir.path());
        let key = (PartId(1), Fence(7));
        let fails = |_: &Path| Err(io::Error::from(io::ErrorKind::StorageFull));
        spool.put_with(report(1), fails).expect_err("the folder cannot be synced");
        assert!(!spool.path(key).exists() && !unfinished(&spool.path(key)).exists());
        spool.remove(key);
        assert_eq!(spool.bytes.load(Ordering::Relaxed), 0);
        spool.put(report(1)).expect("kept");
    }

    #[test]
    fn a_folder_that_another_node_uses_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let (_spool, _) = open(dir.path());
        let second = Spool::open(&SpoolConfig::new(dir.path()));
        assert!(matches!(second, Err(SpoolError::InUse(_))));
    }

    #[test]
    fn a_disk_without_space_is_a_failure_of_its_own_kind() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(io_error(Path::new("/s"), full).to_failure().kind, FailureKind::DiskFull);
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(io_error(Path::new("/s"), other).to_failure().kind, FailureKind::Io);
    }
}
