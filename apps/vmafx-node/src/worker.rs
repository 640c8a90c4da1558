//! Who does the work of an attempt: scoring on threads of its own, away from the runtime.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use media::{FfmpegConfig, MediaConfig, SourcePolicy, Stop};
use scoring::{RunConfig, ScoreRequest};
use tokio::sync::oneshot;
use types::{Failure, FailureKind, Lease, ScoreReport};

use crate::config::Config;
use crate::scratch::Scratch;

/// How far the runs of one attempt are: one run for each distorted video, one after the other.
#[derive(Debug, Clone, Default)]
pub struct PartProgress(Arc<Mutex<Runs>>);

#[derive(Debug, Default)]
struct Runs {
    begun: Vec<scoring::Progress>,
    expected: usize,
}

impl PartProgress {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how many runs there will be.
    fn expect(&self, runs: usize) {
        self.lock().expected = runs;
    }

    /// The next run begins.
    fn begin(&self) -> scoring::Progress {
        let progress = scoring::Progress::new();
        self.lock().begun.push(progress.clone());
        progress
    }

    /// Frames whose features are computed, over all runs.
    #[must_use]
    pub fn frames_done(&self) -> u64 {
        self.lock().begun.iter().map(scoring::Progress::frames_done).sum()
    }

    /// Bytes of video read, over all runs.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.lock().begun.iter().map(scoring::Progress::bytes_read).sum()
    }

    /// CPU time of the threads of all runs, each counted when it has ended.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        self.lock().begun.iter().map(scoring::Progress::cpu_time).sum()
    }

    /// Frames there seem to be, over all runs; `None` until every run can tell.
    #[must_use]
    pub fn frames_total(&self) -> Option<u64> {
        let runs = self.lock();
        if runs.begun.is_empty() || runs.begun.len() < runs.expected {
            return None;
        }
        runs.begun.iter().map(scoring::Progress::frames_total).sum()
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
    /// When each of the reports' runs began.
    pub runs_began_at: Vec<SystemTime>,
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
        let policy = SourcePolicy::below(config.source_roots.iter().cloned());
        let policy = if config.source_hosts.is_empty() {
            policy
        } else {
            policy.with_urls(["https".to_owned()], config.source_hosts.iter().cloned())
        };
        let ffmpeg = FfmpegConfig { program: config.ffmpeg.clone(), ..FfmpegConfig::default() };
        let run = RunConfig {
            media: MediaConfig { policy, ffmpeg },
            threads: config.threads_per_slot,
            niced: true,
            isa_limit: config.isa_limit,
        };
        Self { run, scratch: Scratch::new(config) }
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

/// Scores every pair of a part, one after the other, or encodes and scores.
fn score(assignment: &Assignment, run: &RunConfig, scratch: &Scratch) -> Worked {
    let Assignment { lease, stop, progress } = assignment;
    let began = Instant::now();
    let mut runs_began_at = Vec::new();
    if let Some(encode) = &lease.spec.encode {
        progress.expect(1);
        runs_began_at.push(SystemTime::now());
        let outcome = scratch.try_out(&lease.spec, encode, run, stop, progress.begin());
        let outcome = outcome.map(|report| vec![report]);
        return Worked { began, ended: Instant::now(), runs_began_at, outcome };
    }
    let mut one = |index: usize| {
        let request = ScoreRequest::from_job(&lease.spec, index).ok_or_else(|| {
            Failure::new(FailureKind::InvalidJob, format!("there is no distorted video {index}"))
        })?;
        runs_began_at.push(SystemTime::now());
        scoring::run(&request, run, stop, &progress.begin()).map_err(|error| error.to_failure())
    };
    progress.expect(lease.spec.distorted.len());
    let outcome = (0..lease.spec.distorted.len()).map(&mut one).collect();
    Worked { began, ended: Instant::now(), runs_began_at, outcome }
}
