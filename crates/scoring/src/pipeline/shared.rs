//! The lives of a run's threads: readers that fill pictures, workers that score frames.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use engine::{
    FrameAnalyzer, FrameInput, FrameValues, Needs, Picture, PictureMut, PicturePool,
    PictureWithPast,
};
use media::stop::STOP_CHECK_INTERVAL;
use media::{MediaError, Stop, Video};

use super::state::{End, Frame, Held, Order, State};
use super::{Collect, Collected, Outcome, Pools, REFERENCE, thread_cpu_time};
use crate::error::ScoreError;
use crate::progress::Progress;
use crate::stream::PairSource;

pub(super) struct Shared<'a, C> {
    state: Mutex<State<C>>,
    /// A frame may be there, or the end is.
    work: Condvar,
    /// A picture may be free, or no more are wanted.
    space: Condvar,
    stop: &'a Stop,
    pub(super) progress: &'a Progress,
    limit: u64,
    /// See [`Needs::spatial_looks_back`].
    looks_back: bool,
    order: Order,
}

fn pictures_of(distorted: &[(usize, Held)]) -> Vec<PictureWithPast<'_>> {
    distorted.iter().map(|(_, held)| held.pictures()).collect()
}

fn input_of<'a>(
    frame_index: u64,
    reference: &'a Held,
    distorted: &'a [PictureWithPast<'a>],
) -> FrameInput<'a> {
    FrameInput { frame_index, reference: reference.pictures(), distorted }
}

impl<'r, C: Collect> Shared<'r, C> {
    pub(super) fn new(
        collectors: Vec<C>,
        (needs, order): (Needs, Order),
        stop: &'r Stop,
        progress: &'r Progress,
        limit: u64,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(collectors, needs, order)),
            work: Condvar::new(),
            space: Condvar::new(),
            stop,
            progress,
            limit,
            looks_back: needs.spatial_looks_back(),
            order,
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
    pub(super) fn fail(&self, error: ScoreError) {
        self.lock().failure.get_or_insert(error);
        self.stop.cancel.cancel();
        self.work.notify_all();
        self.space.notify_all();
    }

    /// A reader's life. What goes wrong with one distorted video of several is told of that video
    /// alone.
    pub(super) fn read(
        &self,
        number: usize,
        video: Video,
        skip: u64,
        pool: &PicturePool,
    ) -> Result<(), ScoreError> {
        let result = self.read_frames(number, video, skip, pool);
        let Err(error) = result else { return Ok(()) };
        let mut state = self.lock();
        if number == REFERENCE || state.collectors.len() == 1 || self.stop.check().is_err() {
            return Err(error);
        }
        state.give_up(number, error);
        drop(state);
        self.work.notify_all();
        self.space.notify_all();
        Ok(())
    }

    fn read_frames(
        &self,
        number: usize,
        mut video: Video,
        skip: u64,
        pool: &PicturePool,
    ) -> Result<(), ScoreError> {
        let skipped = video.skip_frames(skip)?;
        let (mut frame_count, mut counted_bytes) = (0, 0);
        let mut cut = true;
        while frame_count < self.limit {
            let Some(mut picture) = self.wait_for_picture(number, frame_count, pool)? else {
                break;
            };
            let more = skipped == skip && video.read_frame(&mut picture)?;
            self.progress.add_bytes_read(video.bytes_read() - counted_bytes);
            counted_bytes = video.bytes_read();
            if !more {
                cut = false;
                break;
            }
            if frame_count == 0 && video.exceeds_depth() {
                self.lock().exceeds_depth(number);
            }
            self.push(number, picture.freeze());
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
        self.lock().end(number, End { frame_count, cut });
        self.work.notify_all();
        self.space.notify_all();
        Ok(())
    }

    /// The life of the one reader of a source.
    pub(super) fn feed(
        &self,
        source: &mut dyn PairSource,
        pools: &Pools,
    ) -> Result<(), ScoreError> {
        const DISTORTED: usize = REFERENCE + 1;
        let (mut frame_count, mut cut) = (0, false);
        loop {
            let reference = self.wait_for_picture(REFERENCE, frame_count, &pools.reference)?;
            let distorted = self.wait_for_picture(DISTORTED, frame_count, &pools.distorted[0])?;
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
            self.push(REFERENCE, reference.freeze());
            self.push(DISTORTED, distorted.freeze());
            frame_count += 1;
        }
        if frame_count == 0 {
            let (name, detail) = ("the stream".to_owned(), "it has none at all".to_owned());
            return Err(MediaError::ZeroFrames { name, detail }.into());
        }
        let mut state = self.lock();
        for video in [REFERENCE, DISTORTED] {
            state.end(video, End { frame_count, cut });
        }
        drop(state);
        self.work.notify_all();
        Ok(())
    }

    /// A picture to fill; `None` when no more are wanted.
    fn wait_for_picture(
        &self,
        number: usize,
        frame_index: u64,
        pool: &PicturePool,
    ) -> Result<Option<PictureMut>, ScoreError> {
        let mut state = self.lock();
        loop {
            self.stop.check()?;
            if state.failure.is_some() || state.is_surplus(number, frame_index) {
                return Ok(None);
            }
            if state.may_begin(number, frame_index)
                && let Some(picture) = pool.try_take()
            {
                return Ok(Some(picture));
            }
            state = Self::wait(&self.space, state);
        }
    }

    /// Tells readers that a frame needs no reference before its own any more. Under the lock, since
    /// one that has just found no picture would else miss it.
    fn tell_of_moved(&self) {
        let mut state = self.lock();
        state.frame_moved();
        self.space.notify_all();
        drop(state);
    }

    fn push(&self, number: usize, picture: Picture) {
        self.lock().push(number, picture);
        self.work.notify_one();
    }

    /// A worker's life.
    pub(super) fn score(&self, mut analyzer: FrameAnalyzer) -> Result<(), ScoreError> {
        while let Some(mut frame) = self.wait_for_frame()? {
            let (index, clock) = (frame.index, &mut thread_cpu_time);
            let motion = {
                let distorted = pictures_of(&frame.distorted);
                analyzer.measure_motion(&input_of(index, &frame.reference, &distorted), clock)?
            };
            if !self.looks_back {
                // What was before is not looked at again: a reader may fill it at once.
                frame.reference.forget_before();
                self.tell_of_moved();
            }
            if self.order == Order::InTurns {
                let Some(distorted) = self.wait_for_distorted()? else { break };
                frame.distorted = distorted;
            }
            let distorted = pictures_of(&frame.distorted);
            let input = input_of(index, &frame.reference, &distorted);
            let values = analyzer.analyze_moved(&input, &motion, clock)?;
            let numbers: Vec<usize> = frame.distorted.iter().map(|(number, _)| *number).collect();
            // Before the lock: a reader that is told of space must find it.
            drop(frame);
            self.add(numbers.into_iter().zip(values))?;
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
    pub(super) fn wait_for_frame(&self) -> Result<Option<Frame>, ScoreError> {
        let frame = self.wait_for_work(State::take_frame)?;
        // A picture that was kept until now may be free.
        self.space.notify_all();
        Ok(frame)
    }

    /// The distorted pictures of the frame whose reference was taken; `None` at the end.
    fn wait_for_distorted(&self) -> Result<Option<Vec<(usize, Held)>>, ScoreError> {
        self.wait_for_work(State::take_distorted)
    }

    /// What `take` finds to do; `None` at the end.
    fn wait_for_work<T>(
        &self,
        take: impl Fn(&mut State<C>) -> Option<T>,
    ) -> Result<Option<T>, ScoreError> {
        let mut state = self.lock();
        loop {
            self.stop.check()?;
            if state.failure.is_some() {
                return Ok(None);
            }
            if let Some(found) = take(&mut state) {
                return Ok(Some(found));
            }
            if state.is_drained() {
                return Ok(None);
            }
            state = Self::wait(&self.work, state);
        }
    }

    fn add(
        &self,
        values: impl ExactSizeIterator<Item = (usize, FrameValues)>,
    ) -> Result<(), ScoreError> {
        let frames = values.len() as u64;
        let mut state = self.lock();
        state.frame_scored();
        for (number, values) in values {
            // What is left of a video that has failed meanwhile counts no more.
            if let Ok(collector) = &mut state.collectors[number] {
                collector.add(values)?;
            }
        }
        drop(state);
        self.space.notify_all();
        self.progress.frames_done_more(frames);
        Ok(())
    }

    pub(super) fn into_outcome(self) -> Result<Outcome<C>, ScoreError> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let was_cut = state.is_cut();
        let found: Vec<_> = (1..=state.collectors.len())
            .map(|video| (state.length_mismatch(video), state.exceed_depth(video)))
            .collect();
        if let Some(failure) = state.failure {
            return Err(failure);
        }
        let collected = state.collectors.into_iter().zip(found);
        Ok(Outcome {
            collected: collected
                .map(|(collector, (ended_first, exceed_depth))| {
                    collector.map(|collector| Collected { collector, ended_first, exceed_depth })
                })
                .collect(),
            was_cut,
            score_time: state.score_time,
            feature_times: state.feature_times,
        })
    }
}
