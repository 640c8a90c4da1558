//! How many spans a second a process may record of traces that chance picked.
//!
//! A ratio says nothing of how much there is to record: 100 % of a busy queue is more than the work
//! itself. So a trace that the ratio would record begins only while what was recorded lately fits
//! the budget; traces stay whole, and jobs are not slowed. Traces that somebody asked for, whose
//! caller records them, that link to recorded ones or that a quiet minute yields are not bounded,
//! but count; and a sampler that is told to record always does.
//!
//! An account, not a queue: every recorded span draws on it, a while later where its job had to
//! wait, so that it may be overdrawn; then no trace begins until time has made up for it. There are
//! no locks, and no clock is read here.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::metrics::TelemetryMetrics;

/// Recorded spans a second unless configured otherwise: about one in fifty of a core's seconds.
pub const DEFAULT_SPANS_PER_SECOND_MAX: NonZeroU32 = NonZeroU32::new(2_000).expect("not zero");

/// The most that can be configured.
pub const SPANS_PER_SECOND_MAX: usize = 1_000_000;

/// For how long an unused budget is saved up.
const SAVED_SECONDS: u64 = 2;

/// The account of a process.
#[derive(Debug)]
pub(crate) struct SpanBudget {
    epoch: Instant,
    per_second: u64,
    /// Spans recorded.
    spent: AtomicU64,
    /// Earnings that were not saved, so that the account never holds more than its most.
    forgone: AtomicU64,
    /// Milliseconds since `epoch`, and 1, at which it was last said that traces are passed over.
    said: AtomicU64,
    metrics: TelemetryMetrics,
}

impl SpanBudget {
    pub(crate) fn new(per_second: NonZeroU32, epoch: Instant, metrics: TelemetryMetrics) -> Self {
        let (spent, forgone, said) = Default::default();
        Self { epoch, per_second: u64::from(per_second.get()), spent, forgone, said, metrics }
    }

    /// A span was recorded.
    pub(crate) fn spend(&self) {
        self.spent.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether another trace may begin. One that may not is counted, and now and then spoken of.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let admitted = self.has_some_left(now);
        if !admitted {
            self.metrics.passed_over();
            if self.is_news(now) {
                tracing::warn!(
                    spans_per_second_max = self.per_second,
                    "more is recorded than VMAFX_TRACES_MAX_SPANS_PER_SECOND allows: for now the \
                     ratio begins no further trace"
                );
            }
        }
        admitted
    }

    fn has_some_left(&self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.epoch);
        let since_start = self.per_second.saturating_mul(elapsed.as_millis() as u64) / 1_000;
        let most = self.per_second * SAVED_SECONDS;
        let (spent, forgone) =
            (self.spent.load(Ordering::Relaxed), self.forgone.load(Ordering::Relaxed));
        // The account starts full.
        let earned = (most + since_start).saturating_sub(forgone);
        let saved = earned.saturating_sub(spent);
        if saved > most {
            // Of several at once one takes it off; the others see at most what it saw.
            let less = forgone + (saved - most);
            let _ =
                self.forgone.compare_exchange(forgone, less, Ordering::Relaxed, Ordering::Relaxed);
        }
        saved > 0
    }

    /// Whether it is time to say again that traces are passed over.
    fn is_news(&self, now: Instant) -> bool {
        const EVERY: Duration = Duration::from_secs(60);
        let at = now.saturating_duration_since(self.epoch).as_millis() as u64 + 1;
        let said = self.said.load(Ordering::Relaxed);
        (said == 0 || at - said.min(at) >= EVERY.as_millis() as u64)
            && self.said.compare_exchange(said, at, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn budget(per_second: u32) -> (SpanBudget, Instant) {
        let start = Instant::now();
        let per_second = NonZeroU32::new(per_second).expect("not zero");
        (SpanBudget::new(per_second, start, Metrics::new().telemetry().clone()), start)
    }

    /// Begins traces of `spans` spans each until none may begin.
    fn begun(budget: &SpanBudget, spans: u64, now: Instant) -> u64 {
        let mut traces = 0;
        while budget.admits(now) {
            (0..spans).for_each(|_| budget.spend());
            traces += 1;
        }
        traces
    }

    #[test]
    fn what_is_recorded_over_time_is_the_rate_and_what_was_saved() {
        let (budget, start) = budget(100);
        let mut traces = begun(&budget, 10, start);
        assert_eq!(traces, 20, "the account starts full");
        for tenth in 1..=100 {
            traces += begun(&budget, 10, start + Duration::from_millis(100 * tenth));
        }
        assert_eq!(traces, 20 + 100, "ten seconds of a hundred spans");
    }

    #[test]
    fn no_more_is_saved_than_for_two_seconds() {
        let (budget, start) = budget(100);
        let hour = start + Duration::from_secs(3_600);
        assert!(budget.admits(hour));
        assert_eq!(begun(&budget, 1, hour), 200);
        assert_eq!(begun(&budget, 1, hour + Duration::from_secs(1)), 100);
    }

    #[test]
    fn what_comes_late_is_made_up_for() {
        let (budget, start) = budget(100);
        assert!(budget.admits(start));
        // A trace begun long ago brings its spans.
        (0..1_000).for_each(|_| budget.spend());
        let after = |seconds| budget.admits(start + Duration::from_secs(seconds));
        assert_eq!([after(0), after(7), after(9)], [false, false, true]);
    }

    #[test]
    fn it_is_said_once_a_minute() {
        let (budget, start) = budget(1);
        let at = |seconds| budget.is_news(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(59), at(60), at(61)], [true, false, false, true, false]);
    }
}
