//! PSNR-HVS-M: the error of overlapping 8x8 blocks in the frequency domain, weighted by how visible
//! a frequency is and lessened by what a textured block hides.
//!
//! Bit-exact with the `psnr_hvs` extractor of libvmaf 3.2, which computes it as the Daala codec's
//! tools do. Of every block, seven samples apart in both directions:
//! - variances of the whole and of its quarters, relative to their means (`f32`);
//! - the integer transform of [`dct`];
//! - masking: `sqrt(sum(c^2 m) * (variance of quarters) / (variance of the whole)) / 32` over all
//!   coefficients `c` but the mean, the larger of the two pictures';
//! - the error `e` of each coefficient, less `masking / m` unless it is the mean, if anything is left;
//! - the plane's error is the sum of `(e w)^2`, one `f32` sum over all coefficients of all blocks in
//!   order, divided by their number and by the square of the largest sample.
//!
//! Samples that no block reaches, up to six at the right and at the bottom, do not count. A plane
//! with a side below eight samples has no block, and its error is not a number.
//!
//! How it is computed: up to 32 blocks are taken together, one a lane, so that no operation of a block
//! changes places; `sum` adds their terms with the bits of adding in order. `words` does so in 16-bit
//! words where samples and instruction set allow it, `blocks` in 32-bit integers everywhere else.

mod blocks;
mod csf;
mod dct;
mod sum;
#[cfg(target_arch = "x86_64")]
mod words;

use crate::elementary::log10;
#[cfg(target_arch = "x86_64")]
use crate::isa::{Avx2, Avx512};
use crate::isa::{Isa, Portable, Vector, per_isa};
#[cfg(target_arch = "x86_64")]
use crate::lanes::PictureSample;
use crate::plane::{PlaneRef, Samples, ShapeMismatch};

use self::blocks::{BATCH, BATCH_STEP, Blocks, COEFFICIENTS, Grid, Lane, SIDE};
use self::csf::Sensitivity;
use self::sum::OrderedSum;

/// Bits a sample may have at most.
pub const BIT_DEPTH_MAX: u32 = 12;
/// The least side of a plane that holds a block.
pub const PLANE_SIDE_MIN: usize = SIDE;
/// From the start of a block to that of the next.
const STEP: usize = 7;

/// Buffers of PSNR-HVS: of one size, whatever the picture.
#[derive(Debug, Default)]
pub struct PsnrHvsScratch {
    buffers: Box<Buffers>,
    #[cfg(target_arch = "x86_64")]
    words: Box<words::Buffers>,
}

impl PsnrHvsScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug)]
struct Buffers {
    pictures: [Blocks; 2],
    terms: Grid<f32>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            pictures: [Blocks::default(), Blocks::default()],
            terms: [[0.0; BATCH]; COEFFICIENTS],
        }
    }
}

/// Two planes of one shape.
struct Input<'a, S> {
    pictures: [&'a [S]; 2],
    strides: [usize; 2],
    width: usize,
    height: usize,
    /// The largest sample that the bit depth has.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only words are narrow"))]
    peak: u16,
}

/// The weighted error of one plane, 0 for equal planes; an `f32` value.
///
/// `plane` is 0 for luma, 1 for Cb and 2 for Cr. Every instruction set gives the same bits. Samples
/// above the planes' bit depth count as what they are, as in libvmaf; beyond [`BIT_DEPTH_MAX`] bits they
/// have no defined result there, and some here that does no harm.
///
/// # Errors
/// [`ShapeMismatch`] when the planes differ in width, height or bit depth.
pub fn psnr_hvs_error(
    isa: Isa,
    plane: usize,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    scratch: &mut PsnrHvsScratch,
) -> Result<f64, ShapeMismatch> {
    reference.expect_shape_of(distorted)?;
    let (width, height) = (reference.width(), reference.height());
    let strides = [reference.stride(), distorted.stride()];
    let sensitivity = &csf::PLANES[plane];
    let peak = ((1_u32 << reference.bit_depth()) - 1) as u16;
    let sum = match (reference.samples(), distorted.samples()) {
        (Samples::U8(reference), Samples::U8(distorted)) => {
            let pictures = [reference, distorted];
            let input = Input { pictures, strides, width, height, peak };
            error_of_bytes(isa, &input, sensitivity, scratch)
        }
        (Samples::U16(reference), Samples::U16(distorted)) => {
            let pictures = [reference, distorted];
            let input = Input { pictures, strides, width, height, peak };
            error_of_words(isa, &input, sensitivity, scratch)
        }
        _ => return Err(ShapeMismatch),
    };
    let terms = block_count(width) * block_count(height) * COEFFICIENTS;
    let peak = f32::from(peak);
    Ok(f64::from(sum / terms as f32 / (peak * peak)))
}

/// The error of a picture, from those of its planes.
pub fn combined_error([luma, cb, cr]: [f64; 3]) -> f64 {
    luma * 0.8 + 0.1 * (cb + cr)
}

/// An error in decibels; infinite for none.
pub fn psnr_hvs_db(error: f64) -> f64 {
    10.0 * -log10(error)
}

/// Blocks along a side.
fn block_count(side: usize) -> usize {
    side.saturating_sub(SIDE - STEP) / STEP
}

per_isa! {
    fn error_of_bytes(
        input: &Input<'_, u8>,
        sensitivity: &Sensitivity,
        scratch: &mut PsnrHvsScratch,
    ) -> f32 = error_of, with vector;

    fn error_of_words(
        input: &Input<'_, u16>,
        sensitivity: &Sensitivity,
        scratch: &mut PsnrHvsScratch,
    ) -> f32 = error_of, with vector;
}

/// The sum of a plane's terms on one instruction set.
trait Summed<S>: Vector {
    fn sum(self, input: &Input<'_, S>, of: &Sensitivity, scratch: &mut PsnrHvsScratch) -> f32;
}

#[inline(always)]
fn error_of<V: Summed<S>, S>(
    vector: V,
    input: &Input<'_, S>,
    sensitivity: &Sensitivity,
    scratch: &mut PsnrHvsScratch,
) -> f32 {
    vector.sum(input, sensitivity, scratch)
}

impl<S: Packed> Summed<S> for Portable {
    #[inline(always)]
    fn sum(self, input: &Input<'_, S>, of: &Sensitivity, scratch: &mut PsnrHvsScratch) -> f32 {
        sum_of_terms(input, of, &mut scratch.buffers)
    }
}

#[cfg(target_arch = "x86_64")]
macro_rules! summed_in_words {
    ($($vector:ty),+) => {$(
        impl<S: Packed + PictureSample> Summed<S> for $vector {
            #[inline(always)]
            fn sum(
                self,
                input: &Input<'_, S>,
                of: &Sensitivity,
                scratch: &mut PsnrHvsScratch,
            ) -> f32 {
                if input.peak >> words::BIT_DEPTH_MAX == 0
                    && let Some(sum) = words::sum_of_terms(self, input, of, &mut scratch.words)
                {
                    return sum;
                }
                sum_of_terms(input, of, &mut scratch.buffers)
            }
        }
    )+};
}
#[cfg(target_arch = "x86_64")]
summed_in_words!(Avx2, Avx512);

#[inline(always)]
fn sum_of_terms<S: Packed>(
    input: &Input<'_, S>,
    sensitivity: &Sensitivity,
    buffers: &mut Buffers,
) -> f32 {
    let mut sum = OrderedSum::default();
    let columns = block_count(input.width);
    for block_y in 0..block_count(input.height) {
        for first in (0..columns).step_by(BATCH) {
            let count = BATCH.min(columns - first);
            let lanes = count.next_multiple_of(BATCH_STEP);
            let Buffers { pictures, terms } = buffers;
            for (picture, blocks) in pictures.iter_mut().enumerate() {
                let at = block_y * STEP * input.strides[picture] + first * STEP;
                let samples = &input.pictures[picture][at..];
                S::gather(samples, input.strides[picture], count, &mut blocks.values);
                blocks.analyse(lanes, &sensitivity.mask);
            }
            let [reference, distorted] = pictures;
            blocks::errors([reference, distorted], lanes, sensitivity, terms);
            sum.add(terms, lanes);
        }
    }
    sum.value()
}

/// Samples of which a row of a block is read as a few words of four bytes.
trait Packed: Copy {
    /// Whether a row takes all four words, or only the first two.
    const IS_WIDE: bool;

    /// A row of a block as words.
    fn words(row: &[Self; SIDE]) -> [u32; 4];

    /// The samples of a row, from its words.
    fn unpacked(words: [u32; 4]) -> [i32; SIDE];

    /// Puts the samples of `count` blocks of a row into lanes, and zeros into the others.
    #[inline(always)]
    fn gather(samples: &[Self], stride: usize, count: usize, grid: &mut Grid<i32>) {
        let mut words = [[0_u32; BATCH]; 4];
        for y in 0..SIDE {
            let row = &samples[y * stride..][..(count - 1) * STEP + SIDE];
            for lane in 0..count {
                let block = row[lane * STEP..].first_chunk().expect("the row holds every block");
                let [first, second, third, fourth] = Self::words(block);
                words[0][lane] = first;
                words[1][lane] = second;
                if Self::IS_WIDE {
                    words[2][lane] = third;
                    words[3][lane] = fourth;
                }
            }
            let line = grid[y * SIDE..].first_chunk_mut().expect("eight lines of eight");
            Self::spread(&words, line);
        }
    }

    /// Puts words of a row of every block apart.
    #[inline(always)]
    fn spread(words: &[Lane<u32>; 4], line: &mut [Lane<i32>; SIDE]) {
        let [first, second, third, fourth] = words;
        let [a, b, c, d, e, f, g, h] = line;
        for lane in 0..BATCH {
            let samples = Self::unpacked([first[lane], second[lane], third[lane], fourth[lane]]);
            a[lane] = samples[0];
            b[lane] = samples[1];
            c[lane] = samples[2];
            d[lane] = samples[3];
            e[lane] = samples[4];
            f[lane] = samples[5];
            g[lane] = samples[6];
            h[lane] = samples[7];
        }
    }
}

impl Packed for u8 {
    const IS_WIDE: bool = false;

    #[inline(always)]
    fn words(row: &[Self; SIDE]) -> [u32; 4] {
        let [a, b, c, d, e, f, g, h] = *row;
        [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), 0, 0]
    }

    #[inline(always)]
    fn unpacked([first, second, ..]: [u32; 4]) -> [i32; SIDE] {
        let byte = |word: u32, at: u32| (word >> (8 * at) & 0xff) as i32;
        [
            byte(first, 0),
            byte(first, 1),
            byte(first, 2),
            byte(first, 3),
            byte(second, 0),
            byte(second, 1),
            byte(second, 2),
            byte(second, 3),
        ]
    }
}

impl Packed for u16 {
    const IS_WIDE: bool = true;

    #[inline(always)]
    fn words(row: &[Self; SIDE]) -> [u32; 4] {
        let pair = |low: u16, high: u16| u32::from(low) | (u32::from(high) << 16);
        let [a, b, c, d, e, f, g, h] = *row;
        [pair(a, b), pair(c, d), pair(e, f), pair(g, h)]
    }

    #[inline(always)]
    fn unpacked([first, second, third, fourth]: [u32; 4]) -> [i32; SIDE] {
        let low = |word: u32| (word & 0xffff) as i32;
        let high = |word: u32| (word >> 16) as i32;
        [
            low(first),
            high(first),
            low(second),
            high(second),
            low(third),
            high(third),
            low(fourth),
            high(fourth),
        ]
    }
}

#[cfg(test)]
mod tests;
