//! At 1 % sampling, of five hundred jobs: what arrives is the whole, connected trace of every job
//! that failed or was slow, of the jobs whose trace id the ratio takes, and nothing else. And of all
//! calls that the controller served meanwhile, the ratio took one in a hundred.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use client::{Client, ClientConfig};
use observability::schema::span_name;
use proto::rpc::Submit;
use support::collector::{Span, Tree};
use support::otelcol::{Config, Otelcol, http_body, test_config};
use support::{DEADLINE, Fleet, demo_pair, wait_for};
use types::{JobId, JobSpec, JobView, MediaRef, State};

const JOBS: usize = 500;
const FAILED: usize = 5;
const SLOW: usize = 5;
/// Jobs that are under way at once: few, so that none is slow because it waits for others.
const UNDER_WAY: usize = 4;
/// Questions beside those of the jobs, so that it shows how many calls are recorded.
const QUESTIONS: usize = 10_000;
/// How many of them are under way at once.
const QUESTIONS_AT_ONCE: usize = 8;
/// What is slow.
const THRESHOLD: Duration = Duration::from_secs(8);
/// The lowest randomness, the last 56 bits of a trace id, that a ratio of 1 % takes.
const TAKEN_FROM: u64 = 0xfd_70a3_d70a_3d70;

/// Calls of the test's own, which is within no trace.
const OF_NOBODYS_TRACE: [&str; 2] =
    ["vmafx.controller.v1.VmafxController/SubmitJob", "vmafx.controller.v1.VmafxController/GetJob"];

/// What every tree holds, recorded or rebuilt.
const NAMES: [&str; 7] = [
    "vmafx.controller.v1.VmafxController/SubmitJob",
    span_name::SEND,
    span_name::JOB,
    span_name::PROCESS,
    "vmafx.controller.v1.VmafxController/ReportResult",
    span_name::SETTLE,
    span_name::COMMIT,
];

/// Whether a ratio of 1 % takes a trace, by the specification of consistent sampling.
fn is_taken(trace_id: &str) -> bool {
    let randomness = u64::from_str_radix(&trace_id[18..], 16).expect("hex digits");
    randomness >= TAKEN_FROM
}

/// One frame of the demonstration's pair.
fn spec(distorted: &str) -> JobSpec {
    let (reference, _) = demo_pair();
    JobSpec {
        frame_count_max: Some(1),
        ..JobSpec::pair(MediaRef::new(reference), MediaRef::new(distorted))
    }
}

async fn submit(client: &Client, distorted: &str) -> JobId {
    let submit = Submit { spec: spec(distorted), idempotency_key: None };
    client.submit(submit).await.expect("the job is taken").job
}

async fn finished(client: &Client, job: JobId) -> JobView {
    let end = Instant::now() + DEADLINE;
    loop {
        let view = client.job(job).await.expect("the job is known");
        if matches!(view.state, State::Succeeded | State::Failed | State::Cancelled) {
            return view;
        }
        assert!(Instant::now() < end, "{job} does not end: {view:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs every job, and gives them as the controller shows them.
async fn run_jobs(fleet: &Fleet) -> (Vec<JobView>, support::Process) {
    let client = Client::new(&ClientConfig::new(fleet.controller_url())).expect("an address");
    let (_, good) = demo_pair();
    // Slow, because there is no node yet.
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(submit(&client, &good).await);
    }
    let submitted_at = Instant::now();
    // By a margin: two clocks are compared.
    while submitted_at.elapsed() <= THRESHOLD + Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let node = fleet.start_node("a");
    let mut views = Vec::new();
    for job in slow {
        views.push(finished(&client, job).await);
    }
    let rest: Vec<usize> = (0..JOBS - SLOW).collect();
    for wave in rest.chunks(UNDER_WAY) {
        let mut jobs = Vec::new();
        for index in wave {
            let distorted = if *index < FAILED { "/nonexistent.y4m" } else { &good };
            jobs.push(submit(&client, distorted).await);
        }
        for job in jobs {
            views.push(finished(&client, job).await);
        }
    }
    ask(&client, views[0].id).await;
    (views, node)
}

/// Asks for a job again and again.
async fn ask(client: &Client, job: JobId) {
    let asking = (0..QUESTIONS_AT_ONCE).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            for _ in 0..QUESTIONS / QUESTIONS_AT_ONCE {
                client.job(job).await.expect("the job is known");
            }
        })
    });
    for asking in asking.collect::<Vec<_>>() {
        asking.await.expect("no panic");
    }
}

/// How many submissions and questions the controller has served.
fn served(fleet: &Fleet) -> f64 {
    let page = http_body(fleet.http_port(), "/metrics", "text/plain").expect("it answers");
    let is_it = |line: &&str| {
        line.starts_with("rpc_server_call_duration_seconds_count")
            && OF_NOBODYS_TRACE.iter().any(|name| line.contains(&format!("\"{name}\"")))
    };
    let counts = page.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next());
    counts.map(|count| count.parse::<f64>().expect("a number")).sum()
}

/// That about one in a hundred of so many calls is among the spans, by the ratio's decision. Chance
/// leaves the range once in a million runs.
fn assert_one_in_a_hundred(calls: f64, spans: &[Span]) {
    let is_it = |span: &&Span| {
        span.kind == "SPAN_KIND_SERVER"
            && OF_NOBODYS_TRACE.contains(&span.name.as_str())
            && span.attributes.get("vmafx.sampling.reason").is_some_and(|it| it == "ratio")
    };
    let recorded = spans.iter().filter(is_it).count() as f64;
    let (mean, deviation) = (calls * 0.01, (calls * 0.01 * 0.99).sqrt());
    assert!(calls > QUESTIONS as f64, "{calls}");
    assert!((recorded - mean).abs() < 5.0 * deviation, "{recorded} of {calls}");
}

fn took(job: &JobView) -> Duration {
    job.finished_at.expect("it has ended").since(job.submitted_at)
}

#[test]
fn the_traces_of_failed_and_slow_jobs_arrive_whole_and_of_the_rest_what_the_ratio_takes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (config, received) =
        Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "received");
    let collector = Otelcol::start("collector", folder.path(), config);
    let mut telemetry = collector.over_grpc();
    telemetry.push(("VMAFX_TRACES_MIN_PER_MINUTE", "0".to_owned()));
    let fleet = Fleet::new()
        .with_telemetry(&telemetry)
        .with_setting("VMAFX_TRACE_SLOWER_THAN", &format!("{}s", THRESHOLD.as_secs()));
    let controller = fleet.start_controller();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (jobs, node) = runtime.block_on(run_jobs(&fleet));
    assert_eq!(jobs.len(), JOBS);

    let trace = |job: &JobView| job.trace.trace_id.to_string();
    let failed: BTreeSet<String> =
        jobs.iter().filter(|job| job.state == State::Failed).map(trace).collect();
    // On a machine that is busy enough, a good job may be slow as well.
    let slow: BTreeSet<String> =
        jobs.iter().filter(|job| took(job) > THRESHOLD).map(trace).collect();
    let taken: BTreeSet<String> = jobs.iter().map(trace).filter(|id| is_taken(id)).collect();
    assert_eq!(failed.len(), FAILED);
    assert!(
        (SLOW..JOBS / 2).contains(&slow.len()),
        "{} of {JOBS} were slow, the slowest {:?}",
        slow.len(),
        jobs.iter().map(took).max()
    );
    // Chance leaves this range once in ten thousand million runs.
    assert!(taken.len() <= 25, "{} of {JOBS} are not about 1 %", taken.len());

    let expected: BTreeSet<&String> = failed.iter().chain(&slow).chain(&taken).collect();
    wait_for("every trace that must come is there", DEADLINE, || {
        let spans = received.spans();
        let whole = |id: &&String| Tree::of(spans.clone(), id).check(&[span_name::JOB]).is_ok();
        expected.iter().all(whole).then_some(())
    });
    assert_eq!(node.terminate(), Some(0));
    let calls = served(&fleet);
    assert_eq!(controller.terminate(), Some(0));
    collector.terminate();
    assert_one_in_a_hundred(calls, &received.spans());

    let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for span in received.spans() {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    for id in &expected {
        let tree = Tree::of(traces[*id].clone(), id);
        tree.check(&NAMES).unwrap_or_else(|why| panic!("{id}: {why}\n{}", tree.draw()));
    }
    // Other calls, such as those that ask how a job is, are sampled too.
    let ids_of_jobs: BTreeSet<String> = jobs.iter().map(trace).collect();
    for id in traces.keys() {
        let is_right = if ids_of_jobs.contains(id) { expected.contains(id) } else { is_taken(id) };
        assert!(
            is_right,
            "{id} should not have come:\n{}",
            Tree::of(traces[id].clone(), id).draw()
        );
    }
}
