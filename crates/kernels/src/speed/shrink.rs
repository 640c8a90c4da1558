//! From a plane to 1/256 of its samples, less their local mean.
//!
//! With `f` the blur of [`SpeedParams::antialias`] and `g` that of [`SpeedParams::local_mean`], both
//! applied down first and then across, each sum starting at 0 with the first tap, borders reflected
//! without repeating the border sample:
//!
//! `kept[y][x] = (f * plane)[16 y][16 x]`, `detail = kept - g * kept`
//!
//! Only what is kept is computed. Samples enter as whole numbers of their own steps, at most 17
//! bits and a sign, and the taps carry the power of two that makes them steps of 8 bits: nothing is
//! rounded by that, so the result is that of dividing each sample first.

use super::RATIO;
use super::geometry::Geometry;
use super::options::SpeedParams;
use super::scale::Scale;
use crate::border::{extend_line, reflect};
use crate::plane::PlaneRef;

/// Samples that are worked on side by side.
pub(super) const RUN: usize = 32;

/// Samples that a row of [`Detail`] goes on after its last one, for loads of whole vectors.
const SPARE: usize = 8;

/// A row of values in whole steps of the samples.
pub(super) trait Row: Copy {
    /// The values of `start..start + RUN`.
    fn run(self, start: usize) -> [f32; RUN];
    /// The value at `x`.
    fn at(self, x: usize) -> f32;
}

/// What is shrunk.
pub(super) trait Picture: Copy {
    type Row: Row;

    fn row(self, y: usize) -> Self::Row;

    /// Bits of a sample.
    fn bit_depth(self) -> u32;
}

/// The samples of a plane less half of their range.
#[derive(Clone, Copy)]
pub(super) struct Centred<'a, T> {
    samples: &'a [T],
    stride: usize,
    width: usize,
    bit_depth: u32,
}

impl<'a, T> Centred<'a, T> {
    pub(super) fn new(plane: &PlaneRef<'_>, samples: &'a [T]) -> Self {
        let (stride, width) = (plane.stride(), plane.width());
        Self { samples, stride, width, bit_depth: plane.bit_depth() }
    }
}

#[derive(Clone, Copy)]
pub(super) struct CentredRow<'a, T> {
    samples: &'a [T],
    middle: i32,
}

impl<'a, T: Copy + Into<i32>> Picture for Centred<'a, T> {
    type Row = CentredRow<'a, T>;

    #[inline(always)]
    fn row(self, y: usize) -> Self::Row {
        let samples = &self.samples[y * self.stride..][..self.width];
        CentredRow { samples, middle: 1 << (self.bit_depth - 1) }
    }

    #[inline(always)]
    fn bit_depth(self) -> u32 {
        self.bit_depth
    }
}

impl<T: Copy + Into<i32>> Row for CentredRow<'_, T> {
    #[inline(always)]
    fn run(self, start: usize) -> [f32; RUN] {
        let samples = &self.samples[start..start + RUN];
        let mut values = [0.0; RUN];
        for lane in 0..RUN {
            values[lane] = (samples[lane].into() - self.middle) as f32;
        }
        values
    }

    #[inline(always)]
    fn at(self, x: usize) -> f32 {
        (self.samples[x].into() - self.middle) as f32
    }
}

/// The samples of one plane less those of another of its shape.
#[derive(Clone, Copy)]
pub(super) struct Difference<'a, T> {
    samples: [&'a [T]; 2],
    strides: [usize; 2],
    width: usize,
    bit_depth: u32,
}

impl<'a, T> Difference<'a, T> {
    pub(super) fn new(planes: [&PlaneRef<'_>; 2], samples: [&'a [T]; 2]) -> Self {
        let strides = planes.map(PlaneRef::stride);
        Self { samples, strides, width: planes[0].width(), bit_depth: planes[0].bit_depth() }
    }
}

#[derive(Clone, Copy)]
pub(super) struct DifferenceRow<'a, T> {
    samples: [&'a [T]; 2],
}

impl<'a, T: Copy + Into<i32>> Picture for Difference<'a, T> {
    type Row = DifferenceRow<'a, T>;

    #[inline(always)]
    fn row(self, y: usize) -> Self::Row {
        let row = |of: usize| &self.samples[of][y * self.strides[of]..][..self.width];
        DifferenceRow { samples: [row(0), row(1)] }
    }

    #[inline(always)]
    fn bit_depth(self) -> u32 {
        self.bit_depth
    }
}

impl<T: Copy + Into<i32>> Row for DifferenceRow<'_, T> {
    #[inline(always)]
    fn run(self, start: usize) -> [f32; RUN] {
        let [from, less] = self.samples.map(|samples| &samples[start..start + RUN]);
        let mut values = [0.0; RUN];
        for lane in 0..RUN {
            values[lane] = (from[lane].into() - less[lane].into()) as f32;
        }
        values
    }

    #[inline(always)]
    fn at(self, x: usize) -> f32 {
        (self.samples[0][x].into() - self.samples[1][x].into()) as f32
    }
}

/// Buffers, sized by [`Shrink::prepare`].
#[derive(Debug, Default)]
pub(super) struct Shrink {
    scale: Scale,
    /// One row blurred down, with room for the reach of a filter at both ends.
    line: Vec<f32>,
    kept: Vec<f32>,
    detail: Vec<f32>,
}

/// What is left of a plane: the kept samples less their local mean.
#[derive(Clone, Copy)]
pub(super) struct Detail<'a> {
    /// Rows of `stride`, each with at least eight samples of no meaning after the last.
    pub(super) samples: &'a [f32],
    pub(super) stride: usize,
}

impl Shrink {
    pub(super) fn prepare(&mut self, geometry: &Geometry, params: &SpeedParams) {
        let filter = params.antialias();
        let line_len = if geometry.is_scaled() {
            self.scale.prepare(geometry, params);
            filter.taps().len() * geometry.kept[0]
        } else {
            geometry.plane[0] + 2 * filter.reach()
        };
        let [width, height] = geometry.kept;
        let narrow_len = width + 2 * params.local_mean().reach();
        grow(&mut self.line, line_len.max(narrow_len));
        grow(&mut self.kept, width * height);
        grow(&mut self.detail, (width + SPARE) * height);
    }

    pub(super) fn detail(&self, geometry: &Geometry) -> Detail<'_> {
        Detail { samples: &self.detail, stride: geometry.kept[0] + SPARE }
    }
}

fn grow(buffer: &mut Vec<f32>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
}

/// Fills `shrink`, which is prepared for `geometry` and `params`.
#[inline(always)]
pub(super) fn shrink<P: Picture>(
    picture: P,
    geometry: &Geometry,
    params: &SpeedParams,
    shrink: &mut Shrink,
) {
    let filter = params.antialias();
    let step = 1.0 / (1_u32 << (picture.bit_depth() - 8)) as f32;
    let taps = [filter.scaled(step), filter.scaled(1.0)];
    let [down, across] = taps.each_ref().map(|taps| &taps[..filter.taps().len()]);
    let Shrink { scale, line, kept, detail } = shrink;
    if geometry.is_scaled() {
        let line = &mut line[..filter.taps().len() * geometry.kept[0]];
        scale.start();
        for (y, kept) in kept.chunks_exact_mut(geometry.kept[0]).take(geometry.kept[1]).enumerate()
        {
            scale.blur_down(picture, y, down, line);
            kept.fill(0.0);
            for (line, tap) in line.chunks_exact(kept.len()).zip(across) {
                add_weighted(*tap, line, kept);
            }
        }
    } else {
        let line = &mut line[..geometry.plane[0] + 2 * filter.reach()];
        for (y, kept) in kept.chunks_exact_mut(geometry.kept[0]).take(geometry.kept[1]).enumerate()
        {
            keep_row(picture, geometry, y, [down, across], line, kept);
        }
    }
    take_off_local_mean(geometry, params, kept, line, detail);
}

/// One row of what is kept of a plane that is not scaled.
#[inline(always)]
fn keep_row<P: Picture>(
    picture: P,
    geometry: &Geometry,
    y: usize,
    [down, across]: [&[f32]; 2],
    line: &mut [f32],
    kept: &mut [f32],
) {
    let [width, height] = geometry.plane;
    let reach = down.len() / 2;
    let mut rows = [picture.row(0); super::filter::TAPS_MAX];
    for (place, row) in rows[..down.len()].iter_mut().enumerate() {
        let y = (RATIO * y + place) as isize - reach as isize;
        *row = picture.row(reflect(y, height));
    }
    weigh_rows(&rows[..down.len()], down, &mut line[reach..reach + width]);
    extend_line(line, reach, width);
    // Nine taps are those of every model; a known number of them needs no loop.
    if let Ok(across) = <&[f32; 9]>::try_from(across) {
        for (x, kept) in kept.iter_mut().enumerate() {
            *kept = weigh(&line[RATIO * x..][..9], across);
        }
    } else {
        for (x, kept) in kept.iter_mut().enumerate() {
            *kept = weigh(&line[RATIO * x..][..across.len()], across);
        }
    }
}

#[inline(always)]
fn weigh(values: &[f32], taps: &[f32]) -> f32 {
    values.iter().zip(taps).fold(0.0, |sum, (value, tap)| sum + tap * value)
}

#[inline(always)]
fn weigh_rows<R: Row>(rows: &[R], taps: &[f32], line: &mut [f32]) {
    let whole = line.len() - line.len() % RUN;
    let (runs, rest) = line.split_at_mut(whole);
    for (place, out) in runs.chunks_exact_mut(RUN).enumerate() {
        let mut sums = [0.0_f32; RUN];
        for (row, tap) in rows.iter().zip(taps) {
            let values = row.run(place * RUN);
            for lane in 0..RUN {
                sums[lane] += tap * values[lane];
            }
        }
        out.copy_from_slice(&sums);
    }
    for (x, out) in rest.iter_mut().enumerate() {
        *out = rows.iter().zip(taps).fold(0.0, |sum, (row, tap)| sum + tap * row.at(whole + x));
    }
}

/// Adds `weight` times `values` to `sums`.
#[inline(always)]
pub(super) fn add_weighted(weight: f32, values: &[f32], sums: &mut [f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

#[inline(always)]
fn take_off_local_mean(
    geometry: &Geometry,
    params: &SpeedParams,
    kept: &[f32],
    line: &mut [f32],
    detail: &mut [f32],
) {
    let [width, height] = geometry.kept;
    let filter = params.local_mean();
    let reach = filter.reach();
    let line = &mut line[..width + 2 * reach];
    for y in 0..height {
        line.fill(0.0);
        for (place, tap) in filter.taps().iter().enumerate() {
            let row = reflect((y + place) as isize - reach as isize, height);
            add_weighted(*tap, &kept[row * width..][..width], &mut line[reach..reach + width]);
        }
        extend_line(line, reach, width);
        let detail = &mut detail[y * (width + SPARE)..][..width];
        detail.fill(0.0);
        for (place, tap) in filter.taps().iter().enumerate() {
            add_weighted(*tap, &line[place..][..width], detail);
        }
        for (detail, kept) in detail.iter_mut().zip(&kept[y * width..]) {
            *detail = kept - *detail;
        }
    }
}
