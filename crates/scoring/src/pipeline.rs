//! The frames of a run: readers fill, workers score, and one lock keeps them in step. A run has one
//! reference and any number of distorted videos, which share the work on it. Where all frames lie in
//! files the workers read as well, in the order of frames, and nobody else does.
//!
//! Invariants: a reader never holds more pictures than its pool makes, and waits while all are in
//! use: that is the back-pressure. Workers take frames in order and may finish in any. Whoever
//! fails first decides the run's error; everybody else sees it and leaves, also a reader that waits
//! for bytes, which a cancel of the run's own [`Stop`] reaches. Every wait ends at the
//! latest after [`STOP_CHECK_INTERVAL`](media::stop::STOP_CHECK_INTERVAL) to look at the stop signal, and no wait relies on that to
//! make progress: pictures are given back before the lock is taken and the readers are told.

mod reading;
mod shared;
mod state;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use engine::{
    FrameAnalyzer, FrameValues, HeatMapSink, Isa, Needs, PicturePool, PictureSpec, Plan, Sequence,
    SequenceError,
};
use media::{PairRange, Stop, Video};
use rustix::time::{ClockId, clock_gettime};

use crate::error::ScoreError;
use crate::progress::Progress;
use crate::stream::PairSource;
use reading::Reader;
use shared::Shared;
use state::Order;

/// Pictures of each video that may wait for workers or be filled, beyond those being scored. A
/// single worker is served by the one that is filled while it scores.
const LOOKAHEAD_PICTURES: usize = 2;

/// What computes.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    pub threads: NonZeroUsize,
    pub isa: Isa,
    /// What is shown the heat maps of `cambi`.
    pub heat_maps: Option<Arc<dyn HeatMapSink>>,
}

/// The number of the reference among the videos of a run; the distorted ones follow.
const REFERENCE: usize = 0;

/// Which of two videos was at its end before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Reference,
    Distorted,
}

/// Where the values of frames go, in whatever order they come. Called under the run's lock.
pub(crate) trait Collect: Send {
    fn add(&mut self, values: FrameValues) -> Result<(), SequenceError>;
}

impl Collect for Sequence {
    fn add(&mut self, values: FrameValues) -> Result<(), SequenceError> {
        Self::add(self, values)
    }
}

/// What became of one distorted video.
#[derive(Debug)]
pub(crate) struct Collected<C> {
    /// What took the values of its frames.
    pub collector: C,
    /// The video that ended before the other, if one did.
    pub ended_first: Option<Ended>,
    /// Whether the first pictures of the reference and of the video have samples above their depth.
    pub exceed_depth: [bool; 2],
}

/// What a run of the pipeline gives.
#[derive(Debug)]
pub(crate) struct Outcome<C = Sequence> {
    /// One a distorted video, in their order. An error is of that video alone.
    pub collected: Vec<Result<Collected<C>, ScoreError>>,
    /// The limit ended the frames, not a video.
    pub was_cut: bool,
    /// How long at least one frame was being scored.
    pub score_time: Duration,
    /// CPU time by extractor.
    pub feature_times: Vec<(String, Duration)>,
}

/// Reads and scores all frames of the range. `stop` is the run's own, with which the videos were
/// opened: it is cancelled when the run fails.
pub(crate) fn run(
    plan: &Arc<Plan>,
    videos: (Video, Vec<Video>),
    range: &PairRange,
    workers: &Workers,
    stop: &Stop,
    progress: &Progress,
) -> Result<Outcome, ScoreError> {
    let info = videos.0.info();
    let (width, height, format) = (info.width, info.height, info.format);
    let spec = PictureSpec { width, height, format, planes: plan.needs().planes };
    plan.check_pictures(&spec)?;
    let at_hand = videos.1.iter().map(Video::is_at_hand);
    let pools = Pools::new(
        spec,
        (videos.0.is_at_hand(), at_hand.collect()),
        workers.threads,
        plan.needs(),
    )?;
    run_in(plan, videos, range, workers, stop, progress, &pools)
}

/// As [`run`], with the pictures of these pools.
fn run_in(
    plan: &Arc<Plan>,
    (reference, distorted): (Video, Vec<Video>),
    range: &PairRange,
    workers: &Workers,
    stop: &Stop,
    progress: &Progress,
    pools: &Pools,
) -> Result<Outcome, ScoreError> {
    let spec = *pools.reference.spec();
    let sequence = |_: &Video| Sequence::new(Arc::clone(plan), spec.width, spec.height);
    let sequences = distorted.iter().map(sequence).collect();
    let limit = range.frame_count_max.unwrap_or(u64::MAX);
    let shared = Shared::new(sequences, (plan.needs(), pools.order), stop, progress, limit);
    let reference = (reference, range.skip_reference, &pools.reference);
    let distorted = distorted.into_iter().zip(&pools.distorted);
    let distorted = distorted.map(|(video, pool)| (video, range.skip_distorted, pool));
    let readers = std::iter::once(reference).chain(distorted).enumerate();
    let readers =
        readers.map(|(number, (video, skip, pool))| Reader::new(number, video, skip, pool.clone()));
    if pools.order == Order::InTurns {
        let shared = shared.with_readers(readers);
        std::thread::scope(|scope| spawn_workers(scope, &shared, plan, spec, workers));
        shared.find_ends().unwrap_or_else(|error| shared.fail(error));
        return shared.into_outcome();
    }
    std::thread::scope(|scope| {
        let shared = &shared;
        for reader in readers {
            spawn(scope, shared, "score-read", move || shared.read(reader));
        }
        spawn_workers(scope, shared, plan, spec, workers);
    });
    shared.into_outcome()
}

/// Scores the frames that a source hands over, both pictures of each at once, `frames_max` at most.
pub(crate) fn run_fed<C: Collect>(
    plan: &Arc<Plan>,
    spec: PictureSpec,
    (source, frames_max): (&mut dyn PairSource, u64),
    collector: C,
    workers: &Workers,
    stop: &Stop,
    progress: &Progress,
) -> Result<Outcome<C>, ScoreError> {
    plan.check_pictures(&spec)?;
    let pools = Pools::new(spec, (false, vec![false]), workers.threads, plan.needs())?;
    let shared =
        Shared::new(vec![collector], (plan.needs(), pools.order), stop, progress, frames_max);
    std::thread::scope(|scope| {
        let (shared, pools) = (&shared, &pools);
        spawn(scope, shared, "score-read", move || shared.feed(source, pools));
        spawn_workers(scope, shared, plan, spec, workers);
    });
    shared.into_outcome()
}

fn spawn_workers<'scope, 'env, C: Collect>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    shared: &'scope Shared<'_, C>,
    plan: &'scope Arc<Plan>,
    spec: PictureSpec,
    workers: &Workers,
) {
    for _ in 0..workers.threads.get() {
        let (isa, heat_maps) = (workers.isa, workers.heat_maps.clone());
        spawn(scope, shared, "score-compute", move || {
            let analyzer = FrameAnalyzer::new(Arc::clone(plan), spec, isa);
            shared.score(match heat_maps {
                Some(sink) => analyzer.with_heat_maps(sink),
                None => analyzer,
            })
        });
    }
}

/// Starts a thread whose error or panic becomes the run's.
fn spawn<'scope, 'env, C: Collect>(
    scope: &'scope std::thread::Scope<'scope, 'env>,
    shared: &'scope Shared<'_, C>,
    name: &str,
    body: impl FnOnce() -> Result<(), ScoreError> + Send + 'scope,
) {
    let guarded = move || match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => shared.fail(error),
        Err(payload) => shared.fail(ScoreError::from_panic(&*payload)),
    };
    let counted = move || {
        guarded();
        shared.progress.add_cpu_time(thread_cpu_time());
    };
    if let Err(error) =
        std::thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, counted)
    {
        shared.fail(ScoreError::Thread(error));
    }
}

/// The memory of all videos' pictures, and when it is filled.
struct Pools {
    order: Order,
    reference: PicturePool,
    /// One a video, so that none starves another. In turns all are one with the reference's.
    distorted: Vec<PicturePool>,
}

impl Pools {
    /// `at_hand` says of the reference, and of each distorted video, whether its frames lie in a
    /// file: nothing is gained then by threads that read, since a worker need not wait for a frame
    /// that it can read itself.
    ///
    /// Else a worker holds the picture of its frame and those before that are looked at, which may be
    /// no other worker's; those before the frame to come are kept. Where motion alone looks back,
    /// a worker soon lets go of all but its own, which for a single one is among those kept.
    fn new(
        spec: PictureSpec,
        at_hand: (bool, Vec<bool>),
        threads: NonZeroUsize,
        needs: Needs,
    ) -> Result<Self, ScoreError> {
        if at_hand.0 && at_hand.1.iter().all(|at_hand| *at_hand) {
            return Self::in_turns(spec, at_hand.1.len(), threads.get(), needs);
        }
        let pool = |before: u64, at_hand: bool| {
            let before = before as usize;
            let pictures = match threads.get() {
                1 if at_hand => before + 1,
                1 if !needs.spatial_looks_back() => before.max(1) + 1,
                1 => before + 2,
                threads if !needs.spatial_looks_back() => threads + before + LOOKAHEAD_PICTURES,
                threads => (1 + before) * threads + before + LOOKAHEAD_PICTURES,
            };
            pool_of(spec, pictures)
        };
        Ok(Self {
            order: Order::Ahead,
            reference: pool(needs.references_before, at_hand.0)?,
            distorted: (at_hand.1.into_iter())
                .map(|at_hand| pool(needs.distorted_before, at_hand))
                .collect::<Result<_, _>>()?,
        })
    }

    /// As many as can be in use, so that no worker waits for memory that another has.
    ///
    /// Motion looks at a reference and those before it; where nothing else looks back, the other
    /// extractors look at the reference and the distorted pictures, which take the place of the
    /// references before. Of the frames in work the last one's references are those that the next
    /// frame looks back on, which are kept meanwhile.
    fn in_turns(
        spec: PictureSpec,
        distorted: usize,
        threads: usize,
        needs: Needs,
    ) -> Result<Self, ScoreError> {
        let before = needs.references_before as usize;
        let (of_last, of_each_other) = if needs.spatial_looks_back() {
            let all = before + 1 + distorted * (needs.distorted_before as usize + 1);
            (all, all)
        } else {
            (before.max(1) + distorted, 1 + distorted)
        };
        let (of_last, of_each_other) = (of_last.max(before + 1), of_each_other.max(before + 1));
        let pool = pool_of(spec, of_last + (threads - 1) * of_each_other)?;
        let distorted = vec![pool.clone(); distorted];
        Ok(Self { order: Order::InTurns, reference: pool, distorted })
    }

    #[cfg(test)]
    fn alive(&self) -> usize {
        let all = std::iter::once(&self.reference).chain(&self.distorted);
        all.map(PicturePool::alive).sum()
    }

    /// How many pictures can be alive: takes all that there are.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        let all = std::iter::once(&self.reference).chain(&self.distorted);
        all.flat_map(|pool| std::iter::from_fn(|| pool.try_take())).collect::<Vec<_>>().len()
    }
}

fn pool_of(spec: PictureSpec, pictures: usize) -> Result<PicturePool, ScoreError> {
    let capacity = NonZeroUsize::new(pictures).expect("a worker holds one at least");
    Ok(PicturePool::new(spec, capacity)?)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests;
