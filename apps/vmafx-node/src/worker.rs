//! Who does the work of an attempt: scoring on threads of its own, away from the runtime.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use media::{FfmpegConfig, MediaConfig, SourcePolicy, Stop};
use scoring::RunConfig;
use tokio::sync::oneshot;
use types::{Failure, Lease, ScoreReport};

use crate::config::Config;
use crate::scratch::Scratch;

/// How far an attempt is: nothing is known before its work begins.
#[derive(Debug, Clone, Default)]
pub struct PartProgress(Arc<OnceLock<scoring::Progress>>);

impl PartProgress {
    /// The work begins.
    fn begin(&self) -> scoring::Progress {
        self.0.get_or_init(scoring::Progress::new).clone()
    }

    /// Frames whose features are computed, over all distorted videos.
    #[must_use]
    pub fn frames_done(&self) -> u64 {
        self.0.get().map_or(0, scoring::Progress::frames_done)
    }

    /// Bytes of video read.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.0.get().map_or(0, scoring::Progress::bytes_read)
    }

    /// CPU time of the work's threads, each counted when it has ended.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, scoring::Progress::cpu_time)
    }

    /// Frames there seem to be, over all distorted videos; `None` until that can be told.
    #[must_use]
    pub fn frames_total(&self) -> Option<u64> {
        self.0.get().and_then(scoring::Progress::frames_total)
    }
}

/// One attempt's work.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// What to do.
    pub lease: Arc<Lease>,
    /// When to stop before it is done.
    pub stop: Stop,
    /// To be told how far it is.
    pub progress: PartProgress,
}

/// What came of an attempt's work.
#[derive(Debug)]
pub struct Worked {
    /// When the work began, on the worker.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// When the run that made the reports began.
    pub run_began_at: SystemTime,
    /// A report for each distorted video, in the job's order, or why there is none.
    pub outcome: Result<Vec<ScoreReport>, Failure>,
}

/// Takes what came of an attempt's work. Dropped without it, the attempt fails as a defect.
#[derive(Debug)]
pub struct Done(oneshot::Sender<Worked>);

impl Done {
    pub(crate) fn channel() -> (Self, oneshot::Receiver<Worked>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Hands it over.
    pub fn send(self, worked: Worked) {
        // Nobody waits any more when the node has been dropped meanwhile.
        let _ = self.0.send(worked);
    }
}

/// Does the work of attempts.
pub trait Worker: Send + Sync + 'static {
    /// Starts an attempt's work and returns at once; `done` takes what comes of it. Not called for
    /// more attempts at once than the node has slots.
    fn start(&self, assignment: Assignment, done: Done);
}

/// Scores, on niced threads of its own.
#[derive(Debug)]
pub(crate) struct ScoringWorker {
    run: RunConfig,
    scratch: Scratch,
}

impl ScoringWorker {
    pub fn new(config: &Config) -> Self {
        Self { run: run_config(config), scratch: Scratch::new(config) }
    }
}

/// With what runs are done: those of attempts and of direct scoring.
pub(crate) fn run_config(config: &Config) -> RunConfig {
    let policy = SourcePolicy::below(config.source_roots.iter().cloned());
    let policy = if config.source_hosts.is_empty() {
        policy
    } else {
        policy.with_urls(["https".to_owned()], config.source_hosts.iter().cloned())
    };
    let ffmpeg = FfmpegConfig { program: config.ffmpeg.clone(), ..FfmpegConfig::default() };
    RunConfig {
        media: MediaConfig { policy, ffmpeg, picture_pixels_max: config.picture_pixels_max.get() },
        threads: config.threads_per_slot,
        niced: true,
        isa_limit: config.isa_limit,
    }
}

impl Worker for ScoringWorker {
    fn start(&self, assignment: Assignment, done: Done) {
        let run = self.run.clone();
        let began = Instant::now();
        let scratch = self.scratch.clone();
        let work = move || done.send(score(&assignment, &run, &scratch));
        // `done` goes with a closure that was not started, and the attempt fails; the cause is
        // logged here.
        if let Err(error) = std::thread::Builder::new().name("attempt".to_owned()).spawn(work) {
            tracing::error!(%error, waited = ?began.elapsed(), "no thread for an attempt");
        }
    }
}

/// Scores every pair of a part, in one walk over the reference, or encodes and scores.
fn score(assignment: &Assignment, run: &RunConfig, scratch: &Scratch) -> Worked {
    let Assignment { lease, stop, progress } = assignment;
    let began = Instant::now();
    let run_began_at = SystemTime::now();
    if let Some(encode) = &lease.spec.encode {
        let outcome = scratch.try_out(&lease.spec, encode, run, stop, progress.begin());
        let outcome = outcome.map(|report| vec![report]);
        return Worked { began, ended: Instant::now(), run_began_at, outcome };
    }
    let outcome = scoring::run_job(&lease.spec, run, stop, &progress.begin());
    let outcome = outcome.map_err(|error| error.to_failure());
    Worked { began, ended: Instant::now(), run_began_at, outcome }
}
