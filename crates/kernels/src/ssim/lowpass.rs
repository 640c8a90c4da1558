//! The low-pass filter between two scales, for some rows of results at once, in any order of sums.
//!
//! [`halve`](super::halve) has the formula, and says when the order does not matter. Then columns are
//! summed first: for each column of values and each distance across that it lies at from columns of
//! results, the sum down of nine products, for all rows of results that they serve. Of these
//! sums, five kinds for distances 0 to 4, results take nine each. A product serves the rows of results
//! above and below it, and where both its distances are even or both odd, also those that it lies at the
//! exchanged distances from, since the taps are the same. 48 additions for a result, and 33 products, of
//! which 21 would be enough if nothing were computed anew for the next group.

use super::block::Aligned;
use super::lanes::Lanes;
use super::rows::MARGIN;
use crate::isa::per_isa;

/// Rows and columns of the filter.
pub(super) const WINDOW: usize = 9;

/// Rows and columns on each side of the middle.
pub(super) const REACH: usize = 4;

/// By distance from the middle, of the row and of the column.
pub(super) const TAPS: [[f32; REACH + 1]; REACH + 1] = [
    [0.363505, 0.160885, -0.047149, -0.010146, 0.016114],
    [0.160885, 0.071207, -0.020867, -0.004490, 0.007132],
    [-0.047149, -0.020867, 0.006115, 0.001316, -0.002090],
    [-0.010146, -0.004490, 0.001316, 0.000283, -0.000450],
    [0.016114, 0.007132, -0.002090, -0.000450, 0.000714],
];

/// Rows of results made at once.
pub(super) const GROUP: usize = 4;

/// Rows of values under the filter of a group.
pub(super) const ROWS_UNDER: usize = 2 * (GROUP - 1) + WINDOW;

/// Values of a row of results that are padded to a whole number of vectors of every instruction set.
const VECTOR_MAX: usize = 16;

/// Columns of one parity that are summed until results are made of them.
const CHUNK: usize = 64;

/// Sums of the chunk before that are kept: results lag behind their sums by [`VECTOR_MAX`], so that
/// they read what was written a while ago, and what they read begins a little before them.
const KEPT: usize = 2 * VECTOR_MAX;

/// Sums at each distance across, for each row of a group.
type Sums = [[[f64; KEPT + CHUNK]; GROUP]; REACH + 1];

/// Products of a vector of columns of one parity in one row, with up to so many taps.
const PRODUCTS: usize = 6;

/// Those of every row under a group.
type Products = [[[f32; VECTOR_MAX]; PRODUCTS]; ROWS_UNDER];

/// What is kept only to save clearing it.
#[derive(Debug)]
pub(super) struct Scratch {
    sums: Box<Aligned<Sums>>,
    /// Of both parities.
    products: Box<Aligned<[Products; 2]>>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            sums: Box::new(Aligned([[[0.0; KEPT + CHUNK]; GROUP]; REACH + 1])),
            products: Box::new(Aligned([[[[0.0; VECTOR_MAX]; PRODUCTS]; ROWS_UNDER]; 2])),
        }
    }
}

/// The length that a row of `width` results is padded to.
pub(super) const fn padded_len(width: usize) -> usize {
    width.next_multiple_of(VECTOR_MAX)
}

/// The distance between a row under a group and the middle of one of its windows.
const fn distance(row: usize, result: usize) -> usize {
    row.abs_diff(2 * result + REACH)
}

/// Where the product with the tap at these distances stands among those of its row and parity. Taps at
/// exchanged distances are the same.
const PLACES: [[usize; REACH + 1]; REACH + 1] =
    [[0, 0, 1, 1, 2], [0, 0, 2, 1, 4], [1, 2, 3, 3, 4], [1, 1, 3, 2, 5], [2, 4, 4, 5, 5]];

/// The taps that each row's columns of even and of odd parity are multiplied with, by their places.
const TAPS_OF_ROWS: [[[Option<f32>; PRODUCTS]; 2]; ROWS_UNDER] = {
    let mut taps = [[[None; PRODUCTS]; 2]; ROWS_UNDER];
    let mut at = 0;
    while at < ROWS_UNDER * GROUP * (REACH + 1) {
        let [row, result, across] =
            [at / (GROUP * (REACH + 1)), at / (REACH + 1) % GROUP, at % (REACH + 1)];
        let down = distance(row, result);
        if down <= REACH {
            taps[row][across % 2][PLACES[down][across]] = Some(TAPS[down][across]);
        }
        at += 1;
    }
    taps
};

/// Does something for every row under a group, its number a constant.
macro_rules! each_row {
    (@ $name:ident; $body:expr; $($row:literal)+) => {
        $({ const $name: usize = $row; $body })+
    };
    (|$name:ident| $body:expr) => {
        each_row!(@ $name; $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14)
    };
}

/// Multiplies a vector of columns of each parity with all taps that serve results.
#[inline(always)]
fn multiply<V: Lanes>(v: V, rows: &[&[f32]; ROWS_UNDER], at: usize, products: &mut [Products; 2]) {
    each_row!(|ROW| {
        let pairs = &rows[ROW][2 * at..][..2 * V::LANES];
        let values = v.part(v.load(pairs), v.load(&pairs[V::LANES..]));
        for parity in 0..2 {
            for place in 0..PRODUCTS {
                if let Some(tap) = TAPS_OF_ROWS[ROW][parity][place] {
                    let product = v.mul(values[parity], v.splat(tap));
                    v.store(product, &mut products[parity][ROW][place]);
                }
            }
        }
    });
}

/// Sums down the products of columns of one parity, at `COUNT` distances from `FIRST` on.
#[inline(always)]
fn sum_down<const FIRST: usize, const COUNT: usize, V: Lanes>(
    v: V,
    products: &Products,
    sums: &mut Sums,
    at: usize,
) {
    let mut columns = [[v.splat_double(0.0); GROUP]; COUNT];
    each_row!(|ROW| {
        let mut wide = [v.splat_double(0.0); PRODUCTS];
        for place in 0..PRODUCTS {
            wide[place] = v.load_wide(&products[ROW][place]);
        }
        for result in 0..GROUP {
            let down = distance(ROW, result);
            if down <= REACH {
                for nth in 0..COUNT {
                    let product = wide[PLACES[down][FIRST + 2 * nth]];
                    columns[nth][result] = if ROW == 2 * result {
                        product
                    } else {
                        v.add_doubles(columns[nth][result], product)
                    };
                }
            }
        }
    });
    for nth in 0..COUNT {
        for result in 0..GROUP {
            v.store_doubles(columns[nth][result], &mut sums[FIRST + 2 * nth][result][at..]);
        }
    }
}

/// The results whose middles lie at `at`, of one row.
#[inline(always)]
fn sum_across<V: Lanes>(v: V, sums: &Sums, result: usize, at: usize) -> V::Floats {
    let [s0, s1, s2, s3, s4] = sums.each_ref().map(|sums| &sums[result]);
    let far = v.add_doubles(v.load_doubles(&s4[at - 2..]), v.load_doubles(&s4[at + 2..]));
    let other = v.add_doubles(v.load_doubles(&s3[at - 2..]), v.load_doubles(&s3[at + 1..]));
    let far = v.add_doubles(far, other);
    let near = v.add_doubles(v.load_doubles(&s2[at - 1..]), v.load_doubles(&s2[at + 1..]));
    let other = v.add_doubles(v.load_doubles(&s1[at - 1..]), v.load_doubles(&s1[at..]));
    let near = v.add_doubles(near, other);
    let near = v.add_doubles(near, v.load_doubles(&s0[at..]));
    v.narrow(v.add_doubles(far, near))
}

/// Filters [`GROUP`] rows of results, one after the other in `halves`, each of a [`padded_len`], out of
/// rows from their margins on, which go on behind their ends by at least [`MARGIN`].
#[inline(always)]
fn filter_group_body<V: Lanes>(
    v: V,
    rows: [&[f32]; ROWS_UNDER],
    halves: &mut [f32],
    Scratch { sums, products }: &mut Scratch,
) {
    let (Aligned(sums), Aligned(products)) = (&mut **sums, &mut **products);
    let len = halves.len() / GROUP;
    // The place of the first result's middle among the columns of one parity.
    const FIRST: usize = MARGIN / 2;
    let end = len + FIRST + REACH / 2;
    for start in (0..len + VECTOR_MAX + FIRST).step_by(CHUNK) {
        for at in (start..end.min(start + CHUNK)).step_by(V::LANES) {
            multiply(v, &rows, at, products);
            let slot = KEPT + at - start;
            sum_down::<0, 3, V>(v, &products[0], sums, slot);
            sum_down::<1, 2, V>(v, &products[1], sums, slot);
        }
        for result in 0..GROUP {
            let half = &mut halves[result * len..][..len];
            for slot in (KEPT - VECTOR_MAX..KEPT - VECTOR_MAX + CHUNK).step_by(V::LANES) {
                let Some(x) = (start + slot).checked_sub(KEPT + FIRST) else { continue };
                if x < len {
                    v.store(sum_across(v, sums, result, slot), &mut half[x..]);
                }
            }
        }
        for sums in sums.as_flattened_mut() {
            sums.copy_within(CHUNK.., 0);
        }
    }
}

#[inline(always)]
fn filter_group_of(
    v: impl Lanes,
    rows: [&[f32]; ROWS_UNDER],
    halves: &mut [f32],
    scratch: &mut Scratch,
) {
    filter_group_body(v, rows, halves, scratch);
}

per_isa! {
    /// See [`filter_group_body`].
    pub(super) fn filter_group(
        rows: [&[f32]; ROWS_UNDER],
        halves: &mut [f32],
        scratch: &mut Scratch,
    ) = filter_group_of, with vector;
}
