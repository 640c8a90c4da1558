//! Rows of samples as `f32` in steps of 8 bits, at full size or shrunk by whole factors.
//!
//! A sample of `d` bits counts as `sample / 2^(d - 8)`, which is exact.
//!
//! Shrinking by a factor `f` averages `f` by `f` samples from `f / 2` before every `f`-th one, in
//! both directions: `f32(sum of f64(f32(sample * f32(1 / f^2))))`. Each product is a multiple of
//! 2^-39 and each sum below 2^9, so that `f64` holds all sums exactly and their order does not
//! matter: columns are summed first. Borders reflect and repeat the border sample. The
//! result has `side / f` samples rounded down, and one more where the side is odd.

use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples};

/// The length of a side shrunk by `factor`.
pub(super) const fn shrunk(side: usize, factor: usize) -> usize {
    if factor == 1 { side } else { side / factor + side % 2 }
}

/// One picture, read row by row.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) plane: PlaneRef<'a>,
    pub(super) factor: usize,
}

impl Source<'_> {
    /// Fills the beginning of `row` with row `y` of the shrunk picture.
    pub(super) fn read_row(&self, isa: Isa, y: usize, sums: &mut Vec<f64>, row: &mut [f32]) {
        let width = self.plane.width();
        if self.factor == 1 {
            self.read_samples(isa, y, &mut row[..width]);
            return;
        }
        sums.clear();
        sums.resize(width, 0.0);
        let factor = self.factor;
        let unit = 1.0 / (factor * factor) as f32;
        for tap in 0..factor {
            let sample_row = reflect(y * factor + tap, factor / 2, self.plane.height());
            self.add_samples(isa, sample_row, unit, sums);
        }
        sum_columns(isa, sums, factor, &mut row[..shrunk(width, factor)]);
    }

    fn read_samples(&self, isa: Isa, y: usize, row: &mut [f32]) {
        let start = y * self.plane.stride();
        match self.plane.samples() {
            Samples::U8(samples) => read_bytes(isa, &samples[start..], row),
            Samples::U16(samples) => read_words(isa, &samples[start..], self.step(), row),
        }
    }

    fn add_samples(&self, isa: Isa, y: usize, unit: f32, sums: &mut [f64]) {
        let start = y * self.plane.stride();
        match self.plane.samples() {
            Samples::U8(samples) => add_bytes(isa, &samples[start..], unit, sums),
            Samples::U16(samples) => add_words(isa, &samples[start..], self.step(), unit, sums),
        }
    }

    /// What one step of a sample counts.
    fn step(&self) -> f32 {
        1.0 / (1_u32 << (self.plane.bit_depth() - 8)) as f32
    }
}

/// The index inside `0..len` that `index - before` reflects to; the border sample is repeated.
#[inline(always)]
fn reflect(index: usize, before: usize, len: usize) -> usize {
    match index.checked_sub(before) {
        None => before - 1 - index,
        Some(index) if index < len => index,
        Some(index) => 2 * len - 1 - index,
    }
}

#[inline(always)]
fn read_bytes_body(samples: &[u8], row: &mut [f32]) {
    for (value, sample) in row.iter_mut().zip(samples) {
        *value = f32::from(*sample);
    }
}

#[inline(always)]
fn read_words_body(samples: &[u16], step: f32, row: &mut [f32]) {
    for (value, sample) in row.iter_mut().zip(samples) {
        *value = f32::from(*sample) * step;
    }
}

#[inline(always)]
fn add_bytes_body(samples: &[u8], unit: f32, sums: &mut [f64]) {
    for (sum, sample) in sums.iter_mut().zip(samples) {
        *sum += f64::from(f32::from(*sample) * unit);
    }
}

#[inline(always)]
fn add_words_body(samples: &[u16], step: f32, unit: f32, sums: &mut [f64]) {
    for (sum, sample) in sums.iter_mut().zip(samples) {
        *sum += f64::from(f32::from(*sample) * step * unit);
    }
}

/// Sums `factor` columns for each value of `row`.
#[inline(always)]
fn sum_columns_body(sums: &[f64], factor: usize, row: &mut [f32]) {
    let before = factor / 2;
    for (x, value) in row.iter_mut().enumerate() {
        let start = x * factor;
        let sum: f64 = if start >= before && start - before + factor <= sums.len() {
            sums[start - before..][..factor].iter().sum()
        } else {
            (start..start + factor).map(|at| sums[reflect(at, before, sums.len())]).sum()
        };
        *value = sum as f32;
    }
}

per_isa! {
    fn read_bytes(samples: &[u8], row: &mut [f32]) = read_bytes_body;
    fn read_words(samples: &[u16], step: f32, row: &mut [f32]) = read_words_body;
    fn add_bytes(samples: &[u8], unit: f32, sums: &mut [f64]) = add_bytes_body;
    fn add_words(samples: &[u16], step: f32, unit: f32, sums: &mut [f64]) = add_words_body;
    fn sum_columns(sums: &[f64], factor: usize, row: &mut [f32]) = sum_columns_body;
}
