//! Time that goes on while the machine sleeps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Time since some fixed point, a suspend included: what a lease is measured by. A process that
/// was stopped, or a machine that slept, finds all of it gone by.
#[must_use]
pub(crate) fn boot_time() -> Duration {
    #[cfg(target_os = "linux")]
    let id = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let id = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(id);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The newest sign of life that the controller has acknowledged, by the time it was sent.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged(AtomicU64);

impl Acknowledged {
    /// The controller has answered what was sent at `sent_at`.
    pub fn at(&self, sent_at: Duration) {
        self.0.fetch_max(micros(sent_at), Ordering::Relaxed);
    }

    /// How long ago that was, at `now`.
    #[must_use]
    pub fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_micros(self.0.load(Ordering::Relaxed)))
    }
}

/// A time as the wire has it.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_answer_that_comes_late_takes_nothing_back() {
        let acknowledged = Acknowledged::default();
        let second = Duration::from_secs;
        acknowledged.at(second(10));
        acknowledged.at(second(7));
        assert_eq!(acknowledged.age(second(15)), second(5));
        assert_eq!(acknowledged.age(second(9)), Duration::ZERO);
    }

    #[test]
    fn boot_time_goes_on() {
        let before = boot_time();
        assert!(before > Duration::ZERO && boot_time() >= before);
    }
}
