//! A fleet goes through what can happen to jobs, and what its programs show at `/metrics` is exactly that:
//! everything is counted, and once.

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use observability::testing::{OtlpReceiver, ReceivedSpan};
use support::otelcol::http_body;
use support::{DEADLINE, Fleet, Process, demo_folder, demo_pair, free_port, long_pair, wait_for};

/// Repeats of the demonstration's clip: enough to be killed in the middle.
const LONG: usize = 100;
/// A picture of the demonstration's clip without its colour.
const LUMA_BYTES: usize = 176 * 144;
/// Slots of every node, see [`Fleet::start_node_with`].
const SLOTS: f64 = 2.0;

/// What a program shows.
struct Page(String);

impl Page {
    fn of(port: u16) -> Self {
        Self(http_body(port, "/metrics", "text/plain").expect("it answers"))
    }

    /// The sum over the series of that name that have these labels; `None` where there are none.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |line: &&str| {
            let series = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
            let has = |(key, value): &(&str, &str)| line.contains(&format!("{key}=\"{value}\""));
            series.is_some() && labels.iter().all(has)
        };
        let values = self.0.lines().filter(is_it).map(|line| {
            let (_, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number")
        });
        values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.sum(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}:\n{}", self.0))
    }

    /// Holds a name to these values of its series, and to no others.
    fn check(&self, name: &str, expected: &[(&[(&str, &str)], f64)]) {
        for (labels, value) in expected {
            assert_eq!(self.get(name, labels), *value, "{name} {labels:?}:\n{}", self.0);
        }
        let all: f64 = expected.iter().map(|(_, value)| value).sum();
        assert_eq!(self.get(name, &[]), all, "{name} has more:\n{}", self.0);
    }
}

struct Scene {
    fleet: Fleet,
    roots: String,
}

impl Scene {
    fn new(receiver: &OtlpReceiver) -> Self {
        let telemetry = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http_endpoint()),
            ("OTEL_METRICS_EXPORTER", "none".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ];
        let fleet = Fleet::new().with_telemetry(&telemetry);
        let roots = format!("{}:{}", demo_folder().display(), fleet.folder().display());
        Self { fleet, roots }
    }

    fn node(&self, name: &str) -> (Process, u16) {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let variables = [("VMAFX_NODE_LISTEN", &*listen), ("VMAFX_SCORING_ROOTS", &self.roots)];
        (self.fleet.start_node_with(name, &variables), port)
    }

    fn submit(&self, (reference, distorted): (String, String)) -> String {
        let ran = self.fleet.vmafx(&["submit", &reference, &distorted, "--json"]);
        ran.json()["job_id"].as_str().expect("a job id").to_owned()
    }

    fn ends(&self, job: &str, state: &str) {
        wait_for(&format!("the job is {state}"), DEADLINE, || {
            (self.fleet.vmafx(&["job", job, "--json"]).json()["state"] == state).then_some(())
        });
    }

    /// What the controller shows once that is so: what it shows of its queue and fleet is as old as the
    /// last look.
    fn page(&self, what: &str, holds: impl Fn(&Page) -> bool) -> Page {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, DEADLINE, || {
                let page = Page::of(self.fleet.http_port());
                last.clone_from(&page.0);
                holds(&page).then_some(page)
            })
        }));
        found.unwrap_or_else(|_| panic!("never: {what}\n{last}"))
    }
}

const QUEUED: &[(&str, &str)] = &[("vmafx_part_state", "queued")];
const RUNNING: &[(&str, &str)] = &[("vmafx_part_state", "running")];

#[test]
fn everything_that_happens_to_jobs_is_counted_once() {
    let receiver = OtlpReceiver::start().expect("a port");
    let scene = Scene::new(&receiver);
    let controller = scene.fleet.start_controller();

    // Two wait while nobody is there.
    let waiting = [demo_pair(), demo_pair()].map(|pair| scene.submit(pair));
    scene.page("two wait", |page| {
        page.sum("vmafx_queue_depth", QUEUED) == Some(2.0)
            && page.sum("vmafx_queue_depth", RUNNING) == Some(0.0)
            && page.sum("vmafx_queue_oldest_age_seconds", &[]) > Some(0.5)
    });
    let (first, _) = scene.node("first");
    waiting.iter().for_each(|job| scene.ends(job, "succeeded"));

    // One is of a file that is not there.
    let missing = scene.fleet.folder().join("missing.y4m").display().to_string();
    scene.ends(&scene.submit((demo_pair().0, missing)), "failed");

    // One loses its node, and ends on another.
    let pair = long_pair(scene.fleet.folder(), LONG);
    let bytes: u64 =
        [&pair.0, &pair.1].map(|path| std::fs::metadata(path).expect("written").len()).iter().sum();
    let clip = std::fs::read(demo_pair().0).expect("the demo clip");
    let frames = LONG * clip.windows(6).filter(|bytes| bytes == b"FRAME\n").count();
    let long = scene.submit(pair);
    wait_for("the first node scores", DEADLINE, || {
        let job = scene.fleet.vmafx(&["job", &long, "--json"]).json();
        (job["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
    });
    scene.page("one runs", |page| {
        page.sum("vmafx_queue_depth", RUNNING) == Some(1.0)
            && page.sum("vmafx_fleet_busy", &[]) == Some(1.0)
            && page.sum("vmafx_fleet_slots", &[]) == Some(SLOTS)
            && page.sum("vmafx_nodes", &[("vmafx_node_state", "alive")]) == Some(1.0)
    });
    first.kill_9();
    let (second, port) = scene.node("second");
    scene.ends(&long, "succeeded");
    let page = scene.page("nothing is left to do", |page| {
        page.sum("vmafx_queue_depth", &[]) == Some(0.0)
            && page.sum("vmafx_fleet_busy", &[]) == Some(0.0)
            && page.sum("vmafx_queue_oldest_age_seconds", &[]) == Some(0.0)
    });
    fn state(word: &str) -> [(&'static str, &str); 1] {
        [("vmafx_job_state", word)]
    }
    fn attempt<'a>(outcome: &'a str, node: &'a str) -> [(&'static str, &'a str); 2] {
        [("vmafx_attempt_outcome", outcome), ("vmafx_node_id", node)]
    }
    page.check("vmafx_jobs_submitted_total", &[(&[], 4.0)]);
    let ended: [(&[_], f64); 2] = [(&state("succeeded"), 3.0), (&state("failed"), 1.0)];
    page.check("vmafx_jobs_finished_total", &ended);
    page.check("vmafx_job_duration_seconds_count", &ended);
    page.check(
        "vmafx_attempts_total",
        &[
            (&attempt("succeeded", "first"), 2.0),
            (&attempt("failed", "first"), 1.0),
            (&attempt("lost", "first"), 1.0),
            (&attempt("succeeded", "second"), 1.0),
        ],
    );
    page.check("vmafx_parts_retried_total", &[(&[("vmafx_retry_cause", "node_lost")], 1.0)]);
    page.check("vmafx_lease_lost_total", &[(&[("vmafx_lease_cause", "node_lost")], 1.0)]);
    page.check("vmafx_reports_total", &[(&[("vmafx_report_answer", "accepted")], 4.0)]);
    page.check("vmafx_queue_wait_seconds_count", &[(&[], 5.0)]);
    assert!(page.get("vmafx_queue_wait_seconds_sum", &[]) > 1.0, "two waited for their node");

    let of_node = Page::of(port);
    let succeeded = ("vmafx_attempt_outcome", "succeeded");
    of_node.check("vmafx_node_attempt_duration_seconds_count", &[(&[succeeded], 1.0)]);
    of_node.check("vmafx_node_slots", &[(&[], SLOTS)]);
    of_node.check("vmafx_node_busy", &[(&[], 0.0)]);
    of_node.check("vmafx_node_frames_total", &[(&[], frames as f64)]);
    of_node.check("vmafx_engine_frames_total", &[(&[], frames as f64)]);
    // Planes of colour, which the model does not look at, are passed over as far as that saves reading.
    let read = of_node.get("vmafx_node_read_bytes_total", &[]);
    assert!((2 * frames * LUMA_BYTES) as f64 <= read && read <= bytes as f64, "{read} of {bytes}");
    let took = of_node.get("vmafx_node_attempt_duration_seconds_sum", &[]);
    for stage in ["decode", "score"] {
        let spent = of_node.get("vmafx_node_stage_time_seconds_total", &[("vmafx_stage", stage)]);
        assert!(spent > 0.0 && spent <= took, "{stage}: {spent} of {took}");
    }
    let work = of_node.get("vmafx_node_work_time_seconds_total", &[]);
    assert!(work > took / 2.0 && work < took * 1.1 + 1.0, "{work} of {took}");
    assert!(of_node.get("vmafx_node_cpu_time_seconds_total", &[]) > 0.0);
    let vif = [("vmafx_feature", "vif")];
    assert!(of_node.get("vmafx_engine_feature_time_seconds_total", &vif) > 0.0);

    // Of itself, telemetry says what the collector has seen.
    let traces = [("vmafx_telemetry_signal", "traces")];
    let page = scene.page("all spans have left", |page| {
        let spans = receiver.spans();
        let is_of_controller = |span: &&ReceivedSpan| {
            // Of a node that was killed it tells the attempt, as that node's.
            span.service() == "vmafx-controller" || !span.resource.contains_key("process.pid")
        };
        let sent = spans.iter().filter(is_of_controller).count();
        page.sum("vmafx_telemetry_exported_total", &traces) == Some(sent as f64)
            && page.sum("vmafx_telemetry_queue", &traces) == Some(0.0)
    });
    assert!(page.get("vmafx_telemetry_exported_total", &traces) > 20.0);
    assert_eq!(page.sum("vmafx_telemetry_dropped_total", &[]).unwrap_or_default(), 0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let since = now.as_secs_f64() - page.get("vmafx_telemetry_last_success_seconds", &traces);
    assert!((-1.0..Duration::from_secs(120).as_secs_f64()).contains(&since), "{since} s ago");
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(controller.terminate(), Some(0));
}
