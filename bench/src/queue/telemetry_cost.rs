//! What telemetry costs the queue: the same work without an endpoint, with one trace in a hundred
//! recorded, with every one within the usual bound of recorded spans a second, and with every one
//! without a bound, in turns, against a collector that takes everything.
//!
//! The controller and the nodes export; the collector runs in this process and only counts bytes,
//! so that its own work is a small part of what is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
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
use crate::statistics::{Times, median};
use crate::table::Goal;

/// Nodes, and what each holds at once.
const FLEET: (u32, u32) = (16, 16);
/// Parts in a round.
const JOBS: u64 = 30_000;
/// Batches in flight, and jobs in each: small ones, because a call's jobs share its trace's fate.
const BATCHES: (usize, u64) = (16, 20);
/// Rounds; each mode has one in each.
const ROUNDS: u64 = 7;
/// Single submissions in a turn, and turns.
const SUBMITS: (u64, u64) = (250, 16);

/// The modes: their name, their sampling ratio, and the bound of spans where it is not the usual
/// one. The first has no endpoint.
const MODES: [(&str, Option<&str>, Option<&str>); 4] = [
    ("off", None, None),
    ("1 %", Some("0.01"), None),
    ("100 %", Some("1"), None),
    ("100 %, no bound", Some("1"), Some("off")),
];

/// What share of the throughput without telemetry each mode is to reach.
const GOALS: [Goal; 4] = [Goal::Open, Goal::AtLeast(0.99), Goal::AtLeast(0.95), Goal::Open];

/// A controller, its nodes, and what was measured of them.
struct Site {
    controller: Controller,
    client: client::Client,
    noop: Arc<Noop>,
    nodes: Vec<NodeHandle>,
    telemetry: OtelGuard,
    dir: TempDir,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    submits: Vec<Duration>,
}

impl Site {
    async fn new(
        args: &Args,
        endpoint: &str,
        ratio: Option<&str>,
        bound: Option<&str>,
    ) -> Result<Self, Error> {
        let dir = args.folder()?;
        let environment: Vec<(&str, &str)> = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", ratio.map(|_| endpoint)),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ("VMAFX_TRACES_MAX_SPANS_PER_SECOND", bound),
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
        let (rates, cpu_us, submits) = Default::default();
        Ok(Self { controller, client, noop, nodes, telemetry, dir, rates, cpu_us, submits })
    }

    async fn round(&mut self, before: u64, jobs: u64) -> Result<(), Error> {
        let cpu = || Ok::<_, Error>(self.controller.cpu()? + process::cpu("self")?);
        let cpu_before = cpu()?;
        let took = one_round(&self.client, &self.noop, before, jobs, BATCHES).await?;
        let used = cpu()? - cpu_before;
        self.rates.push(jobs as f64 / took.as_secs_f64());
        self.cpu_us.push(used.as_secs_f64() * 1e6 / jobs as f64);
        Ok(())
    }

    async fn submit(&mut self, jobs: u64) -> Result<(), Error> {
        for _ in 0..jobs {
            let began = Instant::now();
            self.client.submit(job()).await?;
            self.submits.push(began.elapsed());
        }
        Ok(())
    }

    async fn stop(self) {
        fleet::stop(self.nodes).await;
        self.telemetry.shutdown_async().await;
        drop(self.dir);
    }
}

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let (endpoint, received) = collector().await?;
    let mut sites = Vec::new();
    for (_, ratio, bound) in MODES {
        sites.push(Site::new(args, &endpoint, ratio, bound).await?);
    }
    let address = sites[0].controller.address.clone();
    let baseline = Baseline::measure(sites[0].dir.path(), &address).await?;
    let (jobs, (submits, turns)) = (args.scaled(JOBS), SUBMITS);
    let rounds = if args.quick { 3 } else { ROUNDS };
    for round in 0..rounds {
        for site in &mut sites {
            site.round(round * jobs, jobs).await?;
        }
    }
    for _ in 0..args.scaled(turns).max(4) {
        for site in &mut sites {
            site.submit(submits).await?;
        }
    }
    report(&sites, &baseline, received.load(Ordering::Relaxed))?;
    for site in sites {
        site.stop().await;
    }
    Ok(())
}

fn report(sites: &[Site], baseline: &Baseline, received: u64) -> Result<(), Error> {
    let mut table = table("What telemetry costs the queue", baseline);
    let off = &sites[0];
    let times = |site: &Site| Times::new(site.submits.clone()).ok_or("nothing was submitted");
    let (off_rate, off_p99) = (median(&off.rates), times(off)?.p99_ms());
    table.row("off: no-op parts", (off_rate, "/s"), Goal::Open, baseline.short());
    table.row("off: CPU a part, everything", (median(&off.cpu_us), "µs"), Goal::Open, "");
    table.row("off: submit p99", (off_p99, "ms"), Goal::Open, "one client");
    for ((mode, ..), (site, goal)) in MODES.iter().zip(sites.iter().zip(GOALS)).skip(1) {
        // Neighbours in time are compared with each other, so that what else the machine does
        // meets both.
        let share: Vec<f64> = site.rates.iter().zip(&off.rates).map(|(on, off)| on / off).collect();
        let cpu: Vec<f64> = site.cpu_us.iter().zip(&off.cpu_us).map(|(on, off)| on / off).collect();
        let what = format!("{mode}: throughput, as a share of off");
        let beside = format!("{:.0} parts/s", median(&site.rates));
        table.row(what, (median(&share), ""), goal, beside);
        let what = format!("{mode}: CPU a part, as a multiple of off");
        table.row(what, (median(&cpu), ""), Goal::Open, format!("{:.1} µs", median(&site.cpu_us)));
        let p99 = times(site)?.p99_ms();
        let what = format!("{mode}: submit p99, as a multiple of off");
        let goal = if matches!(goal, Goal::Open) { Goal::Open } else { Goal::AtMost(1.05) };
        table.row(what, (p99 / off_p99, ""), goal, format!("{p99:.3} ms"));
        let exported = site.controller.metric(EXPORTED)?;
        let dropped = site.controller.metric_or_zero(DROPPED)?;
        let passed_over = site.controller.metric_or_zero(PASSED_OVER)?;
        let what = format!("{mode}: spans of the controller exported");
        let beside = format!("{dropped} dropped, queue full; {passed_over} traces passed over");
        table.row(what, (exported, ""), Goal::Open, beside);
    }
    let received = received as f64 / 1e6;
    table.row("collector: received", (received, "MB"), Goal::Open, "in this process");
    table.print();
    Ok(())
}

const EXPORTED: &str = "vmafx_telemetry_exported_total{vmafx_telemetry_signal=\"traces\"}";
const PASSED_OVER: &str = "vmafx_telemetry_traces_passed_over_total";
const DROPPED: &str = "vmafx_telemetry_dropped_total{vmafx_telemetry_signal=\"traces\",vmafx_telemetry_drop_reason=\"queue_full\"}";

/// A collector that takes everything at once; its endpoint, and the bytes it has received.
async fn collector() -> Result<(String, Arc<AtomicU64>), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let received = Arc::new(AtomicU64::new(0));
    let take = |State(received): State<Arc<AtomicU64>>, body: Bytes| async move {
        received.fetch_add(body.len() as u64, Ordering::Relaxed);
        StatusCode::OK
    };
    let router = Router::new()
        .fallback(take)
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(&received));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((endpoint, received))
}
