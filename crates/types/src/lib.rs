//! The plain data that every other crate speaks: ids, times, jobs, failures, scores.
//!
//! Nothing here decides, waits, reads a clock or touches a file. Time and randomness come in as
//! arguments. Constructors check what a type promises, so that a value that exists is valid.

pub mod calls;
pub mod encode;
mod encode_parameters;
pub mod encoder;
pub mod explain;
pub mod failure;
mod hex;
pub mod id;
pub mod job;
pub mod media;
pub mod model;
pub mod quality;
pub mod score;
pub mod state;
pub mod time;
pub mod timing;
pub mod trace;
pub mod view;
pub mod work;

pub use calls::{CallerSpan, Commit, CommitNote, ReportSpans, ReportWay, SubmitCall, SubmitMethod};
pub use encode::{EncodeError, EncodeRequest, Encoded};
pub use encoder::Encoder;
pub use failure::{Failure, FailureKind};
pub use id::{Fence, Incarnation, JobId, NodeId, PartId, SessionId};
pub use job::{JobSpec, Priority, Requirements, SpecError};
pub use media::{ChromaSubsampling, MediaRef, PixelFormat, RawGeometry};
pub use model::{FeatureOverride, ModelRef, ModelSpec, ModelSpecError};
pub use quality::{Direction, Quality, QualityScale};
pub use score::{
    BootstrapScore, Column, FrameTable, ModelScore, PooledScore, PoolingMethod, Provenance,
    ScoreReport, Warning,
};
pub use state::State;
pub use time::Timestamp;
pub use timing::{RunTimings, Stage, StageTimings};
pub use trace::{ExportReason, SpanId, TraceContext, TraceFlags, TraceId};
pub use view::{
    AttemptOutcome, AttemptView, EarlierEnd, JobFilter, JobPage, JobSummary, JobView, Liveness,
    NodeView, Progress, ResultView,
};
pub use work::{
    AttemptReport, Capabilities, Lease, NodeStatus, Outcome, Registered, Registration,
    ReportAnswer, RunningPart, StopReason, ToNode,
};
