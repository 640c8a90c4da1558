//! The commit that was made last, for the spans of what it made durable.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use observability::job_trace::Commit;
use types::Timestamp;

/// Set and read on the writer thread alone, between one commit and the next.
#[derive(Debug, Default)]
pub(super) struct LastCommit {
    end_us: AtomicI64,
    took_us: AtomicU64,
    writes: AtomicU64,
}

impl LastCommit {
    /// A commit has ended now.
    pub(super) fn set(&self, writes: usize, took: Duration) {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let end = Timestamp::EPOCH.after(since_epoch.unwrap_or_default());
        self.end_us.store(end.unix_micros(), Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_us.store(took_us, Ordering::Relaxed);
        self.writes.store(writes as u64, Ordering::Relaxed);
    }

    /// The commit; `None` before the first.
    pub(super) fn get(&self) -> Option<Commit> {
        let writes = self.writes.load(Ordering::Relaxed);
        let end_us = self.end_us.load(Ordering::Relaxed);
        let took_us = i64::try_from(self.took_us.load(Ordering::Relaxed)).unwrap_or(0);
        let start = Timestamp::from_unix_micros(end_us.saturating_sub(took_us));
        let end = Timestamp::from_unix_micros(end_us);
        (writes > 0).then_some(Commit { start, end, writes })
    }
}
