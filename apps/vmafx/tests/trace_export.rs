//! The trace of a job that has ended, rebuilt from the store by real processes: the same ids as
//! while it ran, a whole tree where nothing had been recorded.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use observability::schema::span_name::{
    FETCH, JOB, POOL, PROCESS, QUEUE_WAIT, SCORE, SEND, SETTLE,
};
use observability::testing::{Behaviour, OtlpReceiver, ReceivedSpan, check_tree, render_tree};
use serde_json::Value;
use support::{DEADLINE, Fleet, Ran, demo_pair, long_pair, wait_for};
use types::{SpanId, TraceId};

/// The spans that are rebuilt of a job that succeeded at its first attempt.
const REBUILT: [&str; 8] = [SEND, JOB, QUEUE_WAIT, PROCESS, FETCH, SCORE, POOL, SETTLE];

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

/// The service that a rebuilt span is of.
fn service_of(name: &str) -> &'static str {
    if [PROCESS, FETCH, SCORE, POOL].contains(&name) { "vmafx-node" } else { "vmafx-controller" }
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
fn essence(span: &ReceivedSpan) -> (String, String, u64, Option<SpanId>, String) {
    let kind = format!("{:?}", span.kind);
    let links = format!("{:?}", span.links);
    (span.name.clone(), kind, span.start_unix_nanos, span.parent_span_id, links)
}

#[test]
fn the_export_of_a_recorded_job_repeats_what_was_said_while_it_ran() {
    let live = OtlpReceiver::start().expect("a port");
    let fleet = Fleet::new().with_telemetry(&telemetry(&live, "0"));
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (job, trace_id) = scored(&fleet, &["--trace"]);
    let said = whole_tree(&live, trace_id, &REBUILT);

    let later = OtlpReceiver::start().expect("a port");
    let ran = fleet.vmafx(&["trace", "export", &job, "--endpoint", &later.http_endpoint()]);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    assert_eq!(ran.stdout, format!("trace {trace_id}: 8 spans to {}\n", later.http_endpoint()));
    let exported = of_trace(&later, trace_id);
    let root = check_tree(&exported).unwrap_or_else(|e| panic!("{e}\n{}", render_tree(&exported)));
    assert_eq!(root.name, SEND);
    let (said, exported) = (by_id(&said), by_id(&exported));
    assert_eq!(exported.len(), REBUILT.len());
    for (id, span) in &exported {
        let before = said.get(id).unwrap_or_else(|| panic!("{} has a new id", span.name));
        match span.name.as_str() {
            // The calls around them are not rebuilt: these hang one step higher, and the sending
            // is known by the moment of its acceptance.
            SEND => assert!(before.start_unix_nanos <= span.start_unix_nanos),
            SETTLE => assert_eq!(essence(before).2, essence(span).2),
            _ => assert_eq!(essence(before), essence(span)),
        }
        assert_eq!(span.service(), service_of(&span.name), "{}", span.name);
        assert_eq!(before.service(), service_of(&span.name), "{}", span.name);
        match span.name.as_str() {
            // The node's span ends when it has its answer, the settling with its commit.
            SEND | PROCESS | SETTLE => assert!(before.end_unix_nanos >= span.start_unix_nanos),
            _ => assert_eq!(before.end_unix_nanos, span.end_unix_nanos, "{}", span.name),
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
        let expected = format!("trace {trace_id}: 8 spans to the controller's collector\n");
        assert_eq!(ran.stdout, expected, "{ran:#?}");
        of_trace(&receiver, trace_id).split_off(before)
    };
    let first = export();
    let root =
        check_tree(&first).unwrap_or_else(|error| panic!("{error}\n{}", render_tree(&first)));
    assert_eq!((root.name.as_str(), root.text("vmafx.sampling.reason")), (SEND, "asked"));
    for name in REBUILT {
        let [span] = first.iter().filter(|span| span.name == name).collect::<Vec<_>>()[..] else {
            panic!("not one {name}: {}", render_tree(&first));
        };
        assert_eq!(span.service(), service_of(name), "{name}");
        let instance = &span.resource["service.instance.id"];
        assert_eq!(*instance == "a", service_of(name) == "vmafx-node", "{name}: {instance}");
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
            assert_eq!(service, service_of(&text(span, "name")), "{span:#}");
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
    assert_eq!(names, [SEND, JOB], "of a job that never ran");
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
    assert_eq!((of(SEND).parent_span_id, of(JOB).parent_span_id), (None, Some(of(SEND).span_id)));
    assert_eq!(of(SEND).text("vmafx.sampling.reason"), "failed");
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
    assert_eq!((root.name.as_str(), root.text("vmafx.sampling.reason")), (SEND, "slow"));
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
    let before = rebuilt_ids(&fleet, &job);
    controller.kill_9();
    assert_eq!(of_trace(&receiver, trace_id), [], "nothing was taken");

    receiver.behave(Behaviour::Accept);
    let _controller = fleet.start_controller();
    let spans = whole_tree(&receiver, trace_id, &[JOB, QUEUE_WAIT, PROCESS, FETCH, SETTLE]);
    assert_eq!(ids(&spans), before, "the same, and no others");
    let traces: BTreeSet<_> = receiver.spans().iter().map(|span| span.trace_id).collect();
    assert_eq!(traces, [trace_id].into());
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
    let spans = whole_tree(&receiver, trace_id, &REBUILT);
    assert_eq!(check_tree(&spans).expect("whole").name, SEND);
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
    let (reference, distorted) = long_pair(fleet.folder(), 60);
    let roots = fleet.folder().to_str().expect("a UTF-8 path").to_owned();
    let first = fleet.start_node_with("first", &[("VMAFX_SCORING_ROOTS", &roots)]);
    let submitted = fleet.vmafx(&["submit", &reference, &distorted, "--json"]).json();
    let job = text(&submitted, "job_id");
    wait_for("the first node scores", DEADLINE, || {
        let job = fleet.vmafx(&["job", &job, "--json"]).json();
        (job["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
    });
    first.kill_9();
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

    let main = whole_tree(&receiver, of_job, &[SEND, JOB, QUEUE_WAIT]);
    let attempt = whole_tree(&receiver, own, &[PROCESS, FETCH, SCORE, POOL, SETTLE]);
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
    let said: BTreeSet<String> = ids(&main).union(&ids(&attempt)).cloned().collect();
    assert!(rebuilt.is_subset(&said), "{rebuilt:?} of {said:?}");
    assert_eq!(rebuilt.len(), REBUILT.len());
}
