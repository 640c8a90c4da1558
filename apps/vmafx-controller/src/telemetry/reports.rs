//! Which call brings which report, so that the settle span finds its parent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::{AttemptView, Fence, PartId, SpanId, TraceContext};

/// Reports in flight that are remembered, so that their settle span finds its parent.
const REPORTS_IN_FLIGHT_MAX: usize = 16_384;

type ReportKey = (PartId, Fence);

/// Which call brings which report: from the call's start until it is answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportsInFlight(Arc<Mutex<HashMap<ReportKey, TraceContext>>>);

/// Forgets its report when dropped.
#[derive(Debug)]
pub(crate) struct ReportInFlight {
    reports: ReportsInFlight,
    key: ReportKey,
}

impl ReportsInFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<ReportKey, TraceContext>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that the call at `trace` brings the report of `part`, while the guard lives.
    pub(crate) fn begin(
        &self,
        part: PartId,
        fence: Fence,
        trace: Option<TraceContext>,
    ) -> Option<ReportInFlight> {
        let trace = trace.filter(|trace| trace.flags.is_sampled())?;
        let mut reports = self.lock();
        if reports.len() >= REPORTS_IN_FLIGHT_MAX {
            return None;
        }
        reports.insert((part, fence), trace);
        Some(ReportInFlight { reports: self.clone(), key: (part, fence) })
    }

    /// The call that brings this report, if it belongs to the job's trace.
    pub(super) fn call_of(&self, attempt: &AttemptView, job: &TraceContext) -> Option<SpanId> {
        let trace_id = attempt.trace_id.unwrap_or(job.trace_id);
        let reports = self.lock();
        let call = reports.get(&(attempt.part, attempt.fence))?;
        (call.trace_id == trace_id).then_some(call.span_id)
    }
}

impl Drop for ReportInFlight {
    fn drop(&mut self) {
        self.reports.lock().remove(&self.key);
    }
}
