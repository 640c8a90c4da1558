//! How blocking work is told to end: a cancel token, a deadline, or both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a wait looks at its [`Stop`]. A cancelled run has ended well within 200 ms: several waits end one
/// after the other, and on a busy machine a niced thread needs most of that time for the frame in hand.
pub const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// Says once, to everyone who holds a clone, that the work is no longer wanted.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    raised: AtomicBool,
    parent: Option<CancelToken>,
}

impl CancelToken {
    /// A token that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled with this one, and can be cancelled alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Flag { raised: AtomicBool::new(false), parent: Some(self.clone()) }))
    }

    /// Cancels; doing so twice is harmless.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::Release);
    }

    /// Whether somebody cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}

/// When blocking work must end before it is done.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Ends the work when cancelled.
    pub cancel: CancelToken,
    /// Ends the work at this time; `None` sets no limit.
    pub deadline: Option<Instant>,
}

impl Stop {
    /// Never ends the work.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// For a part of the work: ends with the whole, and can be cancelled alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { cancel: self.cancel.child(), deadline: self.deadline }
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.cancel.is_cancelled() {
            Err(Stopped::Cancelled)
        } else if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            Err(Stopped::DeadlinePassed)
        } else {
            Ok(())
        }
    }
}

/// Why work was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody cancelled it.
    Cancelled,
    /// Its deadline passed.
    DeadlinePassed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_is_seen_by_every_clone() {
        let stop = Stop::never();
        let clone = stop.clone();
        assert_eq!(clone.check(), Ok(()));
        stop.cancel.cancel();
        assert_eq!(clone.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn a_part_ends_with_the_whole_and_not_the_whole_with_a_part() {
        let whole = Stop::never();
        let (part, other) = (whole.child(), whole.child().child());
        part.cancel.cancel();
        assert_eq!(part.check(), Err(Stopped::Cancelled));
        assert_eq!((whole.check(), other.check()), (Ok(()), Ok(())));
        whole.cancel.cancel();
        assert_eq!(other.check(), Err(Stopped::Cancelled));
    }

    #[test]
    fn a_deadline_in_the_past_stops() {
        let stop = Stop { deadline: Some(Instant::now()), ..Stop::default() };
        assert_eq!(stop.check(), Err(Stopped::DeadlinePassed));
    }
}
