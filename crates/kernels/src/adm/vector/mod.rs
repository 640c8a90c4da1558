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

pub(super) use walk::Scratch;

use super::geometry::{Axis, SCALES};
use super::params::AdmParams;
use crate::isa::{Avx2, Avx512, Isa, IsaLevel};
use crate::lanes::Lanes;
use crate::plane::{PlaneRef, Samples};
use transform::columns_read;

/// The sums of all scales for each distorted picture, in `scratch`; false where this code does not
/// serve.
pub(super) fn frame_sums<'a>(
    isa: Isa,
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut Scratch,
) -> bool {
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
    if !are_weights_small || !gain_is_whole || !is_wide {
        return false;
    }
    scratch.fit(axes, distorted.len());
    if isa.level() == IsaLevel::Avx2 {
        // SAFETY: an `Isa` of this level exists only after detection of all its features.
        unsafe { avx2(reference, distorted, params, axes, scratch) }
    } else {
        // SAFETY: an `Isa` of this level exists only after detection of all its features.
        unsafe { avx512(reference, distorted, params, axes, scratch) }
    }
    true
}

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn avx2<'a>(
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut Scratch,
) {
    by_sample(Avx2::here(), reference, distorted, params, axes, scratch);
}

#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn avx512<'a>(
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut Scratch,
) {
    by_sample(Avx512::here(), reference, distorted, params, axes, scratch);
}

#[inline(always)]
fn by_sample<'a, L: Lanes>(
    lanes: L,
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut Scratch,
) {
    match reference.samples() {
        Samples::U8(_) => {
            walk::all_scales(lanes, reference, distorted, bytes, params, axes, scratch);
        }
        Samples::U16(_) => {
            walk::all_scales(lanes, reference, distorted, words, params, axes, scratch);
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
