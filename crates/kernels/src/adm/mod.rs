//! Integer ADM, the additive detail measure: how much detail of the reference survives in the
//! distorted picture, and how much the distortion adds.
//!
//! Both pictures are split by four scales of a wavelet transform. Each detail coefficient of the
//! distorted picture is decoupled into a restored part and an impairment, weighted by contrast
//! sensitivity, masked by the other part's surroundings, and its cube is summed.
//!
//! Duty: the same bits as libvmaf 3.2.0 (its plain C path) for pictures with both sides above
//! [`DEFINED_SIDE_MIN`] - 1 samples, at 8 to 16 bits, on every instruction set. The fractional
//! powers at the end and the logarithms and exponentials of the contrast sensitivity are those of
//! [`crate::elementary`]: glibc's bits on every machine.
//!
//! Smaller pictures, for which libvmaf reads outside of its buffers, have this definition:
//! - position 0 of a transform reads inputs 1, 0, 1, 2 and position `i` reads `2i - 1 ..= 2i + 2`;
//!   past the end the input is mirrored with its last sample repeated (`n` reads `n - 1`); what is
//!   outside still reads the nearest sample;
//! - the masking neighbour before the first coefficient is the second (itself, if there is one
//!   only), the one after the last is the last;
//! - every coefficient is summed once, and shifts that would be negative are zero.
//!
//! Larger pictures follow the same rules. Where the denominator vanishes, ratios are 1 and `aim` is 0.
//!
//! This module does not choose options for a model and knows no feature names.

mod csf;
mod decouple;
mod dwt;
mod geometry;
mod params;
mod pooling;
mod scale;
mod scores;
#[cfg(target_arch = "x86_64")]
mod vector;

pub use params::{AdmError, AdmOptions, AdmParams};
pub use scores::AdmScores;

use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples, ShapeMismatch};
use decouple::{Shallow, Wide};
use dwt::{Deep, Picture, Sample, Second, Source};
use geometry::{Axis, SCALES};
use scale::{Rows, ScaleSums, Work, run_scale};

/// From this side length on, in samples, results equal libvmaf's; below they are defined here.
pub const DEFINED_SIDE_MIN: usize = 33;

/// Working memory for one size of picture, reused from frame to frame.
///
/// At 1080p it holds about 2.4 MB for the reference and one distorted picture, and half of that for
/// each further one: the low-pass bands of three scales, and a few rows.
#[derive(Clone, Debug, Default)]
pub struct AdmScratch {
    size: [usize; 2],
    columns: [Axis; SCALES],
    lines: [Axis; SCALES],
    portable: PortableScratch,
    #[cfg(target_arch = "x86_64")]
    vector: vector::Scratch,
}

/// What the portable code works in.
#[derive(Clone, Debug, Default)]
struct PortableScratch {
    rows: Rows,
    first: [Vec<i16>; 2],
    second: [Vec<i32>; 2],
    third: [Vec<i32>; 2],
    /// The coarsest low-pass band is not used; it goes here.
    last: [Vec<i32>; 2],
}

impl AdmScratch {
    /// Working memory for pictures of `width` by `height` samples.
    ///
    /// [`adm`] adapts it to pictures of another size by itself.
    pub fn new(width: usize, height: usize) -> Self {
        let mut scratch = Self::default();
        scratch.fit(width, height);
        scratch
    }

    fn fit(&mut self, width: usize, height: usize) {
        if self.size != [width, height] {
            self.size = [width, height];
            self.columns = geometry::axes(width);
            self.lines = geometry::axes(height);
        }
    }
}

impl PortableScratch {
    fn fit(&mut self, [columns, lines]: [&[Axis; SCALES]; 2]) {
        let area = |scale: usize| columns[scale].made.len() * lines[scale].made.len();
        for picture in 0..2 {
            self.first[picture].resize(area(0), 0);
            self.second[picture].resize(area(1), 0);
            self.third[picture].resize(area(2), 0);
            self.last[picture].resize(area(3), 0);
        }
    }
}

/// Measures `distorted` against `reference`.
///
/// The result is the same for every `isa`, and does not depend on what `scratch` was used for
/// before.
///
/// # Errors
/// [`ShapeMismatch`] when the planes differ in width, height or bit depth.
pub fn adm(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    params: &AdmParams,
    scratch: &mut AdmScratch,
) -> Result<AdmScores, ShapeMismatch> {
    let mut scores = AdmScores::default();
    each(isa, reference, &[*distorted], params, scratch, |one| scores = one)?;
    Ok(scores)
}

/// Measures each of `distorted` against the one `reference`; what concerns the reference alone is
/// done once, where the instruction set has vectors for it.
///
/// Each result equals that of [`adm`] to the bit.
///
/// # Errors
/// [`ShapeMismatch`] when any plane differs from the reference in width, height or bit depth.
pub fn adm_each(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &[PlaneRef<'_>],
    params: &AdmParams,
    scratch: &mut AdmScratch,
) -> Result<Vec<AdmScores>, ShapeMismatch> {
    let mut scores = Vec::with_capacity(distorted.len());
    each(isa, reference, distorted, params, scratch, |one| scores.push(one))?;
    Ok(scores)
}

fn each(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &[PlaneRef<'_>],
    params: &AdmParams,
    scratch: &mut AdmScratch,
    mut keep: impl FnMut(AdmScores),
) -> Result<(), ShapeMismatch> {
    if !distorted.iter().all(|distorted| reference.same_shape(distorted)) {
        return Err(ShapeMismatch);
    }
    let size = [reference.width(), reference.height()];
    scratch.fit(size[0], size[1]);
    let axes = [&scratch.columns, &scratch.lines];
    #[cfg(target_arch = "x86_64")]
    if vector::frame_sums(isa, reference, distorted, params, axes, &mut scratch.vector) {
        for branch in &scratch.vector.branches[..distorted.len()] {
            keep(scores::scores(params, size, axes, &branch.sums));
        }
        return Ok(());
    }
    scratch.portable.fit(axes);
    for distorted in distorted {
        let sums = frame_sums(isa, reference, distorted, params, axes, &mut scratch.portable);
        keep(scores::scores(params, size, axes, &sums));
    }
    Ok(())
}

per_isa! {
    fn frame_sums(
        reference: &PlaneRef<'_>,
        distorted: &PlaneRef<'_>,
        params: &AdmParams,
        axes: [&[Axis; SCALES]; 2],
        scratch: &mut PortableScratch,
    ) -> [ScaleSums; SCALES] = frame_sums_body;
}

#[inline(always)]
fn frame_sums_body(
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut PortableScratch,
) -> [ScaleSums; SCALES] {
    let bit_depth = reference.bit_depth();
    match (reference.samples(), distorted.samples()) {
        (Samples::U8(first), Samples::U8(second)) => {
            let sources = [(first, reference.stride()), (second, distorted.stride())];
            all_scales(sources, bit_depth, params, axes, scratch)
        }
        (Samples::U16(first), Samples::U16(second)) => {
            let sources = [(first, reference.stride()), (second, distorted.stride())];
            all_scales(sources, bit_depth, params, axes, scratch)
        }
        _ => unreachable!("planes of one bit depth have one sample type"),
    }
}

#[inline(always)]
fn all_scales<S: Sample>(
    pictures: [(&[S], usize); 2],
    bit_depth: u32,
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    scratch: &mut PortableScratch,
) -> [ScaleSums; SCALES] {
    let PortableScratch { rows, first, second, third, last } = scratch;
    let axes = |scale: usize| axes.map(|axes| &axes[scale]);
    let options = params.options();
    let work = |scale: usize| Work {
        scale,
        gain_limit: options.enhancement_gain_limit,
        is_scored: scale > 0 || !options.skip_scale0,
        with_impairments: !options.skip_aim,
    };
    let sources = pictures.map(|(samples, stride)| Source { samples, stride, row0: 0, column0: 0 });
    let [a, b] = first;
    let sums0 = run_scale(
        Picture { bit_depth },
        Shallow::new(params),
        work(0),
        axes(0),
        [&sources[0], &sources[1]],
        [a, b],
        rows,
    );
    let low = [band(a, axes(0)), band(b, axes(0))];
    let wide = |scale: usize| Wide::new(params, scale);
    let [a, b] = second;
    let sums1 = run_scale(Second, wide(1), work(1), axes(1), [&low[0], &low[1]], [a, b], rows);
    let low = [band(a, axes(1)), band(b, axes(1))];
    let [a, b] = third;
    let sums2 = run_scale(Deep::<16>, wide(2), work(2), axes(2), [&low[0], &low[1]], [a, b], rows);
    let low = [band(a, axes(2)), band(b, axes(2))];
    let [a, b] = last;
    let sums3 = run_scale(Deep::<15>, wide(3), work(3), axes(3), [&low[0], &low[1]], [a, b], rows);
    [sums0, sums1, sums2, sums3]
}

/// The low-pass band of a scale as the source of the next.
#[inline(always)]
fn band<'a, S>(samples: &'a [S], [columns, lines]: [&Axis; 2]) -> Source<'a, S> {
    Source {
        samples,
        stride: columns.made.len(),
        row0: lines.made.start,
        column0: columns.made.start,
    }
}
