//! What the queue is told, and what it answers.
//!
//! `T` is whatever the shell uses to reach a caller: the state machine keeps it and gives it back.

use std::sync::Arc;
use std::time::Duration;

use types::{
    AttemptOutcome, Failure, FailureKind, Fence, Incarnation, JobId, JobSpec, NodeId, NodeStatus,
    NodeView, PartId, Progress, Registered, Registration, ReportAnswer, ReportWay, Requirements,
    SessionId, SpanId, StageTimings, State, StopReason, SubmitCall, Timestamp, TraceContext,
    TraceId,
};

use crate::retry::Tally;
use crate::transition::{FrameRange, NewJob, StoredResult};

/// Names one work stream of a session, so that the end of an old one does not end the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A caller's promise that equal keys mean the same job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Idempotency {
    /// The caller's key, unique within the tenant.
    pub key: String,
    /// SHA-256 of what was asked.
    pub body_digest: [u8; 32],
}

/// What the store holds under an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub struct ExistingKey {
    /// The job that has the key.
    pub job: JobId,
    /// What was asked then.
    pub body_digest: [u8; 32],
    /// That job's creation context.
    pub trace: TraceContext,
}

/// A job that asks to be accepted. Its spec has been checked.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What is asked.
    pub spec: Arc<JobSpec>,
    /// The spec as the store keeps it.
    pub spec_encoded: Arc<[u8]>,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// One entry a part, at least one; `None` is the whole clip.
    pub parts: Vec<Option<FrameRange>>,
    /// The caller's key.
    pub idempotency: Option<Idempotency>,
    /// What the store holds under that key.
    pub existing: Option<ExistingKey>,
    /// The creation context.
    pub trace: TraceContext,
    /// The span that will stand for the whole job.
    pub root_span_id: SpanId,
    /// The request that submits it, where it has a span of its own.
    pub call: Option<SubmitCall>,
}

/// What became of one submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: JobId,
    /// The idempotency key named a job that was there already.
    pub existing: bool,
    /// The job's creation context.
    pub trace: TraceContext,
}

/// Where a job's live parts are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// The job.
    pub job: JobId,
    /// Its first part.
    pub first_part: PartId,
    /// How many parts it has.
    pub part_count: u16,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// Its priority.
    pub priority: u8,
    /// What its parts need.
    pub requirements: Requirements,
}

/// What became of a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled {
    /// The state the job is in now.
    pub state: State,
    /// Whether this call made it so.
    pub changed: bool,
}

/// A failed part that somebody wants tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedPart {
    /// Its job.
    pub job: JobRef,
    /// The part.
    pub part: PartId,
    /// Its last fence.
    pub fence: Fence,
    /// Attempts so far.
    pub attempt: u32,
    /// Errors at which it is failed.
    pub errors_max: u16,
}

/// How an attempt ended, as its node tells it, ready for the store.
#[derive(Debug, Clone, PartialEq)]
pub enum ReportedOutcome {
    /// With results.
    Succeeded(Arc<StoredResult>),
    /// With an error.
    Failed(Failure),
    /// Handed back unfinished and uncounted.
    Released,
}

/// A node's report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The part.
    pub part: PartId,
    /// The fence of its lease.
    pub fence: Fence,
    /// How it ended.
    pub outcome: ReportedOutcome,
    /// Where the node's time went.
    pub timings: StageTimings,
    /// SHA-256 of the outcome.
    pub digest: [u8; 32],
    /// When it arrived.
    pub received_at: Timestamp,
    /// How it came.
    pub way: ReportWay,
}

/// What happened.
#[derive(Debug)]
pub enum Command<T> {
    /// Somebody submits jobs: all are accepted or none.
    Submit {
        /// The jobs.
        drafts: Vec<Draft>,
        /// Who asks.
        to: T,
    },
    /// Somebody cancels a job.
    Cancel {
        /// The job.
        job: JobRef,
        /// Who asks.
        to: T,
    },
    /// Somebody wants failed parts tried again.
    Retry {
        /// The parts, all parts of a job together.
        parts: Vec<FailedPart>,
        /// Who asks.
        to: T,
    },
    /// A node introduces itself.
    Register {
        /// The node.
        registration: Registration,
        /// Who asks.
        to: T,
    },
    /// A node opens its work stream.
    Attach {
        /// Its session.
        session: SessionId,
        /// Its process.
        incarnation: Incarnation,
        /// Everything it has in hand.
        status: NodeStatus,
        /// Who asks.
        to: T,
    },
    /// A node shows on its work stream that it lives.
    Status {
        /// Its session.
        session: SessionId,
        /// The stream.
        connection: ConnectionId,
        /// Everything it has in hand.
        status: NodeStatus,
        /// Where not 0: echoed to the node once the status was taken.
        acknowledge: u64,
    },
    /// A work stream ended.
    Detach {
        /// Its session.
        session: SessionId,
        /// The stream.
        connection: ConnectionId,
    },
    /// A node shows by a call that it lives.
    Heartbeat {
        /// Its session.
        session: SessionId,
        /// Its process.
        incarnation: Incarnation,
        /// Everything it has in hand.
        status: NodeStatus,
        /// Who asks.
        to: T,
    },
    /// A node asks for work by a call that waits.
    Poll {
        /// Its session.
        session: SessionId,
        /// Its process.
        incarnation: Incarnation,
        /// Everything it has in hand.
        status: NodeStatus,
        /// Until when the call may wait.
        until: Timestamp,
        /// Who asks.
        to: T,
    },
    /// Leases that could not be handed over: whoever waited for them is gone.
    Undelivered {
        /// Parts and fences.
        leases: Vec<(PartId, Fence)>,
    },
    /// A node reports an attempt's end.
    Report {
        /// Its session.
        session: SessionId,
        /// Its process.
        incarnation: Incarnation,
        /// The report.
        report: Box<Report>,
        /// Who asks.
        to: T,
    },
    /// Somebody lists the nodes.
    Nodes {
        /// Who asks.
        to: T,
    },
    /// An operator drains a node, or takes that back.
    Drain {
        /// The node.
        node: NodeId,
        /// Takes the drain back.
        undo: bool,
        /// Who asks.
        to: T,
    },
}

/// A lease about to be sent. The shell adds the job's spec and trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The part.
    pub part: PartId,
    /// Its place in the job, from 0.
    pub part_index: u16,
    /// Guards every message about this attempt.
    pub fence: Fence,
    /// Which attempt it is, from 1.
    pub attempt: u32,
    /// Whose it is.
    pub session: SessionId,
    /// The node's name.
    pub node: NodeId,
    /// The attempt's span.
    pub span_id: SpanId,
    /// The trace that begins with it, where it does not belong to the job's.
    pub trace_id: Option<TraceId>,
    /// Since when the part could have been leased.
    pub available_at: Timestamp,
    /// When it was leased.
    pub started_at: Timestamp,
}

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeMessage {
    /// Run this.
    Lease(Grant),
    /// Stop this.
    Stop {
        /// The part.
        part: PartId,
        /// The fence the node named.
        fence: Fence,
        /// Why.
        reason: StopReason,
    },
    /// The session is unknown or was replaced: register again.
    Reregister,
    /// Take no new work, finish what you have and leave.
    Drain,
    /// A status was taken that asked to be acknowledged with this number.
    Acknowledged(u64),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To `Submit`.
    Submitted(Vec<Submitted>),
    /// To `Submit`: this key names another job.
    IdempotencyConflict(String),
    /// To `Submit`: more distinct requirements wait than the index takes.
    TooManyClasses,
    /// To `Cancel`, where it changed something.
    Cancelled(Cancelled),
    /// To `Retry`: how many jobs.
    Retried(u64),
    /// To `Register`.
    Registered(Registered),
    /// To `Attach`.
    Attached(ConnectionId),
    /// To `Heartbeat` and `Poll`.
    Messages(Vec<NodeMessage>),
    /// To `Report`.
    Reported(ReportAnswer),
    /// To `Nodes`.
    Nodes(Vec<NodeView>),
    /// To `Drain`: how many attempts the node still runs.
    Draining(u32),
    /// The session is not known, or is another process's.
    UnknownSession,
    /// No node of that name is known.
    UnknownNode,
}

/// A report whose lease had ended: the store's history knows what to answer.
#[derive(Debug, Clone, PartialEq)]
pub struct LateReport {
    /// The part.
    pub part: PartId,
    /// The fence the node named.
    pub fence: Fence,
    /// The report's digest.
    pub digest: [u8; 32],
    /// The score reports' own digests, where it succeeded.
    pub score_digests: Option<Vec<String>>,
}

/// The end of an attempt, for those who watch.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The attempt.
    pub grant: Grant,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: AttemptOutcome,
    /// Why it failed, where it did.
    pub failure: Option<Failure>,
    /// The node's stage times, where it reported.
    pub timings: Option<StageTimings>,
    /// From the report's arrival to the decision.
    pub settle: Option<Duration>,
    /// How the report came, where there was one.
    pub report: Option<ReportWay>,
    /// Where the worker vanished: how that showed.
    pub lost_cause: Option<FailureKind>,
}

/// What others may want to know, once it is durable.
#[derive(Debug, Clone)]
pub enum Event {
    /// A job was accepted.
    Submitted(Arc<NewJob>),
    /// A part was leased.
    Leased(Grant),
    /// An attempt ended.
    Ended(Box<Ended>),
    /// A part waits for another attempt.
    Requeued {
        /// The part.
        part: PartId,
        /// Why, where it was a failure.
        cause: Option<FailureKind>,
        /// From when on it may be leased.
        available_at: Timestamp,
    },
    /// A report was answered.
    Reported(ReportAnswer),
    /// A running part came further.
    Progress {
        /// The part.
        part: PartId,
        /// How far it is.
        progress: Progress,
    },
    /// Something about the job of this part changed.
    Changed(PartId),
    /// A process that had been replaced under its node's name is back: two nodes have one name, and
    /// take each other's work.
    NameTaken(NodeId),
    /// The job of this part reached a terminal state.
    Finished {
        /// The part that ended last.
        part: PartId,
        /// The job's state.
        state: State,
    },
}

/// What may leave once the transitions before it are durable.
#[derive(Debug)]
pub enum Effect<T> {
    /// Answer a caller.
    Answer {
        /// Who asked.
        to: T,
        /// The answer.
        answer: Answer,
    },
    /// Answer a cancel that changed nothing with the state the job is in.
    AnswerState {
        /// Who asked.
        to: T,
        /// The job.
        job: JobId,
    },
    /// Answer a late report out of the history: see [`judge_late`](crate::judge_late).
    AnswerLate {
        /// Who asked.
        to: T,
        /// The report.
        report: Box<LateReport>,
    },
    /// Send this down the stream.
    Deliver {
        /// The session.
        session: SessionId,
        /// The stream.
        connection: ConnectionId,
        /// What.
        message: NodeMessage,
    },
    /// End the stream: another has taken its place, or the session ended.
    Close {
        /// The session.
        session: SessionId,
        /// The stream.
        connection: ConnectionId,
    },
    /// Tell those who watch.
    Event(Event),
}

/// What is known of a part that waits, whoever holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// Since when, or from when on, it may be leased.
    pub available_at: Timestamp,
    /// Its last fence.
    pub fence: Fence,
    /// Attempts so far.
    pub attempt: u32,
    /// The budgets used.
    pub tally: Tally,
    /// Its place in the job.
    pub part_index: u16,
    /// The job's parts.
    pub part_count: u16,
}
