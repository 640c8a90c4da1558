//! From before the call of `SubmitJob` until the node's worker has the part: one clock, because
//! client and nodes are in this process.

use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

use media::{CancelToken, MediaConfig, SourcePolicy, Stop};
use scoring::{Progress, RunConfig, ScoreRequest};
use testkit::ClipSpec;
use tokio::sync::mpsc;
use types::MediaRef;

use super::{Args, Place, job, table};
use crate::Error;
use crate::fleet::{self, Started, Teller};
use crate::statistics::Times;
use crate::table::Goal;

/// Jobs, one after the other.
const JOBS: u64 = 1_000;

/// Between two jobs, so that the second finds an idle queue.
const PAUSE: Duration = Duration::from_millis(5);

/// How long one job may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Nodes that wait for work, with one slot each.
const NODES: u32 = 16;

/// The clip that is scored meanwhile.
const LOAD: ClipSpec = ClipSpec::texture(7, 1_280, 720, 24);

pub(super) async fn run(args: &Args) -> Result<(), Error> {
    let place = Place::new(args, &[]).await?;
    let (teller, mut starts) = Teller::new();
    let nodes = fleet::start(&place.controller.address, "node", (NODES, 1), teller).await?;
    fleet::ready(&nodes).await?;
    let mut table = table("Submit to start", &place.baseline);
    let beside = place.baseline.short();

    let idle = measure(&place, &mut starts, args.scaled(JOBS)).await?;
    table.row("idle: p50", (idle.p50_ms(), "ms"), Goal::AtMost(1.0), &beside);
    table.row("idle: p99", (idle.p99_ms(), "ms"), Goal::AtMost(3.0), &beside);

    let load = Load::start(place.dir.path())?;
    let busy = measure(&place, &mut starts, args.scaled(JOBS)).await;
    let frames = load.stop()?;
    let busy = busy?;
    let beside = format!("{frames} frames of 720p scored meanwhile, niced");
    table.row("every CPU scoring: p50", (busy.p50_ms(), "ms"), Goal::Open, &beside);
    table.row("every CPU scoring: p99", (busy.p99_ms(), "ms"), Goal::AtMost(10.0), &beside);
    table.print();
    fleet::stop(nodes).await;
    Ok(())
}

async fn measure(
    place: &Place,
    starts: &mut mpsc::Receiver<Started>,
    jobs: u64,
) -> Result<Times, Error> {
    let mut times = Vec::new();
    for _ in 0..jobs {
        let began = Instant::now();
        let submitted = place.client.submit(job()).await?;
        let started = tokio::time::timeout(PATIENCE, starts.recv()).await?;
        let started = started.ok_or("the nodes have ended")?;
        if started.job() != submitted.job {
            return Err("a node got another job than the one submitted".into());
        }
        times.push(started.at - began);
        started.finish();
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Times::new(times).ok_or("no job was measured")?)
}

/// Scoring runs as a node does them, one after the other, with as many threads as there are CPUs.
struct Load {
    cancel: CancelToken,
    thread: std::thread::JoinHandle<Result<u64, String>>,
}

impl Load {
    fn start(dir: &Path) -> Result<Self, Error> {
        let pair = LOAD.make();
        let reference = dir.join("reference.y4m");
        let distorted = dir.join("distorted.y4m");
        std::fs::write(&reference, pair.reference.y4m_bytes())?;
        std::fs::write(&distorted, pair.distorted.y4m_bytes())?;
        let name = |path: &Path| MediaRef::new(path.to_string_lossy().into_owned());
        let request = ScoreRequest::pair(name(&reference), name(&distorted));
        let config = RunConfig {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            niced: true,
            ..RunConfig::new(MediaConfig::new(SourcePolicy::unrestricted_local()))
        };
        let stop = Stop::never();
        let cancel = stop.cancel.clone();
        let thread = std::thread::spawn(move || {
            let mut frames = 0;
            while !stop.cancel.is_cancelled() {
                let progress = Progress::new();
                match scoring::run(&request, &config, &stop, &progress) {
                    Err(error) if !stop.cancel.is_cancelled() => return Err(error.to_string()),
                    _ => frames += progress.frames_done(),
                }
            }
            Ok(frames)
        });
        Ok(Self { cancel, thread })
    }

    /// Ends it, and says how many frames were scored.
    fn stop(self) -> Result<u64, Error> {
        self.cancel.cancel();
        Ok(self.thread.join().map_err(|_| "the scoring thread panicked")??)
    }
}
