//! What is rebuilt of a job that was not recorded is what a twin of it left that was: the same spans
//! by name, kind and place, whatever became of the two.

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use observability::testing::{OtlpReceiver, ReceivedSpan};
use support::{DEADLINE, Fleet, Process, demo_pair, long_pair, wait_for};
use types::{SpanId, TraceId};

/// Repeats of the demonstration's clip: enough to be killed in the middle.
const LONG: usize = 100;
/// How long spans may take to arrive that are told while a job runs.
const ARRIVAL_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Whether a job is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Yes,
    No,
}

struct Twins {
    receiver: OtlpReceiver,
    fleet: Fleet,
    roots: String,
    _controller: Process,
}

impl Twins {
    fn new() -> Self {
        let receiver = OtlpReceiver::start().expect("a port");
        let telemetry = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint()),
            ("OTEL_TRACES_SAMPLER_ARG", "0".to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()),
            ("VMAFX_TRACES_MIN_PER_MINUTE", "0".to_owned()),
        ];
        // Nothing is exported but what is asked for.
        let fleet = Fleet::new()
            .with_telemetry(&telemetry)
            .with_setting("VMAFX_TRACE_SLOWER_THAN", "off")
            .with_setting("VMAFX_TRACE_FAILED", "false");
        let controller = fleet.start_controller();
        let roots = format!("{}:{}", support::demo_folder().display(), fleet.folder().display());
        Self { receiver, fleet, roots, _controller: controller }
    }

    fn node(&self, name: &str) -> Process {
        self.fleet.start_node_with(name, &[("VMAFX_SCORING_ROOTS", &self.roots)])
    }

    /// Submits a pair: the job and its trace.
    fn submit(&self, pair: &(String, String), recorded: Recorded) -> (String, TraceId) {
        let mut arguments = vec!["submit", &pair.0, &pair.1, "--json"];
        arguments.extend((recorded == Recorded::Yes).then_some("--trace"));
        let submitted = self.fleet.vmafx(&arguments).json();
        let text = |key: &str| submitted[key].as_str().expect("text").to_owned();
        (text("job_id"), TraceId::parse(&text("trace_id")).expect("a trace id"))
    }

    fn wait(&self, job: &str, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
        wait_for(what, DEADLINE, || {
            holds(&self.fleet.vmafx(&["job", job, "--json"]).json()).then_some(())
        });
    }

    fn shape(&self, trace_id: TraceId) -> Vec<String> {
        shape(self.receiver.spans().into_iter().filter(|span| span.trace_id == trace_id))
    }

    /// Lets the same happen to a job that is recorded and to one that is not, and compares what the
    /// one left with what is rebuilt of the other. Gives it.
    fn compare(
        &self,
        mut live_through: impl FnMut(&Self, Recorded) -> (String, TraceId),
    ) -> Vec<String> {
        let (_, recorded) = live_through(self, Recorded::Yes);
        let (job, dropped) = live_through(self, Recorded::No);
        assert_eq!(self.shape(dropped), Vec::<String>::new(), "it was recorded");
        let ran = self.fleet.vmafx(&["trace", "export", &job]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let rebuilt = self.shape(dropped);
        let began = Instant::now();
        while self.shape(recorded) != rebuilt && began.elapsed() < ARRIVAL_MAX {
            std::thread::sleep(LOOK_EVERY);
        }
        assert_eq!(self.shape(recorded), rebuilt, "recorded, and rebuilt");
        rebuilt
    }
}

/// Every span with what is above it, by name and kind. What the command line tells of its own call is
/// left out: nobody else knows it.
fn shape(spans: impl Iterator<Item = ReceivedSpan>) -> Vec<String> {
    let spans = spans.filter(|span| span.service() != "vmafx");
    let by_id: BTreeMap<SpanId, ReceivedSpan> = spans.map(|span| (span.span_id, span)).collect();
    let place = |span: &ReceivedSpan| {
        let (mut place, mut at) = (String::new(), Some(span));
        while let Some(span) = at {
            let name = span.name.rsplit('/').next().unwrap_or_default();
            place = format!("/{name} {:?}{place}", span.kind);
            at = span.parent_span_id.and_then(|parent| by_id.get(&parent));
        }
        place
    };
    let mut places: Vec<String> = by_id.values().map(place).collect();
    places.sort();
    places
}

fn count(shape: &[String], last: &str) -> usize {
    shape.iter().filter(|place| place.ends_with(last)).count()
}

#[test]
fn of_a_job_that_succeeds() {
    let twins = Twins::new();
    let _node = twins.node("a");
    let shape = twins.compare(|twins, recorded| {
        let job = twins.submit(&demo_pair(), recorded);
        twins.wait(&job.0, "the job succeeds", |job| job["state"] == "succeeded");
        job
    });
    let settled = "/SubmitJob Server/send vmafx.jobs Producer/job Internal/process vmafx.jobs Consumer\
                   /ReportResult Client/ReportResult Server/settle vmafx.jobs Client/COMMIT Client";
    assert_eq!(count(&shape, settled), 1, "{shape:#?}");
    assert_eq!(shape.len(), 14, "{shape:#?}");
}

#[test]
fn of_a_job_that_fails_is_retried_by_hand_and_fails_again() {
    let twins = Twins::new();
    let _node = twins.node("a");
    let missing = twins.fleet.folder().join("missing.y4m").display().to_string();
    let shape = twins.compare(|twins, recorded| {
        let job = twins.submit(&(demo_pair().0, missing.clone()), recorded);
        twins.wait(&job.0, "the job fails", |job| job["state"] == "failed");
        assert_eq!(twins.fleet.vmafx(&["retry", &job.0]).code, Some(0));
        twins.wait(&job.0, "the job fails again", |job| {
            job["state"] == "failed" && job["attempts"].as_array().map(Vec::len) == Some(2)
        });
        job
    });
    assert_eq!(count(&shape, "/job Internal/job Internal"), 1, "{shape:#?}");
    assert_eq!(count(&shape, "/ReportResult Client/ReportResult Server"), 2, "{shape:#?}");
    assert_eq!(count(&shape, "/COMMIT Client"), 5, "{shape:#?}");
}

#[test]
fn of_a_job_whose_node_is_killed_and_that_another_finishes() {
    let twins = Twins::new();
    let pair = long_pair(twins.fleet.folder(), LONG);
    let mut nodes = vec![twins.node("first")];
    let shape = twins.compare(|twins, recorded| {
        let job = twins.submit(&pair, recorded);
        twins.wait(&job.0, "the node scores", |job| {
            job["progress"]["frames_done"].as_u64() > Some(0)
        });
        nodes.pop().expect("one runs").kill_9();
        nodes.push(twins.node(if recorded == Recorded::Yes { "second" } else { "third" }));
        twins.wait(&job.0, "the job succeeds", |job| job["state"] == "succeeded");
        job
    });
    assert_eq!(count(&shape, "/process vmafx.jobs Consumer"), 2, "{shape:#?}");
    assert_eq!(
        count(&shape, "/process vmafx.jobs Consumer/settle vmafx.jobs Client"),
        1,
        "the lost"
    );
    assert_eq!(count(&shape, "/ReportResult Server/settle vmafx.jobs Client"), 1, "{shape:#?}");
}
