//! Which jobs' traces are exported without being asked for: those that head sampling dropped and
//! that somebody will want to look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use observability::metrics::{QueueMetrics, TraceExport};
use tokio::sync::Notify;
use types::{ExportReason, State};

use crate::queue::FinishedJob;
use service::ForceBudget;

/// Jobs whose trace may wait for a collector; of more, none is marked.
pub const TRACES_DUE_MAX: u64 = 10_000;

/// Which finished jobs are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceRules {
    /// Those that failed.
    pub failed: bool,
    /// Those that took longer than this, however they ended; `None` exports none for that.
    pub slower_than: Option<Duration>,
    /// How many a minute in the long run, and at once after a quiet time.
    pub per_minute: u32,
}

impl Default for TraceRules {
    fn default() -> Self {
        Self { failed: true, slower_than: Some(Duration::from_secs(1_800)), per_minute: 60 }
    }
}

impl TraceRules {
    fn reason(&self, job: &FinishedJob<'_>) -> Option<ExportReason> {
        if self.failed && job.state == State::Failed {
            return Some(ExportReason::Failed);
        }
        let is_slow = self.slower_than.is_some_and(|threshold| job.took > threshold);
        is_slow.then_some(ExportReason::Slow)
    }
}

/// Applies the rules, and tells the exporting task when there is something to do.
#[derive(Debug)]
pub(crate) struct TracePolicy {
    rules: TraceRules,
    budget: ForceBudget,
    metrics: QueueMetrics,
    due: Arc<DueTraces>,
}

/// What policy and exporting task share.
#[derive(Debug, Default)]
pub(crate) struct DueTraces {
    /// About how many are due, the store's count at the last look and those marked since.
    waiting: AtomicU64,
    /// Something was marked in a batch that is not committed yet.
    marked: AtomicBool,
    wake: Notify,
}

impl DueTraces {
    /// The store's own count.
    pub(super) fn counted(&self, waiting: u64) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Waits until something was marked since the last look.
    pub(super) async fn some(&self) {
        self.wake.notified().await;
    }
}

impl TracePolicy {
    pub(crate) fn new(rules: TraceRules, metrics: QueueMetrics, now: Instant) -> Self {
        let budget = ForceBudget::per_minute(rules.per_minute, now);
        Self { rules, budget, metrics, due: Arc::default() }
    }

    pub(crate) fn due(&self) -> Arc<DueTraces> {
        Arc::clone(&self.due)
    }

    /// Whether any job can be marked.
    pub(crate) fn is_on(&self) -> bool {
        self.rules.failed || self.rules.slower_than.is_some()
    }

    /// Whether this job's trace is to be exported, and why. One that is recorded has been.
    pub(crate) fn mark(&self, job: &FinishedJob<'_>, now: Instant) -> Option<ExportReason> {
        if job.trace.flags.is_sampled() {
            return None;
        }
        let reason = self.rules.reason(job)?;
        if !self.budget.take(now) {
            self.metrics.trace_export(TraceExport::RateLimited, 1);
            return None;
        }
        if self.due.waiting.fetch_add(1, Ordering::Relaxed) >= TRACES_DUE_MAX {
            self.due.waiting.fetch_sub(1, Ordering::Relaxed);
            self.metrics.trace_export(TraceExport::Overflow, 1);
            return None;
        }
        self.due.marked.store(true, Ordering::Relaxed);
        Some(reason)
    }

    /// A batch is durable.
    pub(crate) fn committed(&self) {
        if self.due.marked.swap(false, Ordering::Relaxed) {
            self.due.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use observability::Metrics;
    use types::{JobId, Timestamp, TraceContext};

    use super::*;

    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn policy(rules: TraceRules, now: Instant) -> TracePolicy {
        TracePolicy::new(rules, Metrics::new().queue().clone(), now)
    }

    fn asked(
        policy: &TracePolicy,
        state: State,
        seconds: u64,
        now: Instant,
    ) -> Option<ExportReason> {
        let trace = TraceContext::parse(UNSAMPLED, "").expect("valid");
        let job = JobId::new(Timestamp::EPOCH, 1);
        let took = Duration::from_secs(seconds);
        policy.mark(&FinishedJob { job, state, trace: &trace, took }, now)
    }

    #[test]
    fn failed_and_slow_jobs_are_marked_and_others_not() {
        let now = Instant::now();
        let policy = policy(TraceRules::default(), now);
        for (state, seconds, expected) in [
            (State::Succeeded, 1_800, None),
            (State::Succeeded, 1_801, Some(ExportReason::Slow)),
            (State::Cancelled, 9_999, Some(ExportReason::Slow)),
            (State::Cancelled, 1, None),
            (State::Failed, 1, Some(ExportReason::Failed)),
            (State::Failed, 9_999, Some(ExportReason::Failed)),
        ] {
            assert_eq!(asked(&policy, state, seconds, now), expected, "{state} after {seconds}");
        }
    }

    #[test]
    fn what_is_recorded_anyway_or_switched_off_is_not_marked() {
        let now = Instant::now();
        let off = TraceRules { failed: false, slower_than: None, ..TraceRules::default() };
        assert_eq!(asked(&policy(off, now), State::Failed, 9_999, now), None);
        assert!(!policy(off, now).is_on());
        let trace = TraceContext::parse(&format!("{}01", &UNSAMPLED[..53]), "").expect("valid");
        let (job, took) = (JobId::new(Timestamp::EPOCH, 1), Duration::ZERO);
        let job = FinishedJob { job, state: State::Failed, trace: &trace, took };
        assert_eq!(policy(TraceRules::default(), now).mark(&job, now), None);
    }

    #[test]
    fn a_flood_is_limited_by_rate_and_by_what_may_wait() {
        let now = Instant::now();
        let rules = TraceRules { per_minute: 5, ..TraceRules::default() };
        let limited = policy(rules, now);
        let marked =
            |at| (0..9).filter(|_| asked(&limited, State::Failed, 1, at).is_some()).count();
        assert_eq!(marked(now), 5);
        assert_eq!(marked(now + Duration::from_secs(12)), 1);
        let full = policy(TraceRules::default(), now);
        full.due().counted(TRACES_DUE_MAX);
        assert_eq!(asked(&full, State::Failed, 1, now), None);
        full.due().counted(TRACES_DUE_MAX - 1);
        assert_eq!(asked(&full, State::Failed, 1, now), Some(ExportReason::Failed));
    }
}
