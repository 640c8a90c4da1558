//! Things to store.

use std::sync::Arc;
use std::time::Duration;

use control::{
    AttemptEnd, FrameRange, Idempotency, LeaseGrant, NewJob, Next, SessionOpened, StoredResult,
    Tally, Transition,
};
use types::{
    AttemptOutcome, CallerSpan, Capabilities, Column, Failure, FailureKind, Fence, FrameTable,
    Incarnation, JobId, JobSpec, MediaRef, ModelScore, NodeId, PartId, PooledScore, Provenance,
    ReportSpans, ReportWay, RunTimings, ScoreReport, SessionId, SpanId, Stage, StageTimings, State,
    SubmitCall, SubmitMethod, Timestamp, TraceContext, TraceFlags, TraceId, Warning,
};

use crate::codec;

pub(super) const START: Timestamp = Timestamp::from_unix_micros(1_700_000_000_000_000);
pub(super) const SESSION: SessionId = SessionId(1);

pub(super) fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

pub(super) fn span(number: u64) -> SpanId {
    SpanId::new((number + 1).to_be_bytes()).expect("not zero")
}

pub(super) fn job_id(number: u64) -> JobId {
    JobId::new(at(number), u128::from(number))
}

pub(super) fn trace(number: u64) -> TraceContext {
    let trace_id = TraceId::new(u128::from(number + 1).to_be_bytes()).expect("not zero");
    let (flags, tracestate) = (TraceFlags::SAMPLED, "a=b,c=d".to_owned());
    TraceContext { trace_id, span_id: span(number), flags, tracestate }
}

pub(super) fn spec() -> JobSpec {
    let mut spec = JobSpec::pair(MediaRef::new("/r.y4m"), MediaRef::new("https://h/ü.mp4"));
    spec.requirements.codecs = vec!["h264".into()];
    spec.labels.insert("title".into(), "ünï".into());
    spec.attempt_timeout = Some(Duration::from_micros(1_500_001));
    spec
}

/// Job `number` with this many parts, the first of which has the number as its id.
pub(super) fn new_job(number: u64, parts: u64) -> NewJob {
    let spec = spec();
    let range = |index| FrameRange { first_frame_index: index * 100, frame_count: 100 };
    let whole = (parts == 1).then_some(vec![None]);
    NewJob {
        id: job_id(number),
        first_part: PartId(number),
        parts: whole.unwrap_or_else(|| (0..parts).map(|index| Some(range(index))).collect()),
        submitted_at: at(number),
        tenant: "tenant".into(),
        spec_encoded: codec::encode_spec(&spec).expect("plain data").into(),
        spec: Arc::new(spec),
        idempotency: None,
        trace: trace(number),
        root_span_id: span(number + 1_000),
        call: call(number),
    }
}

/// Every second job came by a call that is known.
pub(super) fn call(number: u64) -> Option<SubmitCall> {
    let caller = Some(CallerSpan { span_id: span(number + 3_000), is_parent: number > 2 });
    let (method, span_id) = (SubmitMethod::SubmitJobs, span(number + 2_000));
    let call = SubmitCall { method, span_id, caller, began_at: at(0), sent_at: at(1) };
    number.is_multiple_of(2).then_some(call)
}

/// Reports come by all ways.
pub(super) fn way(part: u64) -> ReportWay {
    let spans = ReportSpans {
        trace_id: trace(part).trace_id,
        span_id: span(part + 4_000),
        caller: Some(span(part + 5_000)),
        is_recorded: true,
    };
    let lead = Duration::from_micros(13);
    match part % 3 {
        0 => ReportWay { is_call: true, lead, spans: Some(spans) },
        1 => ReportWay { is_call: false, lead, spans: Some(spans) },
        _ => ReportWay::STREAM,
    }
}

pub(super) fn submit(number: u64) -> Transition {
    Transition::Submit(Arc::new(new_job(number, 1)))
}

pub(super) fn submit_keyed(
    number: u64,
    tenant: &str,
    body: u8,
    expires_at: Timestamp,
) -> Transition {
    let idempotency = Idempotency { key: "key".into(), body_digest: [body; 32] };
    let idempotency = Some((idempotency, expires_at));
    let job = NewJob { tenant: tenant.into(), idempotency, ..new_job(number, 1) };
    Transition::Submit(Arc::new(job))
}

pub(super) fn tally(errors: u16, crashes: u16) -> Tally {
    Tally { errors, crashes, errors_max: 3 }
}

pub(super) fn grant(part: u64, fence: u64) -> LeaseGrant {
    LeaseGrant {
        part: PartId(part),
        fence: Fence(fence),
        attempt: u32::try_from(fence).expect("small"),
        session: SESSION,
        span_id: span(part * 10 + fence),
        // Every second attempt has a trace of its own.
        trace_id: fence.is_multiple_of(2).then(|| trace(part * 10 + fence).trace_id),
        available_at: at(fence),
        started_at: at(100 * fence),
        tally: tally(0, 0),
    }
}

pub(super) fn lease(part: u64, fence: u64) -> Transition {
    Transition::Lease(grant(part, fence))
}

pub(super) fn timings() -> StageTimings {
    let mut timings = StageTimings { wall: Duration::from_micros(7), ..StageTimings::default() };
    timings.add(Stage::Score, Duration::from_micros(5));
    timings.features.push(("vif".into(), Duration::from_micros(3)));
    timings.arrived_at = Some(at(1));
    let (stages, features) = (timings.stages.clone(), timings.features.clone());
    let began_after = Duration::from_micros(2);
    timings.runs = vec![RunTimings { began_after, stages, features, ..RunTimings::default() }];
    timings
}

fn end(part: u64, fence: u64, outcome: AttemptOutcome, next: Next) -> AttemptEnd {
    AttemptEnd {
        lease: grant(part, fence),
        outcome,
        failure: None,
        timings: Some(timings()),
        settle: Some(Duration::from_micros(11)),
        report: Some(way(part)),
        digest: Some([9; 32]),
        ended_at: at(100 * fence + 50),
        next,
    }
}

/// Numbers that a careless encoding would change.
pub(super) fn pooled() -> PooledScore {
    PooledScore {
        mean: 97.428_042_999_999_99,
        harmonic_mean: 0.1 + 0.2,
        min: -0.0,
        max: f64::MAX,
        standard_deviation: f64::MIN_POSITIVE / 3.0,
        p1: f64::NAN,
        p5: f64::INFINITY,
        p10: 1e-7,
        p25: 1.0 / 3.0,
        p50: 100.0,
    }
}

pub(super) fn frame_table(first: u64) -> FrameTable {
    let values = vec![0.1 + 0.2, f64::NAN, -0.0];
    FrameTable {
        frame_indices: (first..first + 3).collect(),
        columns: vec![Column { name: "vmaf".into(), values }],
    }
}

pub(super) fn report(first_frame: u64) -> ScoreReport {
    ScoreReport {
        width: 1_920,
        height: 1_080,
        models: vec![ModelScore {
            name: "vmaf".into(),
            version: "vmaf_v0.6.1".into(),
            sha256: "ab".into(),
            pooled: pooled(),
        }],
        pooled: vec![("vmaf".into(), pooled())],
        aggregates: vec![("apsnr_y".into(), 100.0 / 3.0)],
        frames: frame_table(first_frame),
        warnings: vec![Warning { code: "length_mismatch".into(), message: "ü".into() }],
        provenance: Provenance::default(),
        timings: timings(),
        digest: "d1".into(),
        encoded: None,
    }
}

pub(super) fn result(first_frame: u64) -> StoredResult {
    codec::encode_results(vec![report(first_frame), report(first_frame)]).expect("plain data")
}

pub(super) fn succeed(part: u64, fence: u64) -> Transition {
    let result = Some(Arc::new(result(100 * part)));
    let next = Next::Done { state: State::Succeeded, result };
    Transition::End(Box::new(end(part, fence, AttemptOutcome::Succeeded, next)))
}

pub(super) fn failure() -> Failure {
    Failure::new(FailureKind::Io, "a cable, ünplugged")
}

pub(super) fn fail(part: u64, fence: u64) -> Transition {
    let next = Next::Done { state: State::Failed, result: None };
    let end = end(part, fence, AttemptOutcome::Failed, next);
    Transition::End(Box::new(AttemptEnd { failure: Some(failure()), ..end }))
}

pub(super) fn requeue(part: u64, fence: u64) -> Transition {
    let next = Next::Queued { available_at: at(1_000 + fence), tally: tally(0, 1) };
    let end = end(part, fence, AttemptOutcome::Lost, next);
    let (timings, settle, report, digest) = (None, None, None, None);
    let failure = Some(Failure::new(FailureKind::NodeLost, "gone"));
    Transition::End(Box::new(AttemptEnd { failure, timings, settle, report, digest, ..end }))
}

pub(super) fn cancel_running(part: u64, fence: u64) -> Transition {
    let next = Next::Done { state: State::Cancelled, result: None };
    let end = end(part, fence, AttemptOutcome::Cancelled, next);
    let (timings, settle, report, digest) = (None, None, None, None);
    Transition::End(Box::new(AttemptEnd { timings, settle, report, digest, ..end }))
}

pub(super) fn drop_queued(part: u64, fence: u64) -> Transition {
    let (state, failure, at) = (State::Cancelled, None, at(9));
    Transition::Drop { part: PartId(part), fence: Fence(fence), state, failure, at }
}

pub(super) fn revive(part: u64, fence: u64) -> Transition {
    Transition::Revive { part: PartId(part), fence: Fence(fence), at: at(5_000) }
}

pub(super) fn session(number: u64, node: &str, incarnation: u64) -> Transition {
    let capabilities = Capabilities {
        backends: vec!["cpu".into()],
        codecs: vec!["y4m".into(), "ffmpeg".into()],
        encoders: vec!["libx264".into()],
        encoder_versions: Vec::new(),
        slots: 3,
        isa: "avx2".into(),
        version: "1".into(),
    };
    Transition::OpenSession(Box::new(SessionOpened {
        session: SessionId(number),
        node: NodeId::new(node).expect("a good name"),
        incarnation: Incarnation(incarnation),
        capabilities,
        registered_at: at(number),
    }))
}
