//! Every decision of the queue: who runs what, until when, and what becomes of it.
//!
//! [`Control`] is a state machine without input or output. It is told what happened and what time
//! it is, and says which durable [`Transition`]s follow and which [`Effect`]s may leave once those
//! are committed. It knows no clock, file, socket, thread or runtime, so that the same code runs in
//! production, in unit tests and in the seeded simulation.
//!
//! Invariants: each live part is in exactly one of the ready index and the running table; a fence
//! grows with every lease of its part; whatever names an older fence changes nothing.

mod command;
mod config;
mod engine;
mod fleet;
mod intern;
mod job;
mod random;
mod ready;
mod retry;
mod store;
mod timers;
mod transition;
mod waiting;

pub use command::{
    Answer, Cancelled, Command, ConnectionId, Draft, Effect, Ended, Event, ExistingKey, FailedPart,
    Grant, Idempotency, JobRef, LateReport, NodeMessage, Report, ReportedOutcome, Submitted,
};
pub use config::Config;
pub use engine::{Control, Counts, Output, Turn, judge_late};
pub use fleet::satisfies;
pub use job::{PartSnapshot, derive_failure, derive_state};
pub use random::Random;
pub use retry::{RetryPolicy, RetryVerdict, Tally};
pub use store::{
    AttemptRecord, AttemptSpan, DueTrace, Forgettable, IdempotencyRecord, JobHead, Keep, Read,
    Store, StoreError, StoreErrorKind, Stored, StoredLease, StoredPart, StoredSession, Verdict,
};
pub use transition::{
    AttemptEnd, FrameRange, LeaseGrant, NewJob, Next, SessionOpened, StoredResult, Transition,
};
pub use waiting::{UNSATISFIABLE_AFTER, waiting_for};
