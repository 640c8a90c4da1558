//! How many parts a second pass through the queue, from a durable submission over gRPC to a
//! durable result, when the work itself takes no time.
//!
//! Runs a controller and many nodes in one process, every one of them over a connection of its
//! own. The parts are not scored and their reports not kept on disk: this measures the queue. The
//! rates of fsync and of plain unary calls of the same run stand beside it, because they say what
//! the machine can do at all.
//!
//! ```text
//! cargo run --release -p vmafx-node --example noop_fleet -- --nodes 16 --slots 1
//! cargo run --release -p vmafx-node --example noop_fleet -- --nodes 16 --slots 16
//! cargo run --release -p vmafx-node --example noop_fleet -- --nodes 1000 --slots 1
//! ```

use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use client::{Client, ClientConfig};
use observability::Telemetry;
use proto::rpc::{ListJobs, Submit};
use types::{
    Capabilities, FrameTable, JobFilter, JobSpec, MediaRef, NodeId, Provenance, ScoreReport,
    StageTimings, State,
};
use vmafx_controller::{Controller, ControllerHandle};
use vmafx_node::{Assignment, Config, Done, Node, NodeHandle, Worked, Worker};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long the run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long each of the machine's own rates is measured.
const BASELINE_TIME: Duration = Duration::from_secs(1);

/// Calls in flight while plain calls are measured.
const ECHO_IN_FLIGHT: usize = 16;

#[derive(Debug, Parser)]
#[command(about = "Measures parts a second through the queue, with work that takes no time")]
struct Args {
    /// The controller's gRPC address [default: one of its own, on a store in a temporary folder]
    #[arg(long)]
    controller: Option<String>,
    /// Nodes, each with a connection of its own
    #[arg(long, default_value = "16")]
    nodes: u32,
    /// Slots of each node
    #[arg(long, default_value = "1")]
    slots: NonZeroU32,
    /// Jobs to run, one part each
    #[arg(long, default_value = "50000")]
    jobs: u64,
    /// Jobs in one submission
    #[arg(long, default_value = "100")]
    batch: usize,
    /// Submissions in flight
    #[arg(long, default_value = "8")]
    submitters: usize,
    /// Where the controller of its own keeps its store [default: the system's temporary folder]
    #[arg(long)]
    dir: Option<std::path::PathBuf>,
}

/// Succeeds at once, with the smallest report there is.
#[derive(Debug, Default)]
struct Noop {
    started: AtomicU64,
}

impl Worker for Noop {
    fn start(&self, assignment: Assignment, done: Done) {
        self.started.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let report = ScoreReport {
            width: 1,
            height: 1,
            models: Vec::new(),
            pooled: Vec::new(),
            aggregates: Vec::new(),
            frames: FrameTable::default(),
            warnings: Vec::new(),
            provenance: Provenance::default(),
            timings: StageTimings::default(),
            digest: format!("{:064x}", assignment.lease.part.0),
            encoded: None,
        };
        let run_began_at = SystemTime::now();
        done.send(Worked { began: now, ended: now, run_began_at, outcome: Ok(vec![report]) });
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let args = Args::parse();
    if args.slots.get() > Capabilities::SLOTS_MAX {
        return Err(format!("a node has at most {} slots", Capabilities::SLOTS_MAX).into());
    }
    let dir = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let own = match args.controller {
        Some(_) => None,
        None => Some(controller(dir.path()).await?),
    };
    let address = match (&args.controller, &own) {
        (Some(address), _) => address.clone(),
        (None, Some(own)) => own.grpc_addr.to_string(),
        (None, None) => return Err("no controller".into()),
    };
    let client = Client::new(&ClientConfig::new(address.as_str()))?;
    let fsyncs = fsync_rate(dir.path())?;
    let echoes = echo_rate(&client).await?;
    println!(
        "baseline: {fsyncs:.0} fsync/s alone, {echoes:.0} unary calls/s with {ECHO_IN_FLIGHT} in flight"
    );

    let submitted = submit(&client, &args).await?;
    println!("submitted: {} jobs in batches of {}, {submitted:.0} jobs/s", args.jobs, args.batch);

    let noop = Arc::new(Noop::default());
    let began = Instant::now();
    let nodes = fleet(&args, &address, &noop).await?;
    println!("fleet: {} nodes of {} slots in {:?}", args.nodes, args.slots, began.elapsed());
    let (parts, took) = run(&noop, args.jobs, began).await?;
    let rate = parts as f64 / took.as_secs_f64();
    println!(
        "ran: {parts} parts in {took:?}: {rate:.0} parts/s, {:.2} parts a baseline fsync",
        rate / fsyncs
    );

    for node in nodes {
        node.shutdown().await;
    }
    let succeeded = count(&client, State::Succeeded).await?;
    let started = noop.started.load(Ordering::Relaxed);
    println!("checked: {succeeded} jobs succeeded, {started} attempts were started");
    if let Some(own) = own {
        own.shutdown().await;
        if succeeded != args.jobs {
            return Err(format!("{} jobs were submitted", args.jobs).into());
        }
    }
    Ok(())
}

async fn controller(dir: &Path) -> Result<ControllerHandle, Error> {
    let config = vmafx_controller::Config {
        grpc_listen: "127.0.0.1:0".parse()?,
        http_listen: "127.0.0.1:0".parse()?,
        db_path: dir.join("controller.db"),
        ..vmafx_controller::Config::default()
    };
    Ok(Controller::start(config, Telemetry::disabled()).await?)
}

async fn submit(client: &Client, args: &Args) -> Result<f64, Error> {
    let began = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut submitters = tokio::task::JoinSet::new();
    let batch = args.batch.clamp(1, proto::limits::JOBS_PER_REQUEST_MAX) as u64;
    for _ in 0..args.submitters.max(1) {
        let (client, next, jobs) = (client.clone(), Arc::clone(&next), args.jobs);
        submitters.spawn(async move {
            loop {
                let first = next.fetch_add(batch, Ordering::Relaxed);
                if first >= jobs {
                    return Ok::<(), Error>(());
                }
                let spec =
                    JobSpec::pair(MediaRef::new("/none/a.y4m"), MediaRef::new("/none/b.y4m"));
                let one = Submit { spec, idempotency_key: None };
                client.submit_all(vec![one; batch.min(jobs - first) as usize]).await?;
            }
        });
    }
    while let Some(ended) = submitters.join_next().await {
        ended??;
    }
    Ok(args.jobs as f64 / began.elapsed().as_secs_f64())
}

async fn fleet(args: &Args, address: &str, noop: &Arc<Noop>) -> Result<Vec<NodeHandle>, Error> {
    let mut nodes = Vec::new();
    for index in 0..args.nodes {
        let name = NodeId::new(format!("noop-{index}"))?;
        let config = Config {
            slots: args.slots,
            // Starting the real one a thousand times is no part of the measurement.
            ffmpeg: Some("/nonexistent/ffmpeg".into()),
            ..Config::new(address, name)
        };
        let worker = Arc::clone(noop) as Arc<dyn Worker>;
        nodes.push(Node::start_with(config, Telemetry::disabled(), worker).await?);
    }
    Ok(nodes)
}

/// Waits until every part has been started, and gives their number and the time since `began`.
async fn run(noop: &Noop, jobs: u64, began: Instant) -> Result<(u64, Duration), Error> {
    loop {
        let parts = noop.started.load(Ordering::Relaxed);
        if parts >= jobs {
            return Ok((parts, began.elapsed()));
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("only {parts} of {jobs} parts in {PATIENCE:?}").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn count(client: &Client, state: State) -> Result<u64, Error> {
    let filter = JobFilter { states: vec![state], ..JobFilter::default() };
    let page_size = Some(proto::limits::PAGE_SIZE_MAX);
    let (mut counted, mut after) = (0, None);
    loop {
        let page = client.jobs(ListJobs { filter: filter.clone(), page_size, after }).await?;
        counted += page.jobs.len() as u64;
        if page.next.is_none() {
            return Ok(counted);
        }
        after = page.next;
    }
}

/// How often a second the disk makes 4 KiB durable, one after the other.
fn fsync_rate(dir: &Path) -> Result<f64, Error> {
    let mut file = std::fs::File::create(dir.join("fsync"))?;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < BASELINE_TIME {
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// Plain calls a second that read memory only: the fleet is still empty.
async fn echo_rate(client: &Client) -> Result<f64, Error> {
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..ECHO_IN_FLIGHT {
        let client = client.clone();
        callers.spawn(async move {
            let mut count = 0_u32;
            while began.elapsed() < BASELINE_TIME {
                client.nodes().await?;
                count += 1;
            }
            Ok::<u32, Error>(count)
        });
    }
    let mut count = 0;
    while let Some(calls) = callers.join_next().await {
        count += calls??;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
