//! The window of SSIM: a Gaussian of eleven taps, across a row and then down the columns.
//!
//! Formula: `f32(sum of f64(f32(value * tap)))`, once across and once down. Each product is rounded
//! to `f32`; the sums are taken in `f64` from the first to the last position of the window, and
//! rounded to `f32` at the end. The window is applied only where it lies within the picture, so
//! that the result is ten samples narrower and lower.
//!
//! Where the values under a group of windows differ by little more than a factor of 8, which is
//! nearly everywhere, sums are taken in 32-bit integers instead: those of the four outermost taps
//! and those of the other seven apart, the former with [`FRACTION_BITS`] more bits. With `e` the
//! exponent of the largest value, and all values at least `2^(e - 3)`:
//!
//! - In units of `2^(e - 31)` a value is from 2^28 to below 2^32, and its product with an inner tap,
//!   0.036 to 0.266, from 2^23 to below 2^31: a float of 24 bits that is a whole number. Its product
//!   with an outer tap, 0.001 and 0.0076, is one in units that are 2^5 times finer.
//! - Both sums are below 2^32, and so is their total, though the taps add up to 1.000002: `e` is
//!   taken of the largest value and a little more. Everything is exact, in any order, and in `f64`
//!   it would be too; so one rounding at the end gives the same bits.
//!
//! Range: values are below 2^35 in magnitude. Nothing overflows.

use super::block::{Aligned, BLOCK, blocks};
use super::lanes::{FRACTION_BITS, Lanes};
use super::range::{
    EXPONENT, EXPONENT_0, EXPONENT_MIN, EXPONENT_STEP, MARGIN, Ranges, SPAN, units,
};

/// Rows and columns of the window.
pub(super) const WINDOW: usize = 11;

/// What the window takes away from each side's length.
pub(super) const LOSS: usize = WINDOW - 1;

/// Rows of results made at a time.
pub(super) const ROWS: usize = 8;

/// Rows of values under [`ROWS`] windows.
pub(super) const ROWS_UNDER: usize = ROWS + LOSS;

/// Outermost to middle; the window is symmetric.
const TAPS: [f32; 6] = [0.001028, 0.007599, 0.036001, 0.109361, 0.213006, 0.266012];

/// How many of [`TAPS`] are outer ones.
const OUTER: usize = 2;

/// Values that the windows of a block cover, in whole vectors.
pub(super) const LINE: usize = BLOCK + 16;

/// Columns of a strip: the values of a cache line.
pub(super) const COLUMNS: usize = 16;

/// Strips of a block.
pub(super) const STRIPS: usize = BLOCK / COLUMNS;

/// What was blurred across under [`ROWS`] windows down a strip, line by line and row by row, so that
/// blurring down reads one value after the other.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Strip(pub(super) [[[f32; COLUMNS]; ROWS_UNDER]; LINES]);

impl Default for Strip {
    fn default() -> Self {
        Self([[[0.0; COLUMNS]; ROWS_UNDER]; LINES])
    }
}

/// The length that a row of `width` values is padded to, for windows read in whole vectors.
pub(super) const fn padded_len(width: usize) -> usize {
    (width - LOSS).next_multiple_of(BLOCK) + LINE - BLOCK
}

/// Blocks that one blurred row of pictures of `width` samples takes.
pub(super) const fn blurred_blocks(width: usize) -> usize {
    blocks(width - LOSS)
}

/// Which of [`TAPS`] stands at `position` of the window.
const fn tap_at(position: usize) -> usize {
    if position < TAPS.len() { position } else { LOSS - position }
}

/// The taps as floats in units of which `one` make 1, the outer ones in finer units.
#[inline(always)]
fn taps_in_units<V: Lanes>(v: V, one: V::Floats) -> [V::Floats; TAPS.len()] {
    let finer = v.mul(one, v.splat((1_u32 << FRACTION_BITS) as f32));
    [
        v.mul(finer, v.splat(TAPS[0])),
        v.mul(finer, v.splat(TAPS[1])),
        v.mul(one, v.splat(TAPS[2])),
        v.mul(one, v.splat(TAPS[3])),
        v.mul(one, v.splat(TAPS[4])),
        v.mul(one, v.splat(TAPS[5])),
    ]
}

/// Lines that are blurred: reference, distorted, their squares, and their product.
pub(super) const LINES: usize = 5;

/// Which pictures' values are multiplied in each of [`LINES`], if any are.
pub(super) const FACTORS: [(usize, Option<usize>); LINES] =
    [(0, None), (1, None), (0, Some(0)), (1, Some(1)), (0, Some(1))];

/// The most rows that are blurred across at once.
pub(super) const BATCH_MAX: usize = if ROWS > LOSS { ROWS } else { LOSS };

/// Of [`LINES`], those that are pictures.
const PICTURES: usize = 2;

/// What is kept from call to call only to save clearing it.
#[derive(Debug)]
pub(super) struct Products {
    /// Squares of both pictures and their product, of one block of some rows.
    squares: Box<Aligned<[[[f32; LINE]; LINES - PICTURES]; BATCH_MAX]>>,
    /// Of one line with each tap.
    doubles: Box<Aligned<[[f64; LINE]; TAPS.len()]>>,
}

impl Default for Products {
    fn default() -> Self {
        Self {
            squares: Box::new(Aligned([[[0.0; LINE]; LINES - PICTURES]; BATCH_MAX])),
            doubles: Box::new(Aligned([[0.0; LINE]; TAPS.len()])),
        }
    }
}

/// What the window sees across one block of rows of both pictures, of their squares and of their
/// product: place `x` of the strips covers `rows(..)[..][x..x + WINDOW]`. There is a row for each of
/// `ranges`, which are its own, and at most [`BATCH_MAX`]; they go into the strips from row `slot` on.
///
/// Squares of all rows are written before any is read: a load across two stores waits until both
/// have left for the cache. That is why no other products are stored: to multiply a value once more
/// for each position of the window costs less.
#[inline(always)]
pub(super) fn blur_across<'a, V: Lanes>(
    v: V,
    rows: impl Fn(usize) -> [&'a [f32; LINE]; PICTURES],
    ranges: &[Ranges],
    strips: &mut [Strip; STRIPS],
    slot: usize,
    Products { squares, doubles }: &mut Products,
) {
    for (row, squares) in squares.0[..ranges.len()].iter_mut().enumerate() {
        let pictures = rows(row);
        for (line, squares) in squares.iter_mut().enumerate() {
            let (first, second) = FACTORS[PICTURES + line];
            let [first, second] = [first, second.unwrap_or(first)].map(|at| pictures[at]);
            for at in (0..LINE).step_by(V::LANES) {
                let product = v.mul(v.load(&first[at..]), v.load(&second[at..]));
                v.store(product, &mut squares[at..]);
            }
        }
    }
    for (row, (ranges, squares)) in ranges.iter().zip(&squares.0).enumerate() {
        let pictures = rows(row);
        for line in 0..LINES {
            let values = if line < PICTURES { pictures[line] } else { &squares[line - PICTURES] };
            let mut blurred = strips.each_mut().map(|Strip(lines)| &mut lines[line][slot + row]);
            match ranges.0[line].exponent() {
                Some(exponent) => across_integers(v, values, exponent, &mut blurred),
                None => across_doubles(values, &mut blurred, doubles),
            }
        }
    }
}

/// A vector of products of a run with a tap, which makes them whole numbers.
#[inline(always)]
fn multiply<V: Lanes>(v: V, run: &[f32], tap: V::Floats) -> V::Words {
    v.integers(v.mul(v.load(run), tap))
}

#[inline(always)]
fn across_integers<V: Lanes>(
    v: V,
    values: &[f32; LINE],
    exponent: u32,
    blurred: &mut [&mut [f32; COLUMNS]; STRIPS],
) {
    let [one, unit] = units(exponent);
    let [t0, t1, t2, t3, t4, t5] = taps_in_units(v, v.splat(one));
    let unit = v.splat(unit * V::UNIT);
    for at in (0..BLOCK).step_by(V::LANES) {
        let values = &values[at..][..V::LANES + LOSS];
        let mut outer = v.add(multiply(v, values, t0), multiply(v, &values[1..], t1));
        let mut inner = v.add(multiply(v, &values[2..], t2), multiply(v, &values[3..], t3));
        inner = v.add(inner, multiply(v, &values[4..], t4));
        inner = v.add(inner, multiply(v, &values[5..], t5));
        inner = v.add(inner, multiply(v, &values[6..], t4));
        inner = v.add(inner, multiply(v, &values[7..], t3));
        inner = v.add(inner, multiply(v, &values[8..], t2));
        outer = v.add(outer, multiply(v, &values[9..], t1));
        outer = v.add(outer, multiply(v, &values[10..], t0));
        let strip = &mut blurred[at / COLUMNS];
        v.store(v.mul(v.nearest(inner, outer), unit), &mut strip[at % COLUMNS..]);
    }
}

#[inline(always)]
fn across_doubles(
    values: &[f32; LINE],
    blurred: &mut [&mut [f32; COLUMNS]; STRIPS],
    Aligned(products): &mut Aligned<[[f64; LINE]; TAPS.len()]>,
) {
    for (line, tap) in products.iter_mut().zip(TAPS) {
        for x in 0..LINE {
            line[x] = f64::from(values[x] * tap);
        }
    }
    let [p0, p1, p2, p3, p4, p5] = &*products;
    let Aligned(mut sums) = Aligned([0.0; BLOCK]);
    for x in 0..BLOCK {
        let sum = p0[x]
            + p1[x + 1]
            + p2[x + 2]
            + p3[x + 3]
            + p4[x + 4]
            + p5[x + 5]
            + p4[x + 6]
            + p3[x + 7]
            + p2[x + 8]
            + p1[x + 9]
            + p0[x + 10];
        sums[x] = sum as f32;
    }
    for (blurred, sums) in blurred.iter_mut().zip(sums.as_chunks().0) {
        **blurred = *sums;
    }
}

/// Does something for every row under [`ROWS`] windows, its number a constant.
macro_rules! each_row {
    (@ [$($row:literal)+] |$name:ident| $body:expr) => {
        each_row!(@@ $($row)+; $name; $body)
    };
    (@@ $first:literal $($row:literal)*; $name:ident; $body:expr) => {
        { const $name: usize = $first; $body }
        each_row!(@@ $($row)*; $name; $body)
    };
    (@@ ; $name:ident; $body:expr) => {};
    (|$name:ident| $body:expr) => {
        each_row!(@ [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17] |$name| $body);
    };
}

/// A vector of what [`ROWS`] windows see.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Blurred(pub(super) [[f32; 16]; ROWS]);

/// What the windows see down one line of the columns of one vector of a strip, that at `at`; with the
/// exponent for sums in integers, where it is known.
#[inline(always)]
pub(super) fn blur_down<V: Lanes>(
    v: V,
    rows: &[[f32; COLUMNS]; ROWS_UNDER],
    at: usize,
    exponent: Option<u32>,
    blurred: &mut Blurred,
) {
    if let Some(exponent) = exponent {
        return down_integers(v, rows, at, v.splat_word(exponent), blurred);
    }
    let first = v.bits(v.load(&rows[0][at..]));
    let (mut least, mut most) = (first, first);
    for row in &rows[1..] {
        let bits = v.bits(v.load(&row[at..]));
        least = v.min(least, bits);
        most = v.max(most, bits);
    }
    // Every column has an exponent of its own. A column of zeros fits; one whose largest value is 0
    // does not if others are negative, as those around a bright spot are at the smaller scales.
    let exponent = v.and(v.add(most, v.splat_word(MARGIN)), v.splat_word(EXPONENT));
    let exponent = v.max(exponent, v.splat_word(EXPONENT_MIN));
    if v.all_reach(v.add(least, v.splat_word(SPAN)), exponent, v.or(least, most)) {
        down_integers(v, rows, at, exponent, blurred);
    } else {
        down_doubles(v, rows, at, blurred);
    }
}

#[inline(always)]
fn down_integers<V: Lanes>(
    v: V,
    rows: &[[f32; COLUMNS]; ROWS_UNDER],
    at: usize,
    exponent: V::Words,
    Blurred(blurred): &mut Blurred,
) {
    const TOP: u32 = 31 * EXPONENT_STEP;
    let one = v.floats(v.sub(v.splat_word(2 * EXPONENT_0 + TOP), exponent));
    let unit = v.floats(v.sub(exponent, v.splat_word(TOP)));
    let unit = v.mul(unit, v.splat(V::UNIT));
    let taps = taps_in_units(v, one);
    let mut inner = [v.splat_word(0); ROWS];
    let mut outer = [v.splat_word(0); ROWS];
    each_row!(|ROW| {
        let values = v.load(&rows[ROW][at..]);
        let mut products = [v.splat_word(0); TAPS.len()];
        for tap in 0..TAPS.len() {
            products[tap] = v.integers(v.mul(values, taps[tap]));
        }
        for window in 0..ROWS {
            if let Some(position @ 0..WINDOW) = ROW.checked_sub(window) {
                let tap = tap_at(position);
                if tap < OUTER {
                    outer[window] = v.add(outer[window], products[tap]);
                } else {
                    inner[window] = v.add(inner[window], products[tap]);
                }
            }
        }
        if let Some(window) = ROW.checked_sub(LOSS) {
            let result = v.mul(v.nearest(inner[window], outer[window]), unit);
            v.store(result, &mut blurred[window]);
        }
    });
}

#[inline(always)]
fn down_doubles<V: Lanes>(
    v: V,
    rows: &[[f32; COLUMNS]; ROWS_UNDER],
    at: usize,
    Blurred(blurred): &mut Blurred,
) {
    let mut sums = [v.widen(v.splat(0.0)); ROWS];
    each_row!(|ROW| {
        let values = v.load(&rows[ROW][at..]);
        for tap in 0..TAPS.len() {
            let product = v.widen(v.mul(values, v.splat(TAPS[tap])));
            for window in 0..ROWS {
                if let Some(position @ 0..WINDOW) = ROW.checked_sub(window)
                    && tap_at(position) == tap
                {
                    sums[window] = v.add_doubles(sums[window], product);
                }
            }
        }
        if let Some(window) = ROW.checked_sub(LOSS) {
            v.store(v.narrow(sums[window]), &mut blurred[window]);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::lanes::Plain;
    use super::*;
    use crate::isa::{Isa, per_isa};

    /// Rows of both pictures, long enough for one block.
    type Rows = [[[f32; LINE]; ROWS_UNDER]; 2];

    /// All results of a block: those across, those down, and for how many lines down integers served.
    type Results = (Box<[Strip; STRIPS]>, Box<[Blurred; LINES * BLOCK]>, usize);

    #[inline(always)]
    fn blur_body(v: impl Lanes, rows: &Rows) -> Results {
        blur(v, rows)
    }

    #[inline(always)]
    fn blur<V: Lanes>(v: V, rows: &Rows) -> Results {
        let mut products = Products::default();
        let mut strips = Box::new([Strip::default(); STRIPS]);
        let mut ranges = [Ranges::default(); ROWS_UNDER];
        let rows_at = |row: usize| [&rows[0][row], &rows[1][row]];
        for (row, ranges) in ranges.iter_mut().enumerate() {
            *ranges = Ranges::of(v, rows_at(row));
        }
        for slot in (0..ROWS_UNDER).step_by(ROWS) {
            let ranges = &ranges[slot..ROWS_UNDER.min(slot + ROWS)];
            blur_across(v, |row| rows_at(slot + row), ranges, &mut strips, slot, &mut products);
        }
        let exponents = Ranges::of_all(&ranges).exponents_down();
        let mut down = Box::new([Blurred::default(); LINES * BLOCK]);
        for line in 0..LINES {
            for at in (0..BLOCK).step_by(V::LANES) {
                let Strip(lines) = &strips[at / COLUMNS];
                let blurred = &mut down[line * BLOCK + at];
                blur_down(v, &lines[line], at % COLUMNS, exponents[line], blurred);
            }
        }
        (strips, down, exponents.iter().flatten().count())
    }

    per_isa! {
        fn blur_here(rows: &Rows) -> Results = blur_body, with vector;
    }

    fn naive(values: [f32; WINDOW]) -> f32 {
        let product = |(position, value)| f64::from(value * TAPS[tap_at(position)]);
        values.into_iter().enumerate().map(product).fold(0.0, |sum, product| sum + product) as f32
    }

    fn check(rows: &Rows, (strips, down, _): &Results, lanes: usize) {
        for line in 0..LINES {
            let (first, second) = FACTORS[line];
            let value = |row: usize, x: usize| {
                rows[first][row][x] * second.map_or(1.0, |second| rows[second][row][x])
            };
            for x in 0..BLOCK {
                let across = |row: usize| strips[x / COLUMNS].0[line][row][x % COLUMNS];
                for row in 0..ROWS_UNDER {
                    let expected = naive(std::array::from_fn(|at| value(row, x + at)));
                    assert_eq!(across(row).to_bits(), expected.to_bits());
                }
                for window in 0..ROWS {
                    let column = std::array::from_fn(|at| across(window + at));
                    let expected = naive(column);
                    let actual = down[line * BLOCK + x / lanes * lanes].0[window][x % lanes];
                    assert_eq!(actual.to_bits(), expected.to_bits(), "{line} {window} {x}");
                }
            }
        }
    }

    /// Numbers of 0 to 1, from a linear congruence.
    fn numbers(seed: u64) -> impl FnMut() -> f32 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (state >> 40) as f32 / (1 << 24) as f32
        }
    }

    #[test]
    fn sums_in_integers_have_the_bits_of_sums_in_doubles() {
        let lanes = |isa: Isa| match isa.level() {
            crate::isa::IsaLevel::Avx512 => 16,
            crate::isa::IsaLevel::Avx2 => 8,
            crate::isa::IsaLevel::Baseline => 4,
        };
        let (mut in_integers, mut count) = (0, 0);
        for case in 0..60_u8 {
            let mut number = numbers(u64::from(case) + 1);
            // Values from 2^(most - span) on, up to just below a power of two.
            let (span, most) = (f32::from(case % 6), f32::from(case / 6) - 2.0);
            let mut rows: Rows = [[[0.0; LINE]; ROWS_UNDER]; 2];
            for value in rows.as_flattened_mut().as_flattened_mut() {
                let drawn = (most - span * number()).exp2();
                let nearly = f32::from_bits(most.exp2().to_bits() - 1);
                *value = match case {
                    50 => nearly,
                    51 if number() < 0.1 => 0.0,
                    52 if number() < 0.01 => -drawn,
                    53 => 0.0,
                    54 => drawn * 1e-30,
                    55 => (drawn * 256.0).floor(),
                    // Columns of negative values and zeros, as around one bright sample.
                    56 if number() < 0.02 => -drawn,
                    56 => 0.0,
                    _ => drawn.min(nearly),
                };
            }
            let results = blur(Plain, &rows);
            check(&rows, &results, Plain::LANES);
            (in_integers, count) = (in_integers + results.2, count + LINES);
            for isa in crate::isa::every_isa() {
                check(&rows, &blur_here(isa, &rows), lanes(isa));
            }
        }
        assert!(in_integers > count / 4 && in_integers < count, "{in_integers} of {count}");
    }
}
