//! When calls and spans begin, and how long they take.
//!
//! To ask the system takes some twenty nanoseconds, and every call asks twice. Where the kernel itself
//! keeps time by the processor's counter, that counter is read directly, by `quanta`, which measures its
//! rate against the system's clock once; elsewhere, and until that is done, the system is asked. The
//! two agree to some millionths: enough for a duration, and for a call of an hour not for a span among
//! others, so that a recorded span that lasted has its end by the system's clock (see `span`).
//!
//! The rate is measured only where a server begins to follow its calls: commands that live for a second do
//! without.

use std::sync::{LazyLock, Once, OnceLock};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Where Linux says by what it keeps time. It falls back to another clock where the counter is not to
/// be trusted.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// From which the others are counted.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

static COUNTER: OnceLock<Counter> = OnceLock::new();

/// The processor's counter, and what both clocks said at the same time.
#[derive(Debug)]
struct Counter {
    clock: Clock,
    raw: u64,
    nanos: u64,
}

impl Counter {
    /// Measures its rate, which takes some milliseconds, at most a fifth of a second.
    fn measure() -> Self {
        let clock = Clock::new();
        Self { raw: clock.raw(), nanos: Moment::by_system().0, clock }
    }

    #[inline]
    fn now(&self) -> Moment {
        Moment(self.nanos + self.clock.delta_as_nanos(self.raw, self.clock.raw()))
    }
}

/// Reads the processor's counter from soon on, where the kernel trusts it.
pub(crate) fn read_counter() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        let source = std::fs::read_to_string(CLOCK_SOURCE).unwrap_or_default();
        if source.trim() == "tsc" {
            let measure = || drop(COUNTER.set(Counter::measure()));
            // Where the system gives no thread it is asked for the time, as before.
            let _ = std::thread::Builder::new().name("vmafx-clock".to_owned()).spawn(measure);
        }
    });
}

/// A point in time of this process, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    #[inline]
    pub(crate) fn now() -> Self {
        match COUNTER.get() {
            Some(counter) => counter.now(),
            None => Self::by_system(),
        }
    }

    fn by_system() -> Self {
        Self(u64::try_from(EPOCH.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The time since; nothing where the clocks changed meanwhile and disagree.
    #[inline]
    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(Self::now().0.saturating_sub(self.0))
    }

    /// The same point as the standard library's type.
    #[inline]
    pub(crate) fn instant(self) -> Instant {
        *EPOCH + Duration::from_nanos(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_and_the_system_agree_to_a_thousandth() {
        let counter = Counter::measure();
        let (by_counter, by_system) = (counter.now(), Moment::by_system());
        assert!(by_counter.0.abs_diff(by_system.0) < 5_000_000, "{by_counter:?} {by_system:?}");
        let until = by_system.0 + 100_000_000;
        while Moment::by_system().0 < until {
            std::thread::yield_now();
        }
        // In between, so that a thread that had to wait for its turn spoils nothing.
        let (before, now, after) = (Moment::by_system(), counter.now(), Moment::by_system());
        let allowed = (after.0 - by_system.0) / 1_000 + by_counter.0.abs_diff(by_system.0);
        assert!(before.0 - allowed <= now.0 && now.0 <= after.0 + allowed, "{before:?} {now:?}");
    }

    #[test]
    fn a_moment_is_the_same_point_by_the_standard_librarys_clock() {
        let (before, moment, after) = (Instant::now(), Moment::now(), Instant::now());
        let (early, late) = (Duration::from_millis(5), Duration::from_millis(5));
        assert!(before - early <= moment.instant() && moment.instant() <= after + late);
        assert!(moment.elapsed() < Duration::from_secs(60));
    }
}
