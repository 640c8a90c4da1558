//! What the queue tells its observer.

use std::time::Duration;

use types::{
    AttemptView, Commit, ExportReason, FailureKind, JobId, JobView, Lease, NodeId, PartId,
    ReportAnswer, SpanId, State, Timestamp, TraceContext,
};

/// Told of everything that became durable. Must not block: it runs on the queue's own threads.
pub trait QueueObserver: Send + Sync {
    /// Takes one event. `JobFinished` comes on the follower thread, everything else on the writer
    /// thread after the commit.
    fn observe(&self, event: &QueueEvent<'_>);

    /// Whether this finished job's whole view is wanted as [`QueueEvent::JobFinished`]. Reading it
    /// costs tens of microseconds on the follower thread, so say no where it would be thrown away.
    fn wants_finished(&self, job: &FinishedJob<'_>) -> bool {
        let _ = job;
        true
    }

    /// Whether [`trace_due`](Self::trace_due) is worth asking.
    fn marks_traces(&self) -> bool {
        false
    }

    /// Whether the trace of a job that is about to end is to be exported from the store, and why.
    /// The mark becomes durable with the end itself. Asked on the writer thread, before the commit.
    fn trace_due(&self, job: &FinishedJob<'_>) -> Option<ExportReason> {
        let _ = job;
        None
    }
}

/// What is known of a finished job without reading it.
#[derive(Debug, Clone, Copy)]
pub struct FinishedJob<'a> {
    /// Its id.
    pub job: JobId,
    /// How it ended.
    pub state: State,
    /// Its creation context.
    pub trace: &'a TraceContext,
    /// From submission to the end.
    pub took: Duration,
}

/// One thing that happened, and is durable.
#[derive(Debug)]
pub enum QueueEvent<'a> {
    /// A job was accepted.
    Submitted {
        /// Its id.
        job: JobId,
        /// Its creation context.
        trace: &'a TraceContext,
        /// The span that stands for the whole job.
        root_span_id: SpanId,
        /// When.
        at: Timestamp,
    },
    /// A part was leased.
    Leased {
        /// The lease as the node gets it.
        lease: &'a Lease,
        /// Who runs it.
        node: &'a NodeId,
        /// Since when the part could have been leased.
        available_at: Timestamp,
        /// When it was leased.
        started_at: Timestamp,
    },
    /// An attempt ended: with success, failure, loss, release or cancel.
    AttemptEnded {
        /// The job.
        job: JobId,
        /// Its creation context.
        trace: &'a TraceContext,
        /// The span that is the parent of the attempt's.
        root_span_id: SpanId,
        /// The attempt.
        attempt: &'a AttemptView,
        /// Where the worker vanished: how that showed.
        lost_cause: Option<FailureKind>,
    },
    /// A part waits for another attempt.
    Retried {
        /// The part.
        part: PartId,
        /// Why; `None` when it was handed back uncounted.
        cause: Option<FailureKind>,
        /// From when on it may be leased.
        available_at: Timestamp,
    },
    /// A report was answered.
    Reported {
        /// With this.
        answer: ReportAnswer,
    },
    /// A job reached a terminal state.
    JobFinished {
        /// The job with everything but its frames.
        job: &'a JobView,
    },
    /// A job that the observer wanted to hear of has ended, and [`JobFinished`](Self::JobFinished)
    /// will not come: too much waits, or the job cannot be read.
    Unobserved {
        /// The job.
        job: JobId,
    },
    /// A transaction was committed.
    Committed {
        /// How it went.
        commit: Commit,
    },
    /// Two successful results of one part differ.
    Nondeterminism {
        /// The part.
        part: PartId,
        /// The score digests that were stored, and those that came late.
        digests: [&'a str; 2],
    },
}
