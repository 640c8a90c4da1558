//! The spans of a job: one shape, whoever writes them.
//!
//! Three write spans of a job: the node while it works, the controller at each commit, and
//! whoever rebuilds the tree of a finished job from the store. All three build them here, from
//! facts that lie in the store or get there with the report, so that the same span has the same
//! id, parent, name and times wherever it comes from: an export that is repeated, or that follows
//! a crash, says nothing new.
//!
//! The job's creation context and each attempt's span id are random and stored. Every other id
//! follows from one of these by [`derived_span_id`]; the root span's is stored too, and tells by
//! following from the creation context that this is the job's own `send` span.
//!
//! The calls that submitted the job and reported its attempts are written by the layers while they
//! happen. The ids of their spans are stored where they have some, and how the commits went is stored
//! by the commit after; so a rebuilt tree has them too. Of jobs that an older program stored it begins
//! with `send`, and `settle` lies below its attempt.

mod attempt;
mod calls;
mod commit;
mod ids;
mod streamed;
mod tree;

pub use attempt::{AttemptEnd, AttemptTrace, RunResult, run_stages};
pub use commit::commit_span;
pub use ids::{SpanRole, derived_span_id, root_span_id};
pub use streamed::ReportSpan;
pub use tree::{ATTEMPTS_SHOWN_MAX, Begins, rebuild, rebuild_recorded, terminal_spans};
pub use types::{Commit, ExportReason};

use types::{JobId, SpanId, TraceContext};

use crate::schema::attr;
use crate::span::SpanRecord;

/// The system of the queue's spans.
const SYSTEM: &str = "vmafx";
/// The destination of the queue's spans.
const DESTINATION: &str = "vmafx.jobs";

/// What links mean, the values of `vmafx.link`.
mod meaning {
    pub(super) const CREATION: &str = "creation";
    pub(super) const PREVIOUS_ATTEMPT: &str = "previous_attempt";
    pub(super) const ATTEMPT: &str = "attempt";
    pub(super) const CALLER: &str = "caller";
}

/// A job as its spans know it.
#[derive(Debug, Clone, Copy)]
pub struct JobTrace<'a> {
    /// The job.
    pub job: JobId,
    /// Its creation context: the position of its `send` span.
    pub trace: &'a TraceContext,
    /// The span that stands for the whole job.
    pub root_span_id: SpanId,
}

/// Adds what every span of the queue says.
#[must_use]
pub fn messaging(record: SpanRecord, operation: &'static str) -> SpanRecord {
    record
        .with(attr::MESSAGING_SYSTEM_NAME, SYSTEM)
        .with(attr::MESSAGING_OPERATION_NAME, operation)
        .with(attr::MESSAGING_OPERATION_TYPE, operation)
        .with(attr::MESSAGING_DESTINATION_NAME, DESTINATION)
}

/// Says on the first span of what is told why it is.
fn because(record: SpanRecord, reason: Option<ExportReason>) -> SpanRecord {
    match reason {
        Some(reason) => record.with(attr::SAMPLING_REASON, reason.as_str()),
        None => record,
    }
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
