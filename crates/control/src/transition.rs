//! What a store must make durable. Each transition is one conditional write.

use std::sync::Arc;
use std::time::Duration;

use types::{
    AttemptOutcome, Capabilities, CommitNote, ExportReason, Failure, Fence, Incarnation, JobId,
    JobSpec, NodeId, PartId, ReportWay, SessionId, SpanId, StageTimings, State, SubmitCall,
    Timestamp, TraceContext, TraceId,
};

use crate::command::Idempotency;
use crate::retry::Tally;

/// The frames of a part, in the job's counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRange {
    /// The part's first frame, 0-based.
    pub first_frame_index: u64,
    /// How many there are.
    pub frame_count: u64,
}

/// A job as it enters the store.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its public id.
    pub id: JobId,
    /// Its first part; the others follow without a gap.
    pub first_part: PartId,
    /// One entry a part; `None` is the whole clip.
    pub parts: Vec<Option<FrameRange>>,
    /// When it was accepted.
    pub submitted_at: Timestamp,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// What was asked.
    pub spec: Arc<JobSpec>,
    /// The spec as the store keeps it; opaque here.
    pub spec_encoded: Arc<[u8]>,
    /// The key under which it was submitted, and until when the key holds.
    pub idempotency: Option<(Idempotency, Timestamp)>,
    /// The creation context.
    pub trace: TraceContext,
    /// The span that stands for the whole job.
    pub root_span_id: SpanId,
    /// The request that submitted it, where it has a span of its own.
    pub call: Option<SubmitCall>,
}

impl NewJob {
    /// Its parts with their places.
    pub fn part_ids(&self) -> impl Iterator<Item = (u16, PartId)> + use<> {
        let first = self.first_part.0;
        (0..u16::try_from(self.parts.len()).unwrap_or(u16::MAX))
            .map(move |index| (index, PartId(first + u64::from(index))))
    }
}

/// A part is leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseGrant {
    /// The part.
    pub part: PartId,
    /// The new fence.
    pub fence: Fence,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Whose it is now.
    pub session: SessionId,
    /// The attempt's span.
    pub span_id: SpanId,
    /// The trace that begins with it, where it does not belong to the job's.
    pub trace_id: Option<TraceId>,
    /// Since when the part could have been leased.
    pub available_at: Timestamp,
    /// When it was leased.
    pub started_at: Timestamp,
    /// The budgets used so far.
    pub tally: Tally,
}

/// Results as a store keeps them. The encodings are opaque here.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredResult {
    /// One `ResultView` a distorted video, encoded.
    pub encoded: Vec<u8>,
    /// One encoded frame table a distorted video.
    pub frames: Vec<Vec<u8>>,
    /// The headline score.
    pub score: Option<f64>,
    /// Each score report's own digest, in the job's order: equal wherever it is scored.
    pub score_digests: Vec<String>,
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// The part waits for its next lease.
    Queued {
        /// From when on it may be leased.
        available_at: Timestamp,
        /// The budgets used so far.
        tally: Tally,
    },
    /// The part ended.
    Done {
        /// `Succeeded`, `Failed` or `Cancelled`.
        state: State,
        /// The results, where it succeeded.
        result: Option<Arc<StoredResult>>,
    },
}

/// A running part's attempt ends.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// The lease that ends, as it was granted.
    pub lease: LeaseGrant,
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// The node's stage times, where it reported.
    pub timings: Option<StageTimings>,
    /// From the report's arrival to this decision.
    pub settle: Option<Duration>,
    /// How the report came, where there was one.
    pub report: Option<ReportWay>,
    /// The report's digest, where there was one.
    pub digest: Option<[u8; 32]>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What becomes of the part.
    pub next: Next,
}

/// A node process introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpened {
    /// The session.
    pub session: SessionId,
    /// Whose.
    pub node: NodeId,
    /// Which process.
    pub incarnation: Incarnation,
    /// What it can do.
    pub capabilities: Capabilities,
    /// When.
    pub registered_at: Timestamp,
}

/// One durable, conditional, idempotent write.
///
/// A store applies it when its condition holds ([`Applied`](crate::Verdict::Applied)), sees that it
/// holds already ([`Already`](crate::Verdict::Already)), or changes nothing
/// ([`Refused`](crate::Verdict::Refused)).
#[derive(Debug, Clone)]
pub enum Transition {
    /// A job with all its parts, queued. Condition: neither its id nor its idempotency key is
    /// taken.
    Submit(Arc<NewJob>),
    /// Condition: the part is queued, and its last fence is the one before.
    Lease(LeaseGrant),
    /// Condition: the part is leased with this fence.
    End(Box<AttemptEnd>),
    /// A queued part ends without an attempt. Condition: it is queued with this last fence.
    Drop {
        /// The part.
        part: PartId,
        /// Its last fence.
        fence: Fence,
        /// `Cancelled`, or `Failed` where another part of the job failed.
        state: State,
        /// Why, where it failed.
        failure: Option<Failure>,
        /// When.
        at: Timestamp,
    },
    /// A failed part is queued again with fresh budgets. Condition: it is failed with this last
    /// fence.
    Revive {
        /// The part.
        part: PartId,
        /// Its last fence.
        fence: Fence,
        /// From when on it may be leased.
        at: Timestamp,
    },
    /// The job of this part has ended, and its trace is to be exported. Condition: the part exists.
    TraceDue {
        /// The part that ended last.
        part: PartId,
        /// Why.
        reason: ExportReason,
        /// When it ended: tells this mark from a later one of the same job.
        at: Timestamp,
    },
    /// A job's trace has been exported: the mark goes, unless a later one has taken its place.
    TraceDone {
        /// The job's first part.
        first_part: PartId,
        /// The mark's time.
        due_at: Timestamp,
    },
    /// The spans of every recorded job that had ended by then have arrived. Condition: none, for a
    /// later time may have been told before.
    TracesTold {
        /// Until when.
        until: Timestamp,
    },
    /// How an earlier commit went, which nobody can know while it is made. Condition: none.
    Committed(CommitNote),
    /// A job that has ended goes, with everything that is kept of it. Condition: none; one that is
    /// gone already, or that was retried meanwhile, stays as it is.
    Forget {
        /// The job's first part.
        first_part: PartId,
    },
    /// Condition: the session is new.
    OpenSession(Box<SessionOpened>),
    /// The session is over and holds no lease: another process of its node has replaced it, or its node
    /// has not come back. It is not loaded any more, and goes with the last job of its time. Condition:
    /// none; one that is over already stays as it is.
    CloseSession {
        /// The session.
        session: SessionId,
    },
    /// Whether an operator drains the session. Condition: it exists.
    Drain {
        /// The session.
        session: SessionId,
        /// Whether it takes no new work.
        draining: bool,
    },
}
