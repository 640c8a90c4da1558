//! What the threads of a run have in common, and the lives of those that score.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use engine::{FrameAnalyzer, FrameInput, FrameValues, Needs, PictureWithPast};
use media::Stop;
use media::stop::STOP_CHECK_INTERVAL;

use super::reading::Reader;
use super::state::{Frame, Held, Order, State};
use super::{Collect, Collected, Outcome, thread_cpu_time};
use crate::error::ScoreError;
use crate::progress::Progress;

pub(super) struct Shared<'a, C> {
    state: Mutex<State<C>>,
    /// A frame may be there, its turn may have come, or the end is there.
    pub(super) work: Condvar,
    /// A picture may be free, or no more are wanted.
    pub(super) space: Condvar,
    pub(super) stop: &'a Stop,
    pub(super) progress: &'a Progress,
    pub(super) limit: u64,
    /// See [`Needs::spatial_looks_back`].
    looks_back: bool,
    order: Order,
    /// In turns, what reads each video; whoever has it in hand may take the lock, not the other way
    /// round.
    pub(super) readers: Vec<Mutex<Reader>>,
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
            readers: Vec::new(),
        }
    }

    /// With what the workers read, the reference first.
    pub(super) fn with_readers(mut self, readers: impl Iterator<Item = Reader>) -> Self {
        self.readers = readers.map(Mutex::new).collect();
        self
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<C>> {
        // A panic under the lock is recorded as the run's failure; what is left is only read then.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(
        condition: &Condvar,
        state: MutexGuard<'a, State<C>>,
    ) -> MutexGuard<'a, State<C>> {
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

    /// Tells readers that pictures before a frame were given up. Under the lock, since one that has
    /// just found no picture would else miss it.
    fn tell_of_space(&self) {
        let state = self.lock();
        self.space.notify_all();
        drop(state);
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
                self.tell_of_space();
            }
            if self.order == Order::InTurns {
                // Reading is no scoring.
                self.lock().frame_left_work();
                if !self.read_distorted(&mut frame)? {
                    break;
                }
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

    /// The next frame, in turns with its reference alone; `None` at the end.
    pub(super) fn wait_for_frame(&self) -> Result<Option<Frame>, ScoreError> {
        if self.order == Order::InTurns {
            return self.read_reference();
        }
        let frame = self.wait_for_work(State::take_frame)?;
        // A picture that was kept until now may be free.
        self.space.notify_all();
        Ok(frame)
    }

    /// What `take` finds to do; `None` at the end.
    pub(super) fn wait_for_work<T>(
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
        state.frame_left_work();
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
