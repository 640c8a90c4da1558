//! Every value survives the wire, and what breaks a promise is refused by name.

use std::num::NonZeroU32;
use std::time::Duration;

use proto::controller as pb;
use proto::rpc::{
    GetFrames, JobEvent, ListJobs, RetryJobs, SignOfLife, Submit, Submitted, WatchJobs,
};
use proto::{FrameTableBuilder, WireError, frame_chunks, limits, report_request};
use types::{
    AttemptOutcome, AttemptReport, AttemptView, CallerSpan, Capabilities, ChromaSubsampling,
    Column, Commit, EarlierEnd, EncodeRequest, Encoded, Encoder, Failure, FailureKind, Fence,
    FrameTable, Incarnation, JobFilter, JobId, JobPage, JobSpec, JobSummary, JobView, Lease,
    Liveness, MediaRef, ModelRef, ModelScore, NodeId, NodeStatus, NodeView, Outcome, PartId,
    PixelFormat, PooledScore, Priority, Progress, Provenance, Quality, RawGeometry, Registered,
    Registration, ReportAnswer, ReportSpans, ReportWay, Requirements, ResultView, RunTimings,
    RunningPart, ScoreReport, SessionId, SpanId, Stage, StageTimings, State, StopReason,
    SubmitCall, SubmitMethod, Timestamp, ToNode, TraceContext, TraceId, Warning,
};

/// Sends a value over the wire and back, through the encoded bytes.
fn over_the_wire<T, M>(value: T) -> T
where
    T: TryFrom<M, Error = WireError>,
    M: From<T> + prost::Message + Default,
{
    let bytes = M::from(value).encode_to_vec();
    T::try_from(M::decode(bytes.as_slice()).expect("our own bytes")).expect("a valid value")
}

#[track_caller]
fn check<T, M>(value: T)
where
    T: Clone + PartialEq + std::fmt::Debug + TryFrom<M, Error = WireError>,
    M: From<T> + prost::Message + Default,
{
    let sent = value.clone();
    assert_eq!(over_the_wire::<T, M>(value), sent);
}

fn trace(span: u8) -> TraceContext {
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902{span:02x}-01");
    TraceContext::parse(&parent, "vendor=1").expect("valid")
}

fn job() -> JobId {
    JobId::new(Timestamp::from_unix_micros(1_700_000_000_123_456), 77)
}

fn spec() -> JobSpec {
    let format = PixelFormat { chroma: ChromaSubsampling::C422, bit_depth: 10 };
    JobSpec {
        reference: MediaRef {
            uri: "/clips/reference.yuv".into(),
            raw: Some(RawGeometry { width: 577, height: 323, format }),
        },
        distorted: vec![MediaRef::new("/clips/a.mp4"), MediaRef::new("https://host/b.mp4")],
        model: ModelRef::Path("/models/m.json".into()).into(),
        further_models: vec![
            "vmaf_v0.6.1neg:name=neg:disable_clip:enable_transform:vif.vif_enhn_gain_limit=1.5"
                .parse()
                .expect("well formed"),
        ],
        features: vec!["psnr".into(), "float_ssim".into()],
        subsample_interval: NonZeroU32::new(5).expect("not zero"),
        first_frame_index: 7,
        frame_count_max: Some(100),
        priority: Priority::new(0).expect("in range"),
        requirements: Requirements {
            backend: Some("cpu".into()),
            codecs: vec!["ffmpeg".into(), "raw".into()],
            encoders: vec!["libx264".into(), "libx265".into()],
        },
        labels: [("title".to_owned(), "Ünï".to_owned())].into(),
        attempts_max: NonZeroU32::new(9).expect("not zero"),
        attempt_timeout: Some(Duration::from_millis(1_234)),
        force_trace: true,
        encode: None,
    }
}

fn encoding_spec() -> JobSpec {
    let request = EncodeRequest {
        preset: "slow".into(),
        pixel_format: Some("yuv420p10le".into()),
        size: Some((640, 360)),
        options: [("tune".to_owned(), "film".to_owned())].into(),
        threads: 7,
        ..EncodeRequest::new(Encoder::X265, Quality(2_325))
    };
    JobSpec::encode(MediaRef::new("/clips/a.mp4"), request)
}

fn timings() -> StageTimings {
    let mut timings = StageTimings { wall: Duration::from_micros(999), ..Default::default() };
    for (place, stage) in Stage::ALL.into_iter().enumerate() {
        timings.add(stage, Duration::from_micros(place as u64 + 1));
    }
    timings.features = vec![("vif".into(), Duration::from_micros(5))];
    timings.arrived_at = Some(at(1_234));
    timings.runs = vec![RunTimings {
        distorted_index: 3,
        began_after: Duration::from_micros(8),
        failed: true,
        stages: vec![(Stage::Fetch, Duration::from_micros(2))],
        features: vec![("adm".into(), Duration::from_micros(6))],
    }];
    timings
}

fn pooled(base: f64) -> PooledScore {
    PooledScore {
        mean: base,
        harmonic_mean: base + 0.1,
        min: base + 0.2,
        max: base + 0.3,
        standard_deviation: base + 0.4,
        p1: base + 0.5,
        p5: base + 0.6,
        p10: base + 0.7,
        p25: base + 0.8,
        p50: base + 0.9,
    }
}

fn table() -> FrameTable {
    FrameTable {
        frame_indices: vec![0, 5, 10],
        columns: vec![
            Column { name: "integer_adm2".into(), values: vec![0.1, 1.0 / 3.0, f64::MIN_POSITIVE] },
            Column { name: "vmaf".into(), values: vec![76.668_904_824_779_1, 0.0, 100.0] },
        ],
    }
}

fn report() -> ScoreReport {
    ScoreReport {
        width: 576,
        height: 324,
        models: vec![ModelScore {
            name: "vmaf".into(),
            version: "vmaf_v0.6.1".into(),
            sha256: "ab".repeat(32),
            pooled: pooled(70.0),
        }],
        pooled: vec![("integer_adm2".into(), pooled(0.9)), ("vmaf".into(), pooled(70.0))],
        aggregates: vec![("apsnr_y".into(), 100.0 / 3.0), ("apsnr_cb".into(), f64::NEG_INFINITY)],
        frames: table(),
        warnings: vec![Warning { code: "length_mismatch".into(), message: "shorter".into() }],
        provenance: Provenance {
            engine_version: "0.1.0".into(),
            isa: "avx2".into(),
            decoders: vec!["y4m".into(), "ffmpeg 7.1".into()],
        },
        timings: timings(),
        digest: "0f".repeat(32),
        encoded: Some(Encoded {
            bytes: 123_456,
            frame_count: 3,
            frame_rate: (30_000, 1_001),
            encode_time: Duration::from_micros(7_654_321),
            encoder_version: "ffmpeg 7.1, libx264".into(),
        }),
    }
}

fn result() -> ResultView {
    let report = report();
    ResultView {
        width: report.width,
        height: report.height,
        frame_count: 3,
        models: report.models,
        pooled: report.pooled,
        aggregates: report.aggregates,
        warnings: report.warnings,
        provenance: report.provenance,
        digest: report.digest,
        encoded: report.encoded,
    }
}

fn capabilities() -> Capabilities {
    Capabilities {
        backends: vec!["cpu".into()],
        codecs: vec!["y4m".into(), "raw".into()],
        encoders: vec!["libsvtav1".into()],
        encoder_versions: vec!["ffmpeg 8.0, libsvtav1 v4.2.0".into()],
        slots: 4,
        isa: "avx512".into(),
        version: "0.1.0".into(),
    }
}

fn node() -> NodeId {
    NodeId::new("rack-7").expect("valid")
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

fn span(byte: u8) -> SpanId {
    SpanId::new([byte; 8]).expect("not zero")
}

fn commit(start: i64) -> Commit {
    Commit { start: at(start), end: at(start + 7), writes: 3 }
}

/// Another way for each outcome.
fn way(outcome: AttemptOutcome) -> ReportWay {
    let trace_id = TraceId::new([6; 16]).expect("not zero");
    let spans = ReportSpans { trace_id, span_id: span(4), caller: None, is_recorded: true };
    let spans = match outcome {
        AttemptOutcome::Succeeded => return ReportWay::STREAM,
        AttemptOutcome::Failed => None,
        AttemptOutcome::Lost => Some(ReportSpans { is_recorded: false, ..spans }),
        _ => Some(ReportSpans { caller: Some(span(5)), ..spans }),
    };
    let is_call = outcome != AttemptOutcome::Released;
    ReportWay { is_call, lead: Duration::from_micros(12), spans }
}

fn attempt(outcome: Option<AttemptOutcome>) -> AttemptView {
    AttemptView {
        part: PartId(3),
        part_index: 1,
        attempt: 2,
        fence: Fence(9),
        node: node(),
        span_id: SpanId::parse("00f067aa0ba902b7").expect("valid"),
        trace_id: outcome.and_then(|_| TraceId::new([6; 16])),
        available_at: at(10),
        started_at: at(20),
        ended_at: Some(at(30)),
        outcome,
        failure: Some(Failure::new(FailureKind::DiskFull, "full")),
        timings: Some(timings()),
        settle: Some(Duration::from_micros(17)),
        report: outcome.map(way),
        leased_by: Some(commit(20)),
        ended_by: outcome.map(|_| commit(30)),
    }
}

fn view() -> JobView {
    JobView {
        id: job(),
        tenant: "studio".into(),
        state: State::Failed,
        spec: spec(),
        submitted_at: at(1),
        started_at: Some(at(2)),
        finished_at: Some(at(3)),
        available_at: Some(at(4)),
        trace: trace(1),
        root_span_id: SpanId::parse("00f067aa0ba902b8").expect("valid"),
        call: Some(SubmitCall {
            method: SubmitMethod::PostJobs,
            span_id: span(7),
            caller: Some(CallerSpan { span_id: span(8), is_parent: true }),
            began_at: at(-3),
            sent_at: at(-2),
        }),
        submitted_by: Some(commit(2)),
        attempts: AttemptOutcome::ALL.into_iter().map(Some).chain([None]).map(attempt).collect(),
        earlier_ends: vec![EarlierEnd {
            failed_at: at(5),
            failure: Some(Failure::new(FailureKind::Io, "read")),
            retried_at: at(6),
        }],
        progress: Some(Progress { frames_done: 5, frames_total: Some(9) }),
        results: vec![result()],
        failure: Some(Failure::new(FailureKind::Io, "read")),
        waiting_for: Some("no node has ffmpeg".into()),
    }
}

fn summary() -> JobSummary {
    JobSummary {
        id: job(),
        tenant: "studio".into(),
        state: State::Running,
        labels: [("k".to_owned(), "v".to_owned())].into(),
        priority: 9,
        submitted_at: at(1),
        finished_at: Some(at(3)),
        attempts: 2,
        score: Some(76.7),
        failure: Some(Failure::new(FailureKind::Io, "read")),
        trace: trace(2),
        progress: Some(Progress { frames_done: 5, frames_total: None }),
    }
}

fn lease() -> Lease {
    Lease {
        job: job(),
        part: PartId(3),
        part_index: 1,
        fence: Fence(u64::MAX),
        attempt: 2,
        spec: spec().into(),
        trace: trace(3),
        parent: trace(4),
        creation: SpanId::new([8; 8]).expect("not zero"),
        previous_attempt: SpanId::new([7; 8]),
        previous_trace: TraceId::new([5; 16]),
        queue_wait: Duration::from_micros(1_500),
    }
}

fn filter() -> JobFilter {
    JobFilter {
        states: State::ALL.to_vec(),
        tenant: Some(String::new()),
        labels: [("k".to_owned(), "v".to_owned())].into(),
    }
}

fn status() -> NodeStatus {
    NodeStatus {
        slots_offered: 3,
        running: vec![RunningPart {
            part: PartId(1),
            fence: Fence(2),
            frames_done: 3,
            frames_total: Some(4),
        }],
        draining: true,
    }
}

#[test]
fn every_field_of_every_value_survives_the_wire() {
    check::<_, pb::JobSpec>(spec());
    check::<_, pb::JobSpec>(encoding_spec());
    check::<_, pb::JobSpec>(JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b")));
    check::<_, pb::StageTimings>(timings());
    check::<_, pb::ScoreReport>(report());
    check::<_, pb::Result>(result());
    check::<_, pb::Job>(view());
    check::<_, pb::JobSummary>(summary());
    check::<_, pb::JobFilter>(filter());
    check::<_, pb::Lease>(lease());
    check::<_, pb::NodeStatus>(status());
    check::<_, pb::RegisterNodeResponse>(Registered {
        session: SessionId(7),
        liveness_interval: Duration::from_secs(2),
        lease: Duration::from_secs(10),
    });
    check::<_, pb::RegisterNodeRequest>(Registration {
        node: node(),
        incarnation: Incarnation(u64::MAX),
        capabilities: capabilities(),
    });
    for liveness in [Liveness::Alive, Liveness::Stale, Liveness::Unknown] {
        check::<_, pb::Node>(NodeView {
            node: node(),
            session: SessionId(8),
            liveness,
            draining: true,
            capabilities: capabilities(),
            slots_busy: 2,
            registered_at: at(5),
            last_seen_at: at(6),
        });
    }
    for kind in FailureKind::ALL {
        check::<_, pb::Failure>(Failure::new(*kind, "what"));
    }
    for answer in ReportAnswer::ALL {
        check::<_, pb::ReportResultResponse>(answer);
    }
    for message in [
        ToNode::Lease(Box::new(lease())),
        ToNode::Stop { part: PartId(1), fence: Fence(2), reason: StopReason::Cancelled },
        ToNode::Stop { part: PartId(1), fence: Fence(2), reason: StopReason::LeaseLost },
        ToNode::Reregister,
        ToNode::Reconnect,
        ToNode::Drain,
    ] {
        check::<_, pb::ControllerMessage>(message);
    }
}

#[test]
fn requests_and_answers_survive_the_wire() {
    check::<_, pb::SubmitJobRequest>(Submit { spec: spec(), idempotency_key: Some("k".into()) });
    let trace_id = trace(1).trace_id;
    check::<_, pb::SubmitJobResponse>(Submitted { job: job(), existing: true, trace_id });
    check::<_, pb::ListJobsRequest>(ListJobs {
        filter: filter(),
        page_size: Some(7),
        after: Some(job()),
    });
    check::<_, pb::ListJobsResponse>(JobPage { jobs: vec![summary()], next: Some(job()) });
    check::<_, pb::GetFramesRequest>(GetFrames {
        job: job(),
        distorted_index: 1,
        first_frame_index: 2,
        frame_count_max: Some(3),
        columns: vec!["vmaf".into()],
    });
    check::<_, pb::RetryJobsRequest>(RetryJobs::Ids(vec![job()]));
    check::<_, pb::RetryJobsRequest>(RetryJobs::Filter(filter()));
    check::<_, pb::StreamJobsRequest>(WatchJobs { filter: filter(), only: Some(job()) });
    check::<_, pb::JobEvent>(JobEvent::Job(Box::new(summary())));
    check::<_, pb::JobEvent>(JobEvent::SnapshotEnd);
    let sign = SignOfLife { session: SessionId(1), incarnation: Incarnation(2), status: status() };
    check::<_, pb::NodeMessage>(sign.clone());
    check::<_, pb::HeartbeatRequest>(sign);
}

#[test]
fn every_outcome_of_an_attempt_survives_the_wire() {
    for outcome in [
        Outcome::Succeeded(vec![report(), report()]),
        Outcome::Failed(Failure::new(FailureKind::Truncated, "ends at frame 7")),
        Outcome::Released,
    ] {
        let sent = AttemptReport {
            part: PartId(1),
            fence: Fence(2),
            outcome,
            timings: timings(),
            digest: [7; 32],
        };
        let request = report_request(SessionId(3), Incarnation(4), sent.clone());
        assert_eq!((request.session_id, request.incarnation), (3, 4));
        assert_eq!(AttemptReport::try_from(request).expect("valid"), sent);
    }
}

#[test]
fn scores_survive_by_their_bits_even_without_a_value() {
    let mut sent = report();
    let payload = f64::from_bits(0x7ff8_0000_dead_beef);
    sent.frames.columns[0].values[1] = payload;
    sent.frames.columns[0].values[2] = -0.0;
    let got = over_the_wire::<ScoreReport, pb::ScoreReport>(sent.clone());
    let bits = |r: &ScoreReport| -> Vec<u64> {
        r.frames.columns[0].values.iter().map(|v| v.to_bits()).collect()
    };
    assert_eq!(bits(&got), bits(&sent));
}

#[test]
fn what_is_left_out_of_a_job_gets_its_default() {
    let media = |uri: &str| pb::MediaRef { uri: uri.into(), raw: None };
    let minimal = pb::JobSpec {
        reference: Some(media("/a")),
        distorted: vec![media("/b")],
        ..Default::default()
    };
    let spec = JobSpec::try_from(minimal).expect("minimal");
    assert_eq!(spec, JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b")));
}

/// Breaks one thing of a valid message and returns the field that the refusal names.
#[track_caller]
fn refused<T, M>(value: T, breaks: impl FnOnce(&mut M)) -> String
where
    T: std::fmt::Debug + TryFrom<M, Error = WireError>,
    M: From<T>,
{
    let mut message = M::from(value);
    breaks(&mut message);
    T::try_from(message).expect_err("the message is broken").field().to_owned()
}

#[test]
fn a_broken_job_is_refused_with_the_path_of_its_field() {
    let broken = |breaks: fn(&mut pb::JobSpec)| refused(spec(), breaks);
    assert_eq!(broken(|s| s.reference = None), "reference");
    assert_eq!(broken(|s| s.priority = Some(10)), "priority");
    assert_eq!(broken(|s| s.priority = Some(261)), "priority");
    assert_eq!(broken(|s| s.model = Some(pb::ModelRef::default())), "model");
    assert_eq!(broken(|s| s.attempt_timeout_us = Some(0)), "attempt_timeout_us");
    assert_eq!(broken(|s| s.features = vec![String::new()]), "features[0]");
    assert_eq!(broken(|s| s.distorted.clear()), "");
    assert_eq!(
        broken(|s| s.distorted[1].raw = Some(pb::RawGeometry::default())),
        "distorted[1].raw.width"
    );
    let geometry = |breaks: fn(&mut pb::RawGeometry)| {
        refused::<_, pb::JobSpec>(spec(), |s| {
            breaks(s.reference.as_mut().and_then(|r| r.raw.as_mut()).expect("given"));
        })
    };
    assert_eq!(geometry(|r| r.height = 65_537), "reference.raw.height");
    assert_eq!(geometry(|r| r.bit_depth = 7), "reference.raw.bit_depth");
    assert_eq!(geometry(|r| r.bit_depth = 264), "reference.raw.bit_depth");
    assert_eq!(geometry(|r| r.chroma = "421".into()), "reference.raw.chroma");
}

#[test]
fn a_broken_table_or_report_is_refused() {
    let broken = |breaks: fn(&mut pb::FrameTable)| refused(table(), breaks);
    assert_eq!(broken(|t| t.columns[1].values.truncate(2)), "columns");
    assert_eq!(broken(|t| t.columns[1].name = "integer_adm2".into()), "columns");
    assert_eq!(broken(|t| t.frame_indices[2] = 5), "frame_indices");
    let broken = |breaks: fn(&mut pb::ScoreReport)| refused(report(), breaks);
    assert_eq!(broken(|r| r.frames = None), "frames");
    let result = |r: &mut pb::ScoreReport| r.result.take().expect("given");
    assert_eq!(
        refused::<_, pb::ScoreReport>(report(), |r| {
            r.result = Some(pb::Result { frame_count: 4, ..result(r) });
        }),
        "result.frame_count"
    );
    assert_eq!(
        refused::<_, pb::ScoreReport>(report(), |r| {
            r.result = Some(pb::Result { digest: "AB".repeat(32), ..result(r) });
        }),
        "result.digest"
    );
}

#[test]
fn broken_nodes_messages_are_refused() {
    let hello =
        || Registration { node: node(), incarnation: Incarnation(1), capabilities: capabilities() };
    let broken = |breaks: fn(&mut pb::RegisterNodeRequest)| refused(hello(), breaks);
    assert_eq!(broken(|r| r.node_id = "a b".into()), "node_id");
    assert_eq!(broken(|r| r.capabilities = None), "capabilities");
    let slots = |slots| refused::<_, pb::Capabilities>(capabilities(), |c| c.slots = slots);
    assert_eq!(slots(0), "slots");
    assert_eq!(slots(Capabilities::SLOTS_MAX + 1), "slots");
    let flood = |s: &mut pb::NodeStatus| {
        s.running = vec![s.running[0]; limits::RUNNING_PARTS_MAX + 1];
    };
    assert_eq!(refused(status(), flood), "running");
    let broken = |breaks: fn(&mut pb::Lease)| refused(lease(), breaks);
    assert_eq!(broken(|l| l.attempt = 0), "attempt");
    assert_eq!(broken(|l| l.parent = None), "parent");
    assert_eq!(broken(|l| l.job_id = "7".into()), "job_id");
    let zeroed = |l: &mut pb::Lease| {
        l.trace = Some(pb::TraceContext { traceparent: "00-0-0-01".into(), ..Default::default() });
    };
    assert_eq!(refused(lease(), zeroed), "trace.traceparent");
    assert_eq!(refused::<_, pb::ControllerMessage>(ToNode::Drain, |m| m.message = None), "message");
}

#[test]
fn enum_values_of_a_later_version_are_errors_and_never_guessed() {
    assert_eq!(refused::<_, pb::Job>(view(), |j| j.state = 99), "state");
    assert_eq!(refused::<_, pb::Job>(view(), |j| j.state = 0), "state");
    assert_eq!(
        refused::<_, pb::ReportResultResponse>(ReportAnswer::Stale, |r| r.answer = 0),
        "answer"
    );
    let failure = Failure::new(FailureKind::Io, "x");
    assert_eq!(refused::<_, pb::Failure>(failure, |f| f.kind = "warp_core".into()), "kind");
    assert_eq!(
        refused::<_, pb::Job>(view(), |j| j.attempts[0].outcome = "vanished".into()),
        "attempts[0].outcome"
    );
}

#[test]
fn retrying_everything_by_accident_is_refused() {
    let empty = pb::RetryJobsRequest::default();
    assert!(RetryJobs::try_from(empty).is_err());
}

#[test]
fn frames_travel_in_bounded_chunks_and_come_back_whole() {
    let frame_count = limits::FRAMES_PER_CHUNK_MAX as u64 * 2 + 3;
    let column = |name: &str, scale: f64| Column {
        name: name.into(),
        values: (0..frame_count).map(|i| i as f64 * scale).collect(),
    };
    let table = FrameTable {
        frame_indices: (0..frame_count).map(|i| i * 3).collect(),
        columns: vec![column("a", 0.1), column("b", 0.7)],
    };
    let chunks: Vec<_> = frame_chunks(&table, 0..u64::MAX, &[]).expect("all").collect();
    assert_eq!(chunks.len(), 3);
    let mut builder = FrameTableBuilder::default();
    for chunk in chunks {
        assert!(chunk.frame_indices.len() <= limits::FRAMES_PER_CHUNK_MAX);
        builder.push(chunk).expect("in order");
    }
    assert_eq!(builder.finish(), table);
}

#[test]
fn a_range_of_frames_is_by_index_and_columns_by_name() {
    let chunks = |frames, columns: &[&str]| -> Vec<pb::FrameChunk> {
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        frame_chunks(&table(), frames, &columns).expect("known columns").collect()
    };
    let middle = chunks(1..10, &["vmaf"]);
    assert_eq!(middle.len(), 1);
    assert_eq!(middle[0].frame_indices, [5]);
    assert_eq!(middle[0].columns.len(), 1);
    assert_eq!(middle[0].columns[0].values, [0.0]);
    let none = chunks(100..200, &[]);
    assert_eq!((none.len(), none[0].columns.len()), (1, 2));
    assert!(frame_chunks(&table(), 0..1, &["nope".to_owned()]).is_err());
}

#[test]
fn chunks_that_do_not_follow_each_other_are_refused() {
    let chunk = |index| pb::FrameChunk {
        frame_indices: vec![index],
        columns: vec![pb::FrameColumn { name: "a".into(), values: vec![1.0] }],
    };
    let mut builder = FrameTableBuilder::default();
    builder.push(chunk(5)).expect("first");
    assert!(builder.push(chunk(5)).is_err());
    assert!(builder.push(pb::FrameChunk { columns: Vec::new(), ..chunk(6) }).is_err());
    builder.push(chunk(6)).expect("next");
    assert_eq!(builder.finish().frame_indices, [5, 6]);
}
