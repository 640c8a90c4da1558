//! Motion: how much two reference pictures differ, after a light blur of their difference.
//!
//! Bit-exact with the portable integer motion of libvmaf 3.2, which blurs the *difference* (older
//! releases differ): five taps down with rounding to the sample's own scale, five taps across with
//! rounding to 1/256 of an 8-bit step, borders reflected without repeating the border sample; then
//! the sum of absolute values. A side shorter than three samples reflects again and again.
//!
//! This module does not combine frames. The engine does, where `sad[i]` is the score of frames
//! i - 1 and i, and `sad[0]` is 0: motion of frame i is `sad[i]`; motion2 of frame 0 is 0, of the
//! last frame `sad[i]`, of the others `min(sad[i], sad[i + 1])`.

mod scalar;

use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples, ShapeMismatch};

use self::scalar::{Buffers, Input};

/// The largest score that [`MotionParams::default`] lets through.
pub const SCORE_MAX_DEFAULT: f64 = 10_000.0;

/// Options of the motion score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MotionParams {
    /// Factor for the frame rate, 0 to 5.
    pub fps_weight: f64,
    /// Larger scores become this one, 0 to 10000.
    pub score_max: f64,
}

impl Default for MotionParams {
    fn default() -> Self {
        Self { fps_weight: 1.0, score_max: SCORE_MAX_DEFAULT }
    }
}

/// Buffers of motion; they grow to the widest picture seen and are then reused.
#[derive(Debug, Default)]
pub struct MotionScratch {
    buffers: Buffers,
}

impl MotionScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Sum of the absolute blurred differences between two pictures, in 1/256 of an 8-bit step.
///
/// Every instruction set gives the same number.
///
/// # Errors
/// [`ShapeMismatch`] when the pictures differ in width, height or bit depth.
pub fn motion_sad(
    isa: Isa,
    previous: &PlaneRef<'_>,
    current: &PlaneRef<'_>,
    scratch: &mut MotionScratch,
) -> Result<u64, ShapeMismatch> {
    previous.expect_shape_of(current)?;
    let buffers = &mut scratch.buffers;
    buffers.reserve(current.width());
    let (width, height) = (current.width(), current.height());
    let strides = [previous.stride(), current.stride()];
    let bit_depth = current.bit_depth();
    match (previous.samples(), current.samples()) {
        (Samples::U8(previous), Samples::U8(current)) => {
            let pictures = [previous, current];
            Ok(sad_bytes(isa, &Input { pictures, strides, width, height, bit_depth }, buffers))
        }
        (Samples::U16(previous), Samples::U16(current)) => {
            let pictures = [previous, current];
            Ok(sad_words(isa, &Input { pictures, strides, width, height, bit_depth }, buffers))
        }
        _ => Err(ShapeMismatch),
    }
}

/// The score of a sum of `width` by `height` differences, in 8-bit steps a sample.
pub fn motion_score(sad: u64, width: usize, height: usize, params: &MotionParams) -> f64 {
    let mean = sad as f64 / 256.0 / (width * height) as f64;
    (mean * params.fps_weight).min(params.score_max)
}

per_isa! {
    fn sad_bytes(input: &Input<'_, u8>, buffers: &mut Buffers) -> u64 = scalar::sad::<u8>;
    fn sad_words(input: &Input<'_, u16>, buffers: &mut Buffers) -> u64 = scalar::sad::<u16>;
}
