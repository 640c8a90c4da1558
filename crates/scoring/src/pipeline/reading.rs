//! How pictures are filled: each video by a thread of its own, or by the workers in turn.

use engine::{Picture, PictureMut, PicturePool};
use media::{MediaError, Video};

use super::shared::Shared;
use super::state::{End, Frame};
use super::{Collect, Pools, REFERENCE};
use crate::error::ScoreError;
use crate::stream::PairSource;

/// A video of the run, and how far it has been read.
#[derive(Debug)]
pub(super) struct Reader {
    number: usize,
    /// None any more when its end is known.
    video: Option<Video>,
    /// How many frames are left out at its start.
    skip: u64,
    pool: PicturePool,
    frame_count: u64,
    counted_bytes: u64,
}

impl Reader {
    pub(super) const fn new(number: usize, video: Video, skip: u64, pool: PicturePool) -> Self {
        Self { number, video: Some(video), skip, pool, frame_count: 0, counted_bytes: 0 }
    }
}

impl<C: Collect> Shared<'_, C> {
    /// The life of a thread that reads one video.
    pub(super) fn read(&self, mut reader: Reader) -> Result<(), ScoreError> {
        self.read_to_end(&mut reader)
    }

    /// In turns, when all workers have left: tells of each video whether it goes on.
    pub(super) fn find_ends(&self) -> Result<(), ScoreError> {
        for reader in &self.readers {
            // Whoever panicked with it in hand has said what became of the run.
            let Ok(mut reader) = reader.lock() else { return Ok(()) };
            self.read_to_end(&mut reader)?;
        }
        Ok(())
    }

    fn read_to_end(&self, reader: &mut Reader) -> Result<(), ScoreError> {
        while self.read_one(reader)? {}
        Ok(())
    }

    /// Reads a video's next picture; `false` when there is none that counts. What goes wrong with
    /// one distorted video of several is told of that video alone.
    fn read_one(&self, reader: &mut Reader) -> Result<bool, ScoreError> {
        let error = match self.try_read_one(reader) {
            Ok(more) => return Ok(more),
            Err(error) => error,
        };
        let mut state = self.lock();
        let number = reader.number;
        if number == REFERENCE || state.collectors.len() == 1 || self.stop.check().is_err() {
            return Err(error);
        }
        state.give_up(number, error);
        drop(state);
        reader.video = None;
        self.work.notify_all();
        self.space.notify_all();
        Ok(false)
    }

    fn try_read_one(&self, reader: &mut Reader) -> Result<bool, ScoreError> {
        let Some(video) = &mut reader.video else { return Ok(false) };
        let (number, index) = (reader.number, reader.frame_count);
        let skipped = if index == 0 { video.skip_frames(reader.skip)? } else { reader.skip };
        let wanted = index < self.limit;
        let wanted = wanted.then(|| self.wait_for_picture(number, index, &reader.pool));
        let Some(mut picture) = wanted.transpose()?.flatten() else {
            self.end(reader, true);
            return Ok(false);
        };
        let more = skipped == reader.skip && video.read_frame(&mut picture)?;
        self.progress.add_bytes_read(video.bytes_read() - reader.counted_bytes);
        reader.counted_bytes = video.bytes_read();
        if !more && index == 0 {
            let detail = match (reader.skip, skipped) {
                (0, _) => "it has none at all".to_owned(),
                (skip, _) => format!("{skip} were to be skipped and it has {skipped}"),
            };
            return Err(MediaError::ZeroFrames { name: video.info().name.clone(), detail }.into());
        }
        if !more {
            self.end(reader, false);
            return Ok(false);
        }
        if index == 0 && video.exceeds_depth() {
            self.lock().exceeds_depth(number);
        }
        self.push(number, picture.freeze());
        reader.frame_count += 1;
        Ok(true)
    }

    fn end(&self, reader: &mut Reader, cut: bool) {
        // The decoder ends before the run is said to have ended.
        reader.video = None;
        self.lock().end(reader.number, End { frame_count: reader.frame_count, cut });
        self.work.notify_all();
        self.space.notify_all();
    }

    /// In turns: reads the next frame's reference, which whoever asks next waits for; `None` at the
    /// end.
    pub(super) fn read_reference(&self) -> Result<Option<Frame>, ScoreError> {
        let Ok(mut reader) = self.readers[REFERENCE].lock() else { return Ok(None) };
        if !self.read_one(&mut reader)? {
            return Ok(None);
        }
        Ok(self.lock().take_frame())
    }

    /// In turns: reads what completes a frame, once the frame before it has that; `false` where
    /// nothing does, at the end.
    pub(super) fn read_distorted(&self, frame: &mut Frame) -> Result<bool, ScoreError> {
        let index = frame.index;
        let its_turn = self.wait_for_work(|state| state.is_turn_of(index).then_some(()))?;
        if its_turn.is_none() {
            return Ok(false);
        }
        for reader in &self.readers[REFERENCE + 1..] {
            let Ok(mut reader) = reader.lock() else { return Ok(false) };
            self.read_one(&mut reader)?;
        }
        let distorted = self.lock().take_distorted();
        self.work.notify_all();
        frame.distorted = distorted.unwrap_or_default();
        Ok(!frame.distorted.is_empty())
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
            for (number, mut picture) in [(REFERENCE, reference), (DISTORTED, distorted)] {
                let bit_depth = picture.spec().format.bit_depth;
                let exceeds = |plane| media::exceeds(plane, bit_depth);
                if frame_count == 0 && picture.planes_mut().iter_mut().any(exceeds) {
                    self.lock().exceeds_depth(number);
                }
                self.push(number, picture.freeze());
            }
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
            if let Some(picture) = pool.try_take() {
                return Ok(Some(picture));
            }
            state = Self::wait(&self.space, state);
        }
    }

    fn push(&self, number: usize, picture: Picture) {
        self.lock().push(number, picture);
        self.work.notify_one();
    }
}
