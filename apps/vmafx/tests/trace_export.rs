//! The trace of a job that has ended, rebuilt from the store by real processes: the same ids as
//! while it ran, a whole tree where nothing had been recorded.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use observability::SpanKind;
use observability::schema::span_name::{
    COMMIT, FETCH, JOB, POOL, PROCESS, QUEUE_WAIT, SCORE, SEND, SETTLE,
};
use observability::testing::{Behaviour, OtlpReceiver, ReceivedSpan, check_tree, render_tree};
use serde_json::Value;
use support::{
    DEADLINE, Fleet, Process, Ran, assert_attempt_started, demo_pair, long_pair, wait_for,
};
use types::{SpanId, TraceId};

const SUBMIT: &str = "vmafx.controller.v1.VmafxController/SubmitJob";
const REPORT: &str = "vmafx.controller.v1.VmafxController/ReportResult";

/// The spans that are rebuilt of a job that succeeded at its first attempt, by name.
const REBUILT: [&str; 11] =
    [SUBMIT, SEND, JOB, QUEUE_WAIT, PROCESS, FETCH, SCORE, POOL, REPORT, SETTLE, COMMIT];
/// How many those are: both ends of the report, and the commits of submission, lease and end.
const REBUILT_COUNT: usize = 14;

fn telemetry(receiver: &OtlpReceiver, ratio: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", ratio.to_owned()),
        ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
        // Nothing but what a test means, however long it takes.
        ("VMAFX_TRACES_MIN_PER_MINUTE", "0".to_owned()),
    ]
}

fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json:#}")).to_owned()
}

/// Submits the demonstration's pair and waits until it is scored: its job id and its trace id.
fn scored(fleet: &Fleet, flags: &[&str]) -> (String, TraceId) {
    let (reference, distorted) = demo_pair();
    let mut arguments = vec!["submit", &reference, &distorted, "--wait", "--json"];
    arguments.extend(flags);
    let ran: Ran = fleet.vmafx(&arguments);
    let job = ran.json();
    (text(&job, "job_id"), TraceId::parse(&text(&job, "trace_id")).expect("a trace id"))
}

/// Submits a pair that no node finds, and waits until the job has failed.
fn failed(fleet: &Fleet) -> (String, TraceId) {
    let (reference, _) = demo_pair();
    let missing = fleet.folder().join("missing.y4m");
    let missing = missing.to_str().expect("UTF-8");
    let submitted = fleet.vmafx(&["submit", &reference, missing, "--json"]).json();
    let job = text(&submitted, "job_id");
    wait_for("the job fails", DEADLINE, || {
        (fleet.vmafx(&["job", &job, "--json"]).json()["state"] == "failed").then_some(())
    });
    (job, TraceId::parse(&text(&submitted, "trace_id")).expect("a trace id"))
}

/// The spans of a document, with the service that each is of.
fn spans_of(document: &Value) -> Vec<(String, &Value)> {
    let resources = document["resourceSpans"].as_array().expect("resources");
    let of_resource = |resource: &'_ Value| {
        let attributes = resource["resource"]["attributes"].as_array().expect("attributes");
        let named = attributes.iter().find(|pair| pair["key"] == "service.name");
        text(&named.expect("a service")["value"], "stringValue")
    };
    let mut spans = Vec::new();
    for resource in resources {
        let service = of_resource(resource);
        let some = resource["scopeSpans"][0]["spans"].as_array().expect("spans");
        spans.extend(some.iter().map(|span| (service.clone(), span)));
    }
    spans
}

/// The ids of the spans that are rebuilt of a job now.
fn rebuilt_ids(fleet: &Fleet, job: &str) -> BTreeSet<String> {
    let document = fleet.vmafx(&["trace", "export", job, "--json"]).json();
    spans_of(&document).into_iter().map(|(_, span)| text(span, "spanId")).collect()
}

/// When each of the spans began and ended that are rebuilt of a job now.
fn rebuilt_times(fleet: &Fleet, job: &str) -> BTreeMap<String, [String; 2]> {
    let document = fleet.vmafx(&["trace", "export", job, "--json"]).json();
    let times = |span: &Value| ["startTimeUnixNano", "endTimeUnixNano"].map(|key| text(span, key));
    spans_of(&document).into_iter().map(|(_, span)| (text(span, "spanId"), times(span))).collect()
}

/// A client's kind in a document.
const CLIENT_KIND: i32 = 3;

/// The service that a rebuilt span is of.
fn service_of(name: &str, is_client: bool) -> &'static str {
    let of_node = [PROCESS, FETCH, SCORE, POOL].contains(&name) || (name == REPORT && is_client);
    if of_node { "vmafx-node" } else { "vmafx-controller" }
}

fn service_of_span(span: &ReceivedSpan) -> &'static str {
    service_of(&span.name, span.kind == SpanKind::Client)
}

/// The spans but those of the command line, which the controller knows nothing of.
fn of_services(spans: &[ReceivedSpan]) -> Vec<ReceivedSpan> {
    spans.iter().filter(|span| span.service() != "vmafx").cloned().collect()
}

fn ids(spans: &[ReceivedSpan]) -> BTreeSet<String> {
    spans.iter().map(|span| span.span_id.to_string()).collect()
}

fn of_trace(receiver: &OtlpReceiver, trace_id: TraceId) -> Vec<ReceivedSpan> {
    receiver.spans().into_iter().filter(|span| span.trace_id == trace_id).collect()
}

/// Waits until the spans of the trace are one whole tree that holds all the names.
fn whole_tree(receiver: &OtlpReceiver, trace_id: TraceId, names: &[&str]) -> Vec<ReceivedSpan> {
    wait_for("the trace is one whole tree", DEADLINE, || {
        let spans = of_trace(receiver, trace_id);
        let all = names.iter().all(|name| spans.iter().any(|span| span.name == *name));
        (all && check_tree(&spans).is_ok()).then_some(spans)
    })
}

fn by_id(spans: &[ReceivedSpan]) -> BTreeMap<SpanId, &ReceivedSpan> {
    spans.iter().map(|span| (span.span_id, span)).collect()
}

/// What is the same wherever a span comes from.
fn essence(span: &ReceivedSpan) -> (String, String, Option<SpanId>, String) {
    let kind = format!("{:?}", span.kind);
    let links = format!("{:?}", span.links);
    (span.name.clone(), kind, span.parent_span_id, links)
}

/// How far from each other the times of a call may lie that two have told: enough for a machine whose
/// cores are busy.
const NEAR_NANOS: u64 = 2_000_000_000;

/// Kills of which one comes within a second of its submission.
const KILLS_MAX: usize = 5;

#[test]
fn the_export_of_a_recorded_job_repeats_what_was_said_while_it_ran() {
    let live = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new().with_telemetry(&telemetry(&live, "0"));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = scored(&fleet, &["--trace"]);
    // The controller's last span comes with its next message.
    let said = wait_for("all has been said", DEADLINE, || {
        let said = of_trace(&live, trace_id);
        (of_services(&said).len() == REBUILT_COUNT && check_tree(&said).is_ok()).then_some(said)
    });

    let later = OtlpReceiver::start().expect("a port");
    let ran = fleet.vmafx(&["trace", "export", &job, "--endpoint", &later.http_endpoint()]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(
        ran.stdout,
        format!("trace {trace_id}: {REBUILT_COUNT} spans to {}\n", later.http_endpoint())
    );
    let exported = of_trace(&later, trace_id);
    let (services, all) = (of_services(&said), said);
    let caller = all.iter().filter(|span| span.service() == "vmafx");
    let whole: Vec<_> = exported.iter().chain(caller).cloned().collect();
    check_tree(&whole).unwrap_or_else(|error| panic!("{error}\n{}", render_tree(&whole)));
    assert_eq!(ids(&exported), ids(&services), "no span more and none less");
    let (said, exported) = (by_id(&services), by_id(&exported));
    for (id, span) in &exported {
        let before = said.get(id).unwrap_or_else(|| panic!("{} has a new id", span.name));
        assert_eq!(essence(before), essence(span), "{}", span.name);
        assert_eq!(span.service(), service_of_span(span), "{}", span.name);
        assert_eq!(before.service(), service_of_span(span), "{}", span.name);
        let starts = [before.start_unix_nanos, span.start_unix_nanos];
        let ends = [before.end_unix_nanos, span.end_unix_nanos];
        match span.name.as_str() {
            // Calls end with their answer, which leaves after the commit, and so does the attempt.
            SUBMIT | SEND | REPORT => {
                assert!(starts[0].abs_diff(starts[1]) < NEAR_NANOS, "{}: {starts:?}", span.name);
                assert!(ends[0].abs_diff(ends[1]) < NEAR_NANOS, "{}: {ends:?}", span.name);
            }
            PROCESS => {
                assert_eq!(starts[0], starts[1]);
                assert!(ends[0].abs_diff(ends[1]) < NEAR_NANOS, "{ends:?}");
            }
            _ => assert_eq!((starts[0], ends[0]), (starts[1], ends[1]), "{}", span.name),
        }
    }
}

#[test]
fn a_job_that_sampling_dropped_is_exported_whole_and_the_same_every_time() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new().with_telemetry(&telemetry(&receiver, "0"));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = scored(&fleet, &[]);
    assert_eq!(of_trace(&receiver, trace_id), [], "nothing was recorded");

    let export = || {
        let before = of_trace(&receiver, trace_id).len();
        let ran = fleet.vmafx(&["trace", "export", &job]);
        let expected =
            format!("trace {trace_id}: {REBUILT_COUNT} spans to the controller's collector\n");
        assert_eq!(ran.stdout, expected, "{ran:#?}");
        of_trace(&receiver, trace_id).split_off(before)
    };
    let first = export();
    let root =
        check_tree(&first).unwrap_or_else(|error| panic!("{error}\n{}", render_tree(&first)));
    assert_eq!((root.name.as_str(), root.text("vmafx.sampling.reason")), (SUBMIT, "asked"));
    assert_eq!(first.len(), REBUILT_COUNT);
    for span in &first {
        let name = span.name.as_str();
        assert!(REBUILT.contains(&name), "{}", render_tree(&first));
        assert_eq!(span.service(), service_of_span(span), "{name}");
        let instance = &span.resource["service.instance.id"];
        let is_nodes = service_of_span(span) == "vmafx-node";
        assert_eq!(*instance == "a", is_nodes, "{name}: {instance}");
        if name == REPORT {
            // So small a report came over the work stream.
            assert_eq!(span.text("vmafx.report.way"), "stream");
        }
        assert_eq!(span.resource.contains_key("process.pid"), *instance != "a", "{name}");
    }
    assert!(first.iter().all(|span| span.flags & 1 == 1), "marked as recorded");
    let score = first.iter().find(|span| span.name == SCORE).expect("one");
    assert!(score.attributes["vmafx.feature_seconds.vif"].as_f64() > Some(0.0), "{score:#?}");
    assert_eq!(export(), first, "the same again");

    // The same as a document, without any collector.
    let printed = fleet.vmafx(&["trace", "export", &job, "--json"]).json();
    let file = fleet.folder().join("trace.json");
    let ran = fleet.vmafx(&["trace", "export", &job, "--file", file.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let written = std::fs::read_to_string(file).expect("written");
    let written: Value = serde_json::from_str(&written).expect("JSON");
    for document in [printed, written] {
        let mut ids = Vec::new();
        for (service, span) in spans_of(&document) {
            let is_client = span["kind"] == CLIENT_KIND;
            assert_eq!(service, service_of(&text(span, "name"), is_client), "{span:#}");
            ids.push(text(span, "spanId"));
        }
        let mut expected: Vec<String> = first.iter().map(|span| span.span_id.to_string()).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{document:#}");
    }
}

#[test]
fn what_cannot_be_exported_is_said() {
    let fleet = Fleet::new();
    let _controller = fleet.start_controller();
    let (reference, distorted) = demo_pair();
    let waiting = fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    let job = text(&waiting, "job_id");
    let ran = fleet.vmafx(&["trace", "export", &job]);
    assert!(ran.code != Some(0) && ran.stderr.contains("queued"), "{ran:#?}");
    let ran = fleet.vmafx(&["trace", "export", &job, "--json"]);
    assert!(ran.code != Some(0) && ran.stderr.contains("queued"), "{ran:#?}");
    assert_eq!(fleet.vmafx(&["cancel", &job]).code, Some(0));
    let ran = fleet.vmafx(&["trace", "export", &job]);
    assert!(ran.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{ran:#?}");
    let document = fleet.vmafx(&["trace", "export", &job, "--json"]).json();
    let names: Vec<String> =
        spans_of(&document).into_iter().map(|(_, span)| text(span, "name")).collect();
    assert_eq!(names, [SUBMIT, SEND, COMMIT, JOB], "of a job that never ran");
}

#[test]
fn a_failed_job_arrives_whole_although_sampling_dropped_it_and_nothing_else_does() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new()
        .with_telemetry(&telemetry(&receiver, "0"))
        .with_setting("VMAFX_TRACE_SLOWER_THAN", "off");
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (_, _unrecorded) = scored(&fleet, &[]);
    let (job, trace_id) = failed(&fleet);
    let spans = whole_tree(&receiver, trace_id, &[JOB, QUEUE_WAIT, PROCESS, FETCH, SETTLE]);
    let of = |name: &str| spans.iter().find(|span| span.name == name).expect("there");
    assert_eq!(of(SUBMIT).parent_span_id, None);
    assert_eq!(of(SEND).parent_span_id, Some(of(SUBMIT).span_id));
    assert_eq!(of(JOB).parent_span_id, Some(of(SEND).span_id));
    assert_eq!(of(SUBMIT).text("vmafx.sampling.reason"), "failed");
    for name in [JOB, PROCESS, FETCH] {
        assert_eq!(of(name).text("error.type"), "source_refused", "{}", render_tree(&spans));
        let told = of(name).error.clone().expect("an error status");
        assert!(!told.contains("missing.y4m") && !told.contains('/'), "no path in {told:?}");
    }
    assert_eq!(ids(&spans), rebuilt_ids(&fleet, &job));
    let traces: BTreeSet<_> = receiver.spans().iter().map(|span| span.trace_id).collect();
    assert_eq!(traces, [trace_id].into(), "{}", render_tree(&receiver.spans()));
}

#[test]
fn a_slow_job_arrives_whole_although_sampling_dropped_it() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new()
        .with_telemetry(&telemetry(&receiver, "0"))
        .with_setting("VMAFX_TRACE_SLOWER_THAN", "1ms");
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = scored(&fleet, &[]);
    let spans = whole_tree(&receiver, trace_id, &REBUILT);
    let root = check_tree(&spans).expect("whole");
    assert_eq!((root.name.as_str(), root.text("vmafx.sampling.reason")), (SUBMIT, "slow"));
    assert_eq!(ids(&spans), rebuilt_ids(&fleet, &job));
}

#[test]
fn a_controller_killed_between_commit_and_export_exports_the_same_spans_after_its_restart() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Hang);
    let fleet = Fleet::new().with_telemetry(&telemetry(&receiver, "0"));
    let controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = failed(&fleet);
    wait_for("the export is on its way", DEADLINE, || (receiver.requests() > 0).then_some(()));
    let before = rebuilt_times(&fleet, &job);
    controller.kill_9();
    assert_eq!(of_trace(&receiver, trace_id), [], "nothing was taken");

    receiver.behave(Behaviour::Accept);
    let _controller = fleet.start_controller();
    let names = [SUBMIT, JOB, QUEUE_WAIT, PROCESS, FETCH, REPORT, SETTLE, COMMIT];
    let spans = whole_tree(&receiver, trace_id, &names);
    let times = |span: &ReceivedSpan| {
        let times = [span.start_unix_nanos, span.end_unix_nanos].map(|nanos| nanos.to_string());
        (span.span_id.to_string(), times)
    };
    let after: BTreeMap<_, _> = spans.iter().map(times).collect();
    assert_eq!(after, before, "the same at the same times, and no others");
    assert!(spans.iter().all(|span| !span.attributes.contains_key("vmafx.span.end")));
    let traces: BTreeSet<_> = receiver.spans().iter().map(|span| span.trace_id).collect();
    assert_eq!(traces, [trace_id].into());
}

#[test]
fn what_has_arrived_is_sent_once_though_the_controller_is_started_again() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new().with_telemetry(&telemetry(&receiver, "0"));
    let controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    scored(&fleet, &["--trace"]);
    let ended_before = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let (_, first) = failed(&fleet);
    let names = [SUBMIT, JOB, QUEUE_WAIT, PROCESS, FETCH, SETTLE];
    whole_tree(&receiver, first, &names);
    let store = rusqlite::Connection::open(fleet.folder().join("controller.db"));
    let store = store.expect("the controller's store");
    wait_for("the recorded job is known to have arrived", DEADLINE, || {
        let until = "SELECT until_us FROM traces_told";
        let until: u64 = store.query_row(until, [], |row| row.get(0)).expect("it is there");
        (Duration::from_micros(until) > ended_before).then_some(())
    });
    drop(store);
    assert_eq!(controller.terminate(), Some(0));
    let controller = fleet.start_controller();
    let (_, second) = failed(&fleet);
    whole_tree(&receiver, second, &names);
    assert!(!controller.output().contains("sent again"), "{}", controller.output());
    assert_eq!(controller.terminate(), Some(0));
    let mut told = BTreeSet::new();
    for span in receiver.spans() {
        let is_new = told.insert((span.trace_id, span.span_id));
        assert!(is_new, "{} came twice:\n{}", span.name, render_tree(&receiver.spans()));
    }
}

#[test]
fn a_commit_that_was_the_last_before_a_crash_is_told_without_its_end_and_always_so() {
    // Without an exporter the submission is the last that is committed. On a machine that takes a
    // second until it is killed, how its commit went is kept.
    let (_programs, fleet, job, document) = (0..KILLS_MAX)
        .map(|_| killed_after_a_submission(|_| {}))
        .find(|(_, _, _, document)| !unknown_ends(&spans_of(document)).is_empty())
        .expect("a kill within a second");
    let spans = spans_of(&document);
    let unknown = unknown_ends(&spans);
    let sent = spans.iter().find(|(_, span)| span["name"] == SEND).expect("sent").1;
    assert_eq!(unknown, [(COMMIT.to_owned(), text(sent, "spanId"))]);
    assert_eq!(sent["endTimeUnixNano"], *spans[0].1.get("endTimeUnixNano").expect("an end"));
    assert_eq!(spans.len(), REBUILT_COUNT);
    assert_eq!(fleet.vmafx(&["trace", "export", &job, "--json"]).json(), document);
}

#[test]
fn how_a_commit_went_is_kept_though_no_other_follows() {
    let (_programs, _fleet, _, document) = killed_after_a_submission(|fleet| {
        let store = rusqlite::Connection::open(fleet.folder().join("controller.db"));
        let store = store.expect("the controller's store");
        wait_for("the note is written", DEADLINE, || {
            let count = "SELECT count(*) FROM commit_note";
            let count: i64 = store.query_row(count, [], |row| row.get(0)).expect("it is there");
            (count > 0).then_some(())
        });
    });
    let spans = spans_of(&document);
    assert_eq!((unknown_ends(&spans), spans.len()), (Vec::new(), REBUILT_COUNT));
}

/// A controller is killed after a submission and what `before` waits for; the next one's node scores
/// the job. Gives it with the trace that is rebuilt of it.
fn killed_after_a_submission(before: impl Fn(&Fleet)) -> ([Process; 2], Fleet, String, Value) {
    let fleet = Fleet::new();
    let controller = fleet.start_controller();
    let (reference, distorted) = demo_pair();
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    let job = text(&submitted, "job_id");
    before(&fleet);
    controller.kill_9();
    let controller = fleet.start_controller();
    let node = fleet.start_node("a");
    wait_for("the job succeeds", DEADLINE, || {
        (fleet.vmafx(&["job", &job, "--json"]).json()["state"] == "succeeded").then_some(())
    });
    let document = fleet.vmafx(&["trace", "export", &job, "--json"]).json();
    ([controller, node], fleet, job, document)
}

/// The spans whose end is not known, and their parents.
fn unknown_ends(spans: &[(String, &Value)]) -> Vec<(String, String)> {
    spans
        .iter()
        .filter(|(_, span)| span["attributes"].to_string().contains("vmafx.span.end"))
        .map(|(_, span)| (text(span, "name"), text(span, "parentSpanId")))
        .collect()
}

#[test]
fn a_recorded_job_whose_controller_was_killed_before_its_spans_left_is_told_by_the_next() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Hang);
    let fleet = Fleet::new().with_telemetry(&telemetry(&receiver, "0"));
    let controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = scored(&fleet, &["--trace"]);
    let before = rebuilt_ids(&fleet, &job);
    controller.kill_9();
    assert_eq!(of_trace(&receiver, trace_id), [], "nothing was taken");

    receiver.behave(Behaviour::Accept);
    let controller = fleet.start_controller();
    // What the command line had to tell was lost with its process: its call is the parent of the
    // first span, and does not come.
    let spans = wait_for("the rest is one whole tree", DEADLINE, || {
        let mut spans = of_services(&of_trace(&receiver, trace_id));
        let first = spans.iter_mut().find(|span| span.name == SUBMIT)?;
        first.parent_span_id = None;
        let all = REBUILT.iter().all(|name| spans.iter().any(|span| span.name == *name));
        (all && check_tree(&spans).is_ok()).then_some(spans)
    });
    let spans: BTreeSet<String> = ids(&spans);
    assert!(before.is_subset(&spans), "under the ids it always had: {before:?} in {spans:?}");
    wait_for("that is said", DEADLINE, || controller.output().contains("sent again").then_some(()));
}

#[test]
fn a_collector_that_comes_back_gets_what_failed_while_it_was_away() {
    let receiver = OtlpReceiver::start().expect("a port");
    receiver.behave(Behaviour::Refuse(400));
    let fleet = Fleet::new().with_telemetry(&telemetry(&receiver, "0"));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (_, first) = failed(&fleet);
    let (_, second) = failed(&fleet);
    wait_for("an export was refused", DEADLINE, || (receiver.requests() > 0).then_some(()));
    receiver.behave(Behaviour::Accept);
    for trace_id in [first, second] {
        whole_tree(&receiver, trace_id, &[JOB, QUEUE_WAIT, PROCESS, FETCH, SETTLE]);
    }
}

#[test]
fn an_attempt_whose_node_was_killed_and_its_retry_are_rebuilt_with_cause_and_link() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new()
        .with_telemetry(&telemetry(&receiver, "0"))
        .with_setting("VMAFX_TRACE_SLOWER_THAN", "1ms");
    let _controller = fleet.start_controller();
    let (reference, distorted) = long_pair(fleet.folder(), 100);
    let roots = fleet.folder().to_str().expect("a UTF-8 path").to_owned();
    let first = fleet.start_node_with("first", &[("VMAFX_SCORING_ROOTS", &roots)]);
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    let job = text(&submitted, "job_id");
    wait_for("the first node scores", DEADLINE, || {
        let job = fleet.vmafx(&["job", &job, "--json"]).json();
        (job["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
    });
    // Of a job that nobody records, too.
    assert_attempt_started(&first.kill_9(), &job, &text(&submitted, "trace_id"));
    let _second = fleet.start_node_with("second", &[("VMAFX_SCORING_ROOTS", &roots)]);
    let trace_id = TraceId::parse(&text(&submitted, "trace_id")).expect("a trace id");
    let spans = whole_tree(&receiver, trace_id, &REBUILT);
    let mut attempts: Vec<_> = spans.iter().filter(|span| span.name == PROCESS).collect();
    attempts.sort_by_key(|span| span.start_unix_nanos);
    let [lost, second] = attempts[..] else { panic!("{}", render_tree(&spans)) };
    assert_eq!(lost.text("error.type"), "node_lost");
    let link = second.links.iter().find(|link| link.span_id == lost.span_id).expect("a link");
    assert_eq!(link.attributes["vmafx.link"], "previous_attempt");
    let settles: Vec<_> = spans.iter().filter(|span| span.name == SETTLE).collect();
    let of_lost = settles.iter().find(|span| span.parent_span_id == Some(lost.span_id));
    assert_eq!(of_lost.expect("settled").text("vmafx.lease.cause"), "node_lost");
}

#[test]
fn after_a_long_wait_the_attempt_has_a_linked_trace_of_its_own() {
    let receiver = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new()
        .with_telemetry(&telemetry(&receiver, "0"))
        .with_setting("VMAFX_TRACE_CUT_OVER", "1ms");
    let _controller = fleet.start_controller();
    let (reference, distorted) = demo_pair();
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--trace", "--json"]).json();
    let job = text(&submitted, "job_id");
    // Nobody could take it before now.
    let _node = fleet.start_node("late");
    wait_for("the job succeeds", DEADLINE, || {
        (fleet.vmafx(&["job", &job, "--json"]).json()["state"] == "succeeded").then_some(())
    });
    let view = fleet.vmafx(&["job", &job, "--json"]).json();
    let of_job = TraceId::parse(&text(&submitted, "trace_id")).expect("a trace id");
    let own = TraceId::parse(&text(&view["attempts"][0], "trace_id")).expect("its own trace");
    assert_ne!(own, of_job);
    let explained = fleet.vmafx(&["explain", &job]).stdout;
    assert!(explained.contains(&own.to_string()), "{explained}");

    let main = whole_tree(&receiver, of_job, &[SUBMIT, SEND, JOB, QUEUE_WAIT, COMMIT]);
    let names = [PROCESS, FETCH, SCORE, POOL, REPORT, SETTLE, COMMIT];
    let attempt = whole_tree(&receiver, own, &names);
    let root = check_tree(&attempt).expect("whole");
    let send = main.iter().find(|span| span.name == SEND).expect("sent");
    assert_eq!((root.name.as_str(), root.text("vmafx.sampling.reason")), (PROCESS, "link"));
    let link = &root.links[0];
    assert_eq!((link.trace_id, link.span_id), (of_job, send.span_id));
    assert_eq!(link.attributes["vmafx.link"], "creation");
    let wait = main.iter().find(|span| span.name == QUEUE_WAIT).expect("waited");
    assert_eq!((wait.links[0].trace_id, wait.links[0].span_id), (own, root.span_id));
    assert_eq!(wait.links[0].attributes["vmafx.link"], "attempt");

    let rebuilt = rebuilt_ids(&fleet, &job);
    let said = [of_services(&main), of_services(&attempt)].concat();
    assert_eq!(rebuilt, ids(&said));
    assert_eq!(rebuilt.len(), REBUILT_COUNT);
}
