//! Integer VIF, the visual information fidelity of a distorted picture at four scales.
//!
//! Bit-exact with the portable integer VIF of libvmaf 3.2 wherever that is defined. Borders reflect
//! (without repeating the border sample) in both directions; each scale has half the size of the
//! one before, rounded down. Where a side is too short for that:
//! - a window wider than the picture reflects again and again, as it does there;
//! - a single row or column stands for all of its neighbours. That is a side of 8 to 15 samples at
//!   scale 3, 4 to 7 at scale 2, 2 or 3 at scale 1, and 1; libvmaf reads what an earlier scale or
//!   picture left in memory there, so that no reference exists;
//! - a scale of no rows or no columns (a side below 2, 4 or 8 samples at scale 1, 2 or 3) has
//!   numerator and denominator 0 and score 1: nothing was there to lose.
//!
//! How it is computed: `walk` takes one scale two rows at a time, `fir` is its filter loop, `source`
//! what differs between bytes and words, `statistic` and `log2` what becomes of the moments.

mod fir;
mod log2;
mod source;
mod statistic;
mod taps;
mod walk;

use self::statistic::Residuals;
use self::taps::{Scale0, Scale1, Scale2, Scale3};
use self::walk::{Input, View, WalkBuffers};
use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples, ShapeMismatch};

/// Scales, full size first.
pub const SCALES: usize = 4;

/// The gain limit that limits nothing in practice.
pub const ENHANCEMENT_GAIN_LIMIT_DEFAULT: f64 = 100.0;

/// Options of VIF.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VifParams {
    /// Largest gain by which enhancement may raise the score, 1 (no enhancement counts) to 100.
    pub enhancement_gain_limit: f64,
    /// Leaves out scale 0: its score and numerator are 0, its denominator -1.
    pub skip_scale0: bool,
}

impl Default for VifParams {
    fn default() -> Self {
        Self { enhancement_gain_limit: ENHANCEMENT_GAIN_LIMIT_DEFAULT, skip_scale0: false }
    }
}

/// VIF of one scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VifScale {
    /// Information that the distorted picture keeps; an f32 value.
    pub num: f64,
    /// Information in the reference; an f32 value.
    pub den: f64,
    /// Their quotient, divided as f32.
    pub score: f64,
}

/// VIF of one pair of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VifScores {
    /// Full, half, quarter and eighth size.
    pub scales: [VifScale; SCALES],
}

impl VifScores {
    /// Numerator summed over the scales that were not left out.
    pub fn num(&self) -> f64 {
        self.summed(|scale| scale.num)
    }

    /// Denominator summed over the scales that were not left out.
    pub fn den(&self) -> f64 {
        self.summed(|scale| scale.den)
    }

    /// The quotient of the sums.
    pub fn score(&self) -> f64 {
        if self.den() == 0.0 { 1.0 } else { self.num() / self.den() }
    }

    fn summed(&self, part: impl Fn(&VifScale) -> f64) -> f64 {
        let counted = self.scales.iter().filter(|scale| scale.den >= 0.0);
        counted.fold(0.0, |sum, scale| sum + part(scale))
    }
}

/// Buffers of VIF; they grow to the largest picture seen and are then reused.
#[derive(Debug, Default)]
pub struct VifScratch {
    buffers: WalkBuffers,
    /// Both pictures at scales 1, 2 and 3.
    shrunk: [[Vec<u16>; 2]; SCALES - 1],
}

impl VifScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    fn reserve(&mut self, width: usize, height: usize) {
        self.buffers.reserve(width);
        for (scale, pictures) in self.shrunk.iter_mut().enumerate() {
            let len = (width >> (scale + 1)) * (height >> (scale + 1));
            for picture in pictures {
                picture.resize(len, 0);
            }
        }
    }
}

/// Measures how much of the reference's information the distorted picture keeps.
///
/// Every instruction set gives the same bits. Samples above the bit depth give a meaningless score
/// and nothing worse.
///
/// # Errors
/// [`ShapeMismatch`] when the pictures differ in width, height or bit depth.
pub fn vif(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    params: &VifParams,
    scratch: &mut VifScratch,
) -> Result<VifScores, ShapeMismatch> {
    reference.expect_shape_of(distorted)?;
    let (width, height) = (reference.width(), reference.height());
    scratch.reserve(width, height);
    let VifScratch { buffers, shrunk: [half, quarter, eighth] } = scratch;
    let gain_limit = params.enhancement_gain_limit;
    let bit_depth = reference.bit_depth();
    let strides = [reference.stride(), distorted.stride()];
    let next = half.each_mut().map(Vec::as_mut_slice);
    let full = match (reference.samples(), distorted.samples()) {
        (Samples::U8(reference), Samples::U8(distorted)) => {
            let input = full_size([reference, distorted], strides, [width, height], bit_depth);
            scale0_bytes(isa, &input, gain_limit, buffers, Some(next))
        }
        (Samples::U16(reference), Samples::U16(distorted)) => {
            let input = full_size([reference, distorted], strides, [width, height], bit_depth);
            scale0_words(isa, &input, gain_limit, buffers, Some(next))
        }
        _ => return Err(ShapeMismatch),
    };
    let mut residuals = [Some(full), None, None, None];
    if let Some(input) = shrunk_size(half, width >> 1, height >> 1) {
        let next = quarter.each_mut().map(Vec::as_mut_slice);
        residuals[1] = Some(scale1(isa, &input, gain_limit, buffers, Some(next)));
    }
    if let Some(input) = shrunk_size(quarter, width >> 2, height >> 2) {
        let next = eighth.each_mut().map(Vec::as_mut_slice);
        residuals[2] = Some(scale2(isa, &input, gain_limit, buffers, Some(next)));
    }
    if let Some(input) = shrunk_size(eighth, width >> 3, height >> 3) {
        residuals[3] = Some(scale3(isa, &input, gain_limit, buffers, None));
    }
    let mut scores = VifScores { scales: residuals.map(scale_score) };
    if params.skip_scale0 {
        scores.scales[0] = VifScale { num: 0.0, den: -1.0, score: 0.0 };
    }
    Ok(scores)
}

fn scale_score(residuals: Option<Residuals>) -> VifScale {
    let Some(residuals) = residuals else {
        return VifScale { num: 0.0, den: 0.0, score: 1.0 };
    };
    let (num, den) = residuals.num_den();
    VifScale { num: f64::from(num), den: f64::from(den), score: f64::from(num / den) }
}

fn full_size<'a, S>(
    samples: [&'a [S]; 2],
    strides: [usize; 2],
    [width, height]: [usize; 2],
    bit_depth: u32,
) -> Input<'a, S> {
    let [reference, distorted] = samples;
    let pictures = [
        View { samples: reference, stride: strides[0] },
        View { samples: distorted, stride: strides[1] },
    ];
    let product_shift = 2 * (bit_depth - 8);
    Input { pictures, width, height, sample_shift: bit_depth, product_shift }
}

/// `None` for a scale without samples.
fn shrunk_size(samples: &[Vec<u16>; 2], width: usize, height: usize) -> Option<Input<'_, u16>> {
    let pictures = samples.each_ref().map(|samples| View { samples, stride: width });
    (width > 0 && height > 0).then_some(Input {
        pictures,
        width,
        height,
        sample_shift: 16,
        product_shift: 16,
    })
}

per_isa! {
    fn scale0_bytes(
        input: &Input<'_, u8>,
        gain_limit: f64,
        buffers: &mut WalkBuffers,
        next: Option<[&mut [u16]; 2]>,
    ) -> Residuals = walk::walk::<u8, Scale0, Scale1, _>, with vector;

    fn scale0_words(
        input: &Input<'_, u16>,
        gain_limit: f64,
        buffers: &mut WalkBuffers,
        next: Option<[&mut [u16]; 2]>,
    ) -> Residuals = walk::walk::<u16, Scale0, Scale1, _>, with vector;

    fn scale1(
        input: &Input<'_, u16>,
        gain_limit: f64,
        buffers: &mut WalkBuffers,
        next: Option<[&mut [u16]; 2]>,
    ) -> Residuals = walk::walk::<u16, Scale1, Scale2, _>, with vector;

    fn scale2(
        input: &Input<'_, u16>,
        gain_limit: f64,
        buffers: &mut WalkBuffers,
        next: Option<[&mut [u16]; 2]>,
    ) -> Residuals = walk::walk::<u16, Scale2, Scale3, _>, with vector;

    fn scale3(
        input: &Input<'_, u16>,
        gain_limit: f64,
        buffers: &mut WalkBuffers,
        next: Option<[&mut [u16]; 2]>,
    ) -> Residuals = walk::walk::<u16, Scale3, Scale3, _>, with vector;
}
