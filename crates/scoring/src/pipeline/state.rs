//! What the threads of a run share under its lock: pictures that wait, and how each video ended.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use engine::{Needs, PICTURES_BEFORE_MAX, Picture, PictureWithPast};

use super::{Ended, REFERENCE};
use crate::error::ScoreError;

/// A picture with those before it, shared with whoever else looks at them.
#[derive(Debug)]
pub(super) struct Held {
    picture: Picture,
    before: [Option<Picture>; PICTURES_BEFORE_MAX],
}

impl Held {
    pub(super) fn pictures(&self) -> PictureWithPast<'_> {
        let before = self.before.each_ref().map(Option::as_ref);
        PictureWithPast { picture: &self.picture, before }
    }

    /// Lets go of the pictures before it.
    pub(super) fn forget_before(&mut self) {
        self.before = Default::default();
    }
}

/// A frame to score.
#[derive(Debug)]
pub(super) struct Frame {
    pub index: u64,
    pub reference: Held,
    /// The distorted videos that have this frame, each with its number; none yet where pictures are
    /// read in turns.
    pub distorted: Vec<(usize, Held)>,
}

/// Who reads, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A thread for each video, as soon as there is memory.
    Ahead,
    /// The workers themselves, in the order of frames and each what it scores then, so that nothing
    /// is in memory which is not looked at: a frame's reference before its motion is measured, its
    /// distorted pictures after that, when the references before it are given up.
    InTurns,
}

/// How a video's frames came to an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub frame_count: u64,
    /// It has more, but no more count.
    pub cut: bool,
}

/// One video of the run.
#[derive(Debug)]
struct Track {
    queue: VecDeque<Picture>,
    /// How many pictures frames have taken.
    taken_count: u64,
    end: Option<End>,
    /// See [`Video::exceeds_depth`](media::Video::exceeds_depth).
    exceeds_depth: bool,
    /// How many pictures frames to come look back on.
    kept: usize,
    /// The last pictures taken, the nearest first.
    past: [Option<Picture>; PICTURES_BEFORE_MAX],
}

impl Track {
    fn new(kept: u64) -> Self {
        let (queue, past) = (VecDeque::new(), Default::default());
        let (taken_count, kept) = (0, kept as usize);
        Self { queue, taken_count, end: None, exceeds_depth: false, kept, past }
    }

    /// Whether it has a frame of this index, as far as is known.
    fn may_have(&self, index: u64) -> bool {
        self.end.is_none_or(|end| index < end.frame_count)
    }

    fn take(&mut self) -> Option<Held> {
        let picture = self.queue.pop_front()?;
        self.taken_count += 1;
        let before = self.past.clone();
        self.past.rotate_right(1);
        self.past[0] = Some(picture.clone());
        self.past[self.kept..].fill(None);
        Some(Held { picture, before })
    }
}

/// The pictures of this index of all distorted videos that have one; `None` while one may come, and
/// where there is none.
fn take_of_all(distorted: &mut [Track], index: u64) -> Option<Vec<(usize, Held)>> {
    let has_come = |track: &Track| !track.queue.is_empty() || !track.may_have(index);
    if !distorted.iter().all(has_come) {
        return None;
    }
    let having = distorted.iter_mut().enumerate().filter(|(_, track)| track.may_have(index));
    let taken: Vec<_> =
        having.filter_map(|(number, track)| track.take().map(|held| (number, held))).collect();
    (!taken.is_empty()).then_some(taken)
}

/// `C` takes the values of the frames of one distorted video.
pub(super) struct State<C> {
    /// The reference, then the distorted videos.
    tracks: Vec<Track>,
    order: Order,
    /// How many frames have had all their pictures.
    complete_count: u64,
    frames_in_work: usize,
    in_work_since: Instant,
    pub score_time: Duration,
    /// One a distorted video; its error where it alone has failed.
    pub collectors: Vec<Result<C, ScoreError>>,
    pub feature_times: Vec<(String, Duration)>,
    pub failure: Option<ScoreError>,
}

impl<C> State<C> {
    pub(super) fn new(collectors: Vec<C>, needs: Needs, order: Order) -> Self {
        let reference = Track::new(needs.references_before);
        let distorted = collectors.iter().map(|_| Track::new(needs.distorted_before));
        Self {
            tracks: std::iter::once(reference).chain(distorted).collect(),
            order,
            complete_count: 0,
            frames_in_work: 0,
            in_work_since: Instant::now(),
            score_time: Duration::ZERO,
            collectors: collectors.into_iter().map(Ok).collect(),
            feature_times: Vec::new(),
            failure: None,
        }
    }

    /// A picture of a video waits. Of one that has failed there is none any more.
    pub(super) fn push(&mut self, video: usize, picture: Picture) {
        self.tracks[video].queue.push_back(picture);
    }

    pub(super) fn end(&mut self, video: usize, end: End) {
        self.tracks[video].end = Some(end);
    }

    /// A distorted video has failed, and the others go on without it.
    pub(super) fn give_up(&mut self, video: usize, error: ScoreError) {
        self.end(video, End { frame_count: 0, cut: true });
        self.tracks[video].queue.clear();
        self.tracks[video].past = Default::default();
        self.collectors[video - 1] = Err(error);
    }

    /// The next frame, when all pictures of it are there that will come. In turns it comes with its
    /// reference alone, and [`take_distorted`](Self::take_distorted) completes it.
    pub(super) fn take_frame(&mut self) -> Option<Frame> {
        let [reference, others @ ..] = &mut self.tracks[..] else { return None };
        if reference.queue.is_empty() {
            return None;
        }
        let index = reference.taken_count;
        let distorted = match self.order {
            Order::Ahead => {
                let distorted = take_of_all(others, index)?;
                self.complete_count += 1;
                distorted
            }
            Order::InTurns => Vec::new(),
        };
        let reference = reference.take()?;
        self.frame_enters_work();
        Some(Frame { index, reference, distorted })
    }

    /// In turns: whether the frame of this index is the next to be completed.
    pub(super) fn is_turn_of(&self, frame_index: u64) -> bool {
        self.complete_count == frame_index
    }

    /// In turns: what completes the frame whose turn it is, when all of it is there that will come.
    pub(super) fn take_distorted(&mut self) -> Option<Vec<(usize, Held)>> {
        let distorted = take_of_all(&mut self.tracks[REFERENCE + 1..], self.complete_count)?;
        self.complete_count += 1;
        self.frame_enters_work();
        Some(distorted)
    }

    fn frame_enters_work(&mut self) {
        if self.frames_in_work == 0 {
            self.in_work_since = Instant::now();
        }
        self.frames_in_work += 1;
    }

    /// A frame has its values, or waits for pictures.
    pub(super) fn frame_left_work(&mut self) {
        self.frames_in_work -= 1;
        if self.frames_in_work == 0 {
            self.score_time += self.in_work_since.elapsed();
        }
    }

    /// Whether no frame will come any more.
    pub(super) fn is_drained(&self) -> bool {
        let over = |track: &Track| !track.may_have(self.complete_count);
        over(&self.tracks[REFERENCE]) || self.tracks[REFERENCE + 1..].iter().all(over)
    }

    /// Whether a video's frame of this index can no longer count. The first such frame is still
    /// read, to tell that the video goes on.
    pub(super) fn is_surplus(&self, video: usize, frame_index: u64) -> bool {
        let beyond = |track: &Track| track.end.is_some_and(|end| frame_index > end.frame_count);
        if video == REFERENCE {
            self.tracks[REFERENCE + 1..].iter().all(beyond)
        } else {
            beyond(&self.tracks[REFERENCE]) || self.collectors[video - 1].is_err()
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.tracks.iter().filter_map(|track| track.end).any(|end| end.cut)
    }

    /// Notes that the first picture of a video has samples above its depth.
    pub(super) fn exceeds_depth(&mut self, video: usize) {
        self.tracks[video].exceeds_depth = true;
    }

    /// Whether the reference's and a distorted video's first picture has samples above its depth.
    pub(super) fn exceed_depth(&self, video: usize) -> [bool; 2] {
        [REFERENCE, video].map(|video| self.tracks[video].exceeds_depth)
    }

    /// Which of the reference and a distorted video ended by itself while the other went on.
    pub(super) fn length_mismatch(&self, video: usize) -> Option<Ended> {
        let [Some(reference), Some(distorted)] =
            [REFERENCE, video].map(|video| self.tracks[video].end)
        else {
            return None;
        };
        if reference.frame_count < distorted.frame_count && !reference.cut {
            Some(Ended::Reference)
        } else if distorted.frame_count < reference.frame_count && !distorted.cut {
            Some(Ended::Distorted)
        } else {
            None
        }
    }
}
