//! What passes between controller and node: registration, liveness, leases, reports.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::{Fence, Incarnation, JobId, NodeId, PartId, SessionId};
use crate::job::JobSpec;
use crate::score::ScoreReport;
use crate::timing::StageTimings;
use crate::trace::{SpanId, TraceContext, TraceId};

/// What a node can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Compute backends, such as `cpu`.
    pub backends: Vec<String>,
    /// Decoders at hand: `y4m`, `raw`, and `ffmpeg` or single codecs' names.
    pub codecs: Vec<String>,
    /// Encoders its `ffmpeg` has, by `ffmpeg`'s names.
    #[serde(default)]
    pub encoders: Vec<String>,
    /// Each of them in the words of its programs, such as `ffmpeg 8.0, libx264 165`: what one version
    /// encodes is not what another does.
    #[serde(default)]
    pub encoder_versions: Vec<String>,
    /// Concurrent attempts it takes.
    pub slots: u32,
    /// The instruction set its kernels run on.
    pub isa: String,
    /// The node software's version.
    pub version: String,
}

impl Capabilities {
    /// Slots a node may offer.
    pub const SLOTS_MAX: u32 = 1_024;
    /// Backends, codecs or encoders a node may name.
    pub const NAMES_MAX: usize = 64;
}

/// A node introducing itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its name, stable over restarts.
    pub node: NodeId,
    /// Random per process.
    pub incarnation: Incarnation,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// The controller's answer to a registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The session under which the node acts from now on.
    pub session: SessionId,
    /// How often the node shows that it lives.
    pub liveness_interval: Duration,
    /// How long a lease lasts without a sign of life.
    pub lease: Duration,
}

/// An attempt that a node has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningPart {
    /// The part.
    pub part: PartId,
    /// The fence of its lease.
    pub fence: Fence,
    /// Frames scored so far.
    pub frames_done: u64,
    /// Frames there are, where known.
    pub frames_total: Option<u64>,
}

/// A node's sign of life: sent when its stream opens, every liveness interval, and on change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Attempts it is willing to hold at once: its slots, or 0 while it drains. The controller
    /// leases to it no more than this less what it already holds.
    pub slots_offered: u32,
    /// Everything it has in hand, running or waiting to be reported.
    pub running: Vec<RunningPart>,
    /// It takes no new work and leaves when it is done.
    pub draining: bool,
}

/// One attempt's right to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job the part belongs to.
    pub job: JobId,
    /// The part.
    pub part: PartId,
    /// Its place in the job, from 0.
    pub part_index: u32,
    /// Guards every message about this attempt.
    pub fence: Fence,
    /// Which attempt at the part this is, from 1.
    pub attempt: u32,
    /// What to do.
    pub spec: Arc<JobSpec>,
    /// The attempt's own span, pre-allocated and stored: `span_id` is the id that the CONSUMER
    /// span of this attempt must carry, in this trace, recorded when the flags say so. After a long
    /// wait the trace is another than the parent's, and the span its first.
    pub trace: TraceContext,
    /// The span that is the parent of the attempt's: the job's root span.
    pub parent: TraceContext,
    /// The span that created the job's message in the queue, in the same trace: for links.
    pub creation: SpanId,
    /// The span of the attempt before this one, for a retry to link to.
    pub previous_attempt: Option<SpanId>,
    /// The trace of that span, where it is not the job's.
    pub previous_trace: Option<TraceId>,
    /// How long the part waited in the queue before this lease.
    pub queue_wait: Duration,
}

/// What the controller sends down the work stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToNode {
    /// Run this.
    Lease(Box<Lease>),
    /// Stop this: it was cancelled, leased anew elsewhere, or is not known.
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
    /// The controller closes the stream in good order: connect again.
    Reconnect,
    /// Take no new work, finish what you have and leave.
    Drain,
    /// The answer to a report that came over the stream.
    Reported {
        /// The part.
        part: PartId,
        /// The fence of the attempt.
        fence: Fence,
        /// `None` when the report was not taken this way: it is to be sent by a call of its own.
        answer: Option<ReportAnswer>,
    },
    /// A status was taken that asked to be acknowledged with this number.
    Acknowledged(u64),
}

/// Why a node must stop an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Somebody cancelled the job.
    Cancelled,
    /// The lease is no longer this node's.
    LeaseLost,
}

/// How an attempt ended, as its node tells it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// One score report for each distorted video, in the job's order.
    Succeeded(Vec<ScoreReport>),
    /// It failed; the kind says whether a retry makes sense.
    Failed(Failure),
    /// The node hands the part back unfinished, for a reason that is not the part's: counted
    /// against nothing.
    Released,
}

impl Outcome {
    /// Values in its frame tables: a measure of its size.
    #[must_use]
    pub fn value_count(&self) -> usize {
        match self {
            Self::Succeeded(reports) => {
                reports.iter().map(|r| r.frames.frame_count() * r.frames.columns.len()).sum()
            }
            Self::Failed(_) | Self::Released => 0,
        }
    }
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptReport {
    /// The part.
    pub part: PartId,
    /// The fence of its lease.
    pub fence: Fence,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the node's time went.
    pub timings: StageTimings,
    /// SHA-256 of the outcome: two reports with the same one are the same report.
    pub digest: [u8; 32],
}

/// What became of a report. None of these costs the node its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportAnswer {
    /// It counts.
    Accepted,
    /// It counted already.
    Duplicate,
    /// The lease had ended: it changes nothing.
    Stale,
    /// The job was cancelled meanwhile: it changes nothing.
    Cancelled,
    /// The session is not known: register, then report again.
    UnknownSession,
}

impl ReportAnswer {
    /// Every answer.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Duplicate, Self::Stale, Self::Cancelled, Self::UnknownSession];

    /// The answer's name in logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Cancelled => "cancelled",
            Self::UnknownSession => "unknown_session",
        }
    }
}
