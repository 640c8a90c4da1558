//! What telemetry costs the queue: the same work without an endpoint, with one trace in a hundred
//! recorded, with every one within the usual bound of recorded spans a second, and with every one
//! without a bound, against a collector that takes everything; and with one in a hundred against one
//! that takes connections and never answers.
//!
//! The modes take turns in many short rounds, each round in another order, and every round is compared
//! with the one without telemetry beside it in time: what else the machine does meets both. Every few
//! rounds all processes are started anew, because one may run some per cent faster than another of the
//! same program for as long as it lives. The CPU time of a part tells small costs apart, throughput
//! hardly does. A round's CPU time is read once what it recorded is exported, so that no mode pays for
//! another.
//!
//! The controller and the nodes export. The collector runs in a thread of this process and only counts
//! bytes; its CPU time is shown apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use observability::sampler::DEFAULT_SPANS_PER_SECOND_MAX;
use observability::{OtelConfig, OtelGuard};
use tempfile::TempDir;
use tokio::net::TcpListener;
use vmafx_node::NodeHandle;

use super::noop::one_round;
use super::{Args, client, job, table};
use crate::Error;
use crate::baseline::Baseline;
use crate::fleet::{self, Noop};
use crate::process::{self, Controller};
use crate::statistics::{Times, median, median_between};
use crate::table::Goal;

/// Nodes, and what each holds at once.
const FLEET: (u32, u32) = (16, 16);
/// Parts in a round.
const JOBS: u64 = 4_000;
/// Batches in flight, and jobs in each: small ones, because a call's jobs share its trace's fate.
const BATCHES: (usize, u64) = (16, 20);
/// Rounds; each mode has one in each.
const ROUNDS: u64 = 48;
/// Rounds of the same processes.
const ROUNDS_OF_A_SITE: u64 = 4;
/// Single submissions in a turn, and turns.
const SUBMITS: (u64, u64) = (200, 30);
/// Milliseconds that a span waits for its message at most: less than usual, so that a round exports
/// during itself most of what it records, as a process does that works all the time.
const EXPORT_DELAY: &str = "100";
/// How long after a round its last spans may take to be exported.
const EXPORT_PATIENCE: Duration = Duration::from_secs(30);

/// What a mode may record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// As many spans a second as usual.
    Usual,
    /// Everything.
    Off,
}

/// How telemetry is set.
#[derive(Debug, Clone, Copy)]
struct Mode {
    name: &'static str,
    /// The sampling ratio; without one there is no endpoint.
    ratio: Option<&'static str>,
    bound: Bound,
    /// The collector takes connections and never answers.
    silent: bool,
    /// What share of the throughput without telemetry it is to reach.
    goal: Option<f64>,
}

const OFF: Mode = Mode { name: "off", ratio: None, bound: Bound::Usual, silent: false, goal: None };
const USUAL: Mode = Mode { name: "1 %", ratio: Some("0.01"), goal: Some(0.99), ..OFF };
const ALL: Mode =
    Mode { name: "100 %", ratio: Some("1"), goal: Some(0.95), bound: Bound::Off, ..OFF };
const MODES: [Mode; 5] = [
    OFF,
    USUAL,
    Mode { name: "1 %, silent collector", silent: true, ..USUAL },
    Mode { name: "100 % asked for, usual bound", bound: Bound::Usual, ..ALL },
    ALL,
];

impl Bound {
    /// For the environment. A mode works a part of the time and earns its budget all the time: so the
    /// usual bound is that part of it.
    fn variable(self) -> String {
        let usual = DEFAULT_SPANS_PER_SECOND_MAX.get() as usize / MODES.len();
        match self {
            Self::Usual => usual.to_string(),
            Self::Off => "off".to_owned(),
        }
    }
}

/// What a collector that takes everything has seen.
struct Collector {
    endpoint: String,
    received: Arc<AtomicU64>,
    /// Its thread, below `/proc`.
    thread: String,
}

/// A controller and its nodes.
struct Site {
    mode: Mode,
    controller: Controller,
    client: client::Client,
    noop: Arc<Noop>,
    nodes: Vec<NodeHandle>,
    telemetry: OtelGuard,
    dir: TempDir,
}

/// What was measured of a mode.
#[derive(Default)]
struct Measured {
    rates: Vec<f64>,
    /// CPU microseconds a part: of everything, and without the collector.
    cpu_us: [Vec<f64>; 2],
    submits: Vec<Duration>,
    /// The 99th percentile of each turn, in milliseconds.
    p99s: Vec<f64>,
    /// Of the controllers' spans: those exported, those dropped, and traces passed over.
    spans: [f64; 3],
}

impl Site {
    async fn new(args: &Args, endpoint: &str, mode: Mode) -> Result<Self, Error> {
        let dir = args.folder()?;
        let (ratio, bound) = (mode.ratio, mode.bound.variable());
        let environment: Vec<(&str, &str)> = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ratio.map(|_| endpoint)),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ("OTEL_BSP_SCHEDULE_DELAY", Some(EXPORT_DELAY)),
            ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", Some(&bound)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        let db = dir.path().join("controller.db");
        let controller = Controller::start_with(&db, &[], &environment)?;
        let lookup = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let telemetry = OtelGuard::start(&OtelConfig::from_env("vmafx-node", lookup));
        let noop = Arc::new(Noop::default());
        let handles = telemetry.telemetry().clone();
        let nodes =
            fleet::start_with(&controller.address, "noop", FLEET, noop.clone(), &handles).await?;
        fleet::ready(&nodes).await?;
        let client = client(&controller)?;
        Ok(Self { mode, controller, client, noop, nodes, telemetry, dir })
    }

    async fn round(
        &self,
        before: u64,
        jobs: u64,
        collector: &Collector,
        measured: &mut Measured,
    ) -> Result<(), Error> {
        let cpu = || {
            let collector = process::cpu_of_thread(&collector.thread)?;
            let all = self.controller.cpu_exactly()? + process::own_cpu()?;
            Ok::<_, Error>([all, all - collector])
        };
        let cpu_before = cpu()?;
        let took = one_round(&self.client, &self.noop, before, jobs, BATCHES).await?;
        self.exported().await?;
        let used = cpu()?;
        measured.rates.push(jobs as f64 / took.as_secs_f64());
        for (all, (used, before)) in measured.cpu_us.iter_mut().zip(used.iter().zip(cpu_before)) {
            // Of the controller's threads one may have ended.
            all.push(used.saturating_sub(before).as_secs_f64() * 1e6 / jobs as f64);
        }
        Ok(())
    }

    /// Waits until neither the controller nor the nodes have spans to export. A mode that makes none
    /// waits no shorter than the others.
    async fn exported(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if self.mode.silent {
                return Ok(());
            }
            tokio::task::block_in_place(|| self.telemetry.flush(EXPORT_PATIENCE));
            let waiting = self.controller.metric_or_zero(QUEUE)?;
            if waiting == 0.0 {
                return Ok(());
            }
            if began.elapsed() > EXPORT_PATIENCE {
                return Err(format!("{waiting} spans still wait for the collector").into());
            }
        }
    }

    async fn submit(&self, jobs: u64, measured: &mut Measured) -> Result<(), Error> {
        let mut took = Vec::new();
        for _ in 0..jobs {
            let began = Instant::now();
            self.client.submit(job()).await?;
            took.push(began.elapsed());
        }
        measured.submits.extend(&took);
        measured.p99s.push(Times::new(took).ok_or("nothing was submitted")?.p99_ms());
        Ok(())
    }

    async fn stop(self, measured: &mut Measured) -> Result<(), Error> {
        let exported = match self.mode.ratio {
            Some(_) => self.controller.metric(EXPORTED)?,
            None => 0.0,
        };
        let dropped = self.controller.metric_or_zero(DROPPED)?;
        let passed_over = self.controller.metric_or_zero(PASSED_OVER)?;
        for (sum, more) in measured.spans.iter_mut().zip([exported, dropped, passed_over]) {
            *sum += more;
        }
        fleet::stop(self.nodes).await;
        self.telemetry.shutdown_async().await;
        drop(self.dir);
        Ok(())
    }
}

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let collector = collector()?;
    // The kernel takes the connections, and nobody ever looks at them.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let nobody = format!("http://{}", silent.local_addr()?);
    let mut measured: [Measured; MODES.len()] = Default::default();
    let mut baseline = None;
    let starts = args.scaled(ROUNDS / ROUNDS_OF_A_SITE).max(2);
    let (submits, turns) = SUBMITS;
    for start in 0..starts {
        let mut sites = Vec::new();
        for mode in MODES {
            let endpoint = if mode.silent { &nobody } else { &collector.endpoint };
            sites.push(Site::new(args, endpoint, mode).await?);
        }
        if baseline.is_none() {
            let address = &sites[0].controller.address;
            baseline = Some(Baseline::measure(sites[0].dir.path(), address).await?);
        }
        // What is slow because it is new, such as the first pages of a process, is nobody's.
        for site in &sites {
            site.round(0, JOBS, &collector, &mut Measured::default()).await?;
        }
        for round in 1..=ROUNDS_OF_A_SITE {
            for place in 0..sites.len() {
                let mode = turn(start * ROUNDS_OF_A_SITE + round, place);
                sites[mode].round(round * JOBS, JOBS, &collector, &mut measured[mode]).await?;
            }
        }
        for turn_of_submits in 0..turns.div_ceil(starts) {
            for place in 0..sites.len() {
                let mode = turn(start + turn_of_submits, place);
                sites[mode].submit(submits, &mut measured[mode]).await?;
            }
        }
        for (site, measured) in sites.into_iter().zip(&mut measured) {
            site.stop(measured).await?;
        }
    }
    report(&measured, &baseline.ok_or("there was no round")?, &collector);
    Ok(())
}

/// Whose turn it is: in another order every round, so that none always follows the same.
fn turn(round: u64, place: usize) -> usize {
    let (round, modes) = (round as usize, MODES.len());
    let place = if round.is_multiple_of(2) { place } else { modes - 1 - place };
    (place + round / 2) % modes
}

/// `on` as multiples of `off`, pair by pair: the median, and between what it lies.
fn compared(on: &[f64], off: &[f64]) -> (f64, String) {
    let shares: Vec<f64> = on.iter().zip(off).map(|(on, off)| on / off).collect();
    let (low, high) = median_between(&shares);
    (median(&shares), format!("{low:.3} to {high:.3}"))
}

fn report(measured: &[Measured], baseline: &Baseline, collector: &Collector) {
    let mut table = table("What telemetry costs the queue", baseline);
    let off = &measured[0];
    let p99 =
        |site: &Measured| Times::new(site.submits.clone()).map_or(f64::NAN, |times| times.p99_ms());
    table.row("off: no-op parts", (median(&off.rates), "/s"), Goal::Open, baseline.short());
    table.row("off: CPU a part, everything", (median(&off.cpu_us[0]), "µs"), Goal::Open, "");
    table.row("off: submit p99", (p99(off), "ms"), Goal::Open, "one client");
    for (mode, site) in MODES.iter().zip(measured).skip(1) {
        let Mode { name: mode, goal, .. } = *mode;
        let [least, cpu_most, p99_most] = match goal {
            Some(share) => [Goal::AtLeast(share), Goal::AtMost(1.0 / share), Goal::AtMost(1.05)],
            None => [Goal::Open; 3],
        };
        let mut row = |what: &str, on: &[f64], off: &[f64], goal, beside: String| {
            let (median, between) = compared(on, off);
            table.row(
                format!("{mode}: {what}"),
                (median, ""),
                goal,
                format!("{between}; {beside}"),
            );
        };
        let beside = format!("{:.0} parts/s", median(&site.rates));
        row("throughput, as a share of off", &site.rates, &off.rates, least, beside);
        let [all, own] = &site.cpu_us;
        let beside = format!("{:.1} µs", median(all));
        row("CPU a part, as a multiple of off", all, &off.cpu_us[0], cpu_most, beside);
        let beside = format!("{:.1} µs", median(own));
        row("the same without the collector's", own, &off.cpu_us[1], Goal::Open, beside);
        let beside = format!("{:.3} ms", p99(site));
        row("submit p99, as a multiple of off", &site.p99s, &off.p99s, p99_most, beside);
        let [exported, dropped, passed_over] = site.spans;
        let what = format!("{mode}: spans of the controller exported");
        let beside = format!("{dropped} dropped, queue full; {passed_over} traces passed over");
        table.row(what, (exported, ""), Goal::Open, beside);
    }
    let received = collector.received.load(Ordering::Relaxed) as f64 / 1e6;
    table.row("collector: received", (received, "MB"), Goal::Open, "in this process");
    table.print();
    println!("A range beside a ratio holds its median with 95 %, of {} pairs.", off.rates.len());
}

const QUEUE: &str = "vmafx_telemetry_queue{vmafx_telemetry_signal=\"traces\"}";
const EXPORTED: &str = "vmafx_telemetry_exported_total{vmafx_telemetry_signal=\"traces\"}";
const PASSED_OVER: &str = "vmafx_telemetry_traces_passed_over_total";
const DROPPED: &str = "vmafx_telemetry_dropped_total{vmafx_telemetry_signal=\"traces\",vmafx_telemetry_drop_reason=\"queue_full\"}";

/// A collector that takes everything at once, on a thread of its own.
fn collector() -> Result<Collector, Error> {
    let received = Arc::new(AtomicU64::new(0));
    let (sender, started) = std::sync::mpsc::sync_channel(1);
    let counted = Arc::clone(&received);
    std::thread::Builder::new().name("collector".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let serving = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let thread = std::fs::read_link("/proc/thread-self")?;
            let told = (listener.local_addr()?, thread.to_string_lossy().into_owned());
            // Whoever asked is gone only if the benchmark has failed.
            let _ = sender.send(told);
            let take = |State(received): State<Arc<AtomicU64>>, body: Bytes| async move {
                received.fetch_add(body.len() as u64, Ordering::Relaxed);
                StatusCode::OK
            };
            let router =
                Router::new().fallback(take).layer(DefaultBodyLimit::disable()).with_state(counted);
            axum::serve(listener, router).await
        };
        runtime.and_then(|runtime| runtime.block_on(serving))
    })?;
    let (address, thread) = started.recv().map_err(|_| "the collector did not start")?;
    Ok(Collector { endpoint: format!("http://{address}"), received, thread })
}
