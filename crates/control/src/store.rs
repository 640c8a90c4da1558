//! What a store must be able to do. SQLite does; PostgreSQL shall. `store::conformance` checks it.

use std::sync::Arc;

use thiserror::Error;
use types::{
    AttemptOutcome, ExportReason, Fence, FrameTable, JobFilter, JobId, JobPage, JobSpec,
    JobSummary, JobView, PartId, Requirements, ResultView, SessionId, SpanId, State, Timestamp,
    TraceContext, TraceId,
};

use crate::command::{FailedPart, JobRef};
use crate::retry::Tally;
use crate::transition::{SessionOpened, Transition};

/// What a store said to a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its condition held, and it is done.
    Applied,
    /// It was done before: an outcome that was unknown is now known.
    Already,
    /// Its condition did not hold; it changed nothing.
    Refused,
}

/// A part as it was stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredPart<'a> {
    /// The part.
    pub part: PartId,
    /// Its place in the job.
    pub part_index: u16,
    /// The job's parts.
    pub part_count: u16,
    /// Whose it is.
    pub tenant: &'a str,
    /// Its priority.
    pub priority: u8,
    /// What it needs.
    pub requirements: &'a Requirements,
    /// From when on it may be leased; for a lease, since when it could have been.
    pub available_at: Timestamp,
    /// Its last fence.
    pub fence: Fence,
    /// Attempts so far.
    pub attempt: u32,
    /// The budgets.
    pub tally: Tally,
}

/// A lease as it was stored.
#[derive(Debug, Clone, Copy)]
pub struct StoredLease<'a> {
    /// The part; its fence and attempt are the lease's.
    pub part: StoredPart<'a>,
    /// Whose it is.
    pub session: SessionId,
    /// The attempt's span.
    pub span_id: SpanId,
    /// The trace that begins with it, where it does not belong to the job's.
    pub trace_id: Option<TraceId>,
    /// When it was leased.
    pub started_at: Timestamp,
}

/// A session as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// The session.
    pub opened: SessionOpened,
    /// An operator drains it.
    pub draining: bool,
}

/// One thing a store holds that decisions need. Sessions come before the leases they hold.
#[derive(Debug, Clone, Copy)]
pub enum Stored<'a> {
    /// The largest ids given out.
    Marks {
        /// The last part.
        part: PartId,
        /// The last session.
        session: SessionId,
        /// The last job.
        job: Option<JobId>,
    },
    /// A session that is the latest of its node, or holds a lease.
    Session(&'a StoredSession),
    /// A queued part.
    Ready(StoredPart<'a>),
    /// A leased part.
    Lease(StoredLease<'a>),
}

/// What the history says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRecord {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The digest of the report that ended it, where one did.
    pub digest: Option<[u8; 32]>,
}

/// What an idempotency key names.
#[derive(Debug, Clone, PartialEq)]
pub struct IdempotencyRecord {
    /// The job.
    pub job: JobId,
    /// What was asked.
    pub body_digest: [u8; 32],
    /// Its creation context.
    pub trace: TraceContext,
}

/// The kinds of trouble a store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// No space left.
    DiskFull,
    /// The file is damaged, or is no database.
    Corrupt,
    /// Another controller has it open.
    Locked,
    /// Written by a newer version, or the library is too old.
    Version,
    /// It took longer than its time limit.
    TimedOut,
    /// Reading or writing failed.
    Io,
    /// A stored value cannot be read, or a write was refused that must not be: a defect of ours.
    Internal,
}

/// A store's trouble, with the operation that met it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation}: {message}")]
pub struct StoreError {
    /// What callers branch on.
    pub kind: StoreErrorKind,
    /// What was being done.
    pub operation: &'static str,
    /// What went wrong, and what to do.
    pub message: String,
}

impl StoreError {
    /// Makes one.
    #[must_use]
    pub fn new(kind: StoreErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into() }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            StoreErrorKind::DiskFull | StoreErrorKind::TimedOut | StoreErrorKind::Io => true,
            StoreErrorKind::Corrupt
            | StoreErrorKind::Locked
            | StoreErrorKind::Version
            | StoreErrorKind::Internal => false,
        }
    }
}

/// The one writer's view of a store.
pub trait Store {
    /// Tells everything that decisions need, once each.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&mut self, now: Timestamp, each: &mut dyn FnMut(Stored<'_>)) -> Result<(), StoreError>;

    /// Applies all transitions in order, in one transaction that is durable when this returns.
    ///
    /// # Errors
    /// When the transaction could not be committed: then none of it happened, or, after a lost
    /// connection, applying it again gives `Already`.
    fn commit(&mut self, transitions: &[Transition]) -> Result<Vec<Verdict>, StoreError>;

    /// Reads as the writer sees it: everything committed so far.
    fn reader(&mut self) -> &mut dyn Read;
}

/// What a part's lease needs of its job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobHead {
    /// The job.
    pub job: JobId,
    /// What was asked.
    pub spec: Arc<JobSpec>,
    /// The creation context.
    pub trace: TraceContext,
    /// The span that stands for the whole job.
    pub root_span_id: SpanId,
    /// When it was submitted.
    pub submitted_at: Timestamp,
}

/// A job that has ended and whose trace is to be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueTrace {
    /// The job.
    pub job: JobId,
    /// Its first part.
    pub first_part: PartId,
    /// Why.
    pub reason: ExportReason,
    /// Since when.
    pub due_at: Timestamp,
}

/// Which jobs that have ended are kept. A job goes when one of the rules lets it go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Those that ended at this time or later; `None` keeps all.
    pub ended_since: Option<Timestamp>,
    /// The newest: all after this one; `None` keeps all.
    pub after: Option<PartId>,
    /// Those that are recorded and ended at this time or later, whatever the other rules say: their
    /// spans may not have arrived.
    pub recorded_since: Option<Timestamp>,
}

/// Jobs that need not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgettable {
    /// Their first parts, oldest first.
    pub jobs: Vec<PartId>,
    /// Where to look on; `None` when there are no more.
    pub next: Option<PartId>,
}

/// The position of an attempt's span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSpan {
    /// Its id.
    pub span_id: SpanId,
    /// Its trace, where that is its own and not the job's.
    pub trace_id: Option<TraceId>,
}

/// Questions to a store. None changes it.
pub trait Read {
    /// What a part's lease needs of its job.
    ///
    /// # Errors
    /// When the store cannot be read. The other questions alike.
    fn head(&mut self, part: PartId) -> Result<Option<JobHead>, StoreError>;

    /// [`head`](Self::head) of many parts, in their order, for less than so many questions cost.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn heads(&mut self, parts: &[PartId]) -> Result<Vec<Option<JobHead>>, StoreError>;

    /// The job that has this idempotency key, if the key still holds.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn idempotency(
        &mut self,
        tenant: &str,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError>;

    /// How one attempt ended; `None` while it runs, or when there was none.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn attempt(&mut self, part: PartId, fence: Fence) -> Result<Option<AttemptRecord>, StoreError>;

    /// The span of the last attempt at a part before that of `fence`.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn attempt_before(
        &mut self,
        part: PartId,
        fence: Fence,
    ) -> Result<Option<AttemptSpan>, StoreError>;

    /// The results of a part that succeeded.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn results(&mut self, part: PartId) -> Result<Option<Vec<ResultView>>, StoreError>;

    /// Where a job's parts are found.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn locate(&mut self, job: JobId) -> Result<Option<JobRef>, StoreError>;

    /// A job's state.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn state(&mut self, job: JobId) -> Result<Option<State>, StoreError>;

    /// The failed parts of a job, empty unless the job failed.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn failed_parts(&mut self, job: JobId) -> Result<Vec<FailedPart>, StoreError>;

    /// A job with everything but its frames and what only memory knows.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn job(&mut self, job: JobId) -> Result<Option<JobView>, StoreError>;

    /// [`job`](Self::job) of many, in their order, from one moment's data.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn jobs(&mut self, jobs: &[JobId]) -> Result<Vec<Option<JobView>>, StoreError>;

    /// One line of a job list.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn summary(&mut self, job: JobId) -> Result<Option<JobSummary>, StoreError>;

    /// The job a part belongs to.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn job_of(&mut self, part: PartId) -> Result<Option<JobId>, StoreError>;

    /// Jobs whose trace is to be exported, oldest first, at most `limit`, and how many there are.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn due_traces(&mut self, limit: usize) -> Result<(Vec<DueTrace>, u64), StoreError>;

    /// The newest job but `newer` ones; `None` when there are no more than those.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn newest_but(&mut self, newer: u64) -> Result<Option<PartId>, StoreError>;

    /// Jobs that have ended and need not be kept, among the `limit` oldest after `after`: few enough
    /// to be removed in one commit that others share. The newest
    /// job, by which a restart knows the numbers that were given, and jobs whose trace is still to
    /// be exported are not among them.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn forgettable(
        &mut self,
        keep: &Keep,
        after: PartId,
        limit: usize,
    ) -> Result<Forgettable, StoreError>;

    /// Until when the spans of recorded jobs are known to have arrived; `None` where that was never
    /// known.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn traces_told(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// Recorded jobs of which a part has ended since, the newest, at most `limit`. Of a large store
    /// only the newest parts that have ended are looked at.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn recorded_since(&mut self, since: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// Jobs that pass the filter, newest first, older than `after`, at most `limit`.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn page(
        &mut self,
        filter: &JobFilter,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<JobPage, StoreError>;

    /// One distorted video's per-frame values; `None` when the job has no such result.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    fn frames(
        &mut self,
        job: JobId,
        distorted_index: usize,
    ) -> Result<Option<FrameTable>, StoreError>;
}
