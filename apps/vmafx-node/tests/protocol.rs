//! What the node does when the controller behaves in every way that the protocol allows.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use observability::testing::OtlpReceiver;
use observability::{OtelConfig, OtelGuard, SpanKind, Telemetry};
use support::{
    Begun, Controller, Over, PATIENCE, ScriptedWorker, Stream, Times, answer, controller,
    eventually, lease, next,
};
use tokio::sync::mpsc;
use types::{
    Failure, FailureKind, Fence, NodeId, Outcome, PartId, ReportAnswer, SessionId, SpanId, Stage,
    StopReason, ToNode, TraceFlags,
};
use vmafx_node::{Config, Node, NodeHandle, SpoolConfig, Worker};

struct Fixture {
    controller: Controller,
    stream: Stream,
    node: NodeHandle,
    begun: mpsc::Receiver<Begun>,
}

fn config(controller: &Controller, slots: u32) -> Config {
    let name = NodeId::new("node-under-test").expect("a name");
    let slots = NonZeroU32::new(slots).expect("not zero");
    Config { slots, ..Config::new(controller.url(), name) }
}

async fn start(config: Config, worker: Arc<dyn Worker>) -> NodeHandle {
    Node::start_with(config, Telemetry::disabled(), worker).await.expect("started")
}

/// A node of so many slots, connected.
async fn fixture(slots: u32) -> Fixture {
    fixture_of(slots, Times::default(), |config| config).await
}

async fn fixture_of(slots: u32, times: Times, change: impl FnOnce(Config) -> Config) -> Fixture {
    let mut controller = controller(times).await;
    let (worker, begun) = ScriptedWorker::new();
    let node = start(change(config(&controller, slots)), worker).await;
    let stream = controller.stream().await;
    Fixture { controller, stream, node, begun }
}

/// One slot of a node that sends its spans to a collector.
async fn exporting_fixture() -> (OtlpReceiver, OtelGuard, Fixture) {
    let receiver = OtlpReceiver::start().expect("a collector");
    let endpoint = receiver.http_endpoint();
    let guard = OtelGuard::start(&OtelConfig::from_env("vmafx-node", |name| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_METRICS_EXPORTER" => Some("none".to_owned()),
        _ => None,
    }));
    let mut controller = controller(Times::default()).await;
    let (worker, begun) = ScriptedWorker::new();
    let telemetry = guard.telemetry().clone();
    let node = Node::start_with(config(&controller, 1), telemetry, worker).await.expect("started");
    let stream = controller.stream().await;
    (receiver, guard, Fixture { controller, stream, node, begun })
}

/// A lease of a job whose trace is not recorded.
fn unrecorded(part: u64) -> ToNode {
    match lease(part) {
        ToNode::Lease(mut lease) => {
            lease.trace.flags = TraceFlags(0);
            ToNode::Lease(lease)
        }
        other => other,
    }
}

fn stop(part: u64, reason: StopReason) -> ToNode {
    ToNode::Stop { part: PartId(part), fence: Fence(1), reason }
}

#[tokio::test]
async fn a_lease_is_worked_on_reported_and_put_down() {
    let mut f = fixture(2).await;
    let registration = next(&mut f.controller.registrations, "a registration").await;
    assert_eq!(registration.capabilities.slots, 2);
    assert_eq!((f.stream.session, f.stream.incarnation), (SessionId(1), registration.incarnation));
    let first = f.stream.status("the first sign", |_| true).await;
    assert_eq!((first.slots_offered, first.running.len(), first.draining), (2, 0, false));

    f.stream.send(lease(7)).await;
    let begun = next(&mut f.begun, "the work").await;
    let status = f.stream.status("the part in a sign of life", |s| !s.running.is_empty()).await;
    assert_eq!((status.running[0].part, status.running[0].fence), (PartId(7), Fence(1)));
    begun.succeed();

    let reported = f.controller.report().await;
    assert_eq!((reported.session, reported.incarnation), (SessionId(1), registration.incarnation));
    let report = &reported.report;
    assert_eq!((report.part, report.fence), (PartId(7), Fence(1)));
    assert!(matches!(&report.outcome, Outcome::Succeeded(reports) if reports.len() == 1));
    let sum: Duration = report.timings.stages.iter().map(|(_, duration)| *duration).sum();
    // Each was cut to whole microseconds on its way.
    let cut = Duration::from_micros(report.timings.stages.len() as u64);
    assert!(report.timings.wall - sum <= cut, "the stages leave no gap: {:?}", report.timings);
    answer(reported, ReportAnswer::Accepted);
    f.stream.put_down().await;
    f.node.shutdown().await;
}

#[tokio::test]
async fn as_many_attempts_run_as_there_are_slots_and_the_rest_waits() {
    let mut f = fixture(2).await;
    for part in 1..=3 {
        f.stream.send(lease(part)).await;
    }
    let one = next(&mut f.begun, "the first").await;
    let _two = next(&mut f.begun, "the second").await;
    f.stream.status("all three in hand", |s| s.running.len() == 3).await;
    assert!(f.begun.try_recv().is_err(), "the third waits for a slot");
    one.succeed();
    // The slot is free before the report is answered.
    let three = next(&mut f.begun, "the third").await;
    assert_eq!(three.assignment.lease.part, PartId(3));
}

#[tokio::test]
async fn beyond_what_may_wait_a_lease_is_handed_back() {
    let mut f = fixture(1).await;
    for part in 1..=4 {
        f.stream.send(lease(part)).await;
    }
    let reported = f.controller.report().await;
    assert_eq!(reported.report.part, PartId(4));
    assert_eq!(reported.report.outcome, Outcome::Released);
}

#[tokio::test]
async fn a_stopped_attempt_ends_at_once_and_is_not_reported() {
    let mut f = fixture(1).await;
    for reason in [StopReason::Cancelled, StopReason::LeaseLost] {
        f.stream.send(lease(1)).await;
        let begun = next(&mut f.begun, "the work").await;
        f.stream.in_hand(1).await;
        let asked = Instant::now();
        f.stream.send(stop(1, reason)).await;
        eventually("the stop", || begun.assignment.stop.cancel.is_cancelled()).await;
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        begun.end(Err(Failure::new(FailureKind::Cancelled, "stopped")));
        f.stream.put_down().await;
        assert!(f.controller.reports.try_recv().is_err(), "{reason:?}");
    }
    // A slot is free again.
    f.stream.send(lease(2)).await;
    next(&mut f.begun, "the next work").await;
}

#[tokio::test]
async fn a_waiting_attempt_that_is_stopped_never_begins() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    let one = next(&mut f.begun, "the work").await;
    f.stream.send(lease(2)).await;
    f.stream.send(stop(2, StopReason::Cancelled)).await;
    f.stream.send(lease(3)).await;
    f.stream.status("the second put down", |s| s.running.iter().map(|r| r.part.0).eq([1, 3])).await;
    one.succeed();
    let next_one = next(&mut f.begun, "the third").await;
    assert_eq!(next_one.assignment.lease.part, PartId(3));
}

#[tokio::test]
async fn stale_and_cancelled_answers_cost_neither_session_nor_slot() {
    let mut f = fixture(1).await;
    for (part, said) in
        [(1, ReportAnswer::Stale), (2, ReportAnswer::Cancelled), (3, ReportAnswer::Duplicate)]
    {
        f.stream.send(lease(part)).await;
        let begun = next(&mut f.begun, "the work").await;
        f.stream.in_hand(part).await;
        begun.succeed();
        answer(f.controller.report().await, said);
        f.stream.put_down().await;
    }
    next(&mut f.controller.registrations, "the one registration").await;
    assert!(f.controller.registrations.try_recv().is_err(), "the session goes on");
}

#[tokio::test]
async fn after_unknown_session_the_node_registers_again_and_reports_again() {
    let mut f = fixture(1).await;
    let before = next(&mut f.controller.registrations, "a registration").await;
    f.stream.send(lease(1)).await;
    next(&mut f.begun, "the work").await.succeed();
    let reported = f.controller.report().await;
    let digest = reported.report.digest;
    answer(reported, ReportAnswer::UnknownSession);
    let after = next(&mut f.controller.registrations, "another registration").await;
    assert_eq!(after.incarnation, before.incarnation, "it is the same process");
    let mut stream = f.controller.stream().await;
    assert_eq!(stream.session, SessionId(2));
    let first = stream.status("the part is still in hand", |_| true).await;
    assert_eq!(first.running.len(), 1);
    let again = f.controller.report().await;
    assert_eq!((again.session, again.report.digest), (SessionId(2), digest));
    answer(again, ReportAnswer::Accepted);
    stream.put_down().await;
}

#[tokio::test]
async fn a_cut_stream_is_opened_again_in_the_same_session_with_everything_in_hand() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    let begun = next(&mut f.begun, "the work").await;
    drop(f.stream);
    let mut stream = f.controller.stream().await;
    assert_eq!(stream.session, SessionId(1));
    let first = stream.status("the first sign", |_| true).await;
    assert_eq!(first.running.len(), 1, "the work went on");
    begun.succeed();
    answer(f.controller.report().await, ReportAnswer::Accepted);
    stream.put_down().await;
}

#[tokio::test]
async fn a_reconnect_is_followed_at_once() {
    let mut f = fixture(1).await;
    let asked = Instant::now();
    f.stream.send(ToNode::Reconnect).await;
    let stream = f.controller.stream().await;
    assert_eq!(stream.session, SessionId(1));
    assert!(asked.elapsed() < Duration::from_secs(2), "without a wait: {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_reregister_gives_a_new_session() {
    let mut f = fixture(1).await;
    f.stream.send(ToNode::Reregister).await;
    let stream = f.controller.stream().await;
    assert_eq!(stream.session, SessionId(2));
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    next(&mut f.begun, "the work").await.succeed();
    let first = f.controller.report().await;
    let report = first.report.clone();
    // The connection answers, the controller does not.
    drop(first.answer);
    let second = f.controller.report().await;
    assert_eq!(second.report, report);
    answer(second, ReportAnswer::Duplicate);
    f.stream.put_down().await;
}

#[tokio::test]
async fn work_that_ends_without_a_word_is_a_defect_and_not_a_hang() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    drop(next(&mut f.begun, "the work").await);
    let reported = f.controller.report().await;
    let Outcome::Failed(failure) = &reported.report.outcome else {
        panic!("{:?}", reported.report.outcome)
    };
    assert_eq!(failure.kind, FailureKind::Internal);
}

#[tokio::test]
async fn a_failure_is_reported_with_its_kind_and_its_time() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    let failure = Failure::new(FailureKind::SizeMismatch, "64x64 is not 32x32");
    next(&mut f.begun, "the work").await.end(Err(failure.clone()));
    let reported = f.controller.report().await;
    assert_eq!(reported.report.outcome, Outcome::Failed(failure));
    assert!(reported.report.timings.stages.iter().any(|(stage, _)| *stage == Stage::Fetch));
}

#[tokio::test]
async fn a_drain_finishes_what_fits_and_hands_the_rest_back() {
    let mut f = fixture(2).await;
    f.stream.send(lease(1)).await;
    f.stream.send(lease(2)).await;
    let quick = next(&mut f.begun, "the first").await;
    let slow = next(&mut f.begun, "the second").await;
    let node = f.node;
    let drained = tokio::spawn(async move { node.drain(Duration::from_millis(300)).await });
    let status = f.stream.status("the drain", |s| s.draining).await;
    assert_eq!(status.slots_offered, 0);
    quick.succeed();
    let reported = f.controller.report().await;
    assert!(matches!(reported.report.outcome, Outcome::Succeeded(_)));
    answer(reported, ReportAnswer::Accepted);
    eventually("the grace time ends", || slow.assignment.stop.cancel.is_cancelled()).await;
    slow.end(Err(Failure::new(FailureKind::Cancelled, "stopped")));
    let reported = f.controller.report().await;
    assert_eq!((reported.report.part, &reported.report.outcome), (PartId(2), &Outcome::Released));
    answer(reported, ReportAnswer::Accepted);
    tokio::time::timeout(PATIENCE, drained).await.expect("it ends").expect("without a panic");
}

#[tokio::test]
async fn what_waits_for_a_slot_is_handed_back_as_soon_as_the_node_drains() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    let running = next(&mut f.begun, "the first").await;
    f.stream.send(lease(2)).await;
    f.stream.status("both in hand", |s| s.running.len() == 2).await;
    let node = f.node;
    let drained = tokio::spawn(async move { node.drain(PATIENCE).await });
    let reported = f.controller.report().await;
    assert_eq!((reported.report.part, &reported.report.outcome), (PartId(2), &Outcome::Released));
    answer(reported, ReportAnswer::Accepted);
    running.succeed();
    let reported = f.controller.report().await;
    assert!(matches!(reported.report.outcome, Outcome::Succeeded(_)));
    answer(reported, ReportAnswer::Accepted);
    tokio::time::timeout(PATIENCE, drained).await.expect("it ends").expect("without a panic");
}

#[tokio::test]
async fn a_drain_that_the_controller_asks_for_is_passed_on() {
    let mut f = fixture(1).await;
    f.stream.send(ToNode::Drain).await;
    let waited = tokio::time::timeout(PATIENCE, f.node.asked_to_leave()).await;
    waited.expect("the holder of the node hears of it");
    f.stream.status("no slot is offered", |s| s.draining && s.slots_offered == 0).await;
    assert!(!f.node.is_ready());
    f.stream.send(lease(1)).await;
    let reported = f.controller.report().await;
    assert_eq!(
        reported.report.outcome,
        Outcome::Released,
        "a lease that crossed it is handed back"
    );
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_controller_that_is_gone() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    next(&mut f.begun, "the work").await.succeed();
    let _unanswered = f.controller.report().await;
    let began = Instant::now();
    f.node.shutdown().await;
    let bound = vmafx_node::LAST_ANSWERS_WAIT * 2 + Duration::from_secs(1);
    assert!(began.elapsed() < bound, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_node_that_is_acknowledged_by_nothing_else_asks_for_it() {
    let times = Times { lease: Duration::from_millis(900), ..Times::default() };
    let mut f = fixture_of(1, times, |config| config).await;
    let first = next(&mut f.stream.asked, "a status that asks").await;
    let second = next(&mut f.stream.asked, "another, once the answer is old").await;
    assert!(Duration::from_micros(second - first) >= times.lease / 2, "{first}, {second}");
}

#[tokio::test]
async fn a_small_report_goes_over_the_stream_and_a_call_takes_over_where_that_fails() {
    let mut f = fixture(1).await;
    f.stream.send(unrecorded(1)).await;
    next(&mut f.begun, "the work").await.succeed();
    let first = f.controller.report().await;
    assert_eq!(first.over, Over::Stream);
    // Not taken: the controller has no answer.
    let report = first.report.clone();
    support::refuse(first);
    let second = f.controller.report().await;
    assert_eq!((second.over, &second.report), (Over::Call, &report));
    answer(second, ReportAnswer::Accepted);

    f.stream.send(unrecorded(2)).await;
    next(&mut f.begun, "the work").await.succeed();
    let lost = f.controller.report().await;
    assert_eq!(lost.over, Over::Stream);
    // The stream ends before the answer.
    drop(f.stream);
    let again = f.controller.report().await;
    assert_eq!((again.over, &again.report), (Over::Call, &lost.report));
    answer(again, ReportAnswer::Accepted);
}

#[tokio::test]
async fn an_answered_report_leaves_the_spool_and_an_unanswered_one_survives_the_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let spool = SpoolConfig::new(dir.path());
    let reports = || {
        let entries = std::fs::read_dir(dir.path()).expect("readable");
        let names = entries.map(|e| e.expect("readable").file_name().into_string().expect("ascii"));
        names.filter(|name| name.ends_with(".report")).count()
    };
    let with_spool = |config| Config { spool: Some(spool.clone()), ..config };
    let mut f = fixture_of(1, Times::default(), with_spool).await;
    f.stream.send(lease(1)).await;
    next(&mut f.begun, "the work").await.succeed();
    let reported = f.controller.report().await;
    assert_eq!(reports(), 1, "it is on disk before it is sent");
    answer(reported, ReportAnswer::Accepted);
    eventually("an answered report is removed", || reports() == 0).await;

    f.stream.send(lease(2)).await;
    next(&mut f.begun, "the work").await.succeed();
    let unanswered = f.controller.report().await;
    f.node.shutdown().await;
    assert_eq!(reports(), 1);

    let (worker, _begun) = ScriptedWorker::new();
    let second = start(with_spool(config(&f.controller, 1)), worker).await;
    let again = f.controller.report().await;
    assert_eq!(again.report.digest, unanswered.report.digest);
    assert_eq!(again.report.outcome, unanswered.report.outcome);
    assert_ne!(again.incarnation, unanswered.incarnation, "another process sends it");
    answer(again, ReportAnswer::Stale);
    eventually("an answered report is removed", || reports() == 0).await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_result_that_cannot_be_kept_is_a_full_disk_and_the_node_lives() {
    let dir = tempfile::tempdir().expect("a folder");
    let spool = SpoolConfig { bytes_max: 10, ..SpoolConfig::new(dir.path()) };
    let with_spool = |config| Config { spool: Some(spool), ..config };
    let mut f = fixture_of(1, Times::default(), with_spool).await;
    for part in 1..=2 {
        f.stream.send(lease(part)).await;
        next(&mut f.begun, "the work").await.succeed();
        let reported = f.controller.report().await;
        let Outcome::Failed(failure) = &reported.report.outcome else {
            panic!("{:?}", reported.report.outcome)
        };
        assert_eq!(failure.kind, FailureKind::DiskFull);
        answer(reported, ReportAnswer::Accepted);
    }
}

#[tokio::test]
async fn a_lost_attempts_span_is_left_to_the_controller() {
    let (receiver, guard, fixture) = exporting_fixture().await;
    let Fixture { mut controller, mut stream, node, mut begun } = fixture;
    for (part, said) in [(1, ReportAnswer::Stale), (2, ReportAnswer::Accepted)] {
        stream.send(lease(part)).await;
        let begun = next(&mut begun, "the work").await;
        stream.in_hand(part).await;
        begun.succeed();
        answer(controller.report().await, said);
        stream.put_down().await;
    }
    node.shutdown().await;
    guard.shutdown_async().await;
    let spans = receiver.spans();
    let ids = |name: &str| -> Vec<String> {
        let named = spans.iter().filter(|span| span.name.ends_with(name));
        named.map(|span| span.span_id.to_string()).collect()
    };
    assert_eq!(ids("process vmafx.jobs"), [format!("{:016x}", 0x1002)], "the accepted one only");
    assert_eq!(ids("fetch").len(), 2, "what was done was done");
    assert_eq!(ids("ReportResult").len(), 2);
}

#[tokio::test]
async fn a_recorded_report_has_its_span_whichever_way_it_goes() {
    let (receiver, guard, fixture) = exporting_fixture().await;
    let Fixture { mut controller, stream, node, mut begun } = fixture;
    let mut work_on = async |part| {
        stream.send(lease(part)).await;
        next(&mut begun, "the work").await.succeed();
    };
    // Taken, then not taken, then left without an answer by a stream that ends.
    work_on(1).await;
    let taken = controller.report().await;
    let sender = taken.trace.clone().expect("a position travels with it");
    answer(taken, ReportAnswer::Accepted);
    work_on(2).await;
    support::refuse(controller.report().await);
    let called = controller.report().await;
    assert_eq!((called.over, &called.trace), (Over::Call, &None));
    answer(called, ReportAnswer::Accepted);
    work_on(3).await;
    let unanswered = controller.report().await;
    drop(stream);
    answer(controller.report().await, ReportAnswer::Accepted);
    drop(unanswered);
    node.shutdown().await;
    guard.shutdown_async().await;

    let spans = receiver.spans();
    let reports: Vec<_> = spans.iter().filter(|s| s.name.ends_with("/ReportResult")).collect();
    let of = |part: u64| {
        let below = SpanId::parse(&format!("{:016x}", 0x1000 + part)).expect("an id");
        let mut said: Vec<_> = reports
            .iter()
            .filter(|span| span.parent_span_id == Some(below))
            .map(|span| {
                let way = span.attributes.get("vmafx.report.way").cloned();
                assert!(span.attributes.contains_key("server.port"), "{span:#?}");
                assert_eq!(span.kind, SpanKind::Client);
                let is_stream = way.is_some_and(|way| way == "stream");
                (is_stream, span.text("rpc.status_code").to_owned(), span.error.is_some())
            })
            .collect();
        said.sort();
        said
    };
    let said = |is_stream, code: &str, failed| (is_stream, code.to_owned(), failed);
    assert_eq!(of(1), [said(true, "OK", false)]);
    assert_eq!(of(2), [said(false, "OK", false), said(true, "RESOURCE_EXHAUSTED", true)]);
    assert_eq!(of(3), [said(false, "OK", false), said(true, "UNAVAILABLE", true)]);
    let first = reports.iter().find(|span| span.span_id == sender.span_id).expect("it was sent");
    assert!(sender.flags.is_sampled() && first.trace_id == sender.trace_id, "{sender:?}");
}

#[tokio::test]
async fn an_attempt_gets_no_more_time_than_its_job_allows() {
    let mut f = fixture(1).await;
    let ToNode::Lease(mut lease) = lease(1) else { unreachable!("it is a lease") };
    Arc::make_mut(&mut lease.spec).attempt_timeout = Some(Duration::from_secs(60));
    let before = Instant::now();
    f.stream.send(ToNode::Lease(lease)).await;
    let begun = next(&mut f.begun, "the work").await;
    let deadline = begun.assignment.stop.deadline.expect("a deadline");
    assert!(deadline > before + Duration::from_secs(59));
    assert!(deadline < Instant::now() + Duration::from_secs(61));
}
