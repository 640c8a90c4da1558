//! The JSON that callers are shown. Numbers have every digit that they need to be read back as the
//! same; what is no number is `null`.

use proto::score::Scored;
use proto::scoring::HealthResponse;
use serde::Serialize;
use service::http::shapes::{ResultOut, TimingsOut, micros};
use types::{Column, FrameTable, PoolingMethod, TraceId};

/// Per-frame values.
#[derive(Debug, Serialize)]
struct FramesOut {
    frame_indices: Vec<u64>,
    columns: Vec<Column>,
}

/// A pair's scores.
#[derive(Debug, Serialize)]
pub(super) struct ScoredOut {
    score: f64,
    pooling: PoolingMethod,
    #[serde(flatten)]
    result: ResultOut,
    timings: TimingsOut,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<FramesOut>,
    waited_us: u64,
    trace_id: Option<TraceId>,
}

impl From<Scored> for ScoredOut {
    fn from(scored: Scored) -> Self {
        let (score, result) = (scored.score(), scored.result().into());
        let FrameTable { frame_indices, columns } = scored.report.frames;
        let has_frames = !frame_indices.is_empty();
        Self {
            score,
            pooling: scored.pooling,
            result,
            timings: scored.report.timings.into(),
            frames: has_frames.then_some(FramesOut { frame_indices, columns }),
            waited_us: micros(scored.waited),
            trace_id: scored.trace_id,
        }
    }
}

/// How the service is.
#[derive(Debug, Serialize)]
pub(super) struct HealthOut {
    ready: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    engine_version: String,
    isa: String,
    codecs: Vec<String>,
    models: Vec<String>,
    slots: u32,
    busy: u32,
    waiting: u32,
    waiting_max: u32,
}

impl From<HealthResponse> for HealthOut {
    fn from(health: HealthResponse) -> Self {
        Self {
            ready: health.ready,
            message: health.message,
            engine_version: health.engine_version,
            isa: health.isa,
            codecs: health.codecs,
            models: health.models,
            slots: health.slots,
            busy: health.busy,
            waiting: health.waiting,
            waiting_max: health.waiting_max,
        }
    }
}
