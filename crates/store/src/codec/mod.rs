//! How specs, results and frame tables are kept as bytes, whichever database holds them.
//!
//! Specs, failures and timings are JSON, so that what an older version wrote is read with today's
//! defaults. Results are JSON whose numbers round-trip bit for bit. Frame tables are binary.

mod calls;
mod frames;
mod result;

use control::{StoreError, StoreErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::{JobSpec, Requirements, SpanId, TraceContext, TraceFlags, TraceId};

pub(crate) use calls::{
    decode_report_way, decode_submit_call, encode_report_way, encode_submit_call,
};
pub(crate) use frames::join as join_frames;
pub use frames::{decode_frames, encode_frames};
pub use result::{decode_results, encode_results};

fn internal(operation: &'static str, message: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, operation, message.to_string())
}

fn corrupt(operation: &'static str, message: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, operation, message.to_string())
}

/// A spec as bytes.
///
/// # Errors
/// None for a spec that was checked; the type leaves room for a defect of ours.
pub fn encode_spec(spec: &JobSpec) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(spec).map_err(|e| internal("encode a job", e))
}

/// A spec out of what [`encode_spec`] wrote, now or in an older version.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_spec(bytes: &[u8]) -> Result<JobSpec, StoreError> {
    serde_json::from_slice(bytes).map_err(|e| corrupt("read a job", e))
}

pub(crate) fn to_json<V: Serialize>(value: &V) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| internal("encode a value", e))
}

pub(crate) fn from_json<V: DeserializeOwned>(text: &str) -> Result<V, StoreError> {
    serde_json::from_str(text).map_err(|e| corrupt("read a value", e))
}

/// Requirements as text; empty for the default, which most jobs have.
pub(crate) fn encode_needs(requirements: &Requirements) -> Result<String, StoreError> {
    if *requirements == Requirements::default() { Ok(String::new()) } else { to_json(requirements) }
}

pub(crate) fn decode_needs(text: &str) -> Result<Requirements, StoreError> {
    if text.is_empty() { Ok(Requirements::default()) } else { from_json(text) }
}

/// Trace id, span id and flags; `tracestate` is kept beside.
pub(crate) fn encode_trace(trace: &TraceContext) -> [u8; 25] {
    let mut bytes = [0; 25];
    bytes[..16].copy_from_slice(&trace.trace_id.to_bytes());
    bytes[16..24].copy_from_slice(&trace.span_id.to_bytes());
    bytes[24] = trace.flags.0;
    bytes
}

pub(crate) fn decode_trace(bytes: &[u8], tracestate: String) -> Result<TraceContext, StoreError> {
    let read = || {
        let bytes: &[u8; 25] = bytes.try_into().ok()?;
        let (trace_id, rest) = bytes.split_first_chunk::<16>()?;
        let (span_id, flags) = rest.split_first_chunk::<8>()?;
        Some(TraceContext {
            trace_id: TraceId::new(*trace_id)?,
            span_id: SpanId::new(*span_id)?,
            flags: TraceFlags(flags[0]),
            tracestate: String::new(),
        })
    };
    let trace = read().ok_or_else(|| corrupt("read a trace context", "wrong length or zero"))?;
    Ok(TraceContext { tracestate, ..trace })
}
