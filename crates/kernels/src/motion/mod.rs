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
#[cfg(target_arch = "x86_64")]
mod words;

#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::isa::{Isa, Portable, Vector, per_isa};
#[cfg(target_arch = "x86_64")]
use crate::lanes::PictureSample;
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
    #[cfg(target_arch = "x86_64")]
    lines: words::Lines,
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
    scratch.buffers.reserve(current.width());
    let (width, height) = (current.width(), current.height());
    let strides = [previous.stride(), current.stride()];
    let bit_depth = current.bit_depth();
    match (previous.samples(), current.samples()) {
        (Samples::U8(previous), Samples::U8(current)) => {
            let pictures = [previous, current];
            Ok(sad_bytes(isa, &Input { pictures, strides, width, height, bit_depth }, scratch))
        }
        (Samples::U16(previous), Samples::U16(current)) => {
            let pictures = [previous, current];
            Ok(sad_words(isa, &Input { pictures, strides, width, height, bit_depth }, scratch))
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
    fn sad_bytes(input: &Input<'_, u8>, scratch: &mut MotionScratch) -> u64 = sad, with vector;
    fn sad_words(input: &Input<'_, u16>, scratch: &mut MotionScratch) -> u64 = sad, with vector;
}

/// The sum on one instruction set.
trait Summed<S>: Vector {
    fn sad(self, input: &Input<'_, S>, scratch: &mut MotionScratch) -> u64;
}

#[inline(always)]
fn sad<V: Summed<S>, S>(vector: V, input: &Input<'_, S>, scratch: &mut MotionScratch) -> u64 {
    vector.sad(input, scratch)
}

impl<S: Copy + Into<i32>> Summed<S> for Portable {
    #[inline(always)]
    fn sad(self, input: &Input<'_, S>, scratch: &mut MotionScratch) -> u64 {
        scalar::sad(input, &mut scratch.buffers)
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! summed_in_words {
    ($($vector:ty),+) => {$(
        impl<S: PictureSample + Into<i32>> Summed<S> for $vector {
            #[inline(always)]
            fn sad(self, input: &Input<'_, S>, scratch: &mut MotionScratch) -> u64 {
                let MotionScratch { buffers, lines } = scratch;
                match words::sad(self, input, buffers, lines) {
                    Some(sum) => sum,
                    None => scalar::sad(input, buffers),
                }
            }
        }
    )+};
}
#[cfg(target_arch = "x86_64")]
summed_in_words!(Avx2, Avx512);
