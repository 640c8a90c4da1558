//! Metrics as operators get them: exact and bounded whatever is recorded, well-formed wherever they
//! are read, and there even when a part of them fails.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use common::{SOON, config};
use observability::metrics::{
    AttemptOutcome, LABEL_VALUES_MAX, Metrics, OTHER, Point, PointValue, RetryCause,
};
use observability::schema::{INSTRUMENTS, InstrumentKind, attr, instrument};
use observability::testing::{OtlpReceiver, promtool_check};
use observability::{Origin, OtelGuard, context_of};
use types::{Stage, State, TraceContext};

const THREADS: u64 = 8;
const RECORDS: u64 = 4_000;
const NAMES: u64 = 3_000;

/// SplitMix64, so that a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn points(metrics: &Metrics, name: &str) -> Vec<Point> {
    let snapshot = metrics.snapshot();
    snapshot.into_iter().find(|metric| metric.def.name == name).expect("registered").points
}

fn label<'a>(point: &'a Point, key: &str) -> &'a str {
    &point.labels.iter().find(|(have, _)| *have == key).expect("labelled").1
}

fn integer(point: &Point) -> u64 {
    match point.value {
        PointValue::Integer(value) => value,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn thousands_of_names_from_many_threads_leave_few_series_and_exact_sums() {
    for seed in 0..4 {
        let metrics = Metrics::new();
        let recorded: Vec<(BTreeMap<usize, u64>, u64)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let metrics = &metrics;
                    scope.spawn(move || record(metrics, Random(seed * THREADS + number)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let attempts = points(&metrics, instrument::ATTEMPTS.name);
        for (place, outcome) in AttemptOutcome::ALL.iter().enumerate() {
            let of_outcome =
                attempts.iter().filter(|point| label(point, attr::OUTCOME) == outcome.as_str());
            let expected: u64 =
                recorded.iter().map(|(by_outcome, _)| by_outcome.get(&place).unwrap_or(&0)).sum();
            assert_eq!(of_outcome.map(integer).sum::<u64>(), expected, "seed {seed} {outcome:?}");
        }
        let names: BTreeSet<_> = attempts.iter().map(|point| label(point, attr::NODE_ID)).collect();
        assert_eq!(names.len(), LABEL_VALUES_MAX + 1, "seed {seed}");
        assert!(names.contains(OTHER));
        let frames = points(&metrics, instrument::ENGINE_FRAMES.name);
        assert!(frames.len() <= LABEL_VALUES_MAX + 1);
        let expected: u64 = recorded.iter().map(|(_, frames)| frames).sum();
        assert_eq!(frames.iter().map(integer).sum::<u64>(), expected, "seed {seed}");
        let overflows = points(&metrics, instrument::LABEL_OVERFLOW.name);
        let of_attempts = overflows
            .iter()
            .find(|point| label(point, attr::TELEMETRY_INSTRUMENT) == instrument::ATTEMPTS.name)
            .expect("counted");
        let other = attempts.iter().filter(|point| label(point, attr::NODE_ID) == OTHER);
        assert_eq!(integer(of_attempts), other.map(integer).sum::<u64>(), "seed {seed}");
    }
}

/// One thread's share: attempts by the place of their outcome, and frames.
fn record(metrics: &Metrics, mut random: Random) -> (BTreeMap<usize, u64>, u64) {
    let (mut by_outcome, mut frames) = (BTreeMap::new(), 0);
    for _ in 0..RECORDS {
        let place = usize::try_from(random.below(5)).expect("small");
        let node = format!("node-{}", random.below(NAMES));
        metrics.queue().attempt(&node, AttemptOutcome::ALL[place]);
        *by_outcome.entry(place).or_default() += 1;
        let count = random.below(100);
        metrics.engine().frames(&format!("/models/{}.json", random.below(NAMES)), count);
        frames += count;
    }
    (by_outcome, frames)
}

#[test]
fn a_callback_that_panics_stops_neither_scrape_nor_push() {
    let receiver = OtlpReceiver::start().expect("a port");
    let more = [("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRIC_EXPORT_INTERVAL", "20")];
    let guard = OtelGuard::start(&config(&receiver.http_endpoint(), "http/protobuf", &more));
    let registry = guard.metrics().registry();
    registry.observe(instrument::QUEUE_DELAYED, |_| panic!("this callback always fails"));
    let counter: observability::metrics::Counter = registry.single(instrument::NODE_FRAMES);
    for round in 1..=3 {
        counter.add(1);
        let text = guard.metrics().render(None).body;
        assert!(text.lines().any(|line| line == format!("vmafx_node_frames_total {round}")));
        assert!(!text.contains("vmafx_queue_delayed"));
        let before = receiver.requests();
        receiver.wait_for_requests(SOON, before + 2).expect("pushes go on");
        let pushed = receiver.metrics();
        assert!(pushed.iter().any(|metric| metric.name == instrument::NODE_FRAMES.name));
        assert!(pushed.iter().all(|metric| metric.name != instrument::QUEUE_DELAYED.name));
    }
    guard.shutdown();
}

/// Every group with something in it, within a sampled trace.
fn filled() -> Metrics {
    let metrics = Metrics::new();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::parse(trace, "").expect("valid");
    let _guard = context_of(&trace, Origin::Local).attach();
    let queue = metrics.queue();
    queue.submitted(3);
    queue.set_depth(State::Queued, 7);
    queue.set_oldest_age(Duration::from_millis(1_500));
    queue.waited(Duration::from_micros(300));
    queue.waited(Duration::from_secs(9_000));
    queue.finished(State::Succeeded, Duration::from_millis(700));
    queue.attempt("a \"quoted\\ name\nof two lines", AttemptOutcome::Lost);
    queue.retried(RetryCause::NodeLost);
    metrics.store().committed(12, Duration::from_micros(420));
    let node = metrics.node();
    node.add_slots(2);
    node.frames().add(48);
    node.cpu_time().add(Duration::from_millis(250));
    node.bytes_read().add(1 << 20);
    node.stage(Stage::Score, Duration::from_millis(90));
    metrics.engine().feature("vif", Duration::from_millis(30));
    metrics.engine().frames("vmaf_v0.6.1", 48);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    metrics.watch_runtime("main", runtime.handle());
    metrics
}

#[test]
fn promtool_finds_nothing_wrong_with_the_text() {
    let text = filled().render(None).body;
    promtool_check(&text).unwrap_or_else(|said| panic!("{said}\n{text}"));
}

/// A line of OpenMetrics text taken apart.
#[derive(Debug)]
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: &'a str,
    exemplar: Option<&'a str>,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Self {
        let (sample, exemplar) = match line.split_once(" # ") {
            Some((sample, exemplar)) => (sample, Some(exemplar)),
            None => (line, None),
        };
        let (series, value) = sample.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        Self { name, labels: labels.strip_suffix('}').expect("closed"), value, exemplar }
    }
}

#[test]
fn open_metrics_is_well_formed_to_its_end() {
    let rendered = filled().render(Some("application/openmetrics-text; version=1.0.0"));
    let lines: Vec<&str> = rendered.body.lines().collect();
    assert_eq!(lines.last(), Some(&"# EOF"));
    assert!(rendered.body.ends_with('\n') && !rendered.body.contains("\n\n"));
    let (mut families, mut exemplars) = (BTreeSet::new(), 0);
    let (mut family, mut kind) = ("", "");
    for line in &lines[..lines.len() - 1] {
        if let Some(meta) = line.strip_prefix("# ") {
            let (word, rest) = meta.split_once(' ').expect("what it is");
            let (name, text) = rest.split_once(' ').expect("a name");
            match word {
                "HELP" => {
                    assert!(families.insert(name), "{name} comes twice");
                    (family, kind) = (name, "");
                }
                "TYPE" => {
                    assert_eq!(name, family);
                    kind = text;
                }
                "UNIT" => {
                    assert!(name == family && family.ends_with(&format!("_{text}")), "{line}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let sample = Sample::parse(line);
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "gauge" => &[""],
            other => panic!("{other:?} is no type: {line}"),
        };
        assert!(endings.iter().any(|end| sample.name == format!("{family}{end}")), "{line}");
        assert!(sample.value.parse::<f64>().expect("a number").is_finite(), "{line}");
        assert!(sample.labels.is_empty() || sample.labels.ends_with('"'), "{line}");
        if let Some(exemplar) = sample.exemplar {
            exemplars += 1;
            assert!(sample.name.ends_with("_bucket"), "{line}");
            check_exemplar(exemplar);
        }
    }
    assert!(exemplars >= 3, "{}", rendered.body);
    assert!(families.len() > 30, "{families:?}");
}

/// `{trace_id="...",span_id="..."} value seconds`, with at most 128 characters of labels.
fn check_exemplar(exemplar: &str) {
    let (labels, rest) = exemplar.split_once("} ").expect("labels");
    let labels = labels.strip_prefix('{').expect("labels");
    assert_eq!(
        labels,
        "trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",span_id=\"00f067aa0ba902b7\""
    );
    assert!(labels.len() <= 128);
    let numbers: Vec<f64> = rest.split(' ').map(|word| word.parse().expect("a number")).collect();
    assert!(numbers.len() == 2 && numbers[1] > 1.6e9, "{exemplar}");
}

#[test]
fn durations_have_buckets_where_they_happen() {
    let bounds = |def: &observability::schema::InstrumentDef| def.buckets;
    for def in INSTRUMENTS.iter().filter(|def| def.kind == InstrumentKind::Histogram) {
        assert!((10..=20).contains(&bounds(def).len()), "{}", def.name);
    }
    for def in [instrument::QUEUE_WAIT, instrument::STORE_COMMIT] {
        let below = bounds(&def).iter().filter(|bound| **bound < 0.001).count();
        assert!(below >= 2, "{} cannot tell what takes less than a millisecond", def.name);
    }
    assert!(bounds(&instrument::QUEUE_WAIT).last() >= Some(&3_600.0));
}
