//! How far a run is, for whoever watches from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Stands for a total that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Frames done and, where it can be told, frames there are. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    done: AtomicU64,
    total: AtomicU64,
}

impl Default for Progress {
    fn default() -> Self {
        Self(Arc::new(Counters { done: AtomicU64::new(0), total: AtomicU64::new(UNKNOWN) }))
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

    pub(crate) fn frame_done(&self) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn set_total(&self, total: Option<u64>) {
        self.0.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}
