//! Motion over time: from the raw differences of reference pictures to the values of every frame,
//! with the rules of libvmaf 3.2.
//!
//! `sad[i]` is the scaled difference of frames `i - d` and `i`, where `d` is 1, or 2 in the
//! five-frame window. The first `d` frames have no difference; theirs counts as 0.
//! - motion2 looks at the differences of the frames before and after: `min(sad[i - d + 1],
//!   sad[i + 1])`. The last frame takes its own, the first `d` frames 0. In the five-frame window
//!   the frame after those has no frame before it that counts, and takes `sad[i + 1]` alone;
//! - motion3 is motion2 blended and cut. The first `d` frames take the value that `sad[d]` would
//!   give, 0 in a clip that has none. The moving average then takes the mean with the frame before,
//!   as it was before averaging; the first `d` frames are left alone.
//!
//! A value of frame `i` needs the differences of the frames from `i - 2` to `i + 1`, and of frame
//! `d` where `i < d`: [`known_at`].

use kernels::motion::{MotionParams, motion_score};

use crate::features::{MotionColumn, MotionOptions};

/// How many frames before a frame may bear on its values.
pub(crate) const BEHIND_MAX: usize = 2;

/// The raw differences around a frame.
pub(crate) trait Differences {
    /// The raw difference of a frame; `None` where the clip has no such frame. What it gives for the
    /// first frames, which have no difference, does not count.
    fn raw(&self, frame: usize) -> Option<u64>;
}

impl Differences for [u64] {
    fn raw(&self, frame: usize) -> Option<u64> {
        self.get(frame).copied()
    }
}

/// The frame whose difference settles all values of `frame`, if the clip goes on so far.
pub(crate) fn known_at(frame: usize, options: &MotionOptions) -> usize {
    (frame + 1).max(options.frames_apart())
}

/// One motion value of a frame that the clip has.
pub(crate) fn motion_value(
    frame: usize,
    differences: &(impl Differences + ?Sized),
    size: (u32, u32),
    options: &MotionOptions,
    column: MotionColumn,
) -> f64 {
    if options.force_zero {
        return 0.0;
    }
    let clip = Clip { differences, size, options };
    match column {
        MotionColumn::Sad => clip.sad(frame).unwrap_or(0.0),
        MotionColumn::Motion2 => clip.motion2(frame),
        MotionColumn::Motion3 => clip.motion3(frame),
    }
}

/// One motion column of a whole clip. `raw` has one entry a frame, from frame 0 on.
pub(crate) fn motion_column(
    raw: &[u64],
    size: (u32, u32),
    options: &MotionOptions,
    column: MotionColumn,
) -> Vec<f64> {
    (0..raw.len()).map(|frame| motion_value(frame, raw, size, options, column)).collect()
}

/// The scaled differences of a clip, and what follows from them.
struct Clip<'a, D: Differences + ?Sized> {
    differences: &'a D,
    size: (u32, u32),
    options: &'a MotionOptions,
}

impl<D: Differences + ?Sized> Clip<'_, D> {
    /// `None` where the clip has no such frame.
    fn sad(&self, frame: usize) -> Option<f64> {
        let raw = self.differences.raw(frame)?;
        if frame < self.options.frames_apart() {
            return Some(0.0);
        }
        let params =
            MotionParams { fps_weight: self.options.fps_weight, score_max: self.options.max_value };
        let (width, height) = (self.size.0 as usize, self.size.1 as usize);
        Some(motion_score(raw, width, height, &params))
    }

    fn motion2(&self, frame: usize) -> f64 {
        let apart = self.options.frames_apart();
        if frame < apart {
            return 0.0;
        }
        let Some(after) = self.sad(frame + 1) else { return self.sad(frame).unwrap_or(0.0) };
        // Of frames that have a difference.
        let before = frame + 1 - apart;
        let before = if before < apart { None } else { self.sad(before) };
        match before {
            Some(before) if before < after => before,
            _ => after,
        }
    }

    fn motion3(&self, frame: usize) -> f64 {
        let blended = self.blended(frame);
        if self.options.moving_average && frame >= self.options.frames_apart() {
            (blended + self.blended(frame - 1)) / 2.0
        } else {
            blended
        }
    }

    /// motion3 before averaging.
    fn blended(&self, frame: usize) -> f64 {
        let apart = self.options.frames_apart();
        if frame < apart {
            self.sad(apart).map_or(0.0, |first| blend(first, self.options))
        } else {
            blend(self.motion2(frame), self.options)
        }
    }
}

/// `value * factor + (1 - factor) * min(offset, value)`, cut to the largest value allowed.
fn blend(value: f64, options: &MotionOptions) -> f64 {
    let low = if options.blend_offset < value { options.blend_offset } else { value };
    let blended = value * options.blend_factor + (1.0 - options.blend_factor) * low;
    if blended < options.max_value { blended } else { options.max_value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: MotionOptions = MotionOptions {
        force_zero: false,
        blend_factor: 1.0,
        blend_offset: 40.0,
        fps_weight: 1.0,
        max_value: 10_000.0,
        five_frame_window: false,
        moving_average: false,
    };
    const WIDE: MotionOptions = MotionOptions { five_frame_window: true, ..PLAIN };

    /// Differences of 5, 3, 9 and 4 steps on pictures of one sample; frame 0's entry is nonsense.
    const RAW: [u64; 5] = [99, 5 * 256, 3 * 256, 9 * 256, 4 * 256];

    fn check(options: &MotionOptions, column: MotionColumn, expected: &[f64]) {
        let raw = &RAW[..expected.len()];
        assert_eq!(motion_column(raw, (1, 1), options, column), expected, "{column:?}");
    }

    #[test]
    fn motion2_is_the_smaller_difference_from_the_neighbours() {
        check(&PLAIN, MotionColumn::Sad, &[0.0, 5.0, 3.0, 9.0, 4.0]);
        check(&PLAIN, MotionColumn::Motion2, &[0.0, 3.0, 3.0, 4.0, 4.0]);
        check(&PLAIN, MotionColumn::Motion2, &[0.0, 5.0]);
    }

    #[test]
    fn motion3_of_the_first_frame_is_what_the_first_difference_gives() {
        check(&PLAIN, MotionColumn::Motion3, &[5.0, 3.0, 3.0, 4.0, 4.0]);
        check(&PLAIN, MotionColumn::Motion3, &[0.0]);
    }

    #[test]
    fn blending_cutting_weighting_and_zeroing_apply() {
        let blended = MotionOptions { blend_factor: 0.5, blend_offset: 2.0, ..PLAIN };
        check(&blended, MotionColumn::Motion3, &[3.5, 2.5, 2.5, 3.0, 3.0]);
        check(&blended, MotionColumn::Motion2, &[0.0, 3.0, 3.0, 4.0, 4.0]);
        let cut = MotionOptions { max_value: 3.5, ..PLAIN };
        check(&cut, MotionColumn::Sad, &[0.0, 3.5, 3.0, 3.5, 3.5]);
        let weighted = MotionOptions { fps_weight: 2.0, ..PLAIN };
        check(&weighted, MotionColumn::Motion2, &[0.0, 6.0, 6.0, 8.0, 8.0]);
        let zero = MotionOptions { force_zero: true, ..PLAIN };
        check(&zero, MotionColumn::Motion3, &[0.0; 5]);
    }

    #[test]
    fn the_five_frame_window_skips_the_frame_itself_and_starts_one_later() {
        // Differences of frames two apart: frame 2 has 3, frame 3 has 9, frame 4 has 4.
        check(&WIDE, MotionColumn::Sad, &[0.0, 0.0, 3.0, 9.0, 4.0]);
        check(&WIDE, MotionColumn::Motion2, &[0.0, 0.0, 9.0, 3.0, 4.0]);
        check(&WIDE, MotionColumn::Motion3, &[3.0, 3.0, 9.0, 3.0, 4.0]);
        check(&WIDE, MotionColumn::Motion3, &[3.0, 3.0, 3.0]);
        check(&WIDE, MotionColumn::Motion3, &[0.0, 0.0]);
    }

    #[test]
    fn the_moving_average_is_of_values_not_yet_averaged() {
        let wide = MotionOptions { moving_average: true, ..WIDE };
        check(&wide, MotionColumn::Motion3, &[3.0, 3.0, 6.0, 6.0, 3.5]);
        check(&wide, MotionColumn::Motion2, &[0.0, 0.0, 9.0, 3.0, 4.0]);
        let narrow = MotionOptions { moving_average: true, ..PLAIN };
        check(&narrow, MotionColumn::Motion3, &[5.0, 4.0, 3.0, 3.5, 4.0]);
    }

    /// A clip of which a frame's neighbours alone are known.
    struct Window<'a> {
        raw: &'a [u64],
        from: usize,
        to: usize,
    }

    impl Differences for Window<'_> {
        fn raw(&self, frame: usize) -> Option<u64> {
            assert!(frame >= self.from, "frame {frame} is gone");
            (frame <= self.to).then(|| self.raw.get(frame).copied()).flatten()
        }
    }

    #[test]
    fn what_comes_later_than_announced_changes_nothing() {
        let raw: Vec<u64> = [7, 0, 5, 3, 9, 4, 4, 8, 1].map(|step| step * 256).to_vec();
        let mut checked = 0;
        for (five_frame_window, moving_average) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let options = MotionOptions { five_frame_window, moving_average, ..PLAIN };
            for column in [MotionColumn::Sad, MotionColumn::Motion2, MotionColumn::Motion3] {
                let whole = motion_column(&raw, (1, 1), &options, column);
                for (frame, expected) in whole.iter().enumerate() {
                    let (from, to) = (frame.saturating_sub(BEHIND_MAX), known_at(frame, &options));
                    let window = Window { raw: &raw, from, to };
                    let found = motion_value(frame, &window, (1, 1), &options, column);
                    assert_eq!(found, *expected, "{column:?} of frame {frame} with {options:?}");
                    checked += 1;
                }
            }
        }
        assert_eq!(checked, 4 * 3 * raw.len());
    }
}
