//! How far a run is and what it has cost, for whoever watches from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Stands for a total that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Frames done and, where it can be told, frames there are; bytes read and CPU time used. Cloning
/// shares it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    done: AtomicU64,
    total: AtomicU64,
    bytes_read: AtomicU64,
    cpu_nanos: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Counters {
            done: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
            bytes_read: AtomicU64::new(0),
            cpu_nanos: AtomicU64::new(0),
        }))
    }
}

impl Progress {
    /// Nothing done, nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames whose features are computed.
    #[must_use]
    pub fn frames_done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Frames there seem to be; `None` while that cannot be told. Compressed files do not tell.
    #[must_use]
    pub fn frames_total(&self) -> Option<u64> {
        Some(self.0.total.load(Ordering::Relaxed)).filter(|total| *total != UNKNOWN)
    }

    /// Bytes of video read: of raw and y4m files as they are, else as the decoder gave them.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.bytes_read.load(Ordering::Relaxed)
    }

    /// CPU time of the run's threads, each counted when it ends. Decoders that are processes of
    /// their own are not in it.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        Duration::from_nanos(self.0.cpu_nanos.load(Ordering::Relaxed))
    }

    pub(crate) fn add_bytes_read(&self, bytes: u64) {
        self.0.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_cpu_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.cpu_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn frames_done_more(&self, frames: u64) {
        self.0.done.fetch_add(frames, Ordering::Relaxed);
    }

    pub(crate) fn set_total(&self, total: Option<u64>) {
        self.0.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}
