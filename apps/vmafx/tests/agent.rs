//! An agent's call, its job and its score are one trace, over four processes: the agent, the server
//! of its tools, the controller and the node.

mod support;

use observability::schema::span_name;
use observability::testing::{OtlpReceiver, ReceivedSpan, check_tree, render_tree};
use observability::{OtelConfig, OtelGuard};
use serde_json::json;
use support::agent::Agent;
use support::{DEADLINE, Fleet, demo_folder, demo_pair, free_port, long_pair, wait_for};

/// What every process is told: send what is recorded, and record what its caller records.
fn variables(receiver: &OtlpReceiver) -> Vec<(&'static str, String)> {
    let endpoint = receiver.http_endpoint();
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// The span whose name ends so, and its parent's name.
fn parent_of<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let span = spans.iter().find(|span| span.name.ends_with(name));
    let span = span.unwrap_or_else(|| panic!("no {name}\n{}", render_tree(spans)));
    let parent = spans.iter().find(|other| Some(other.span_id) == span.parent_span_id);
    parent.unwrap_or_else(|| panic!("{name} has no parent\n{}", render_tree(spans)))
}

#[test]
fn one_trace_leads_from_the_agents_span_to_the_nodes() {
    let receiver = OtlpReceiver::start().expect("a receiver on loopback");
    let variables = variables(&receiver);
    let fleet = Fleet::new().with_telemetry(&variables);
    let controller = fleet.start_controller();
    let node = fleet.start_node("a");
    let roots = demo_folder().display().to_string();
    let agent = Agent::start(&fleet, free_port(), &roots);

    let config = OtelConfig::from_env("agent", |name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    });
    let guard = OtelGuard::start(&config);
    let thought = guard.tracer().span("think").force().start();
    let trace = thought.trace().expect("it has a trace");
    let (reference, distorted) = demo_pair();
    let score = json!({"reference": reference, "distorted": distorted, "wait_seconds": 60});
    let meta = json!({"traceparent": trace.traceparent(), "tracestate": trace.tracestate});
    let answer = agent.call("score", &score, &meta);
    let job = &answer["structuredContent"];
    assert_eq!(job["state"], "succeeded", "{answer}");
    assert_eq!(job["trace_id"], trace.trace_id.to_string());
    thought.end();
    guard.shutdown();
    for process in [agent.server, node, controller] {
        assert_eq!(process.terminate(), Some(0));
    }

    let of_trace = |span: &&ReceivedSpan| span.trace_id == trace.trace_id;
    let spans: Vec<ReceivedSpan> = receiver.spans().iter().filter(of_trace).cloned().collect();
    let root = check_tree(&spans).unwrap_or_else(|e| panic!("{e:?}\n{}", render_tree(&spans)));
    assert_eq!((root.name.as_str(), root.service()), ("think", "agent"));
    println!("{}", render_tree(&spans));
    for (name, parent, service) in [
        ("tools/call score", "think", "agent"),
        (span_name::SEND, "SubmitJob", "vmafx-controller"),
        (span_name::JOB, span_name::SEND, "vmafx-controller"),
        (span_name::PROCESS, span_name::JOB, "vmafx-controller"),
        (span_name::SCORE, span_name::PROCESS, "vmafx-node"),
    ] {
        let found = parent_of(&spans, name);
        assert!(found.name.ends_with(parent), "{name} lies below {}", found.name);
        assert_eq!(found.service(), service, "{name}");
    }
    let call = spans.iter().find(|span| span.name == "tools/call score").expect("it is there");
    assert_eq!(call.service(), "vmafx-mcp");
    assert_eq!(call.text("gen_ai.tool.name"), "score");
}

#[test]
fn closing_the_response_cancels_the_job_on_the_node_within_a_second() {
    let fleet = Fleet::new();
    let _controller = fleet.start_controller();
    let (reference, distorted) = long_pair(fleet.folder(), 200);
    let roots = fleet.folder().display().to_string();
    let _node = fleet.start_node_with("a", &[("VMAFX_SCORING_ROOTS", roots.as_str())]);
    let agent = Agent::start(&fleet, free_port(), &roots);
    let score = json!({"reference": reference, "distorted": distorted, "wait_seconds": 120});
    let jobs = |state: &str| {
        let arguments = json!({"states": [state]});
        let list = agent.call("list_jobs", &arguments, &json!({}));
        list["structuredContent"]["jobs"].as_array().map_or(0, Vec::len)
    };
    std::thread::scope(|scope| {
        let hung_up = scope.spawn(|| agent.hang_up_on("score", &score));
        wait_for("the node scores", DEADLINE, || (jobs("running") == 1).then_some(()));
        hung_up.join().expect("no panic");
    });
    let began = std::time::Instant::now();
    wait_for("the job is cancelled", DEADLINE, || (jobs("cancelled") == 1).then_some(()));
    assert!(began.elapsed().as_secs_f64() < 1.0, "{:?}", began.elapsed());
}
