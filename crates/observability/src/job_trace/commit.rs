//! The store's commits, on the way of a job.

use opentelemetry::trace::SpanKind;
use types::{SpanId, Timestamp, TraceContext};

use super::{SpanRole, count, derived_span_id};
use crate::propagation::Origin;
use crate::schema::{attr, span_name};
use crate::span::SpanRecord;

/// The store's product, by its registered name.
const SYSTEM: &str = "sqlite";
/// What is done to it.
const OPERATION: &str = "COMMIT";

/// One commit of the store, which the writes of many share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// When its first statement began.
    pub start: Timestamp,
    /// When it was durable.
    pub end: Timestamp,
    /// Writes in it.
    pub writes: u64,
}

impl Commit {
    /// The commit as a span below `parent`, for what has the span `about`.
    #[must_use]
    pub fn span(&self, parent: &TraceContext, about: SpanId) -> SpanRecord {
        let context = parent.with_span(derived_span_id(about, SpanRole::Commit, 0));
        let name = span_name::COMMIT;
        SpanRecord::new(context, SpanKind::Client, name, self.start, self.end)
            .child_of(parent.span_id, Origin::Local)
            .with(attr::DB_SYSTEM_NAME, SYSTEM)
            .with(attr::DB_OPERATION_NAME, OPERATION)
            .with(attr::DB_OPERATION_BATCH_SIZE, count(self.writes))
    }
}
