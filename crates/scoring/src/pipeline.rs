//! The frames of a run: readers fill, workers score, and one lock keeps them in step.
//!
//! Invariants: a reader never holds more pictures than its pool makes, and waits while all are in
//! use: that is the back-pressure. Workers take frames in order and may finish in any. Whoever
//! fails first decides the run's error; everybody else sees it and leaves, also a reader that waits
//! for bytes, which a cancel of the run's own [`Stop`] reaches. Every wait ends at the
//! latest after [`STOP_CHECK_INTERVAL`] to look at the stop signal, and no wait relies on that to
//! make progress: pictures are given back before the lock is taken and the readers are told.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{
    FrameAnalyzer, FrameInput, FrameValues, Isa, Needs, PICTURES_BEFORE_MAX, Picture, PictureMut,
    PicturePool, PictureSpec, PictureWithPast, Plan, Sequence, SequenceError,
};
use media::stop::STOP_CHECK_INTERVAL;
use media::{MediaError, Pair, PairRange, Stop, Video};
use rustix::time::{ClockId, clock_gettime};

use crate::error::ScoreError;
use crate::progress::Progress;
use crate::stream::PairSource;

/// Pictures of each video that may wait for a worker or be filled, beyond those being scored.
const LOOKAHEAD_PICTURES: usize = 2;

/// What computes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workers {
    pub threads: NonZeroUsize,
    pub isa: Isa,
}

/// Which video of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Reference = 0,
    Distorted = 1,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Reference => Self::Distorted,
            Self::Distorted => Self::Reference,
        }
    }
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

/// What a run of the pipeline gives.
#[derive(Debug)]
pub(crate) struct Outcome<C = Sequence> {
    /// What took the values of every frame.
    pub sequence: C,
    /// The video that ended before the other, if one did.
    pub length_mismatch: Option<Side>,
    /// The limit ended the frames, not a video.
    pub was_cut: bool,
    /// How long at least one frame was being scored.
    pub score_time: Duration,
    /// CPU time by extractor.
    pub feature_times: Vec<(String, Duration)>,
}

/// Reads and scores all frames of the range. `stop` is the run's own, with which the pair was
/// opened: it is cancelled when the run fails.
pub(crate) fn run(
    plan: &Arc<Plan>,
    pair: Pair,
    range: &PairRange,
    workers: Workers,
    stop: &Stop,
    progress: &Progress,
) -> Result<Outcome, ScoreError> {
    let info = pair.reference.info();
    let (width, height, format) = (info.width, info.height, info.format);
    let spec = PictureSpec { width, height, format, planes: plan.needs().planes };
    let pools = Pools::new(spec, workers.threads, plan.needs())?;
    run_in(plan, pair, range, workers, stop, progress, &pools)
}

/// As [`run`], with the pictures of these pools.
fn run_in(
    plan: &Arc<Plan>,
    pair: Pair,
    range: &PairRange,
    workers: Workers,
    stop: &Stop,
    progress: &Progress,
    pools: &Pools,
) -> Result<Outcome, ScoreError> {
    let spec = *pools.reference.spec();
    let sequence = Sequence::new(Arc::clone(plan), spec.width, spec.height);
    let limit = range.frame_count_max.unwrap_or(u64::MAX);
    let shared = Shared::new(sequence, plan.needs(), stop, progress, limit);
    std::thread::scope(|scope| {
        let Pair { reference, distorted } = pair;
        let readers = [
            (Side::Reference, reference, range.skip_reference, &pools.reference),
            (Side::Distorted, distorted, range.skip_distorted, &pools.distorted),
        ];
        for (side, video, skip, pool) in readers {
            let shared = &shared;
            spawn(scope, shared, "score-read", move || shared.read(side, video, skip, pool));
        }
        spawn_workers(scope, &shared, plan, spec, workers);
    });
    shared.into_outcome()
}

/// Scores the frames that a source hands over, both pictures of each at once, `frames_max` at most.
pub(crate) fn run_fed<C: Collect>(
    plan: &Arc<Plan>,
    spec: PictureSpec,
    (source, frames_max): (&mut dyn PairSource, u64),
    collector: C,
    workers: Workers,
    stop: &Stop,
    progress: &Progress,
) -> Result<Outcome<C>, ScoreError> {
    let pools = Pools::new(spec, workers.threads, plan.needs())?;
    let shared = Shared::new(collector, plan.needs(), stop, progress, frames_max);
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
    workers: Workers,
) {
    for _ in 0..workers.threads.get() {
        spawn(scope, shared, "score-compute", move || {
            let analyzer = FrameAnalyzer::new(Arc::clone(plan), spec, workers.isa);
            shared.score(analyzer)
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

/// The memory of both videos' pictures.
struct Pools {
    reference: PicturePool,
    distorted: PicturePool,
}

impl Pools {
    /// A worker holds the picture of its frame and those before that are looked at, which may be
    /// no other worker's; those before the frame to come are kept.
    fn new(spec: PictureSpec, threads: NonZeroUsize, needs: Needs) -> Result<Self, ScoreError> {
        let pool = |before: u64| {
            let before = before as usize;
            let pictures = (1 + before) * threads.get() + before + LOOKAHEAD_PICTURES;
            let capacity = NonZeroUsize::new(pictures).expect("a worker holds one at least");
            PicturePool::new(spec, capacity)
        };
        Ok(Self {
            reference: pool(needs.references_before)?,
            distorted: pool(needs.distorted_before)?,
        })
    }

    #[cfg(test)]
    fn alive(&self) -> usize {
        self.reference.alive() + self.distorted.alive()
    }

    /// How many pictures can be alive: takes all that there are.
    #[cfg(test)]
    fn capacity(&self) -> usize {
        [&self.reference, &self.distorted]
            .into_iter()
            .map(|pool| std::iter::from_fn(|| pool.try_take()).collect::<Vec<_>>().len())
            .sum()
    }
}

/// How a video's frames came to an end.
#[derive(Debug, Clone, Copy)]
struct End {
    frame_count: u64,
    /// It has more, but no more count.
    cut: bool,
}

struct State<C> {
    queues: [VecDeque<Picture>; 2],
    ends: [Option<End>; 2],
    /// The pictures of both videos before the next frame.
    past: [Past; 2],
    next_frame: u64,
    frames_in_work: usize,
    in_work_since: Instant,
    score_time: Duration,
    sequence: C,
    feature_times: Vec<(String, Duration)>,
    failure: Option<ScoreError>,
}

/// A frame to score: of both videos its picture and those before.
struct Frame {
    index: u64,
    pictures: [(Picture, [Option<Picture>; PICTURES_BEFORE_MAX]); 2],
}

impl Frame {
    fn picture(&self, side: Side) -> PictureWithPast<'_> {
        let (picture, before) = &self.pictures[side as usize];
        PictureWithPast { picture, before: before.each_ref().map(Option::as_ref) }
    }
}

/// The last pictures of a video that frames to come look back on, the nearest first.
#[derive(Debug, Default)]
struct Past {
    kept: usize,
    pictures: [Option<Picture>; PICTURES_BEFORE_MAX],
}

impl Past {
    fn keeping(kept: u64) -> Self {
        Self { kept: kept as usize, pictures: Default::default() }
    }

    /// What came before `picture`, which is kept for those after it.
    fn before(&mut self, picture: &Picture) -> [Option<Picture>; PICTURES_BEFORE_MAX] {
        let before = self.pictures.clone();
        self.pictures.rotate_right(1);
        self.pictures[0] = Some(picture.clone());
        self.pictures[self.kept..].fill(None);
        before
    }
}

impl<C: Collect> State<C> {
    fn new(sequence: C, needs: Needs) -> Self {
        Self {
            queues: Default::default(),
            ends: [None, None],
            past: [needs.references_before, needs.distorted_before].map(Past::keeping),
            next_frame: 0,
            frames_in_work: 0,
            in_work_since: Instant::now(),
            score_time: Duration::ZERO,
            sequence,
            feature_times: Vec::new(),
            failure: None,
        }
    }

    /// The next frame, when both of its pictures are there.
    fn take_frame(&mut self) -> Option<Frame> {
        if self.queues.iter().any(VecDeque::is_empty) {
            return None;
        }
        let [reference, distorted] = &mut self.queues;
        let pictures = [reference.pop_front()?, distorted.pop_front()?];
        let mut past = self.past.iter_mut();
        let pictures = pictures.map(|picture| {
            let before = past.next().map(|past| past.before(&picture)).unwrap_or_default();
            (picture, before)
        });
        let index = self.next_frame;
        self.next_frame += 1;
        if self.frames_in_work == 0 {
            self.in_work_since = Instant::now();
        }
        self.frames_in_work += 1;
        Some(Frame { index, pictures })
    }

    fn frame_left_work(&mut self) {
        self.frames_in_work -= 1;
        if self.frames_in_work == 0 {
            self.score_time += self.in_work_since.elapsed();
        }
    }

    /// Whether no frame will come any more.
    fn is_drained(&self) -> bool {
        self.ends.iter().flatten().any(|end| end.frame_count <= self.next_frame)
    }

    /// Whether a video's frame of this index can no longer count. The first such frame is still
    /// read, to tell that the video goes on.
    fn is_surplus(&self, side: Side, frame_index: u64) -> bool {
        self.ends[side.other() as usize].is_some_and(|end| frame_index > end.frame_count)
    }

    /// The video that ended by itself while the other went on.
    fn length_mismatch(&self) -> Option<Side> {
        let [Some(reference), Some(distorted)] = self.ends else { return None };
        if reference.frame_count < distorted.frame_count && !reference.cut {
            Some(Side::Reference)
        } else if distorted.frame_count < reference.frame_count && !distorted.cut {
            Some(Side::Distorted)
        } else {
            None
        }
    }
}

struct Shared<'a, C> {
    state: Mutex<State<C>>,
    /// A frame may be there, or the end is.
    work: Condvar,
    /// A picture may be free, or no more are wanted.
    space: Condvar,
    stop: &'a Stop,
    progress: &'a Progress,
    limit: u64,
}

impl<'r, C: Collect> Shared<'r, C> {
    fn new(sequence: C, needs: Needs, stop: &'r Stop, progress: &'r Progress, limit: u64) -> Self {
        Self {
            state: Mutex::new(State::new(sequence, needs)),
            work: Condvar::new(),
            space: Condvar::new(),
            stop,
            progress,
            limit,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        // A panic under the lock is recorded as the run's failure; what is left is only read then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State<C>>) -> MutexGuard<'a, State<C>> {
        let waited = condition.wait_timeout(state, STOP_CHECK_INTERVAL);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Records the first error and sends everybody home, in this order: the cancel that others see
    /// then is not what went wrong.
    fn fail(&self, error: ScoreError) {
        self.lock().failure.get_or_insert(error);
        self.stop.cancel.cancel();
        self.work.notify_all();
        self.space.notify_all();
    }

    /// A reader's life.
    fn read(
        &self,
        side: Side,
        mut video: Video,
        skip: u64,
        pool: &PicturePool,
    ) -> Result<(), ScoreError> {
        let skipped = video.skip_frames(skip)?;
        let (mut frame_count, mut counted_bytes) = (0, 0);
        let mut cut = true;
        while frame_count < self.limit {
            let Some(mut picture) = self.wait_for_picture(side, frame_count, pool)? else { break };
            let more = skipped == skip && video.read_frame(&mut picture)?;
            self.progress.add_bytes_read(video.bytes_read() - counted_bytes);
            counted_bytes = video.bytes_read();
            if !more {
                cut = false;
                break;
            }
            self.push(side, picture.freeze());
            frame_count += 1;
        }
        if frame_count == 0 && !cut {
            let detail = match (skip, skipped) {
                (0, _) => "it has none at all".to_owned(),
                _ => format!("{skip} were to be skipped and it has {skipped}"),
            };
            return Err(MediaError::ZeroFrames { name: video.info().name.clone(), detail }.into());
        }
        // The decoder ends before the run is said to have ended.
        drop(video);
        self.lock().ends[side as usize] = Some(End { frame_count, cut });
        self.work.notify_all();
        self.space.notify_all();
        Ok(())
    }

    /// The life of the one reader of a source.
    fn feed(&self, source: &mut dyn PairSource, pools: &Pools) -> Result<(), ScoreError> {
        let (mut frame_count, mut cut) = (0, false);
        loop {
            let reference =
                self.wait_for_picture(Side::Reference, frame_count, &pools.reference)?;
            let distorted =
                self.wait_for_picture(Side::Distorted, frame_count, &pools.distorted)?;
            let (Some(mut reference), Some(mut distorted)) = (reference, distorted) else { break };
            let Some(bytes) = source.fill(&mut reference, &mut distorted, self.stop)? else {
                break;
            };
            self.progress.add_bytes_read(bytes);
            // One more is read than is scored, to tell an end from a cut.
            cut = frame_count == self.limit;
            if cut {
                break;
            }
            self.push(Side::Reference, reference.freeze());
            self.push(Side::Distorted, distorted.freeze());
            frame_count += 1;
        }
        if frame_count == 0 {
            let (name, detail) = ("the stream".to_owned(), "it has none at all".to_owned());
            return Err(MediaError::ZeroFrames { name, detail }.into());
        }
        self.lock().ends = [Some(End { frame_count, cut }); 2];
        self.work.notify_all();
        Ok(())
    }

    /// A picture to fill; `None` when no more are wanted.
    fn wait_for_picture(
        &self,
        side: Side,
        frame_index: u64,
        pool: &PicturePool,
    ) -> Result<Option<PictureMut>, ScoreError> {
        let mut state = self.lock();
        loop {
            self.stop.check()?;
            if state.failure.is_some() || state.is_surplus(side, frame_index) {
                return Ok(None);
            }
            if let Some(picture) = pool.try_take() {
                return Ok(Some(picture));
            }
            state = Self::wait(&self.space, state);
        }
    }

    fn push(&self, side: Side, picture: Picture) {
        self.lock().queues[side as usize].push_back(picture);
        self.work.notify_one();
    }

    /// A worker's life.
    fn score(&self, mut analyzer: FrameAnalyzer) -> Result<(), ScoreError> {
        while let Some(frame) = self.wait_for_frame()? {
            let input = FrameInput {
                frame_index: frame.index,
                reference: frame.picture(Side::Reference),
                distorted: &[frame.picture(Side::Distorted)],
            };
            let values = analyzer.analyze(&input, &mut thread_cpu_time)?;
            // Before the lock: a reader that is told of space must find it.
            drop(frame);
            for values in values {
                self.add(values)?;
            }
        }
        let mut state = self.lock();
        for (name, time) in analyzer.times() {
            match state.feature_times.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += time,
                None => state.feature_times.push((name.to_owned(), time)),
            }
        }
        Ok(())
    }

    /// The next frame; `None` at the end.
    fn wait_for_frame(&self) -> Result<Option<Frame>, ScoreError> {
        let mut state = self.lock();
        loop {
            self.stop.check()?;
            if state.failure.is_some() {
                return Ok(None);
            }
            if let Some(frame) = state.take_frame() {
                drop(state);
                // A picture that was kept until now may be free.
                self.space.notify_all();
                return Ok(Some(frame));
            }
            if state.is_drained() {
                return Ok(None);
            }
            state = Self::wait(&self.work, state);
        }
    }

    fn add(&self, values: FrameValues) -> Result<(), ScoreError> {
        let mut state = self.lock();
        state.frame_left_work();
        state.sequence.add(values)?;
        drop(state);
        self.space.notify_all();
        self.progress.frame_done();
        Ok(())
    }

    fn into_outcome(self) -> Result<Outcome<C>, ScoreError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let length_mismatch = state.length_mismatch();
        let was_cut = state.ends.iter().flatten().any(|end| end.cut);
        if let Some(failure) = state.failure {
            return Err(failure);
        }
        Ok(Outcome {
            sequence: state.sequence,
            length_mismatch,
            was_cut,
            score_time: state.score_time,
            feature_times: state.feature_times,
        })
    }
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests;
