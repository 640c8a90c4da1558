//! The shipped Collector configurations, run by the Collector itself between real processes.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use observability::schema::{attr, span_name};
use observability::{OtelConfig, OtelGuard, SpanKind, SpanRecord, new_span_id, new_trace_id};
use support::collector::{Span, Tree};
use support::otelcol::{Config, Otelcol, Written, http_body, shipped_folder, test_config};
use support::{DEADLINE, Fleet, demo_pair, long_pair, wait_for};
use tempfile::TempDir;
use types::{TraceContext, TraceFlags};

/// The configurations that stand alone; `vendor.yaml` comes on top of one of them.
const BASES: [&str; 4] =
    ["daemonset.yaml", "sidecar.yaml", "standalone.yaml", "gateway-tail-sampling.yaml"];

fn shipped(name: &str) -> PathBuf {
    shipped_folder().join(name)
}

#[test]
fn every_shipped_configuration_passes_the_collectors_own_check() {
    for base in BASES {
        for files in [vec![shipped(base)], vec![shipped(base), shipped("vendor.yaml")]] {
            let config =
                Config::of(&files).with("K8S_NODE_NAME", &"a").with("VENDOR_API_KEY", &"k");
            let ran = config.validate();
            assert_eq!(ran.code, Some(0), "{files:?}: {ran:#?}");
        }
    }
    let yaml = std::fs::read_dir(shipped_folder()).expect("it is there").flatten();
    let names: BTreeSet<String> = yaml
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    let others = ["builder.yaml", "kustomization.yaml", "vendor.yaml"];
    let known: BTreeSet<String> = BASES.iter().chain(&others).map(ToString::to_string).collect();
    assert_eq!(names, known, "a configuration that no test checks");
}

#[test]
fn the_collectors_own_check_refuses_what_is_wrong() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = std::fs::read_to_string(shipped("standalone.yaml")).expect("it is there");
    for (from, to, complaint) in [
        ("memory_limiter:\n", "memory_limiter:\n    limitmib: 1\n", "limitmib"),
        ("receivers: [otlp]", "receivers: [zipkin]", "zipkin"),
    ] {
        let path = folder.path().join("wrong.yaml");
        std::fs::write(&path, good.replace(from, to)).expect("written");
        let ran = Config::of(&[path]).validate();
        assert!(ran.code != Some(0) && ran.stderr.contains(complaint), "{ran:#?}");
    }
}

#[test]
fn the_builders_manifest_and_its_lock_name_the_same_versions() {
    let manifest = std::fs::read_to_string(shipped("builder.yaml")).expect("it is there");
    let lock = std::fs::read_to_string(shipped("lock/go.mod")).expect("it is there");
    let locked: BTreeSet<&str> = lock.lines().map(str::trim).collect();
    let modules: Vec<&str> =
        manifest.lines().filter_map(|line| line.trim().strip_prefix("- gomod: ")).collect();
    assert!(modules.len() > 10, "{modules:?}");
    for module in modules {
        assert!(locked.contains(module), "{module} is not what lock/go.mod holds");
    }
}

/// How long a trace must be for the gateway of the test to call it slow.
const SLOW: Duration = Duration::from_secs(5);
/// How long the gateway holds a trace of a job, from its first span: no job here takes as long, on
/// whatever machine.
const HELD: Duration = Duration::from_secs(30);
/// Repeats of the demonstration's clip: enough to be killed in the middle.
const LONG: usize = 100;
/// Lets the gateway say by which policy it kept a trace, in an attribute of the scope.
const NAMES_POLICY: &str = "processor.tailsamplingprocessor.recordpolicy";

/// A gateway that tells every span and what it kept of them.
struct Gateway {
    gateway: Otelcol,
    backend: Otelcol,
    all: Written,
    kept: Written,
    _folder: TempDir,
}

impl Gateway {
    fn start(settings: &[(&'static str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (config, kept) =
            Config::of(&[test_config("receiver.yaml")]).writing_to(folder.path(), "kept");
        let backend = Otelcol::start("backend", folder.path(), config);
        let files = [shipped("gateway-tail-sampling.yaml"), test_config("also-all-traces.yaml")];
        let (mut config, all) = Config::of(&files)
            .with("TRACES_ENDPOINT", &format!("127.0.0.1:{}", backend.config.grpc_port))
            .with_gates(NAMES_POLICY)
            .writing_to(folder.path(), "all");
        for (name, value) in settings {
            config = config.with(name, value);
        }
        let gateway = Otelcol::start("gateway", folder.path(), config);
        Self { gateway, backend, all, kept, _folder: folder }
    }

    /// Waits until its timer has decided about every trace that it has seen, and what it kept has arrived.
    /// It runs on: nothing is decided by its end.
    fn wait_until_decided(&self, traces: usize) {
        let counted = |name: &str, label: &str| {
            let name = format!("otelcol_processor_tail_sampling_{name}");
            Some(self.gateway.own_metric(&name, label)? as usize)
        };
        wait_for("every trace is decided about", HELD + DEADLINE, || {
            let come = counted("new_trace_id_received", "")?;
            (come >= traces && counted("global_count_traces_sampled", "")? == come).then_some(())
        });
        wait_for("what was kept arrives", DEADLINE, || {
            let kept = counted("global_count_traces_sampled", r#"decision="sampled""#)?;
            let arrived: BTreeSet<_> =
                self.kept.spans().into_iter().map(|span| span.trace_id).collect();
            (arrived.len() == kept).then_some(())
        });
    }

    /// The policy by which each kept trace was kept.
    fn policies(&self) -> BTreeMap<String, String> {
        let spans = self.kept.spans_by_scope().into_iter();
        let policy = |(scope, span): (BTreeMap<String, String>, Span)| {
            Some((span.trace_id, scope.get("tailsampling.policy")?.clone()))
        };
        spans.filter_map(policy).collect()
    }

    fn terminate(self) -> (Vec<Span>, Vec<Span>) {
        self.gateway.terminate();
        self.backend.terminate();
        (self.all.spans(), self.kept.spans())
    }
}

/// A job with its trace id.
fn submit(fleet: &Fleet, arguments: &[&str]) -> (String, String) {
    let submitted = fleet.vmafx(&[&["submit", "--json"], arguments].concat()).json();
    let text = |key: &str| submitted[key].as_str().expect(key).to_owned();
    (text("job_id"), text("trace_id"))
}

fn wait_for_state(fleet: &Fleet, job: &str, state: &str) {
    wait_for(&format!("the job becomes {state}"), DEADLINE, || {
        (fleet.vmafx(&["job", job, "--json"]).json()["state"] == state).then_some(())
    });
}

/// From the first start to the last end, as the gateway counts it.
fn duration(spans: &[&Span]) -> Duration {
    let start = spans.iter().map(|span| span.start_ns).min().unwrap_or(0);
    let end = spans.iter().map(|span| span.end_ns).max().unwrap_or(0);
    Duration::from_nanos(end - start)
}

#[test]
fn the_gateway_keeps_failed_slow_retried_and_forced_jobs_and_drops_the_rest() {
    let gateway = Gateway::start(&[
        ("TAIL_DECISION_WAIT", format!("{}s", HELD.as_secs())),
        ("TAIL_SLOW_MS", SLOW.as_millis().to_string()),
        ("TAIL_REST_PERCENT", "0".to_owned()),
    ]);
    let mut telemetry = gateway.gateway.over_grpc();
    telemetry.push(("OTEL_TRACES_SAMPLER_ARG", "1".to_owned()));
    telemetry.push(("OTEL_BSP_SCHEDULE_DELAY", "200".to_owned()));
    let fleet = Fleet::new().with_telemetry(&telemetry);
    let controller = fleet.start_controller();
    let (reference, distorted) = demo_pair();
    let long = long_pair(fleet.folder(), LONG);
    let roots = format!("{}:{}", support::demo_folder().display(), fleet.folder().display());
    let start_node = |name| fleet.start_node_with(name, &[("VMAFX_SCORING_ROOTS", &roots)]);
    // Slow, because there is no node yet.
    let submitted_at = Instant::now();
    let (slow_job, slow) = submit(&fleet, &[&reference, &distorted]);
    wait_for("the job is slow", DEADLINE, || (submitted_at.elapsed() > SLOW).then_some(()));
    let first = start_node("a");
    wait_for_state(&fleet, &slow_job, "succeeded");
    let (failed_job, failed) = submit(&fleet, &[&reference, "/nonexistent.y4m"]);
    wait_for_state(&fleet, &failed_job, "failed");
    let (retried_job, retried) = submit(&fleet, &[&long.0, &long.1]);
    wait_for("the node scores", DEADLINE, || {
        let job = fleet.vmafx(&["job", &retried_job, "--json"]).json();
        (job["progress"]["frames_done"].as_u64() > Some(0)).then_some(())
    });
    first.kill_9();
    let second = start_node("b");
    wait_for_state(&fleet, &retried_job, "succeeded");
    let (forced_job, forced) = submit(&fleet, &[&reference, &distorted, "--trace"]);
    wait_for_state(&fleet, &forced_job, "succeeded");
    let good: Vec<String> = (0..4)
        .map(|_| {
            let (job, trace) = submit(&fleet, &[&reference, &distorted]);
            wait_for_state(&fleet, &job, "succeeded");
            trace
        })
        .collect();
    assert_eq!(second.terminate(), Some(0));
    assert_eq!(controller.terminate(), Some(0));
    let wanted = [&slow, &failed, &retried, &forced];
    gateway.wait_until_decided(wanted.len() + good.len());
    let policies = gateway.policies();
    let (all, kept) = gateway.terminate();

    let mut traces: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    for span in &all {
        traces.entry(&span.trace_id).or_default().push(span);
    }
    for trace in good.iter().chain(wanted) {
        Tree::of(all.clone(), trace).check(&[span_name::JOB]).expect("a whole tree came");
    }
    let has = |span: &Span, key: &str, value: &str| {
        span.attributes.get(key).is_some_and(|have| have == value)
    };
    // On a machine that is busy enough, a good job may have been slow as well.
    let expected: BTreeSet<&str> = traces
        .iter()
        .filter(|(_, spans)| {
            let told = |span: &&&Span| span.is_error || has(span, attr::SAMPLING_REASON, "forced");
            spans.iter().any(|span| told(&span)) || duration(spans) >= SLOW
        })
        .map(|(trace, _)| *trace)
        .collect();
    let found: BTreeSet<&str> = kept.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(found, expected, "of {:?}", traces.keys());
    for (trace, policy) in [(&slow, "slow"), (&failed, "failed"), (&forced, "forced")] {
        // The first that fits is named; a machine that is busy enough makes every job slow.
        let named = policies.get(trace.as_str()).map(String::as_str);
        assert!(named == Some(policy) || named == Some("slow"), "{policy}: {policies:?}");
    }
    let is_second = |span: &&Span| has(span, attr::ATTEMPT_NUMBER, "2");
    assert!(traces[retried.as_str()].iter().any(is_second), "there was no second attempt");
    assert!(found.contains(retried.as_str()), "{found:?}");
    let dropped = good.iter().filter(|trace| !found.contains(trace.as_str())).count();
    assert!(dropped > 0, "nothing was dropped of {good:?}");
    for trace in &found {
        let (before, after) = (Tree::of(all.clone(), trace), Tree::of(kept.clone(), trace));
        assert_eq!(before.spans, after.spans, "{trace} is not whole:\n{}", after.draw());
    }
}

/// Traces of each kind that a policy keeps, and of each that none but the last does.
const OF_A_KIND: (usize, usize) = (10, 1_000);
/// How many of the rest are kept.
const REST: f64 = 0.1;

/// A kind of trace of one span: what it says, and the policy that keeps all of its kind.
type Kind = (&'static str, Option<&'static str>, fn(SpanRecord) -> SpanRecord);

fn lasting(mut span: SpanRecord, millis: u64) -> SpanRecord {
    span.end = span.start + Duration::from_millis(millis);
    span
}

/// On both sides of what each policy asks.
const KINDS: [Kind; 9] = [
    ("plain", None, |span| span),
    ("failed", Some("failed"), |span| span.failed("timed_out", "")),
    ("what went wrong and was no error", None, |span| span.with(attr::ERROR_TYPE, "cancelled")),
    ("slow", Some("slow"), |span| lasting(span, 60_000)),
    ("not quite slow", None, |span| lasting(span, 59_990)),
    ("retried", Some("retried"), |span| span.with(attr::ATTEMPT_NUMBER, 2)),
    ("first attempt", None, |span| span.with(attr::ATTEMPT_NUMBER, 1)),
    ("forced", Some("forced"), |span| span.with(attr::SAMPLING_REASON, "forced")),
    ("by the ratio", None, |span| span.with(attr::SAMPLING_REASON, "ratio")),
];

#[test]
fn each_policy_of_the_gateway_keeps_its_own_kind_of_trace_and_the_last_a_share_of_the_others() {
    let gateway = Gateway::start(&[
        ("TAIL_DECISION_WAIT", "1s".to_owned()),
        ("TAIL_REST_PERCENT", (REST * 100.0).to_string()),
    ]);
    let mut settings = gateway.gateway.over_http();
    settings.push(("OTEL_BSP_MAX_QUEUE_SIZE", "65536".to_owned()));
    let lookup =
        |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
    let sender = OtelGuard::start(&OtelConfig::from_env("vmafx-test", lookup));
    let mut sent: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (kind, policy, make) in KINDS {
        let (kept, rest) = OF_A_KIND;
        for _ in 0..if policy.is_some() { kept } else { rest } {
            let (trace_id, span_id) = (new_trace_id(), new_span_id());
            let (flags, tracestate) = (TraceFlags::SAMPLED, String::new());
            let context = TraceContext { trace_id, span_id, flags, tracestate };
            let now = SystemTime::now();
            let span = SpanRecord::new(context, SpanKind::Internal, kind, now, now);
            sender.tracer().emit_span(make(span));
            sent.entry(kind).or_default().push(trace_id.to_string());
        }
    }
    sender.flush(DEADLINE);
    gateway.wait_until_decided(sent.values().map(Vec::len).sum());
    let policies = gateway.policies();
    gateway.terminate();
    for (kind, policy, _) in KINDS {
        let named: Vec<_> =
            sent[kind].iter().filter_map(|trace| policies.get(trace).map(String::as_str)).collect();
        let only = policy.unwrap_or("rest");
        assert!(named.iter().all(|name| *name == only), "{kind}: {named:?}");
        let (kept, all) = (named.len() as f64, sent[kind].len() as f64);
        match policy {
            Some(_) => assert_eq!(kept, all, "{kind}"),
            None => {
                let five_sigma = 5.0 * (all * REST * (1.0 - REST)).sqrt();
                assert!((kept - all * REST).abs() <= five_sigma, "{kind}: {kept} of {all}");
            }
        }
    }
}

#[test]
fn the_standalone_collector_fans_out_to_traces_backend_prometheus_and_vendor() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = || Config::of(&[test_config("receiver.yaml")]);
    let (config, at_backend) = receiver().writing_to(folder.path(), "backend-received");
    let backend = Otelcol::start("backend", folder.path(), config);
    let (config, at_vendor) = receiver().writing_to(folder.path(), "vendor-received");
    let vendor = Otelcol::start("vendor", folder.path(), config);
    let config = Config::of(&[shipped("standalone.yaml"), shipped("vendor.yaml")])
        .with("TRACES_ENDPOINT", &format!("127.0.0.1:{}", backend.config.grpc_port))
        .with("VENDOR_ENDPOINT", &format!("http://127.0.0.1:{}", vendor.config.http_port))
        .with("VENDOR_API_KEY", &"the-key");
    let collector = Otelcol::start("standalone", folder.path(), config);

    let mut telemetry = collector.over_http();
    telemetry.push(("OTEL_METRIC_EXPORT_INTERVAL", "500".to_owned()));
    let fleet = Fleet::new().with_telemetry(&telemetry);
    let _controller = fleet.start_controller();
    let _node = fleet.start_node("a");
    let (reference, distorted) = demo_pair();
    let (job, trace) = submit(&fleet, &[&reference, &distorted, "--trace"]);
    wait_for_state(&fleet, &job, "succeeded");

    let names = [span_name::JOB, span_name::PROCESS, span_name::SETTLE];
    at_backend.wait_for_tree(&trace, &names);
    let tree = at_vendor.wait_for_tree(&trace, &names);
    for span in &tree.spans {
        assert_eq!(span.attributes.get("test.header.team").map(String::as_str), Some("the-key"));
    }
    for resource in at_vendor.span_resources() {
        let environment = resource.get("deployment.environment.name").map(String::as_str);
        assert_eq!(environment, Some("development"), "{resource:?}");
    }
    wait_for("the vendor has metrics", DEADLINE, || {
        (!at_vendor.metrics().is_empty()).then_some(())
    });
    let open_metrics = "application/openmetrics-text";
    wait_for("Prometheus' page shows the job with its trace", DEADLINE, || {
        let page = http_body(collector.config.prometheus_port, "/metrics", open_metrics)?;
        let finished = page.lines().any(|line| {
            line.starts_with("vmafx_jobs_finished_total{")
                && line.contains(r#"job="vmafx-controller""#)
                && line.contains(r#"state="succeeded""#)
        });
        let exemplar = page.contains(&format!(r#"trace_id="{trace}""#));
        (finished && exemplar).then_some(())
    });
}
