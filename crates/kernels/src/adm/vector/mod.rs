//! ADM in vectors, for AVX2 and AVX-512: equal to the portable code by test.
//!
//! One walk serves a reference and any number of distorted pictures: what concerns the reference
//! alone (its transform and the sums of its detail) is done once.
//!
//! Not served here, but by the portable code: gain limits with a fraction, Barten's weights beyond
//! what scale 0 holds in 16 bits or the others in 31, and pictures narrower than a vector.

mod deep;
mod split;
mod sums;
mod transform;
mod walk;

pub(super) use transform::SLACK;
pub(super) use walk::Scratch;

use super::LowMemory;
use super::geometry::{Axis, SCALES};
use super::params::AdmParams;
use crate::isa::{Avx2, Avx512, Isa, IsaLevel};
use crate::lanes::Lanes;
use crate::plane::{PlaneRef, Samples};
use transform::columns_read;

/// Whether this code serves.
pub(super) fn serves(isa: Isa, params: &AdmParams, axes: [&[Axis; SCALES]; 2]) -> bool {
    let words = match isa.level() {
        IsaLevel::Baseline => return false,
        IsaLevel::Avx2 => Avx2::WORDS,
        IsaLevel::Avx512 => Avx512::WORDS,
    };
    let [straight, _, _] = params.first_weights();
    let mut deep_weights = (1..SCALES).flat_map(|scale| params.deep_weights(scale));
    let are_weights_small =
        straight <= split::WEIGHT_MAX && deep_weights.all(|weight| weight < deep::WEIGHT_END);
    let gain_is_whole = params.options().enhancement_gain_limit.fract() == 0.0;
    let is_wide = columns_read(&axes[0][0]).0.len() >= words;
    are_weights_small && gain_is_whole && is_wide
}

/// The sums of all scales for each distorted picture, in `scratch`. `low` is of the reference, then
/// of these, with [`SLACK`].
///
/// # Panics
/// Where this code does not serve: there are no vectors.
pub(super) fn frame_sums<'a>(
    isa: Isa,
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    low: LowMemory<'_>,
    scratch: &mut Scratch,
) {
    scratch.fit(axes, distorted.len());
    match isa.level() {
        IsaLevel::Baseline => unreachable!("the baseline has no vectors"),
        // SAFETY: an `Isa` of this level exists only after detection of all its features.
        IsaLevel::Avx2 => unsafe { avx2(reference, distorted, params, axes, low, scratch) },
        // SAFETY: an `Isa` of this level exists only after detection of all its features.
        IsaLevel::Avx512 => unsafe { avx512(reference, distorted, params, axes, low, scratch) },
    }
}

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<'a>(
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    low: LowMemory<'_>,
    scratch: &mut Scratch,
) {
    by_sample(Avx2::here(), reference, distorted, params, axes, low, scratch);
}

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn avx512<'a>(
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    low: LowMemory<'_>,
    scratch: &mut Scratch,
) {
    by_sample(Avx512::here(), reference, distorted, params, axes, low, scratch);
}

#[inline(always)]
fn by_sample<'a, L: Lanes>(
    lanes: L,
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    low: LowMemory<'_>,
    scratch: &mut Scratch,
) {
    match reference.samples() {
        Samples::U8(_) => {
            walk::all_scales(lanes, reference, distorted, bytes, params, axes, low, scratch);
        }
        Samples::U16(_) => {
            walk::all_scales(lanes, reference, distorted, words, params, axes, low, scratch);
        }
    }
}

/// Samples and stride of a plane of bytes.
fn bytes<'a>(plane: &PlaneRef<'a>) -> (&'a [u8], usize) {
    match plane.samples() {
        Samples::U8(samples) => (samples, plane.stride()),
        Samples::U16(_) => unreachable!("planes of one bit depth have one sample type"),
    }
}

/// Samples and stride of a plane of words.
fn words<'a>(plane: &PlaneRef<'a>) -> (&'a [u16], usize) {
    match plane.samples() {
        Samples::U16(samples) => (samples, plane.stride()),
        Samples::U8(_) => unreachable!("planes of one bit depth have one sample type"),
    }
}
