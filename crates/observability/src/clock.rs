//! When calls and spans begin, and how long they take.
//!
//! To ask the system takes some twenty nanoseconds, and every call asks twice. Where the kernel itself
//! keeps time by the processor's counter, that counter is read directly, by `quanta`, which measures its
//! rate against the system's clock once; elsewhere, and until that is done, the system is asked. The
//! two agree to some hundred-thousandths: enough for a duration, and not for a span among others, so that
//! recorded spans have their times by the system's clock (see `span`).
//!
//! A thread compares the two every few seconds. Where they part, as after a machine was suspended, the
//! system is asked from then on.
//!
//! The rate is measured only where a server begins to follow its calls: commands that live for a second do
//! without.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{LazyLock, Once, OnceLock};
use std::time::{Duration, Instant};

use quanta::Clock;

/// Where Linux says by what it keeps time. It falls back to another clock where the counter is not to
/// be trusted.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// From which the others are counted.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

static COUNTER: OnceLock<Counter> = OnceLock::new();
/// Whether the counter is read. Set once it is measured, and taken back for good where it is not to be
/// trusted.
static IS_TRUSTED: AtomicBool = AtomicBool::new(false);
/// By how many nanoseconds the counter was ahead of the system's clock when they were last compared.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// How often the two are compared.
const COMPARED_EVERY: Duration = Duration::from_secs(10);
/// How far they may part between two comparisons, beside a thousandth of the time between.
const PARTED_MAX: i64 = 1_000_000;

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

    fn compare(&self) -> Comparison {
        let (before, counter, after) = (Moment::by_system(), self.now(), Moment::by_system());
        Comparison { before, counter, after }
    }

    /// Compares it with the system's clock for as long as the two agree.
    fn watch(&self, mut last: Comparison) {
        loop {
            std::thread::sleep(COMPARED_EVERY);
            let next = self.compare();
            if !next.agrees_with(&last) {
                break;
            }
            AHEAD.store(next.ahead(), Ordering::Relaxed);
            last = next;
        }
        IS_TRUSTED.store(false, Ordering::Relaxed);
        AHEAD.store(0, Ordering::Relaxed);
        tracing::warn!(
            "the processor's counter has parted from the system's clock, as it does when a machine is \
             suspended: the system times calls from now on"
        );
    }
}

/// What the counter said, and what the system's clock before and after.
#[derive(Debug, Clone, Copy)]
struct Comparison {
    before: Moment,
    counter: Moment,
    after: Moment,
}

impl Comparison {
    /// Whether both clocks say that about the same time has passed since.
    fn agrees_with(&self, last: &Self) -> bool {
        let passed = since(self.counter, last.counter);
        // In between, so that a thread that had to wait for its turn spoils nothing.
        let (least, most) = (since(self.before, last.after), since(self.after, last.before));
        let allowed = PARTED_MAX + most / 1_000;
        least - allowed <= passed && passed <= most + allowed
    }

    fn ahead(&self) -> i64 {
        since(self.counter, self.before)
    }
}

/// Nanoseconds from one moment to another, which may lie before it.
fn since(later: Moment, earlier: Moment) -> i64 {
    later.0.wrapping_sub(earlier.0).cast_signed()
}

/// Reads the processor's counter from soon on, where the kernel trusts it.
pub(crate) fn read_counter() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        let source = std::fs::read_to_string(CLOCK_SOURCE).unwrap_or_default();
        if source.trim() == "tsc" {
            let watch = || {
                let counter = COUNTER.get_or_init(Counter::measure);
                let first = counter.compare();
                IS_TRUSTED.store(true, Ordering::Relaxed);
                counter.watch(first);
            };
            // Where the system gives no thread it is asked for the time, as before.
            let _ = std::thread::Builder::new().name("vmafx-clock".to_owned()).spawn(watch);
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
            Some(counter) if IS_TRUSTED.load(Ordering::Relaxed) => counter.now(),
            _ => Self::by_system(),
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

    /// The same point as the standard library's type, as far as the clocks agree.
    #[inline]
    pub(crate) fn instant(self) -> Instant {
        let by_system =
            self.0.saturating_add_signed(AHEAD.load(Ordering::Relaxed).saturating_neg());
        *EPOCH + Duration::from_nanos(by_system)
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
    fn clocks_that_part_are_noticed_and_a_thread_that_waited_is_not() {
        const SECOND: u64 = 1_000_000_000;
        let look = |before: u64, counter: u64, after: u64| Comparison {
            before: Moment(before),
            counter: Moment(counter),
            after: Moment(after),
        };
        let last = look(100 * SECOND, 107 * SECOND, 100 * SECOND + 50);
        let agree = |before, counter, after| look(before, counter, after).agrees_with(&last);
        // Whatever the one is ahead of the other, ten seconds are ten.
        assert!(agree(110 * SECOND, 117 * SECOND, 110 * SECOND + 50));
        // A thousandth, and what a reading may take.
        assert!(agree(110 * SECOND, 117 * SECOND + 10_900_000, 110 * SECOND + 50));
        assert!(!agree(110 * SECOND, 117 * SECOND + 12_000_000, 110 * SECOND + 50));
        // It had to wait for its turn in the middle of the comparison.
        assert!(agree(110 * SECOND, 119 * SECOND, 113 * SECOND));
        // The counter began anew while the machine was suspended, or went on while the system's clock stood.
        assert!(!agree(110 * SECOND, 107 * SECOND, 110 * SECOND + 50));
        assert!(!agree(110 * SECOND, 0, 110 * SECOND + 50));
        assert!(!agree(110 * SECOND, 117 * SECOND + 3_600 * SECOND, 110 * SECOND + 50));
        assert_eq!(look(110 * SECOND, 117 * SECOND, 110 * SECOND).ahead(), 7_000_000_000);
    }

    #[test]
    fn a_moment_is_the_same_point_by_the_standard_librarys_clock() {
        let (before, moment, after) = (Instant::now(), Moment::now(), Instant::now());
        let (early, late) = (Duration::from_millis(5), Duration::from_millis(5));
        assert!(before - early <= moment.instant() && moment.instant() <= after + late);
        assert!(moment.elapsed() < Duration::from_secs(60));
    }
}
