//! SpEED: how much the entropy of a plane's coarse detail differs between reference and distorted.
//!
//! Bit-exact with the portable SpEED of libvmaf 3.2. One plane, or one difference of two planes,
//! becomes a few numbers per block; two planes' numbers become a score:
//!
//! 1. samples in steps of 8 bits, less 128 (or the sample of the frame before less this one's);
//!    scaled by `prescale` where that is not 1 ([`scale`]);
//! 2. a blur, of which every 16th sample of every 16th row is kept, less a narrower blur of what was
//!    kept ([`shrink`]): about 1/256 of the samples, with the local mean taken off;
//! 3. the 25 by 25 covariance of all 5x5 windows ([`covariance`]), its eigenvalues ([`eigen`]), and
//!    for each block of 5x5 its energy in units of that covariance ([`solve`]);
//! 4. from both, the block's entropy under neural noise ([`entropy`]); the score is the mean over
//!    blocks of how much the entropies differ, each weighted by its energy.
//!
//! Everything but the covariance and the logarithms is `f32`, and the order of every sum is part of
//! the definition: vectors run across windows, columns or blocks, never along a sum. Nothing is
//! fused but the parts of the logarithm that are so by definition ([`log2`]), so every instruction
//! set gives the same bits.
//!
//! A covariance that has an eigenvalue below 1e-6, or no inverse, is *singular*: flat planes are.
//! If one plane of a pair is singular its score is 0.

mod covariance;
mod eigen;
mod entropy;
mod filter;
mod geometry;
mod log2;
mod options;
mod scale;
mod shrink;
mod solve;

use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples};

pub use self::options::{
    KERNEL_SCALES, PrescaleMethod, SCORE_MAX_DEFAULT, SpeedError, SpeedOptions, SpeedParams,
};

use self::entropy::Blocks;
use self::geometry::Geometry;
use self::shrink::{Centred, Detail, Difference, Shrink};

/// Width and height of a block, and of the windows whose covariance is taken.
const BLOCK_SIDE: usize = 5;
/// Samples of a block: rows and columns of the covariance.
const BLOCK_LEN: usize = BLOCK_SIDE * BLOCK_SIDE;
/// [`BLOCK_LEN`] filled up to whole vectors.
const LANES: usize = 32;
/// Rows and columns of which one is kept.
const RATIO: usize = 16;
/// An eigenvalue or pivot below this makes a covariance singular.
const SINGULAR_BELOW: f64 = 1.0e-6;

/// A square matrix in rows of [`LANES`]; the lanes after the 25th are 0.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Matrix([[f32; LANES]; BLOCK_LEN]);

impl Matrix {
    const ZERO: Self = Self([[0.0; LANES]; BLOCK_LEN]);
}

/// What is compared: the planes of one channel of a frame.
#[derive(Clone, Copy, Debug)]
pub enum SpeedInput<'a> {
    /// The samples themselves.
    Plane(&'a PlaneRef<'a>),
    /// The samples of the frame before less those of this one.
    Change {
        /// The plane of the frame before.
        previous: &'a PlaneRef<'a>,
        /// The plane of this frame.
        current: &'a PlaneRef<'a>,
    },
}

impl SpeedInput<'_> {
    fn size(&self) -> (usize, usize) {
        let (Self::Plane(plane) | Self::Change { current: plane, .. }) = self;
        (plane.width(), plane.height())
    }
}

/// Energy and entropy of every block of one plane: all that a comparison needs of it.
///
/// A reference's can be kept and compared with many distorted planes'.
#[derive(Clone, Debug, Default)]
pub struct SpeedStatistics {
    blocks: Blocks,
    singular: bool,
}

impl SpeedStatistics {
    /// Whether the plane's covariance is singular, as that of a flat plane is.
    pub fn is_singular(&self) -> bool {
        self.singular
    }
}

/// The comparison of two planes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SpeedScore {
    /// Mean difference of weighted entropies; 0 when exactly one of the planes is singular.
    pub score: f32,
    /// Whether either plane is singular.
    pub singular: bool,
}

/// The scores of both chroma channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeedChroma {
    /// Blue-difference channel.
    pub u: f64,
    /// Red-difference channel.
    pub v: f64,
    /// Mean of both, or the score of the only channel that is not singular.
    pub uv: f64,
}

/// Buffers of SpEED; they grow to the largest plane seen and are then reused.
#[derive(Debug, Default)]
pub struct SpeedScratch {
    shrink: Shrink,
}

impl SpeedScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Measures one plane, or one change between two.
///
/// # Errors
/// [`SpeedError::TooSmall`] when the plane, scaled, does not hold one block, and
/// [`SpeedError::Shape`] when the two planes of a change differ in shape.
pub fn speed_statistics(
    isa: Isa,
    input: SpeedInput<'_>,
    params: &SpeedParams,
    scratch: &mut SpeedScratch,
    statistics: &mut SpeedStatistics,
) -> Result<(), SpeedError> {
    let (width, height) = input.size();
    let geometry = Geometry::new(width, height, params)?;
    let shrink = &mut scratch.shrink;
    shrink.prepare(&geometry, params);
    match input {
        SpeedInput::Plane(plane) => match plane.samples() {
            Samples::U8(samples) => {
                shrink_bytes(isa, Centred::new(plane, samples), &geometry, params, shrink);
            }
            Samples::U16(samples) => {
                shrink_words(isa, Centred::new(plane, samples), &geometry, params, shrink);
            }
        },
        SpeedInput::Change { previous, current } => {
            previous.expect_shape_of(current).map_err(|_| SpeedError::Shape)?;
            let planes = [previous, current];
            match (previous.samples(), current.samples()) {
                (Samples::U8(a), Samples::U8(b)) => {
                    let change = Difference::new(planes, [a, b]);
                    shrink_byte_change(isa, change, &geometry, params, shrink);
                }
                (Samples::U16(a), Samples::U16(b)) => {
                    let change = Difference::new(planes, [a, b]);
                    shrink_word_change(isa, change, &geometry, params, shrink);
                }
                _ => return Err(SpeedError::Shape),
            }
        }
    }
    let detail = shrink.detail(&geometry);
    statistics.singular = measure(isa, detail, &geometry, params, &mut statistics.blocks);
    Ok(())
}

/// Compares two planes' statistics, taken of planes of one size with the same `params`.
///
/// # Errors
/// [`SpeedError::Shape`] when they have not the same number of blocks.
pub fn speed_score(
    isa: Isa,
    reference: &SpeedStatistics,
    distorted: &SpeedStatistics,
    params: &SpeedParams,
) -> Result<SpeedScore, SpeedError> {
    let count = reference.blocks.len();
    if count != distorted.blocks.len() || count == 0 {
        return Err(SpeedError::Shape);
    }
    let score = if reference.singular == distorted.singular {
        compare(isa, &reference.blocks, &distorted.blocks, params)
    } else {
        0.0
    };
    Ok(SpeedScore { score, singular: reference.singular || distorted.singular })
}

impl SpeedChroma {
    /// Both channels' scores; above `score_max` they become it, and so does one that is no number.
    pub fn new(u: SpeedScore, v: SpeedScore, score_max: f64) -> Self {
        let uv = match (u.singular, v.singular) {
            (true, false) => v.score,
            (false, true) => u.score,
            _ => (f64::from(u.score + v.score) / 2.0) as f32,
        };
        // Not `f64::min`, which would drop what is no number.
        let limited = |score: f32| {
            let score = f64::from(score);
            if score < score_max { score } else { score_max }
        };
        Self { u: limited(u.score), v: limited(v.score), uv: limited(uv) }
    }
}

per_isa! {
    fn shrink_bytes(
        plane: Centred<'_, u8>, geometry: &Geometry, params: &SpeedParams, shrink: &mut Shrink
    ) = shrink::shrink;
    fn shrink_words(
        plane: Centred<'_, u16>, geometry: &Geometry, params: &SpeedParams, shrink: &mut Shrink
    ) = shrink::shrink;
    fn shrink_byte_change(
        change: Difference<'_, u8>, geometry: &Geometry, params: &SpeedParams, shrink: &mut Shrink
    ) = shrink::shrink;
    fn shrink_word_change(
        change: Difference<'_, u16>, geometry: &Geometry, params: &SpeedParams, shrink: &mut Shrink
    ) = shrink::shrink;
    fn measure(
        detail: Detail<'_>, geometry: &Geometry, params: &SpeedParams, blocks: &mut Blocks
    ) -> bool = entropy::measure, with vector;
    fn compare(reference: &Blocks, distorted: &Blocks, params: &SpeedParams) -> f32
        = entropy::compare, with vector;
}

#[cfg(test)]
mod tests;
