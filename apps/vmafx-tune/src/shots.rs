//! Where shots begin, and which parts of a source stand for the whole. Pure.

use crate::looks::Look;
use crate::probe::{FRAME_SCORES_MAX, FrameRange};
use crate::request::Sampling;

/// A shot has at least so many frames: shorter ones cost more in keyframes than they gain.
const SHOT_FRAMES_MIN: usize = 12;

/// A shot has at most so many frames: longer ones are cut, so that they can be worked on at once.
pub(crate) const SHOT_FRAMES_MAX: usize = 1_500;

/// Frames whose movement says what is usual before a cut.
const USUAL_OVER: usize = 8;

/// How many times the usual movement a cut has at least.
const TIMES_USUAL: f32 = 3.0;

/// What a cut moves at least, of 255.
const MOTION_MIN: f32 = 6.0;

/// The share of the brightness that a cut distributes otherwise, at least.
const SHIFT_MIN: f32 = 0.12;

/// A cut that needs no other sign.
const MOTION_SURE: f32 = 40.0;

/// The shots of a video: without a gap, from the first frame to the last.
pub(crate) fn find(looks: &[Look]) -> Vec<FrameRange> {
    let mut starts = vec![0];
    for (index, look) in looks.iter().enumerate().skip(1) {
        let last = starts.last().copied().unwrap_or_default();
        let since = index - last;
        let before = &looks[index.saturating_sub(USUAL_OVER).max(last + 1).min(index)..index];
        let usual = before.iter().map(|look| look.motion).sum::<f32>() / before.len().max(1) as f32;
        let is_cut = look.motion >= MOTION_SURE.max(usual * TIMES_USUAL)
            || look.motion >= MOTION_MIN.max(usual * TIMES_USUAL) && look.shift >= SHIFT_MIN;
        if is_cut && since >= SHOT_FRAMES_MIN && looks.len() - index >= SHOT_FRAMES_MIN
            || since >= SHOT_FRAMES_MAX && looks.len() - index >= SHOT_FRAMES_MIN
        {
            starts.push(index);
        }
    }
    starts.push(looks.len());
    starts
        .windows(2)
        .map(|pair| FrameRange { first: pair[0] as u64, count: (pair[1] - pair[0]) as u64 })
        .collect()
}

/// One sample, and the share of the source that it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub range: FrameRange,
    /// All samples' shares add up to 1.
    pub share: f64,
}

/// Chooses samples: the source is cut into windows within its shots, these are ordered by
/// complexity and divided into `count` classes of equally many frames, and of each class the window
/// in its middle is taken. Every class has the share of its frames.
///
/// The same call always gives the same samples, and the classes of twice as many are halves of these.
/// Where samples would be most of the source, or the source is short, all of it is the one sample.
pub(crate) fn choose(
    looks: &[Look],
    shots: &[FrameRange],
    frames_per_second: f64,
    sampling: &Sampling,
    count: usize,
) -> Vec<Sample> {
    let all = Sample { range: FrameRange { first: 0, count: looks.len() as u64 }, share: 1.0 };
    let length = (sampling.seconds * frames_per_second).round().max(1.0) as u64;
    // A window is up to half as long again, and the scores of all of its frames are kept.
    let length = length.min(FRAME_SCORES_MAX as u64 * 2 / 3);
    let seconds = looks.len() as f64 / frames_per_second;
    if seconds <= sampling.whole_below_seconds || count as u64 * length * 2 >= looks.len() as u64 {
        return vec![all];
    }
    let mut windows: Vec<(f64, FrameRange)> = shots
        .iter()
        .flat_map(|shot| cut(*shot, length))
        .map(|range| (complexity(looks, range), range))
        .collect();
    windows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let total = looks.len() as f64;
    let mut samples: Vec<Sample> = Vec::with_capacity(count);
    for class in 0..count {
        // The window that holds the middle frame of the class.
        let middle = (class as f64 + 0.5) / count as f64 * total;
        let mut passed = 0.0;
        let holds = windows.iter().find(|(_, range)| {
            passed += range.count as f64;
            passed > middle
        });
        let Some((_, range)) = holds.or(windows.last()) else { return vec![all] };
        let share = 1.0 / count as f64;
        // A window that stands for two classes is one sample with both shares.
        match samples.iter_mut().find(|sample| sample.range == *range) {
            Some(sample) => sample.share += share,
            None => samples.push(Sample { range: *range, share }),
        }
    }
    samples.sort_by_key(|sample| sample.range);
    samples
}

/// Cuts a shot into windows of about `length` frames.
fn cut(shot: FrameRange, length: u64) -> impl Iterator<Item = FrameRange> {
    let pieces = (shot.count as f64 / length as f64).round().max(1.0) as u64;
    let at = move |piece: u64| shot.first + shot.count * piece / pieces;
    (0..pieces).map(move |piece| {
        let first = at(piece);
        FrameRange { first, count: at(piece + 1) - first }
    })
}

/// How complex a range is: the mean of its frames.
fn complexity(looks: &[Look], range: FrameRange) -> f64 {
    let (first, count) = (range.first as usize, range.count as usize);
    let frames = &looks[first..first + count];
    frames.iter().map(Look::complexity).sum::<f64>() / frames.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(shots: &[(usize, f32)]) -> Vec<Look> {
        let mut looks = Vec::new();
        for (count, motion) in shots {
            looks.push(Look { motion: 30.0, texture: 5.0, shift: 0.5 });
            looks.extend((1..*count).map(|i| Look {
                motion: motion + (i % 3) as f32 * 0.1,
                texture: 5.0,
                shift: 0.01,
            }));
        }
        looks[0] = Look::default();
        looks
    }

    fn lengths(shots: &[FrameRange]) -> Vec<u64> {
        shots.iter().map(|shot| shot.count).collect()
    }

    #[test]
    fn cuts_are_found_and_fast_movement_is_none() {
        assert_eq!(lengths(&find(&film(&[(40, 1.0), (60, 4.0), (25, 0.5)]))), [40, 60, 25]);
        let fast: Vec<Look> =
            (0..200).map(|_| Look { motion: 25.0, texture: 5.0, shift: 0.2 }).collect();
        assert_eq!(lengths(&find(&fast)), [200]);
        assert_eq!(lengths(&find(&film(&[(40, 1.0), (5, 1.0), (40, 1.0)]))).len(), 2, "too short");
    }

    #[test]
    fn shots_leave_no_frame_out_and_none_is_too_long() {
        let looks = film(&[(4_000, 1.0), (13, 2.0)]);
        let shots = find(&looks);
        let mut next = 0;
        for shot in &shots {
            assert_eq!(shot.first, next);
            assert!(shot.count <= SHOT_FRAMES_MAX as u64 + SHOT_FRAMES_MIN as u64);
            next += shot.count;
        }
        assert_eq!(next, looks.len() as u64);
        assert_eq!(find(&looks[..1]), [FrameRange { first: 0, count: 1 }]);
    }

    #[test]
    fn samples_stand_for_classes_of_complexity_and_shares_add_up() {
        let shots: Vec<(usize, f32)> = (0..60).map(|i| (100, 0.2 * i as f32)).collect();
        let looks = film(&shots);
        let shots = find(&looks);
        let sampling =
            Sampling { seconds: 4.0, count: 4, count_max: 16, whole_below_seconds: 30.0 };
        let choose = |count| choose(&looks, &shots, 25.0, &sampling, count);
        for count in [1, 4, 8, 16] {
            let samples = choose(count);
            let shares: f64 = samples.iter().map(|sample| sample.share).sum();
            assert!((shares - 1.0).abs() < 1e-12 && samples.len() <= count);
            assert_eq!(samples, choose(count), "the same every time");
        }
        let four = choose(4);
        assert_eq!(four.len(), 4);
        let mut complexities: Vec<f64> =
            four.iter().map(|sample| complexity(&looks, sample.range)).collect();
        complexities.sort_by(f64::total_cmp);
        assert!(complexities[3] > 2.0 * complexities[0], "{complexities:?}");
    }

    #[test]
    fn short_sources_are_probed_whole() {
        let looks = film(&[(500, 1.0)]);
        let shots = find(&looks);
        let samples = choose(&looks, &shots, 25.0, &Sampling::default(), 4);
        let whole = FrameRange { first: 0, count: 500 };
        assert_eq!(samples, [Sample { range: whole, share: 1.0 }]);
        let long = film(&[(3_000, 1.0)]);
        let whole = choose(&long, &find(&long), 25.0, &Sampling::WHOLE, 4);
        assert_eq!(whole.len(), 1);
    }
}
