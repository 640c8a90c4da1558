//! One scale's picture: levels smoothed by their mode, turned into bins, and halved.
//!
//! The mode of three levels is the one that occurs twice, else the least. It is taken across each
//! row and then down each column; the first and last column only go down, the first and last row
//! stay as they are. The next scale is each second row and column of the result, with its mask.

use super::spatial::MASKED;
use super::visibility::NO_BIN;

/// Rows in work: the last three after the horizontal mode, and one result.
#[derive(Debug, Default)]
pub(super) struct ScaleRows {
    across: [Vec<u16>; 3],
    smooth: Vec<u16>,
}

impl ScaleRows {
    pub(super) fn prepare(&mut self, width: usize) {
        for row in self.across.iter_mut().chain([&mut self.smooth]) {
            row.resize(width.max(row.len()), 0);
        }
    }
}

/// How levels become bins: `level - level_min` where that is below `bins`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Binning {
    pub(super) level_min: i32,
    pub(super) bins: usize,
}

/// A plane and its layout.
pub(super) struct Plane<'a> {
    pub(super) values: &'a mut [u16],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

/// Turns levels into bins in place and stores the next scale's levels in `next`, if there is one.
#[inline(always)]
pub(super) fn smooth(
    plane: &mut Plane<'_>,
    next: Option<Plane<'_>>,
    binning: Binning,
    rows: &mut ScaleRows,
) {
    let Plane { width, height, stride, .. } = *plane;
    let mut next = next;
    for row in 0..height {
        across(&plane.values[row * stride..][..width], &mut rows.across[row % 3][..width]);
        // The row above is read no more, so it may become bins.
        if row >= 2 {
            down(&rows.across, &mut rows.smooth[..width]);
            finish_row(plane, row - 1, true, &mut rows.smooth, next.as_mut(), binning);
        } else if row == 0 {
            finish_row(plane, 0, false, &mut rows.smooth, next.as_mut(), binning);
        }
    }
    if height > 1 {
        finish_row(plane, height - 1, false, &mut rows.smooth, next.as_mut(), binning);
    }
}

#[inline(always)]
fn mode(a: u16, b: u16, c: u16) -> u16 {
    let least = a.min(b).min(c);
    let second = if b == c { b } else { least };
    if (a == b) | (a == c) { a } else { second }
}

#[inline(always)]
fn across(levels: &[u16], out: &mut [u16]) {
    let width = levels.len();
    let level = |column: usize| levels[column] & !MASKED;
    out[0] = level(0);
    out[width - 1] = level(width - 1);
    if width > 2 {
        let (left, middle, right) = (&levels[..width - 2], &levels[1..width - 1], &levels[2..]);
        let out = &mut out[1..width - 1];
        for column in 0..width - 2 {
            let [a, b, c] = [left, middle, right].map(|levels| levels[column] & !MASKED);
            out[column] = mode(a, b, c);
        }
    }
}

#[inline(always)]
fn down(across: &[Vec<u16>; 3], out: &mut [u16]) {
    let width = out.len();
    let [a, b, c] = across.each_ref().map(|row| &row[..width]);
    for column in 0..width {
        out[column] = mode(a[column], b[column], c[column]);
    }
}

/// Stores one row of bins and, of every second row, the next scale's levels.
#[inline(always)]
fn finish_row(
    plane: &mut Plane<'_>,
    row: usize,
    is_smooth: bool,
    smooth: &mut [u16],
    next: Option<&mut Plane<'_>>,
    binning: Binning,
) {
    let width = plane.width;
    let values = &mut plane.values[row * plane.stride..][..plane.stride];
    let (values, rest) = values.split_at_mut(width);
    let levels = &mut smooth[..width];
    if is_smooth {
        for (level, value) in levels.iter_mut().zip(&*values) {
            *level |= value & MASKED;
        }
    } else {
        levels.copy_from_slice(values);
    }
    if let Some(next) = next
        && row.is_multiple_of(2)
    {
        halve(levels, next, row / 2);
    }
    let (level_min, bins) = (binning.level_min as u16, binning.bins as u16);
    for (value, level) in values.iter_mut().zip(&*levels) {
        let bin = (level & !MASKED).wrapping_sub(level_min);
        let counts = (level & MASKED != 0) & (bin < bins);
        *value = if counts { bin } else { NO_BIN };
    }
    rest.fill(NO_BIN);
}

#[inline(always)]
fn halve(levels: &[u16], next: &mut Plane<'_>, row: usize) {
    let out = &mut next.values[row * next.stride..][..next.width];
    for (out, pair) in out.iter_mut().zip(levels.chunks_exact(2)) {
        *out = pair[0];
    }
    if levels.len() % 2 == 1 {
        out[levels.len() / 2] = levels[levels.len() - 1];
    }
}
