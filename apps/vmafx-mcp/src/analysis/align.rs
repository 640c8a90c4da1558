//! Whether two videos show the same picture at the same time, and by how many frames not.
//!
//! For every offset within a window the thumbnails of the reference are compared with those of the
//! distorted video so many frames later. The offset with the smallest distance wins; how much
//! smaller it is than that of every other offset says how sure that is. A picture that stands still
//! looks the same at every offset, and the answer is then that nothing can be told.
//!
//! Positive offsets mean that the distorted video is late: its frame `i + offset` shows what the
//! reference shows at `i`.

use super::thumbnail::Thumbnail;

/// Frames that one stretch of the search has: short enough to find where a frame was dropped, long
/// enough to average over.
const STRETCH_FRAMES: usize = 24;

/// Frames that must be compared at each offset.
pub(crate) const FRAMES_MIN: usize = 8;

/// A distance below this, in squared 8-bit steps, is none: rounding and light noise.
const NOISE: f64 = 0.01;

/// From here on an answer counts.
pub(crate) const CONFIDENCE_MIN: f64 = 0.25;

/// An offset and how sure it is, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Offset {
    pub frames: i64,
    pub confidence: f64,
}

impl Offset {
    /// Whether it is sure enough to be said.
    pub fn is_sure(&self) -> bool {
        self.confidence >= CONFIDENCE_MIN
    }
}

/// From `first_frame_index` of the reference on, the distorted video is off by this much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stretch {
    pub first_frame_index: usize,
    pub offset: Offset,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alignment {
    /// Over everything that was compared.
    pub overall: Offset,
    /// Stretches of one offset, in order; one where nothing changes, none where nothing is sure.
    pub stretches: Vec<Stretch>,
    /// Frames that were compared at each offset.
    pub frames_compared: usize,
    /// The largest offset that was tried, in either direction.
    pub offset_max: usize,
    /// Brightness of the distorted video as a line of the reference's: slope and value at 0, in
    /// 8-bit steps, at the best offset. `None` for pictures without contrast.
    pub brightness: Option<(f64, f64)>,
}

impl Alignment {
    /// The best offset is the last that was tried: the true one may lie beyond.
    pub fn is_at_edge(&self) -> bool {
        self.offset_max > 0 && self.overall.frames.unsigned_abs() == self.offset_max as u64
    }
}

/// As [`search`], and where the best offset is the last that was tried, wider and wider up to `limit`.
pub(crate) fn search_wider(
    reference: &[Thumbnail],
    distorted: &[Thumbnail],
    offset_max: usize,
    limit: usize,
) -> Option<Alignment> {
    let mut found = search(reference, distorted, offset_max)?;
    while found.is_at_edge() && found.offset_max < limit {
        let wider = search(reference, distorted, (2 * found.offset_max).min(limit))?;
        if wider.offset_max == found.offset_max {
            // The videos are too short for more.
            break;
        }
        found = wider;
    }
    Some(found)
}

/// Searches offsets of up to `offset_max` frames in both directions, or fewer where the videos are
/// too short for that. `None` where they are too short for any.
pub(crate) fn search(
    reference: &[Thumbnail],
    distorted: &[Thumbnail],
    offset_max: usize,
) -> Option<Alignment> {
    let length = reference.len().min(distorted.len());
    // As many frames at each offset, so that the sums can be compared.
    let offset_max = offset_max.min(length.saturating_sub(FRAMES_MIN) / 2);
    let frames = offset_max..length - offset_max;
    if frames.len() < FRAMES_MIN {
        return None;
    }
    let costs = Costs::new(reference, distorted, frames.start, frames.len(), offset_max);
    let overall = costs.best(0..frames.len());
    let stretches = costs.stretches(frames.start);
    let brightness = brightness(reference, distorted, frames.clone(), overall.frames);
    Some(Alignment { overall, stretches, frames_compared: frames.len(), offset_max, brightness })
}

/// The distance of every frame compared at every offset.
struct Costs {
    /// By offset from the smallest, then by frame.
    by_offset: Vec<Vec<f64>>,
    offset_max: usize,
}

impl Costs {
    fn new(
        reference: &[Thumbnail],
        distorted: &[Thumbnail],
        first: usize,
        count: usize,
        offset_max: usize,
    ) -> Self {
        let at = |step: usize| {
            let frames = first..first + count;
            // `step` counts from an offset of minus `offset_max`, and `first` is at least that.
            frames.map(|i| reference[i].distance(&distorted[i + step - offset_max])).collect()
        };
        Self { by_offset: (0..=2 * offset_max).map(at).collect(), offset_max }
    }

    fn signed(&self, step: usize) -> i64 {
        step as i64 - self.offset_max as i64
    }

    /// The best offset over a range of the frames compared. Of equal ones the smallest shift.
    fn best(&self, frames: std::ops::Range<usize>) -> Offset {
        let count = frames.len().max(1) as f64;
        let means: Vec<f64> = self
            .by_offset
            .iter()
            .map(|costs| costs[frames.clone()].iter().sum::<f64>() / count)
            .collect();
        let order = |a: &usize, b: &usize| {
            let shift = |step: &usize| self.signed(*step).abs();
            means[*a].total_cmp(&means[*b]).then_with(|| shift(a).cmp(&shift(b)))
        };
        let best = (0..means.len()).min_by(order).unwrap_or(self.offset_max);
        let others = (0..means.len()).filter(|step| *step != best);
        let second = others.map(|step| means[step]).fold(f64::INFINITY, f64::min);
        let confidence =
            if second.is_finite() { 1.0 - (means[best] + NOISE) / (second + NOISE) } else { 0.0 };
        Offset { frames: self.signed(best), confidence: confidence.clamp(0.0, 1.0) }
    }

    /// Stretches with one sure offset each, the border between two at the frame that fits best.
    fn stretches(&self, first: usize) -> Vec<Stretch> {
        let count = self.by_offset[0].len();
        let mut found: Vec<(std::ops::Range<usize>, Offset)> = Vec::new();
        for start in (0..count).step_by(STRETCH_FRAMES) {
            let range = start..count.min(start + STRETCH_FRAMES);
            if range.len() < FRAMES_MIN && !found.is_empty() {
                continue;
            }
            let offset = self.best(range.clone());
            // What is best at the edge may be better beyond it.
            let is_at_edge = offset.frames.unsigned_abs() == self.offset_max as u64;
            if !offset.is_sure() || is_at_edge {
                continue;
            }
            match found.last_mut() {
                Some((last, known)) if known.frames == offset.frames => {
                    last.end = range.end;
                    known.confidence = known.confidence.min(offset.confidence);
                }
                _ => found.push((range, offset)),
            }
        }
        let mut stretches: Vec<Stretch> = Vec::with_capacity(found.len());
        for (index, (range, offset)) in found.iter().enumerate() {
            let begins = match index.checked_sub(1).map(|before| &found[before]) {
                None => 0,
                Some((before, from)) => {
                    // Where a stretch straddles the border, either side may have taken it.
                    let window = before.end.saturating_sub(STRETCH_FRAMES)
                        ..count.min(range.start + STRETCH_FRAMES);
                    self.border(window, from.frames, offset.frames)
                }
            };
            stretches.push(Stretch { first_frame_index: first + begins, offset: *offset });
        }
        stretches
    }

    /// The first frame of the second offset, so that the sum of distances is the smallest.
    fn border(&self, window: std::ops::Range<usize>, from: i64, to: i64) -> usize {
        let costs = |offset: i64| {
            let step = usize::try_from(offset + self.offset_max as i64).unwrap_or(0);
            &self.by_offset[step]
        };
        let (before, after) = (costs(from), costs(to));
        // Against all frames having the second offset, each frame of the first changes the sum.
        let mut sum = 0.0;
        let (mut best, mut smallest) = (window.start, 0.0);
        for frame in window {
            sum += before[frame] - after[frame];
            if sum < smallest {
                (best, smallest) = (frame + 1, sum);
            }
        }
        best
    }
}

/// The line through the samples of both videos at `offset`, by least squares.
fn brightness(
    reference: &[Thumbnail],
    distorted: &[Thumbnail],
    frames: std::ops::Range<usize>,
    offset: i64,
) -> Option<(f64, f64)> {
    let (mut count, mut sums) = (0.0, [0.0; 4]);
    for i in frames {
        let j = usize::try_from(i as i64 + offset).ok()?;
        for (x, y) in reference[i].values().zip(distorted.get(j)?.values()) {
            count += 1.0;
            for (sum, term) in sums.iter_mut().zip([x, y, x * x, x * y]) {
                *sum += term;
            }
        }
    }
    let [x, y, xx, xy] = sums.map(|sum| sum / count);
    let variance = xx - x * x;
    (variance > 1.0).then(|| {
        let slope = (xy - x * y) / variance;
        (slope, y - slope * x)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of bars that move by a sample a frame, with noise that differs between the videos.
    fn bars(frame: usize, noise_seed: u64) -> Thumbnail {
        let mut state = noise_seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ frame as u64;
        let samples = (0..64 * 16).map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let noise = (state >> 56) as u16;
            let phase = (at % 64 + frame) % 32;
            (if phase < 16 { 60 } else { 160 }) * 256 + noise
        });
        Thumbnail::from_samples(samples.collect())
    }

    fn clip(frames: impl Iterator<Item = usize>, seed: u64) -> Vec<Thumbnail> {
        frames.map(|frame| bars(frame, seed)).collect()
    }

    #[test]
    fn every_shift_within_reach_is_found_with_its_sign() {
        let reference = clip(100..180, 1);
        for shift in -5_i64..=5 {
            let distorted =
                clip((0..80).map(|i| usize::try_from(100 + i - shift).expect("positive")), 2);
            let found = search(&reference, &distorted, 8).expect("long enough");
            assert_eq!(found.overall.frames, shift);
            assert!(found.overall.confidence > 0.9, "{found:?}");
            assert_eq!(found.stretches.len(), 1, "{found:?}");
        }
    }

    /// A wide bar that moves two samples a frame: the distance grows with the offset, and the last
    /// offset tried looks better than the one before it.
    fn wide_bar(frame: usize) -> Thumbnail {
        let lit = |at: usize| (2 * frame..2 * frame + 100).contains(&at);
        let samples = (0..400).map(|at| if lit(at) { 200 * 256 } else { 20 * 256 });
        Thumbnail::from_samples(samples.collect())
    }

    #[test]
    fn an_offset_beyond_what_was_tried_is_searched_for_and_never_taken_for_a_smaller_one() {
        let reference: Vec<Thumbnail> = (40..140).map(wide_bar).collect();
        for shift in [11, 15, 30] {
            let distorted: Vec<Thumbnail> = (40 - shift..140 - shift).map(wide_bar).collect();
            let narrow = search(&reference, &distorted, 10).expect("long enough");
            assert_eq!((narrow.overall.frames, narrow.is_at_edge()), (10, true));
            assert!(narrow.stretches.is_empty(), "{narrow:?}");
            let found = search_wider(&reference, &distorted, 10, 40).expect("long enough");
            assert_eq!((found.overall.frames, found.is_at_edge()), (shift as i64, false));
            let bounded = search_wider(&reference, &distorted, 5, 10).expect("long enough");
            assert!(bounded.is_at_edge() && bounded.offset_max == 10, "{bounded:?}");
        }
    }

    #[test]
    fn a_dropped_frame_is_found_where_it_was_dropped() {
        let reference = clip(0..120, 1);
        let distorted = clip((0..57).chain(58..120), 2);
        let found = search(&reference, &distorted, 4).expect("long enough");
        let steps: Vec<(usize, i64)> =
            found.stretches.iter().map(|s| (s.first_frame_index, s.offset.frames)).collect();
        // Frame 57 has no twin: it fits neither offset, and may be counted to either side.
        assert!(matches!(steps[..], [(4, 0), (57 | 58, -1)]), "{steps:?}");
    }

    #[test]
    fn a_still_picture_tells_nothing() {
        let still = |seed| clip((0..60).map(|_| 7), seed);
        let found = search(&still(1), &still(1), 5).expect("long enough");
        assert_eq!(found.overall, Offset { frames: 0, confidence: 0.0 });
        assert!(found.stretches.is_empty());
        assert!(!search(&still(1), &still(2), 5).expect("long enough").overall.is_sure());
    }

    #[test]
    fn short_clips_are_searched_less_far_and_very_short_ones_not_at_all() {
        let found = search(&clip(0..12, 1), &clip(0..12, 2), 10).expect("long enough");
        assert_eq!((found.offset_max, found.frames_compared), (2, 8));
        assert_eq!(search(&clip(0..7, 1), &clip(0..7, 2), 10), None);
        assert_eq!(search(&[], &[], 10), None);
    }

    #[test]
    fn a_change_of_range_shows_in_the_brightness() {
        let reference = clip(0..40, 1);
        let squeezed: Vec<Thumbnail> = reference
            .iter()
            .map(|frame| {
                let samples = frame.values().map(|v| ((v * 219.0 / 255.0 + 16.0) * 256.0) as u16);
                Thumbnail::from_samples(samples.collect())
            })
            .collect();
        let found = search(&reference, &squeezed, 3).expect("long enough");
        let (slope, at_zero) = found.brightness.expect("contrast");
        assert!((slope - 219.0 / 255.0).abs() < 0.001, "{slope}");
        assert!((at_zero - 16.0).abs() < 0.05, "{at_zero}");
    }
}
