//! CAMBI: how much banding a picture shows, without looking at a reference.
//!
//! Bit-exact with the portable CAMBI of libvmaf 3.2. Luma is brought to ten bits (`spatial`) and
//! those samples are kept that lie in flat surroundings. At each of five scales, the first the size
//! of the encode (or half of it: [`CambiOptions::high_res_speedup`]) and each next one half as large
//! as the one before, rounded up, the picture is smoothed (`scale`), each sample is given the
//! largest weighted contrast between the samples around that have its level and those a small step
//! up or down (`contrast`), and the largest contrasts are averaged (`pooling`). The score is the sum
//! of these means, weighted 16, 8, 4, 2, 1, divided by the samples of a window. Which steps count
//! at which level is decided by what a display makes of it (`luminance`, `visibility`).
//!
//! Nothing here depends on the instruction set: integers but for the contrasts, whose every `f32`
//! operation is fixed, and sums that are exact or in a fixed order.

mod contrast;
mod luminance;
mod params;
mod pooling;
mod scale;
mod spatial;
mod visibility;

pub use self::luminance::{Eotf, UnknownEotf};
pub use self::params::{CambiError, CambiOptions, CambiParams, CambiSide, SIDE_MIN};

use self::contrast::{BLOCK, Counts, Keep, View};
use self::params::Geometry;
use self::pooling::{Contrasts, PoolBuffers, Totals, mean_in_order};
use self::scale::{Binning, Plane, ScaleRows};
use self::spatial::{Input, SpatialRows};
use crate::arena::{Arena, Need};
use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples};

/// Scales of a picture.
pub const SCALES: usize = 5;

/// What the mean of each scale is multiplied by.
const SCALE_WEIGHTS: [f64; SCALES] = [16.0, 8.0, 4.0, 2.0, 1.0];

/// The scores of one frame, none above [`CambiOptions::max_value`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CambiScores {
    /// Banding of the distorted picture.
    pub distorted: f64,
    /// Banding of the reference and how much more there is in the distorted picture; only with
    /// [`CambiOptions::full_reference`].
    pub full_reference: Option<CambiFullReference>,
}

/// What is known when the reference is scored too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CambiFullReference {
    /// Banding of the reference.
    pub source: f64,
    /// What the distorted picture has beyond it, not below 0.
    pub difference: f64,
}

impl CambiParams {
    /// The scores of a frame from what [`cambi`] gave for its pictures.
    pub fn scores(&self, distorted: f64, reference: Option<f64>) -> CambiScores {
        let max = self.options().max_value;
        let full_reference = reference.map(|source| CambiFullReference {
            source: source.min(max),
            difference: (distorted - source).max(0.0).min(max),
        });
        CambiScores { distorted: distorted.min(max), full_reference }
    }
}

/// The contrasts of one scale, on their way into a picture that shows where banding was found.
#[derive(Clone, Copy)]
pub struct CambiHeatMap<'a> {
    /// Which scale, 0 the largest.
    pub scale: usize,
    contrasts: Contrasts<'a>,
    factor: f64,
}

impl CambiHeatMap<'_> {
    /// Samples in a row.
    pub fn width(&self) -> usize {
        self.contrasts.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.contrasts.height
    }

    /// Row after row, 65535 for the largest contrast there can be.
    ///
    /// For an odd window a quarter of it is rounded down, so that with a weight of 1 or 2 the very
    /// largest contrasts pass 65535 and wrap, as libvmaf's do.
    pub fn levels(&self) -> impl Iterator<Item = u16> {
        let Contrasts { values, stride, width, height } = self.contrasts;
        let rows =
            values[..stride * height].chunks_exact(stride).flat_map(move |row| &row[..width]);
        rows.map(|contrast| (self.factor * f64::from(*contrast)) as i32 as u16)
    }
}

/// Buffers of CAMBI; they grow to the largest picture seen and are then reused.
#[derive(Debug, Default)]
pub struct CambiScratch {
    spatial: SpatialRows,
    rows: ScaleRows,
    counts: Counts,
    pool: PoolBuffers,
    arena: Arena,
}

/// What of one call is as large as a picture.
struct Planes<'a> {
    /// Levels, then bins, of the scale in work and of the next one.
    levels: [&'a mut [u16]; 2],
    contrasts: &'a mut [f32],
}

impl<'a> Planes<'a> {
    fn new(arena: &'a mut Arena, sizes: &[[usize; 2]; SCALES]) -> Self {
        let area = |scale: usize| stride(sizes[scale][0]) * sizes[scale][1];
        let need = Need::default().and::<u16>(area(0)).and::<u16>(area(1)).and::<f32>(area(0));
        let mut room = arena.room(need);
        let levels = [room.take(area(0)), room.take(area(1))];
        Self { levels, contrasts: room.take(area(0)) }
    }
}

impl CambiScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives its large memory for other memory, which may be shared with whoever does not run
    /// meanwhile.
    pub fn swap_arena(&mut self, arena: &mut Arena) {
        std::mem::swap(&mut self.arena, arena);
    }
}

/// Measures the banding of one picture, not limited by [`CambiOptions::max_value`].
///
/// Every instruction set gives the same bits. `heat_map`, if there is one, is shown each scale.
///
/// # Errors
/// [`CambiError::OtherShape`] when `params` are for other pictures, [`CambiError::SampleTooLarge`]
/// when a sample is above the bit depth.
pub fn cambi(
    isa: Isa,
    picture: &PlaneRef<'_>,
    side: CambiSide,
    params: &CambiParams,
    scratch: &mut CambiScratch,
    heat_map: Option<&mut dyn FnMut(CambiHeatMap<'_>)>,
) -> Result<f64, CambiError> {
    if !params.takes(picture.width(), picture.height(), picture.bit_depth()) {
        return Err(CambiError::OtherShape);
    }
    let size = params.geometry(side);
    let sizes = size.scales(params.is_halved());
    let stride = stride(sizes[0][0]);
    scratch.spatial.prepare([picture.width(), picture.height()], size);
    let CambiScratch { spatial, rows, counts, pool, arena } = scratch;
    let planes = Planes::new(arena, &sizes);
    let plane = &mut *planes.levels[0];
    let in_range = match picture.samples() {
        Samples::U8(samples) => {
            let input = input(samples, picture, size, params);
            walk_bytes(isa, &input, size, spatial, plane, stride)
        }
        Samples::U16(samples) => {
            let input = input(samples, picture, size, params);
            walk_words(isa, &input, size, spatial, plane, stride)
        }
    };
    if !in_range {
        return Err(CambiError::SampleTooLarge { bit_depth: picture.bit_depth() });
    }
    Ok(scales(isa, size, params, (rows, counts, pool), planes, heat_map))
}

/// Rows are padded to whole blocks.
fn stride(width: usize) -> usize {
    width.next_multiple_of(BLOCK)
}

fn input<'a, S>(
    samples: &'a [S],
    picture: &PlaneRef<'_>,
    size: &Geometry,
    params: &CambiParams,
) -> Input<'a, S> {
    Input {
        samples,
        stride: picture.stride(),
        width: picture.width(),
        height: picture.height(),
        bit_depth: picture.bit_depth(),
        averaged: params.averages_dither(),
        halved: params.is_halved(),
        flat_min: spatial::flat_min(size),
    }
}

/// The score of the levels in the first of `planes`.
fn scales(
    isa: Isa,
    size: &Geometry,
    params: &CambiParams,
    (rows, counts, pool): (&mut ScaleRows, &mut Counts, &mut PoolBuffers),
    planes: Planes<'_>,
    mut heat_map: Option<&mut dyn FnMut(CambiHeatMap<'_>)>,
) -> f64 {
    let sizes = size.scales(params.is_halved());
    let visibility = params.visibility();
    let binning = Binning { level_min: visibility.level_min, bins: visibility.bins };
    let Planes { levels: [mut current, mut other], contrasts } = planes;
    let mut score = 0.0;
    for (scale, [width, height]) in sizes.into_iter().enumerate() {
        let next = sizes.get(scale + 1).map(|[width, height]| Plane {
            values: &mut *other,
            stride: stride(*width),
            width: *width,
            height: *height,
        });
        rows.prepare(width);
        let mut plane = Plane { values: &mut *current, stride: stride(width), width, height };
        smooth(isa, &mut plane, next, binning, rows);
        counts.prepare(stride(width), visibility.bins);
        let reach = size.reach();
        let view = View { bins: current, stride: stride(width), height, reach, visibility };
        let keep = if heat_map.is_some() { Keep::All } else { Keep::Found };
        let (totals, kept) = find_contrasts(isa, &view, counts, contrasts, keep);
        if let Some(heat_map) = &mut heat_map {
            let (contrasts, factor) =
                (all_of(contrasts, [width, height]), heat_factor(size, params));
            heat_map(CambiHeatMap { scale, contrasts, factor });
        }
        let k = params.pooled(width * height);
        let mean = mean_of_largest(isa, &contrasts[..kept], &totals, k, pool);
        let mean = match mean {
            Some(mean) => mean,
            None => {
                find_contrasts(isa, &view, counts, contrasts, Keep::All);
                mean_in_order(all_of(contrasts, [width, height]), k, pool)
            }
        };
        score += mean * SCALE_WEIGHTS[scale];
        (current, other) = (other, current);
    }
    score / f64::from(size.window * size.window)
}

/// Those of a scale that were all kept.
fn all_of(contrasts: &[f32], [width, height]: [usize; 2]) -> Contrasts<'_> {
    Contrasts { values: contrasts, stride: stride(width), width, height }
}

/// What brings the largest contrast to 65535.
fn heat_factor(size: &Geometry, params: &CambiParams) -> f64 {
    let largest = params.weight_max() * size.window * size.window / 4;
    if largest == 0 { 0.0 } else { 65_535.0 / f64::from(largest) }
}

per_isa! {
    fn walk_bytes(
        input: &Input<'_, u8>,
        size: &Geometry,
        rows: &mut SpatialRows,
        plane: &mut [u16],
        plane_stride: usize,
    ) -> bool = spatial::walk::<u8>;

    fn walk_words(
        input: &Input<'_, u16>,
        size: &Geometry,
        rows: &mut SpatialRows,
        plane: &mut [u16],
        plane_stride: usize,
    ) -> bool = spatial::walk::<u16>;

    fn smooth(
        plane: &mut Plane<'_>,
        next: Option<Plane<'_>>,
        binning: Binning,
        rows: &mut ScaleRows,
    ) = scale::smooth;

    fn find_contrasts(
        view: &View<'_>,
        counts: &mut Counts,
        out: &mut [f32],
        keep: Keep,
    ) -> (Totals, usize) = contrast::contrasts;

    fn mean_of_largest(
        found: &[f32],
        totals: &Totals,
        k: usize,
        buffers: &mut PoolBuffers,
    ) -> Option<f64> = pooling::mean_of_largest;
}
