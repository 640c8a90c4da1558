//! Things to store, for the tests of SQLite's own.

use std::sync::Arc;

use control::{NewJob, Transition};
use types::{
    JobId, JobSpec, MediaRef, PartId, SpanId, Timestamp, TraceContext, TraceFlags, TraceId,
};

pub fn job_id(number: u64) -> JobId {
    JobId::new(Timestamp::from_unix_micros(1_000_000), u128::from(number))
}

/// Job `number`, of one part with that id, whose reference has this name.
pub fn submit(number: u64, reference: &str) -> Transition {
    let spec = JobSpec::pair(MediaRef::new(reference), MediaRef::new("/d"));
    let span = SpanId::new([1; 8]).expect("not zero");
    Transition::Submit(Arc::new(NewJob {
        id: job_id(number),
        first_part: PartId(number),
        parts: vec![None],
        submitted_at: Timestamp::EPOCH,
        tenant: "".into(),
        spec_encoded: store::codec::encode_spec(&spec).expect("plain data").into(),
        spec: Arc::new(spec),
        idempotency: None,
        trace: TraceContext {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: span,
            flags: TraceFlags::default(),
            tracestate: String::new(),
        },
        root_span_id: span,
        call: None,
    }))
}
