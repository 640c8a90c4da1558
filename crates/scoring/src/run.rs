//! A run from its first step to its report.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{HeatMapSink, Isa, IsaLevel, PictureSpec, Plan, Sequence, SequenceError};
use media::{
    MediaConfig, MediaError, Renditions, Stop, VideoInfo, depth_warning, exceeded_depth_warning,
    length_warning,
};
use types::{JobSpec, MediaRef, Provenance, ScoreReport, Stage, StageTimings, Warning};

use crate::error::ScoreError;
use crate::heat_maps::HeatMapFiles;
use crate::pipeline::{self, Collected, Ended, Workers};
use crate::progress::Progress;
use crate::request::ScoreRequest;

/// How much a niced run steps back: as far as there is, so that heartbeats and commits go first.
const NICENESS: i32 = 19;

/// With what a run is done. None of it changes a score.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// Source rules and decoder.
    pub media: MediaConfig,
    /// Threads that compute features, and read what lies in files as it is; what decoders and pipes
    /// give has one more for each video.
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
    let mut reports = run_each(request, &[], config, stop, progress)?;
    reports.pop().unwrap_or(Err(SequenceError::Empty.into()))
}

/// Scores several distorted videos against one reference: that of `request`, then `others`, each as
/// if it were the request's. The reference is decoded once, and the work that depends on it alone is
/// done once a frame. Blocks and ends as [`run`] does.
///
/// Gives one report a video, in their order, each with the bits of a run of its own. A stage's time in
/// them is the video's share: the whole time divided by their number.
///
/// # Errors
/// The outer error ends all: the reference's, a stop, a model or feature that is unknown. What
/// is wrong with one distorted video alone is its own error.
pub fn run_each(
    request: &ScoreRequest,
    others: &[MediaRef],
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<Vec<Result<ScoreReport, ScoreError>>, ScoreError> {
    apart(config.niced, progress, || run_here(request, others, config, stop, progress))
}

/// Scores every distorted video of a job, in one walk over its reference: a report each, in the job's
/// order. The first video that cannot be scored fails the job.
///
/// # Errors
/// As [`run_each`], and [`ScoreError`] of the first video that has one.
pub fn run_job(
    job: &JobSpec,
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<Vec<ScoreReport>, ScoreError> {
    let request = ScoreRequest::from_job(job, 0).ok_or(ScoreError::NothingDistorted)?;
    let reports = run_each(&request, &job.distorted[1..], config, stop, progress)?;
    reports.into_iter().collect()
}

/// Does the work of a run on a thread of its own, whose CPU time is the run's, too.
pub(crate) fn apart<T: Send>(
    niced: bool,
    progress: &Progress,
    work: impl FnOnce() -> Result<T, ScoreError> + Send,
) -> Result<T, ScoreError> {
    on_own_thread("score", niced, || {
        let result = work();
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
    others: &[MediaRef],
    config: &RunConfig,
    stop: &Stop,
    progress: &Progress,
) -> Result<Vec<Result<ScoreReport, ScoreError>>, ScoreError> {
    let mut clock = StageClock::start();
    stop.check()?;
    let stop = &stop.child();
    let plan = Arc::new(request.plan(&config.media.policy)?);
    let distorted: Vec<&MediaRef> = std::iter::once(&request.distorted).chain(others).collect();
    let distorted_count = distorted.len();
    let opened = Renditions::open(
        &request.reference,
        &distorted,
        request.conform,
        request.depths,
        &config.media,
        stop,
    )?;
    let total = opened.frame_count_estimate(&request.range);
    let Renditions { reference, distorted } = opened;
    let reference_info = (reference.info().clone(), reference.stored_depth());
    // What could not be opened has its error already; the rest is scored.
    let mut videos = Vec::new();
    let opened: Vec<Result<(VideoInfo, u8), MediaError>> = distorted
        .into_iter()
        .map(|video| {
            video.map(|video| {
                let info = (video.info().clone(), video.stored_depth());
                videos.push(video);
                info
            })
        })
        .collect();
    if videos.is_empty() {
        return Ok(opened.into_iter().filter_map(Result::err).map(|e| Err(e.into())).collect());
    }
    let shares = u32::try_from(videos.len()).unwrap_or(u32::MAX);
    progress.set_total(total);
    let isa = Isa::detect(config.isa_limit);
    let heat_maps = heat_maps(&plan, &reference_info.0, distorted_count)?;
    let sink = heat_maps.clone().map(|files| files as Arc<dyn HeatMapSink>);
    let workers = Workers { threads: config.threads, isa, heat_maps: sink };
    clock.end_of(Stage::Fetch);

    let range = &request.range;
    let outcome = pipeline::run(&plan, (reference, videos), range, &workers, stop, progress)
        .map_err(|error| heat_maps.and_then(|files| files.take_failure()).unwrap_or(error))?;
    clock.share(Stage::Score, outcome.score_time, Stage::Decode);
    let mut collected = outcome.collected.into_iter();
    let report = |info: (VideoInfo, u8), collected: Collected<Sequence>| {
        let Collected { collector: sequence, ended_first, exceed_depth } = collected;
        let frame_count = sequence.len() as u64;
        let mut warnings = warnings([&reference_info.0, &info.0], ended_first, frame_count);
        let depths = [&reference_info, &info].map(|(info, stored)| (info, *stored));
        warnings.extend(depth_warning(depths));
        let [(reference, stored), (distorted, stored_too)] = depths;
        warnings.extend(exceeded_depth_warning([
            (&reference.name, stored, exceed_depth[0]),
            (&distorted.name, stored_too, exceed_depth[1]),
        ]));
        let provenance = Provenance {
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            isa: isa.to_string(),
            decoders: vec![reference_info.0.decoder.clone(), info.0.decoder],
        };
        finish(sequence, warnings, provenance)
    };
    let mut reports: Vec<Result<ScoreReport, ScoreError>> = opened
        .into_iter()
        .map(|info| {
            let info = info?;
            report(info, collected.next().unwrap_or(Err(SequenceError::Empty.into()))?)
        })
        .collect();
    clock.end_of(Stage::Pool);
    let timings = clock.finish(outcome.feature_times).share(shares);
    for report in reports.iter_mut().flatten() {
        report.timings = timings.clone();
    }
    Ok(reports)
}

/// The files of heat maps, where some were asked for.
fn heat_maps(
    plan: &Plan,
    info: &VideoInfo,
    distorted_count: usize,
) -> Result<Option<Arc<HeatMapFiles>>, ScoreError> {
    if plan.heat_maps_folder().is_some() && distorted_count > 1 {
        return Err(ScoreError::HeatMapsOfMany);
    }
    let VideoInfo { width, height, format, .. } = *info;
    let spec = PictureSpec { width, height, format, planes: plan.needs().planes };
    plan.heat_maps(&spec).map(|maps| HeatMapFiles::create(&maps).map(Arc::new)).transpose()
}

/// What whoever reads the score should know of the pair's videos.
fn warnings(infos: [&VideoInfo; 2], ended_first: Option<Ended>, frame_count: u64) -> Vec<Warning> {
    let [reference, distorted] = infos;
    let length = ended_first.map(|ended| match ended {
        Ended::Reference => length_warning(reference, distorted, frame_count),
        Ended::Distorted => length_warning(distorted, reference, frame_count),
    });
    length.into_iter().chain(small_picture_warning(reference.width, reference.height)).collect()
}

fn finish(
    sequence: Sequence,
    warnings: Vec<Warning>,
    provenance: Provenance,
) -> Result<ScoreReport, ScoreError> {
    let scores = sequence.finish()?;
    Ok(scores.into_report(warnings, provenance, StageTimings::default()))
}

pub(crate) fn small_picture_warning(width: u32, height: u32) -> Option<Warning> {
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
#[derive(Debug)]
pub(crate) struct StageClock {
    began: Instant,
    mark: Instant,
    timings: StageTimings,
}

impl StageClock {
    pub(crate) fn start() -> Self {
        let now = Instant::now();
        Self { began: now, mark: now, timings: StageTimings::default() }
    }

    /// Charges the time since the last mark to `stage`.
    pub(crate) fn end_of(&mut self, stage: Stage) {
        let now = Instant::now();
        self.timings.add(stage, now - self.mark);
        self.mark = now;
    }

    /// Charges `time` of what passed since the last mark to `stage`, and the rest to `rest`.
    pub(crate) fn share(&mut self, stage: Stage, time: Duration, rest: Stage) {
        let now = Instant::now();
        let passed = now - self.mark;
        let time = time.min(passed);
        self.timings.add(stage, time);
        self.timings.add(rest, passed - time);
        self.mark = now;
    }

    pub(crate) fn finish(mut self, features: Vec<(String, Duration)>) -> StageTimings {
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
