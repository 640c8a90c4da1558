//! Nodes whose work takes no time, or as long as the benchmark wants.

use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use observability::Telemetry;
use tokio::sync::mpsc;
use types::{FrameTable, JobId, NodeId, Provenance, ScoreReport, StageTimings};
use vmafx_node::{Assignment, Config, Done, Node, NodeHandle, Worked, Worker};

use crate::Error;

/// How long a fleet may take until all its work streams are open.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Starts of attempts that wait for the benchmark to look at them.
const STARTS_MAX: usize = 1_024;

/// Succeeds at once, with the smallest report there is, and counts.
#[derive(Debug, Default)]
pub(crate) struct Noop(AtomicU64);

impl Noop {
    pub(crate) fn started(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Worker for Noop {
    fn start(&self, assignment: Assignment, done: Done) {
        self.0.fetch_add(1, Ordering::Relaxed);
        Started { assignment, at: Instant::now(), done }.finish();
    }
}

/// An attempt that has reached its node.
#[derive(Debug)]
pub(crate) struct Started {
    assignment: Assignment,
    pub(crate) at: Instant,
    done: Done,
}

impl Started {
    pub(crate) fn job(&self) -> JobId {
        self.assignment.lease.job
    }

    /// Succeeds.
    pub(crate) fn finish(self) {
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
            digest: format!("{:064x}", self.assignment.lease.part.0),
            encoded: None,
        };
        self.done.send(Worked {
            began: self.at,
            ended: Instant::now(),
            run_began_at: SystemTime::now(),
            outcome: Ok(vec![report]),
        });
    }
}

/// Hands every attempt to the benchmark, which finishes it when it wants.
#[derive(Debug)]
pub(crate) struct Teller(mpsc::Sender<Started>);

impl Teller {
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Started>) {
        let (sender, receiver) = mpsc::channel(STARTS_MAX);
        (Arc::new(Self(sender)), receiver)
    }
}

impl Worker for Teller {
    fn start(&self, assignment: Assignment, done: Done) {
        // One that finds no room is dropped, and fails as an attempt.
        let _ = self.0.try_send(Started { assignment, at: Instant::now(), done });
    }
}

/// Starts nodes, each with a connection of its own and its reports in memory.
pub(crate) async fn start(
    address: &str,
    name: &str,
    size: (u32, u32),
    worker: Arc<dyn Worker>,
) -> Result<Vec<NodeHandle>, Error> {
    start_with(address, name, size, worker, &Telemetry::disabled()).await
}

/// Starts nodes that share their telemetry.
pub(crate) async fn start_with(
    address: &str,
    name: &str,
    (count, slots): (u32, u32),
    worker: Arc<dyn Worker>,
    telemetry: &Telemetry,
) -> Result<Vec<NodeHandle>, Error> {
    let mut nodes = Vec::new();
    for index in 0..count {
        let config = Config {
            slots: NonZeroU32::new(slots).ok_or("a node has a slot")?,
            // Asking the real one for its version costs a process a node.
            ffmpeg: Some("/nonexistent/ffmpeg".into()),
            ..Config::new(address, NodeId::new(format!("{name}-{index}"))?)
        };
        nodes.push(Node::start_with(config, telemetry.clone(), Arc::clone(&worker)).await?);
    }
    Ok(nodes)
}

/// Waits until every node's work stream is open.
pub(crate) async fn ready(nodes: &[NodeHandle]) -> Result<(), Error> {
    let began = Instant::now();
    while !nodes.iter().all(NodeHandle::is_ready) {
        if began.elapsed() > READY_PATIENCE {
            let ready = nodes.iter().filter(|node| node.is_ready()).count();
            return Err(format!("only {ready} of {} nodes are ready", nodes.len()).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Ends nodes, all at once.
pub(crate) async fn stop(nodes: Vec<NodeHandle>) {
    let mut stopping = tokio::task::JoinSet::new();
    for node in nodes {
        stopping.spawn(node.shutdown());
    }
    stopping.join_all().await;
}

/// A node process that holds what it is given, and says on standard output what that is.
#[derive(Debug, clap::Args)]
pub(crate) struct HoldingNode {
    /// The controller's gRPC address
    #[arg(long)]
    controller: String,
    /// The node's name
    #[arg(long)]
    name: String,
}

/// Runs until it is killed.
pub(crate) async fn hold(args: HoldingNode) -> Result<(), Error> {
    let (teller, mut starts) = Teller::new();
    let _nodes = start(&args.controller, &args.name, (1, 1), teller).await?;
    let mut held = Vec::new();
    while let Some(started) = starts.recv().await {
        writeln!(std::io::stdout(), "{}", started.job())?;
        held.push(started);
    }
    Ok(())
}
