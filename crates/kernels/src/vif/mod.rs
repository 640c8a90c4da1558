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
//! How it is computed: `walk` takes one scale strip by strip, two rows at a time; `strip` is what a
//! strip reads and measures, `fill` how its rows enter, `lines` what it leaves to the next, `source`
//! what differs between bytes and words, `fir` the filters, `statistic` and `log2` what becomes of
//! the moments. All of that is one body over the vector operations of `kit`, which has them for each
//! instruction set.

mod fill;
mod fir;
mod kit;
mod lines;
mod log2;
mod source;
mod statistic;
mod strip;
mod taps;
mod walk;

use std::slice;

use self::source::{Bytes, Shrunk, Words};
use self::statistic::{DistortedSums, ReferenceSums, num_den};
use self::taps::{Scale0, Scale1, Scale2, Scale3};
use self::walk::{Stream, Task};
use crate::isa::{Isa, per_isa_and_vnni};
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

/// Buffers of VIF; they grow to the largest pictures seen, and the most at once, and are then
/// reused.
#[derive(Debug, Default)]
pub struct VifScratch {
    reference: Stream,
    distorted: Vec<Stream>,
    sums: Vec<DistortedSums>,
}

impl VifScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    fn reserve(&mut self, width: usize, height: usize, count: usize) {
        if self.distorted.len() < count {
            self.distorted.resize_with(count, Stream::default);
        }
        let streams = self.distorted[..count].iter_mut();
        for stream in streams.chain([&mut self.reference]) {
            stream.reserve(width, height);
        }
        self.sums.resize(count, DistortedSums::default());
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
    let mut scores = [VifScores::default()];
    measure(isa, reference, slice::from_ref(distorted), params, scratch, &mut scores)?;
    Ok(scores[0])
}

/// Measures several distorted pictures against one reference, whose own share of the work is done
/// once. Each score is the one of [`vif`], to the last bit.
///
/// # Errors
/// [`ShapeMismatch`] when a picture differs from the reference in width, height or bit depth.
pub fn vif_each(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &[PlaneRef<'_>],
    params: &VifParams,
    scratch: &mut VifScratch,
) -> Result<Vec<VifScores>, ShapeMismatch> {
    let mut scores = vec![VifScores::default(); distorted.len()];
    measure(isa, reference, distorted, params, scratch, &mut scores)?;
    Ok(scores)
}

/// Writes the score of each distorted picture.
fn measure(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &[PlaneRef<'_>],
    params: &VifParams,
    scratch: &mut VifScratch,
    scores: &mut [VifScores],
) -> Result<(), ShapeMismatch> {
    for plane in distorted {
        reference.expect_shape_of(plane)?;
    }
    let (width, height) = (reference.width(), reference.height());
    scratch.reserve(width, height, distorted.len());
    for scale in 0..SCALES {
        let measured = scale > 0 || !params.skip_scale0;
        if !measured {
            scores.iter_mut().for_each(|scores| scores.scales[0] = SKIPPED);
        }
        if width >> scale == 0 || height >> scale == 0 {
            scores.iter_mut().for_each(|scores| scores.scales[scale] = EMPTY);
            continue;
        }
        let gain_limit = params.enhancement_gain_limit;
        let task = Task { reference, distorted, scale, measured, gain_limit };
        let reference_sums = walk_scale(isa, &task, scratch);
        if measured {
            for (scores, sums) in scores.iter_mut().zip(&scratch.sums) {
                scores.scales[scale] = scale_score(&reference_sums, sums);
            }
        }
    }
    Ok(())
}

/// A scale that was left out.
const SKIPPED: VifScale = VifScale { num: 0.0, den: -1.0, score: 0.0 };

/// A scale without samples.
const EMPTY: VifScale = VifScale { num: 0.0, den: 0.0, score: 1.0 };

fn scale_score(reference: &ReferenceSums, distorted: &DistortedSums) -> VifScale {
    let (num, den) = num_den(reference, distorted);
    VifScale { num: f64::from(num), den: f64::from(den), score: f64::from(num / den) }
}

/// Walks the scale of a task and leaves the distorted pictures' sums in `scratch`.
fn walk_scale(isa: Isa, task: &Task<'_>, scratch: &mut VifScratch) -> ReferenceSums {
    let mut reference_sums = ReferenceSums::default();
    let VifScratch { reference, distorted, sums } = scratch;
    let distorted = &mut distorted[..sums.len()];
    sums.fill(DistortedSums::default());
    let walk = match (task.scale, task.reference.samples()) {
        (0, Samples::U8(_)) => scale0_bytes,
        (0, Samples::U16(_)) => scale0_words,
        (1, _) => scale1,
        (2, _) => scale2,
        _ => scale3,
    };
    walk(isa, task, reference, distorted, &mut reference_sums, sums);
    reference_sums
}

per_isa_and_vnni! {
    fn scale0_bytes(
        task: &Task<'_>,
        reference: &mut Stream,
        distorted: &mut [Stream],
        reference_sums: &mut ReferenceSums,
        distorted_sums: &mut [DistortedSums],
    ) = walk::walk::<Bytes, Scale0, Scale1, _>, with kit;

    fn scale0_words(
        task: &Task<'_>,
        reference: &mut Stream,
        distorted: &mut [Stream],
        reference_sums: &mut ReferenceSums,
        distorted_sums: &mut [DistortedSums],
    ) = walk::walk::<Words, Scale0, Scale1, _>, with kit;

    fn scale1(
        task: &Task<'_>,
        reference: &mut Stream,
        distorted: &mut [Stream],
        reference_sums: &mut ReferenceSums,
        distorted_sums: &mut [DistortedSums],
    ) = walk::walk::<Shrunk, Scale1, Scale2, _>, with kit;

    fn scale2(
        task: &Task<'_>,
        reference: &mut Stream,
        distorted: &mut [Stream],
        reference_sums: &mut ReferenceSums,
        distorted_sums: &mut [DistortedSums],
    ) = walk::walk::<Shrunk, Scale2, Scale3, _>, with kit;

    fn scale3(
        task: &Task<'_>,
        reference: &mut Stream,
        distorted: &mut [Stream],
        reference_sums: &mut ReferenceSums,
        distorted_sums: &mut [DistortedSums],
    ) = walk::walk::<Shrunk, Scale3, Scale3, _>, with kit;
}

#[cfg(test)]
mod tests {
    use super::kit::Plain;
    use super::*;

    /// Random samples, of which the second picture's are near the first's.
    fn picture(len: usize, bit_depth: u32, mut state: u32) -> Vec<u16> {
        let mut random = |bound: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % bound
        };
        (0..len).map(|_| random(1 << bit_depth) as u16).collect()
    }

    fn check(width: usize, height: usize, bit_depth: u32) -> usize {
        let words = [1, 2, 3].map(|seed| picture(width * height, bit_depth, seed));
        let bytes = words.each_ref().map(|words| words.iter().map(|word| *word as u8).collect());
        let bytes: [Vec<u8>; 3] = bytes;
        let planes = [0, 1, 2].map(|index| {
            let samples = match bit_depth {
                8 => Samples::U8(&bytes[index]),
                _ => Samples::U16(&words[index]),
            };
            PlaneRef::new(samples, width, height, width, bit_depth).expect("fits by design")
        });
        let mut by_plain = VifScratch::new();
        by_plain.reserve(width, height, 2);
        let mut scratches: Vec<_> =
            Isa::available().into_iter().map(|isa| (isa, VifScratch::new())).collect();
        scratches.iter_mut().for_each(|(_, scratch)| scratch.reserve(width, height, 2));
        let mut compared = 0;
        for scale in (0..SCALES).take_while(|scale| width >> scale > 0 && height >> scale > 0) {
            let task = Task {
                reference: &planes[0],
                distorted: &planes[1..],
                scale,
                measured: true,
                gain_limit: 100.0,
            };
            let walk = match (scale, bit_depth) {
                (0, 8) => walk::walk::<Bytes, Scale0, Scale1, Plain>,
                (0, _) => walk::walk::<Words, Scale0, Scale1, Plain>,
                (1, _) => walk::walk::<Shrunk, Scale1, Scale2, Plain>,
                (2, _) => walk::walk::<Shrunk, Scale2, Scale3, Plain>,
                _ => walk::walk::<Shrunk, Scale3, Scale3, Plain>,
            };
            let mut expected = ReferenceSums::default();
            let VifScratch { reference, distorted, sums } = &mut by_plain;
            sums.fill(DistortedSums::default());
            walk(Plain, &task, reference, distorted, &mut expected, sums);
            for (isa, scratch) in &mut scratches {
                assert_eq!(walk_scale(*isa, &task, scratch), expected, "scale {scale}, {isa}");
                assert_eq!(scratch.sums, by_plain.sums, "scale {scale}, {isa}");
                compared += 1;
            }
        }
        compared
    }

    #[test]
    fn plain_code_and_every_instruction_set_give_the_same_sums() {
        let mut compared = 0;
        let sizes = [(1, 1), (9, 5), (33, 35), (113, 20), (129, 97), (241, 18)];
        for (width, height) in sizes {
            for bit_depth in [8, 9, 10, 12, 16] {
                compared += check(width, height, bit_depth);
            }
        }
        assert_eq!(compared, (1 + 3 + 4 * 4) * 5 * Isa::available().len());
    }
}
