//! The commit that was made last, for the spans of what it made durable.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use types::{Commit, Timestamp};

/// Set and read on the writer thread alone, between one commit and the next.
#[derive(Debug, Default)]
pub(super) struct LastCommit {
    start_us: AtomicI64,
    end_us: AtomicI64,
    writes: AtomicU64,
}

impl LastCommit {
    /// A commit has ended.
    pub(super) fn set(&self, commit: Commit) {
        self.start_us.store(commit.start.unix_micros(), Ordering::Relaxed);
        self.end_us.store(commit.end.unix_micros(), Ordering::Relaxed);
        self.writes.store(commit.writes, Ordering::Relaxed);
    }

    /// The commit; `None` before the first.
    pub(super) fn get(&self) -> Option<Commit> {
        let writes = self.writes.load(Ordering::Relaxed);
        let at = |us: &AtomicI64| Timestamp::from_unix_micros(us.load(Ordering::Relaxed));
        let (start, end) = (at(&self.start_us), at(&self.end_us));
        (writes > 0).then_some(Commit { start, end, writes })
    }
}
