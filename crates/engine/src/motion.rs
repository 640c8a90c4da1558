//! Motion over time: from the raw differences of neighbouring reference pictures to the values of
//! every frame, with the rules of libvmaf 3.2.
//!
//! `sad[i]` is the scaled difference of frames `i - 1` and `i`, and `sad[0] = 0`.
//! - motion2 is the smaller of a frame's differences from its two neighbours: `min(sad[i],
//!   sad[i + 1])`, `sad[i]` for the last frame, 0 for frame 0;
//! - motion3 is motion2 blended and cut; frame 0 takes the value that `sad[1]` would give, 0 in a
//!   clip of one frame.

use kernels::motion::{MotionParams, motion_score};

use crate::features::{MotionColumn, MotionOptions};

/// One motion column of a whole clip.
///
/// `raw` has one entry a frame, from frame 0 on, whose own entry does not count. `size` is width
/// and height.
pub(crate) fn motion_column(
    raw: &[u64],
    size: (u32, u32),
    options: &MotionOptions,
    column: MotionColumn,
) -> Vec<f64> {
    if options.force_zero {
        return vec![0.0; raw.len()];
    }
    let params = MotionParams { fps_weight: options.fps_weight, score_max: options.max_value };
    let (width, height) = (size.0 as usize, size.1 as usize);
    let score = |raw: &u64| motion_score(*raw, width, height, &params);
    let mut sad: Vec<f64> = raw.iter().map(score).collect();
    if let Some(first) = sad.first_mut() {
        *first = 0.0;
    }
    match column {
        MotionColumn::Sad => sad,
        MotionColumn::Motion2 => motion2(&sad),
        MotionColumn::Motion3 => {
            let mut motion3: Vec<f64> =
                motion2(&sad).into_iter().map(|value| blend(value, options)).collect();
            if let Some(first) = motion3.first_mut() {
                *first = sad.get(1).map_or(0.0, |value| blend(*value, options));
            }
            motion3
        }
    }
}

/// One motion value of one frame: what [`motion_column`] has in its place.
///
/// `own` is the raw difference from the frame before, `None` for frame 0; `next` is that of the
/// frame after, `None` where there is none.
pub(crate) fn motion_value(
    own: Option<u64>,
    next: Option<u64>,
    size: (u32, u32),
    options: &MotionOptions,
    column: MotionColumn,
) -> f64 {
    // A clip of these frames alone: the frame before the own one, which only must be there, the
    // own one, and the one after.
    let raw = [Some(0), own, next];
    let raw: Vec<u64> = raw.into_iter().flatten().collect();
    let place = usize::from(own.is_some());
    motion_column(&raw, size, options, column)[place]
}

fn motion2(sad: &[f64]) -> Vec<f64> {
    let value = |(index, own): (usize, &f64)| match sad.get(index + 1) {
        _ if index == 0 => 0.0,
        Some(next) if next <= own => *next,
        _ => *own,
    };
    sad.iter().enumerate().map(value).collect()
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
}
