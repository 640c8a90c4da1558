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

use crate::arena::{Arena, Need, Room};
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
/// each further one: the low-pass bands of all scales, which may lie in shared memory
/// ([`swap_arena`](Self::swap_arena)), and a few rows.
#[derive(Clone, Debug, Default)]
pub struct AdmScratch {
    size: [usize; 2],
    columns: [Axis; SCALES],
    lines: [Axis; SCALES],
    rows: Rows,
    #[cfg(target_arch = "x86_64")]
    vector: vector::Scratch,
    /// The low-pass bands.
    arena: Arena,
}

/// The low-pass bands of one picture, each the source of the next.
#[derive(Debug)]
struct LowBands<'a> {
    first: &'a mut [i16],
    /// The last is not used; it goes there.
    deep: [&'a mut [i32]; SCALES - 1],
}

/// The low-pass bands of several pictures.
#[derive(Debug)]
struct LowMemory<'a> {
    room: Room<'a>,
    /// Of one picture.
    #[cfg(target_arch = "x86_64")]
    need: Need,
    lengths: [usize; SCALES],
}

impl<'a> LowMemory<'a> {
    /// Of `count` pictures. Each band has room for `slack` more numbers at its end, which code that
    /// takes whole vectors may read and write.
    fn new(
        arena: &'a mut Arena,
        count: usize,
        [columns, lines]: [&[Axis; SCALES]; 2],
        slack: usize,
    ) -> Self {
        let lengths: [usize; SCALES] = std::array::from_fn(|scale| {
            columns[scale].made.len() * lines[scale].made.len() + slack
        });
        let [first, deep @ ..] = lengths;
        let need = deep
            .iter()
            .fold(Need::default().and::<i16>(first), |need, length| need.and::<i32>(*length));
        Self {
            room: arena.room(need.times(count)),
            #[cfg(target_arch = "x86_64")]
            need,
            lengths,
        }
    }

    /// Those of one picture, as they were left.
    #[cfg(target_arch = "x86_64")]
    fn of(&mut self, picture: usize) -> LowBands<'_> {
        LowBands::new(&mut self.room.part(self.need, picture), self.lengths)
    }

    /// Those of the first two pictures.
    fn pair(mut self) -> [LowBands<'a>; 2] {
        [(); 2].map(|()| LowBands::new(&mut self.room, self.lengths))
    }
}

impl<'a> LowBands<'a> {
    fn new(room: &mut Room<'a>, [first, deep @ ..]: [usize; SCALES]) -> Self {
        Self { first: room.take(first), deep: deep.map(|length| room.take(length)) }
    }
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

    /// Gives its large memory for other memory, which may be shared with whoever does not run
    /// meanwhile.
    pub fn swap_arena(&mut self, arena: &mut Arena) {
        std::mem::swap(&mut self.arena, arena);
    }

    fn fit(&mut self, width: usize, height: usize) {
        if self.size != [width, height] {
            self.size = [width, height];
            self.columns = geometry::axes(width);
            self.lines = geometry::axes(height);
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
    if vector::serves(isa, params, axes) {
        let low = LowMemory::new(&mut scratch.arena, 1 + distorted.len(), axes, vector::SLACK);
        vector::frame_sums(isa, reference, distorted, params, axes, low, &mut scratch.vector);
        for branch in &scratch.vector.branches[..distorted.len()] {
            keep(scores::scores(params, size, axes, &branch.sums));
        }
        return Ok(());
    }
    for distorted in distorted {
        let low = LowMemory::new(&mut scratch.arena, 2, axes, 0).pair();
        let sums = frame_sums(isa, reference, distorted, params, axes, low, &mut scratch.rows);
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
        low: [LowBands<'_>; 2],
        rows: &mut Rows,
    ) -> [ScaleSums; SCALES] = frame_sums_body;
}

#[inline(always)]
fn frame_sums_body(
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    low: [LowBands<'_>; 2],
    rows: &mut Rows,
) -> [ScaleSums; SCALES] {
    let bit_depth = reference.bit_depth();
    match (reference.samples(), distorted.samples()) {
        (Samples::U8(first), Samples::U8(second)) => {
            let sources = [(first, reference.stride()), (second, distorted.stride())];
            all_scales(sources, bit_depth, params, axes, low, rows)
        }
        (Samples::U16(first), Samples::U16(second)) => {
            let sources = [(first, reference.stride()), (second, distorted.stride())];
            all_scales(sources, bit_depth, params, axes, low, rows)
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
    [low_a, low_b]: [LowBands<'_>; 2],
    rows: &mut Rows,
) -> [ScaleSums; SCALES] {
    let axes = |scale: usize| axes.map(|axes| &axes[scale]);
    let options = params.options();
    let work = |scale: usize| Work {
        scale,
        gain_limit: options.enhancement_gain_limit,
        is_scored: scale > 0 || !options.skip_scale0,
        with_impairments: !options.skip_aim,
    };
    let sources = pictures.map(|(samples, stride)| Source { samples, stride, row0: 0, column0: 0 });
    let [second_a, third_a, last_a] = low_a.deep;
    let [second_b, third_b, last_b] = low_b.deep;
    let (a, b) = (low_a.first, low_b.first);
    let sums0 = run_scale(
        Picture { bit_depth },
        Shallow::new(params),
        work(0),
        axes(0),
        [&sources[0], &sources[1]],
        [&mut *a, &mut *b],
        rows,
    );
    let low = [band(a, axes(0)), band(b, axes(0))];
    let wide = |scale: usize| Wide::new(params, scale);
    let (a, b) = (second_a, second_b);
    let made = [&mut *a, &mut *b];
    let sums1 = run_scale(Second, wide(1), work(1), axes(1), [&low[0], &low[1]], made, rows);
    let low = [band(a, axes(1)), band(b, axes(1))];
    let (a, b) = (third_a, third_b);
    let made = [&mut *a, &mut *b];
    let sums2 = run_scale(Deep::<16>, wide(2), work(2), axes(2), [&low[0], &low[1]], made, rows);
    let low = [band(a, axes(2)), band(b, axes(2))];
    let made = [last_a, last_b];
    let sums3 = run_scale(Deep::<15>, wide(3), work(3), axes(3), [&low[0], &low[1]], made, rows);
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
