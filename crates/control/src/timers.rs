//! What is due when.

use std::collections::BTreeSet;

use types::{SessionId, Timestamp};

/// What a timer is for. It says only "look again": whoever fires decides from the present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A session's leases may have ended.
    Session(SessionId),
    /// A waiting poll must be answered.
    Poll(SessionId),
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, Timer)>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Timestamp, timer: Timer) {
        self.due.insert((at, timer));
    }

    /// The next timer whose time has passed.
    pub(crate) fn pop_before(&mut self, now: Timestamp) -> Option<(Timestamp, Timer)> {
        let first = *self.due.first()?;
        if first.0 >= now {
            return None;
        }
        self.due.pop_first()
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}
