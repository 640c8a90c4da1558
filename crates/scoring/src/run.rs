//! A run from its first step to its report.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Isa, IsaLevel, PictureSpec, Sequence};
use media::{MediaConfig, Pair, Stop, length_warning};
use types::{Provenance, ScoreReport, Stage, StageTimings, Warning};

use crate::error::ScoreError;
use crate::pipeline::{self, Outcome, Workers};
use crate::progress::Progress;
use crate::request::ScoreRequest;

/// How much a niced run steps back: as far as there is, so that heartbeats and commits go first.
const NICENESS: i32 = 19;

/// With what a run is done. None of it changes a score.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// Source rules and decoder.
    pub media: MediaConfig,
    /// Threads that compute features; two more read.
    pub threads: NonZeroUsize,
    /// Runs all threads and decoders of the run at a lower priority, so that heartbeats and
    /// requests in the same process never wait for them.
    pub niced: bool,
    /// The instruction set above which none is used.
    pub isa_limit: IsaLevel,
}

impl RunConfig {
    /// As many threads as the process may use CPUs, at normal priority, on the best instruction set.
    #[must_use]
    pub fn new(media: MediaConfig) -> Self {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { media, threads, niced: false, isa_limit: IsaLevel::Avx512 }
    }
}

/// Scores a pair. Blocks until done; to be called on a thread that may block for long.
///
/// Ends within 200 ms of a cancel or of the deadline in `stop`, or when the frames being computed
/// then are done, where that takes longer.
///
/// # Errors
/// [`ScoreError`] names everything that can go wrong.
pub fn run(
    request: &ScoreRequest,
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<ScoreReport, ScoreError> {
    on_own_thread("score", config.niced, || {
        let result = run_here(request, config, stop, progress);
        progress.add_cpu_time(pipeline::thread_cpu_time());
        result
    })?
}

/// Runs `work` on a thread of its own, so that niceness, which cannot be taken back, ends with it.
/// All that it starts, decoders and encoders included, inherits it.
///
/// # Errors
/// When there is no thread, or `work` panics.
pub(crate) fn on_own_thread<T: Send>(
    name: &str,
    niced: bool,
    work: impl FnOnce() -> T + Send,
) -> Result<T, ScoreError> {
    std::thread::scope(|scope| {
        let whole = std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, || {
            if niced {
                // Refused at worst; the run is then as nice as its caller.
                let _ = rustix::process::setpriority_process(None, NICENESS);
            }
            work()
        });
        let joined = whole.map_err(ScoreError::Thread)?.join();
        joined.map_err(|payload| ScoreError::from_panic(&*payload))
    })
}

fn run_here(
    request: &ScoreRequest,
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<ScoreReport, ScoreError> {
    let mut clock = StageClock::start();
    stop.check()?;
    let stop = &stop.child();
    let plan = Arc::new(request.plan(&config.media.policy)?);
    let (reference, distorted) = (&request.reference, &request.distorted);
    let pair = Pair::open_as(reference, distorted, request.conform, &config.media, stop)?;
    progress.set_total(pair.frame_count_estimate(&request.range));
    let infos = [pair.reference.info().clone(), pair.distorted.info().clone()];
    let isa = Isa::detect(config.isa_limit);
    let workers = Workers { threads: config.threads, isa };
    clock.end_of(Stage::Fetch);

    let outcome = pipeline::run(&plan, pair, &request.range, workers, stop, progress)?;
    clock.share(Stage::Score, outcome.score_time, Stage::Decode);
    let Outcome { sequence, length_mismatch, feature_times, .. } = outcome;

    let mut warnings: Vec<Warning> = Vec::new();
    if let Some(ended) = length_mismatch {
        let frame_count = sequence.len() as u64;
        let (ended, other) = (&infos[ended as usize], &infos[1 - ended as usize]);
        warnings.push(length_warning(ended, other, frame_count));
    }
    warnings.extend(small_picture_warning(infos[0].width, infos[0].height));
    let provenance = Provenance {
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        isa: isa.to_string(),
        decoders: infos.map(|info| info.decoder).into(),
    };
    let mut report = finish(sequence, warnings, provenance)?;
    clock.end_of(Stage::Pool);
    report.timings = clock.finish(feature_times);
    Ok(report)
}

fn finish(
    sequence: Sequence,
    warnings: Vec<Warning>,
    provenance: Provenance,
) -> Result<ScoreReport, ScoreError> {
    let scores = sequence.finish()?;
    Ok(scores.into_report(warnings, provenance, StageTimings::default()))
}

fn small_picture_warning(width: u32, height: u32) -> Option<Warning> {
    let side_min = PictureSpec::DEFINED_SIDE_MIN;
    (width.min(height) < side_min).then(|| Warning {
        code: "small_picture".to_owned(),
        message: format!(
            "pictures of {width}x{height} have a side below {side_min} samples: libvmaf has no defined result \
             for them, so there is nothing to compare this score with"
        ),
    })
}

/// Cuts the wall time into stages without a gap between them.
struct StageClock {
    began: Instant,
    mark: Instant,
    timings: StageTimings,
}

impl StageClock {
    fn start() -> Self {
        let now = Instant::now();
        Self { began: now, mark: now, timings: StageTimings::default() }
    }

    /// Charges the time since the last mark to `stage`.
    fn end_of(&mut self, stage: Stage) {
        let now = Instant::now();
        self.timings.add(stage, now - self.mark);
        self.mark = now;
    }

    /// Charges `time` of what passed since the last mark to `stage`, and the rest to `rest`.
    fn share(&mut self, stage: Stage, time: Duration, rest: Stage) {
        let now = Instant::now();
        let passed = now - self.mark;
        let time = time.min(passed);
        self.timings.add(stage, time);
        self.timings.add(rest, passed - time);
        self.mark = now;
    }

    fn finish(mut self, features: Vec<(String, Duration)>) -> StageTimings {
        // Up to the last mark, so that nothing lies between the stages and their sum.
        self.timings.wall = self.mark - self.began;
        self.timings.features = features;
        self.timings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_leave_no_gap() {
        let mut clock = StageClock::start();
        clock.end_of(Stage::Fetch);
        clock.share(Stage::Score, Duration::from_secs(100), Stage::Decode);
        clock.end_of(Stage::Pool);
        let mark = clock.mark - clock.began;
        let timings = clock.finish(Vec::new());
        let sum: Duration = timings.stages.iter().map(|(_, time)| *time).sum();
        assert_eq!((sum, timings.wall), (mark, mark));
        assert_eq!(timings.stage(Stage::Decode), Duration::ZERO);
    }

    #[test]
    fn pictures_without_a_reference_result_are_warned_of() {
        assert!(small_picture_warning(640, 32).is_some());
        assert!(small_picture_warning(33, 33).is_none());
    }
}
