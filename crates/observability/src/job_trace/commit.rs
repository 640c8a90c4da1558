//! The store's commits, on the way of a job.

use opentelemetry::trace::SpanKind;
use types::{Commit, JobView, SpanId, Timestamp, TraceContext};

use super::{SpanRole, count, derived_span_id};
use crate::propagation::Origin;
use crate::schema::{attr, span_name};
use crate::span::SpanRecord;

/// The store's product, by its registered name.
const SYSTEM: &str = "sqlite";
/// What is done to it.
const OPERATION: &str = "COMMIT";
/// The value of `vmafx.span.end`.
const UNKNOWN: &str = "unknown";

/// A commit as a span below `parent`, for what has the span `about`.
#[must_use]
pub fn commit_span(commit: &Commit, parent: &TraceContext, about: SpanId) -> SpanRecord {
    span(parent, about, [commit.start, commit.end])
        .with(attr::DB_OPERATION_BATCH_SIZE, count(commit.writes))
}

fn span(parent: &TraceContext, about: SpanId, [start, end]: [Timestamp; 2]) -> SpanRecord {
    let context = parent.with_span(derived_span_id(about, SpanRole::Commit, 0));
    SpanRecord::new(context, SpanKind::Client, span_name::COMMIT, start, end)
        .child_of(parent.span_id, Origin::Local)
        .with(attr::DB_SYSTEM_NAME, SYSTEM)
        .with(attr::DB_OPERATION_NAME, OPERATION)
}

/// What the store knows of a commit afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) enum Afterwards {
    Known(Commit),
    /// It was made, but how it went was lost: the process was killed before the next commit.
    Lost,
    /// A program made it that did not keep such things.
    NotKept,
}

impl Afterwards {
    /// Of a job some of whose commits are kept.
    pub(super) fn of(commit: Option<Commit>, job: &JobView) -> Self {
        match commit {
            Some(commit) => Self::Known(commit),
            None if job.call.is_some() => Self::Lost,
            None => Self::NotKept,
        }
    }

    /// When what was decided `at` was durable, as far as is known.
    pub(super) fn durable(&self, at: Timestamp) -> Timestamp {
        match self {
            Self::Known(commit) => commit.end.max(at),
            Self::Lost | Self::NotKept => at,
        }
    }

    /// The commit of what was decided `at`, as [`commit_span`]. One whose end was lost says so, for
    /// itself and for what lasted as long as it did.
    pub(super) fn span(
        &self,
        parent: &TraceContext,
        about: SpanId,
        at: Timestamp,
    ) -> Option<SpanRecord> {
        match self {
            Self::Known(commit) => Some(commit_span(commit, parent, about)),
            Self::Lost => Some(span(parent, about, [at, at]).with(attr::SPAN_END, UNKNOWN)),
            Self::NotKept => None,
        }
    }
}
