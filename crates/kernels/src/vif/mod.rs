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
//! How it is computed: `bands` says in what order the scales are walked; `walk` takes a band of one
//! scale strip by strip, two rows at a time; `strip` is what a strip reads and measures, `fill` how
//! its rows enter, `lines` what it leaves to the next, `stream` what is kept of a picture, `source`
//! what differs between bytes and words, `fir` the filters, `statistic` and `log2` what becomes of
//! the moments. All of that is one body over the vector operations of `kit`, which has them for each
//! instruction set.

mod bands;
mod fill;
mod fir;
mod kit;
mod lines;
mod log2;
mod source;
mod statistic;
mod stream;
mod strip;
mod taps;
mod walk;

use std::slice;

use self::bands::{BAND_PAIRS, scale_count, walk_bands};
use self::source::{Bytes, Shrunk, Words};
use self::statistic::{DistortedSums, ReferenceSums, num_den};
use self::stream::Stream;
use self::taps::{Scale0, Scale1, Scale2, Scale3};
use self::walk::Task;
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
    sums: [ScaleSums; SCALES],
}

/// What one scale adds up to.
#[derive(Debug, Default)]
struct ScaleSums {
    reference: ReferenceSums,
    distorted: Vec<DistortedSums>,
}

impl VifScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for a reference and `count` distorted pictures of this size, in bands.
    fn start(&mut self, width: usize, height: usize, count: usize, band_pairs: usize) {
        if self.distorted.len() < count {
            self.distorted.resize_with(count, Stream::default);
        }
        for stream in self.streams(count) {
            stream.start(width, height, band_pairs);
        }
        for sums in &mut self.sums {
            sums.reference = ReferenceSums::default();
            sums.distorted.clear();
            sums.distorted.resize(count, DistortedSums::default());
        }
    }

    /// Those of the reference and of `count` distorted pictures.
    fn streams(&mut self, count: usize) -> impl Iterator<Item = &mut Stream> {
        self.distorted[..count].iter_mut().chain([&mut self.reference])
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
    walk_bands(reference, distorted, params, BAND_PAIRS, scratch, |task, scratch| {
        walk_band(isa, task, scratch);
    });
    let scales = scale_count(reference.width(), reference.height());
    for (place, scores) in scores.iter_mut().enumerate() {
        for (scale, score) in scores.scales.iter_mut().enumerate() {
            let sums = &scratch.sums[scale];
            *score = if scale == 0 && params.skip_scale0 {
                SKIPPED
            } else if scale >= scales {
                EMPTY
            } else {
                scale_score(&sums.reference, &sums.distorted[place])
            };
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

/// Walks a band of a scale and adds to its sums in `scratch`.
fn walk_band(isa: Isa, task: &Task<'_>, scratch: &mut VifScratch) {
    let VifScratch { reference, distorted, sums } = scratch;
    let ScaleSums { reference: reference_sums, distorted: distorted_sums } = &mut sums[task.scale];
    let walk = match (task.scale, task.reference.samples()) {
        (0, Samples::U8(_)) => scale0_bytes,
        (0, Samples::U16(_)) => scale0_words,
        (1, _) => scale1,
        (2, _) => scale2,
        _ => scale3,
    };
    let distorted = &mut distorted[..task.distorted.len()];
    walk(isa, task, reference, distorted, reference_sums, distorted_sums);
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
    use crate::isa::every_isa;

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
        let sums = |band_pairs: usize, walk: &dyn Fn(&Task<'_>, &mut VifScratch)| {
            let (mut scratch, params) = (VifScratch::new(), VifParams::default());
            let [reference, distorted @ ..] = &planes;
            walk_bands(reference, distorted, &params, band_pairs, &mut scratch, walk);
            scratch.sums
        };
        let whole = usize::MAX;
        let expected = sums(whole, &walk_band_plainly);
        let mut compared = 0;
        for isa in every_isa() {
            for band_pairs in [whole, 1, 7, 16, 40] {
                let found = sums(band_pairs, &|task, scratch| walk_band(isa, task, scratch));
                let case = format!("{width}x{height}, {bit_depth} bits, {isa}, {band_pairs} pairs");
                for (scale, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(found.reference, expected.reference, "scale {scale}, {case}");
                    assert_eq!(found.distorted, expected.distorted, "scale {scale}, {case}");
                }
                compared += 1;
            }
        }
        compared
    }

    fn walk_band_plainly(task: &Task<'_>, scratch: &mut VifScratch) {
        let walk = match (task.scale, task.reference.samples()) {
            (0, Samples::U8(_)) => walk::walk::<Bytes, Scale0, Scale1, Plain>,
            (0, Samples::U16(_)) => walk::walk::<Words, Scale0, Scale1, Plain>,
            (1, _) => walk::walk::<Shrunk, Scale1, Scale2, Plain>,
            (2, _) => walk::walk::<Shrunk, Scale2, Scale3, Plain>,
            _ => walk::walk::<Shrunk, Scale3, Scale3, Plain>,
        };
        let VifScratch { reference, distorted, sums } = scratch;
        let ScaleSums { reference: reference_sums, distorted: distorted_sums } =
            &mut sums[task.scale];
        walk(Plain, task, reference, distorted, reference_sums, distorted_sums);
    }

    #[test]
    fn plain_code_and_every_instruction_set_give_the_same_sums_in_bands_of_any_height() {
        let mut compared = 0;
        let sizes = [(1, 1), (9, 5), (33, 35), (113, 20), (129, 97), (241, 18), (20, 301)];
        for (width, height) in sizes {
            for bit_depth in [8, 9, 10, 12, 16] {
                compared += check(width, height, bit_depth);
            }
        }
        assert_eq!(compared, sizes.len() * 5 * 5 * every_isa().len());
    }
}
