//! Scaling a plane, sample by sample where the blur before decimation looks.
//!
//! A scaled place `p` of `n` along a side of `m` samples reads at `u = (p + 0.5) (m / n) - 0.5`
//! (nearest: at the whole part of `p (m / n)`), where `m / n` is an `f32` and `u` is rounded to one.
//! Samples beyond the border are reflected without repeating the border sample.
//!
//! - bilinear: samples `floor u` and `ceil u`, reflected, with `d = u - floor u` *of the reflected
//!   sample*: left of the first sample's centre that is -1.25 and the like, so the line through the
//!   first two samples is drawn on. The four products are `(1 - dy)(1 - dx) s` and so on, summed in
//!   the order of rows and columns;
//! - bicubic: four samples a side, `a = -0.75`; the weight is the product of both sides' weights;
//! - lanczos4: nine samples a side, `4 sin(pi t) sin(pi t / 4) / (pi t)^2` in `f64`, then `f32`; the
//!   sum is divided by that of the weights.
//!
//! Sums run over rows and, within, over columns, in `f32`.

use super::RATIO;
use super::geometry::Geometry;
use super::options::{PrescaleMethod, SpeedParams};
use super::shrink::{Picture, RUN, Row, add_weighted};
use crate::border::reflect;
use crate::plane::SIDE_MAX;

/// Samples a side of the widest method.
const TAPS_MAX: usize = 9;

/// Places that are interpolated side by side.
const PLACES: usize = 16;

/// A row of the plane as values. The bound is a power of two, so that masking an index replaces a
/// check.
type Line = [f32; SIDE_MAX];
const INDEX_MASK: usize = SIDE_MAX - 1;
const _: () = assert!(SIDE_MAX.is_power_of_two());

/// What the tables were made for.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Key {
    geometry: Geometry,
    method: PrescaleMethod,
    blur_taps: usize,
}

/// Tables and rows, sized by [`Scale::prepare`].
#[derive(Debug, Default)]
pub(super) struct Scale {
    key: Option<Key>,
    columns: Axis,
    rows: Axis,
    /// The rows of the plane last read, row `y` in line `y % lines.len()`.
    lines: Vec<Line>,
    /// Which row each line holds.
    held: [Option<usize>; TAPS_MAX],
    /// One scaled row.
    scaled: Vec<f32>,
}

/// Where along one side the places read that the blur looks at.
///
/// Place `tap * kept + k` is the one that the blur's tap meets for the kept sample `k`.
#[derive(Debug, Default)]
struct Axis {
    places: usize,
    /// Per sample of the method and, within, per place.
    indices: Vec<u32>,
    /// As `indices`; for bilinear, the distance from the first sample alone.
    weights: Vec<f32>,
}

impl Scale {
    /// Makes tables for scaling to `geometry`, unless they are there.
    pub(super) fn prepare(&mut self, geometry: &Geometry, params: &SpeedParams) {
        let method = params.options().prescale_method;
        let blur_taps = params.antialias().taps().len();
        let key = Key { geometry: *geometry, method, blur_taps };
        if self.key == Some(key) {
            return;
        }
        let side = |side: usize| {
            let (kept, reach) = (geometry.kept[side], (blur_taps / 2) as isize);
            let place = move |at: usize| (RATIO * (at % kept) + at / kept) as isize - reach;
            let places = (0..blur_taps * kept).map(|at| reflect(place(at), geometry.scaled[side]));
            Axis::new(method, geometry.plane[side], geometry.scaled[side], places)
        };
        (self.columns, self.rows) = (side(0), side(1));
        if self.lines.len() != taps(method) {
            self.lines = vec![[0.0; SIDE_MAX]; taps(method)];
        }
        self.scaled.resize(self.columns.places, 0.0);
        self.key = Some(key);
    }

    /// Forgets the rows of the plane before.
    pub(super) fn start(&mut self) {
        self.held = [None; TAPS_MAX];
    }

    /// The scaled plane under the blur `down` for the kept row `y`, at the columns of the table.
    #[inline(always)]
    pub(super) fn blur_down<P: Picture>(
        &mut self,
        picture: P,
        y: usize,
        down: &[f32],
        sums: &mut [f32],
    ) {
        let Some(key) = self.key else { return };
        sums.fill(0.0);
        for (place, tap) in down.iter().enumerate() {
            let row = place * key.geometry.kept[1] + y;
            self.hold(picture, row, key.geometry.plane[0]);
            self.interpolate(key.method, row);
            add_weighted(*tap, &self.scaled, sums);
        }
    }

    /// Reads the rows of the plane that the scaled row looks at.
    #[inline(always)]
    fn hold<P: Picture>(&mut self, picture: P, row: usize, width: usize) {
        let count = self.lines.len();
        for tap in 0..count {
            let y = self.rows.indices[tap * self.rows.places + row] as usize;
            // Rows of one scaled row are neighbours, and so have lines of their own.
            if self.held[y % count] != Some(y) {
                read(picture.row(y), &mut self.lines[y % count][..width]);
                self.held[y % count] = Some(y);
            }
        }
    }

    #[inline(always)]
    fn interpolate(&mut self, method: PrescaleMethod, row: usize) {
        let Self { columns, rows, lines, scaled, .. } = self;
        let line = |tap: usize| {
            let y = rows.indices[tap * rows.places + row] as usize;
            &lines[y % lines.len()]
        };
        match method {
            PrescaleMethod::Nearest => pick(line(0), columns, scaled),
            PrescaleMethod::Bilinear => {
                bilinear([line(0), line(1)], rows.weights[row], columns, scaled);
            }
            PrescaleMethod::Bicubic => {
                let weights: [f32; 4] = std::array::from_fn(|tap| rows.weight(tap, row));
                weighted(std::array::from_fn::<_, 4, _>(line), weights, columns, false, scaled);
            }
            PrescaleMethod::Lanczos4 => {
                let weights: [f32; 9] = std::array::from_fn(|tap| rows.weight(tap, row));
                weighted(std::array::from_fn::<_, 9, _>(line), weights, columns, true, scaled);
            }
        }
    }
}

#[inline(always)]
fn read<R: Row>(row: R, line: &mut [f32]) {
    let whole = line.len() - line.len() % RUN;
    for (place, values) in line[..whole].chunks_exact_mut(RUN).enumerate() {
        values.copy_from_slice(&row.run(place * RUN));
    }
    for x in whole..line.len() {
        line[x] = row.at(x);
    }
}

#[inline(always)]
fn pick(line: &Line, columns: &Axis, scaled: &mut [f32]) {
    for (value, index) in scaled.iter_mut().zip(&columns.indices) {
        *value = line[*index as usize & INDEX_MASK];
    }
}

#[inline(always)]
fn bilinear([upper, lower]: [&Line; 2], dy: f32, columns: &Axis, scaled: &mut [f32]) {
    let count = scaled.len();
    let (left, right) = (&columns.indices[..count], &columns.indices[count..2 * count]);
    let distances = &columns.weights[..count];
    for place in 0..count {
        let (left, right) = (left[place] as usize & INDEX_MASK, right[place] as usize & INDEX_MASK);
        let dx = distances[place];
        scaled[place] = (1.0 - dy) * (1.0 - dx) * upper[left]
            + (1.0 - dy) * dx * upper[right]
            + dy * (1.0 - dx) * lower[left]
            + dy * dx * lower[right];
    }
}

/// The sum of `N` by `N` samples, each with the product of its row's and its column's weight.
#[inline(always)]
fn weighted<const N: usize>(
    lines: [&Line; N],
    row_weights: [f32; N],
    columns: &Axis,
    normalise: bool,
    scaled: &mut [f32],
) {
    for (run, values) in scaled.chunks_mut(PLACES).enumerate() {
        let (mut sums, mut weights) = ([0.0_f32; PLACES], [0.0_f32; PLACES]);
        for (line, row_weight) in lines.iter().zip(row_weights) {
            for tap in 0..N {
                let at = tap * columns.places + run * PLACES;
                let indices = &columns.indices[at..][..values.len()];
                let column_weights = &columns.weights[at..][..values.len()];
                for lane in 0..values.len() {
                    let weight = column_weights[lane] * row_weight;
                    weights[lane] += weight;
                    sums[lane] += line[indices[lane] as usize & INDEX_MASK] * weight;
                }
            }
        }
        for (lane, value) in values.iter_mut().enumerate() {
            *value = if normalise { sums[lane] / weights[lane] } else { sums[lane] };
        }
    }
}

/// Samples a side that a method looks at.
const fn taps(method: PrescaleMethod) -> usize {
    match method {
        PrescaleMethod::Nearest => 1,
        PrescaleMethod::Bilinear => 2,
        PrescaleMethod::Bicubic => 4,
        PrescaleMethod::Lanczos4 => TAPS_MAX,
    }
}

impl Axis {
    fn new(
        method: PrescaleMethod,
        from: usize,
        to: usize,
        places: impl ExactSizeIterator<Item = usize>,
    ) -> Self {
        let count = places.len();
        let ratio = from as f32 / to as f32;
        let len = taps(method) * count;
        let mut axis = Self { places: count, indices: vec![0; len], weights: vec![0.0; len] };
        for (at, place) in places.enumerate() {
            let mut set = |tap: usize, index: isize, weight: f32| {
                axis.indices[tap * count + at] = reflect(index, from) as u32;
                axis.weights[tap * count + at] = weight;
            };
            let u = ((place as f64 + 0.5) * f64::from(ratio) - 0.5) as f32;
            let floor = u.floor() as isize;
            let distance = u - floor as f32;
            match method {
                PrescaleMethod::Nearest => {
                    set(0, ((place as f32 * ratio) as isize).min(from as isize - 1), 1.0);
                }
                PrescaleMethod::Bilinear => {
                    set(0, floor, u - reflect(floor, from) as f32);
                    set(1, u.ceil() as isize, 0.0);
                }
                PrescaleMethod::Bicubic => (-1..=2).for_each(|offset: i16| {
                    let weight = cubic(f32::from(offset) - distance);
                    set((offset + 1) as usize, floor + offset as isize, weight);
                }),
                PrescaleMethod::Lanczos4 => (-4..=4).for_each(|offset: i16| {
                    let weight = lanczos4(f32::from(offset) - distance);
                    set((offset + 4) as usize, floor + offset as isize, weight);
                }),
            }
        }
        axis
    }

    #[inline(always)]
    fn weight(&self, tap: usize, place: usize) -> f32 {
        self.weights[tap * self.places + place]
    }
}

/// Keys' cubic with `a = -0.75`.
fn cubic(t: f32) -> f32 {
    let a = -0.75_f32;
    let t = t.abs();
    if t < 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        (((t - 5.0) * t + 8.0) * t - 4.0) * a
    } else {
        0.0
    }
}

fn lanczos4(t: f32) -> f32 {
    use std::f64::consts::PI;
    if t == 0.0 {
        return 1.0;
    }
    if t.abs() >= 4.0 {
        return 0.0;
    }
    let t = f64::from(t);
    (4.0 * sin(PI * t) * sin(PI * t / 4.0) / (PI * PI * t * t)) as f32
}

/// The sine of an angle within four turns either way, to about 0.6 units in the last place.
///
/// The C library's is as near; what they differ by is far below the `f32` that a weight becomes.
fn sin(angle: f64) -> f64 {
    /// Half of pi in three parts; multiples of the first two by up to 2^20 are exact.
    const HALF_PI: [f64; 3] = [
        f64::from_bits(0x3ff9_21fb_5440_0000),
        f64::from_bits(0x3dd0_b461_1a60_0000),
        f64::from_bits(0x3ba3_198a_2e03_7073),
    ];
    /// The coefficient of the term of degree `n`, without its sign.
    fn term(n: u32) -> f64 {
        1.0 / (2..=n).map(f64::from).product::<f64>()
    }
    let quarter = (angle * std::f64::consts::FRAC_2_PI).round_ties_even();
    let first = angle - quarter * HALF_PI[0];
    let r = first - quarter * HALF_PI[1];
    let rest = (first - r) - quarter * HALF_PI[1] - quarter * HALF_PI[2];
    let square = r * r;
    let series = |first: u32, last: u32| {
        (first..=last).rev().step_by(2).fold(0.0, |sum, n| term(n) - square * sum)
    };
    let value = if quarter % 2.0 == 0.0 {
        r + (rest * (1.0 - 0.5 * square) - r * square * series(3, 19))
    } else {
        let half = 0.5 * square;
        let high = 1.0 - half;
        let square_rest = r.mul_add(r, -square);
        let low = (1.0 - high) - half - 0.5 * square_rest - r * rest;
        high + (low + square * square * series(4, 20))
    };
    if quarter.rem_euclid(4.0) >= 2.0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_are_within_one_unit_of_the_machines_own() {
        let mut checked = 0;
        for step in -40_000..=40_000_i32 {
            let angle = f64::from(step) * 3.3e-4;
            let (own, other) = (sin(angle), angle.sin());
            let unit = f64::EPSILON * other.abs();
            assert!((own - other).abs() <= unit, "{angle}: {own} and {other}");
            checked += 1;
        }
        assert_eq!(checked, 80_001);
    }

    #[test]
    fn weights_of_cubic_and_lanczos_are_one_at_a_sample_and_none_at_the_others() {
        assert_eq!(cubic(0.0), 1.0);
        assert_eq!(lanczos4(0.0), 1.0);
        for other in [1.0, 2.0, 3.0, 4.0_f32] {
            assert_eq!(cubic(other), 0.0);
            assert!(lanczos4(other).abs() < 1e-16 && lanczos4(-other).abs() < 1e-16);
        }
    }

    #[test]
    fn bilinear_goes_on_beyond_the_first_sample_and_not_beyond_the_last() {
        // Twice as large: the first place reads at -0.25, the last at 3.25.
        let axis = Axis::new(PrescaleMethod::Bilinear, 4, 8, [0, 1, 7].into_iter());
        assert_eq!(axis.indices, [1, 0, 3, 0, 1, 2]);
        assert_eq!(axis.weights[..3], [-1.25, 0.25, 0.25]);
    }

    #[test]
    fn nearest_takes_the_whole_part() {
        let axis =
            Axis::new(PrescaleMethod::Nearest, 10, 4, (0..4).collect::<Vec<_>>().into_iter());
        assert_eq!(axis.indices, [0, 2, 5, 7]);
    }
}
