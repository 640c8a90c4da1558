//! Half the size: the low-pass filter between two scales of MS-SSIM, as rows arrive.
//!
//! Formula: `f32(sum of f64(f32(value * tap)))` over nine rows and columns around every second
//! sample, in `f64`, row after row from the first column to the last. The taps are those of a 9/7
//! wavelet, given to six digits for each place, so that no two passes give the same bits. Borders
//! reflect and repeat the border sample. An odd side's half is rounded up.
//!
//! Range: values below 2^16 in magnitude stay so, but for an overshoot of a few tenths.

use super::block::Aligned;
use crate::isa::{Isa, per_isa};

/// Rows and columns of the filter.
const WINDOW: usize = 9;

/// Rows and columns on each side of the middle.
const REACH: usize = 4;

/// By distance from the middle, of the row and of the column.
const TAPS: [[f32; REACH + 1]; REACH + 1] = [
    [0.363505, 0.160885, -0.047149, -0.010146, 0.016114],
    [0.160885, 0.071207, -0.020867, -0.004490, 0.007132],
    [-0.047149, -0.020867, 0.006115, 0.001316, -0.002090],
    [-0.010146, -0.004490, 0.001316, 0.000283, -0.000450],
    [0.016114, 0.007132, -0.002090, -0.000450, 0.000714],
];

/// Results made at a time.
const CHUNK: usize = 64;

/// Values of one parity that a chunk's windows cover, in whole vectors.
const LINE: usize = CHUNK + 16;

/// Rows kept. Nine are filtered, and at the end of the picture above, up to three arrive at once.
const SLOTS: usize = 16;

/// Both pictures' values of even and of odd columns.
const LINES: usize = 4;

/// The half of a side.
pub(super) const fn half(side: usize) -> usize {
    side.div_ceil(2)
}

/// A pair of pictures being halved.
#[derive(Debug, Default)]
pub(super) struct Halver {
    width: usize,
    height: usize,
    rows: usize,
    made: usize,
    /// [`SLOTS`] slots of [`LINES`] lines of [`line_len`].
    ring: Vec<f32>,
    products: Products,
}

/// Products of one row with the taps at each distance; kept only to save clearing it.
#[derive(Debug)]
struct Products(Aligned<[[f64; LINE]; REACH + 1]>);

impl Default for Products {
    fn default() -> Self {
        Self(Aligned([[0.0; LINE]; REACH + 1]))
    }
}

/// The length that a row of `width` results is padded to.
pub(super) const fn padded_len(width: usize) -> usize {
    width.next_multiple_of(CHUNK)
}

/// The length of a line of one parity.
const fn line_len(width: usize) -> usize {
    padded_len(half(width)) + LINE - CHUNK
}

/// The index inside `0..len` that `index` reflects to; the border sample is repeated.
const fn reflect(index: isize, len: usize) -> usize {
    let len = len as isize;
    (if index < 0 {
        -1 - index
    } else if index >= len {
        2 * len - 1 - index
    } else {
        index
    }) as usize
}

impl Halver {
    /// Begins anew. Neither side is less than [`REACH`].
    pub(super) fn start(&mut self, [width, height]: [usize; 2]) {
        (self.width, self.height) = (width, height);
        (self.rows, self.made) = (0, 0);
        let len = SLOTS * LINES * line_len(width);
        if self.ring.len() < len {
            self.ring.resize(len, 0.0);
        }
    }

    /// Takes the next row of both pictures.
    pub(super) fn push(&mut self, isa: Isa, rows: [&[f32]; 2]) {
        let line_len = line_len(self.width);
        let slot_len = LINES * line_len;
        let slot = &mut self.ring[self.rows % SLOTS * slot_len..][..slot_len];
        for (row, lines) in rows.iter().zip(slot.chunks_exact_mut(2 * line_len)) {
            split_row(isa, &row[..self.width], lines);
        }
        self.rows += 1;
    }

    /// Makes the next row of both halves, if the rows for it have come. `halves` are padded.
    pub(super) fn pull(&mut self, isa: Isa, halves: [&mut [f32]; 2]) -> bool {
        let middle = 2 * self.made;
        if middle >= self.height || self.rows < self.height.min(middle + REACH + 1) {
            return false;
        }
        let line_len = line_len(self.width);
        let slot_len = LINES * line_len;
        for (picture, half) in halves.into_iter().enumerate() {
            let rows = std::array::from_fn(|position| {
                let row = reflect((middle + position) as isize - REACH as isize, self.height);
                let lines = &self.ring[row % SLOTS * slot_len..][..slot_len];
                &lines[picture * 2 * line_len..][..2 * line_len]
            });
            let half = &mut half[..padded_len(self::half(self.width))];
            filter_row(isa, rows, half, &mut self.products);
        }
        self.made += 1;
        true
    }
}

/// Parts a row into its even and its odd columns, from the fourth before the first on.
#[inline(always)]
fn split_row_body(row: &[f32], lines: &mut [f32]) {
    let line_len = lines.len() / 2;
    let (even, odd) = lines.split_at_mut(line_len);
    let used = half(row.len()) + REACH;
    // Inside, pair `i` holds columns 2 i - 4 and 2 i - 3.
    let inside = 2..2 + row.len() / 2;
    for ((even, odd), pair) in
        even[inside.clone()].iter_mut().zip(&mut odd[inside.clone()]).zip(row.chunks_exact(2))
    {
        (*even, *odd) = (pair[0], pair[1]);
    }
    for at in (0..inside.start).chain(inside.end..used) {
        let column = 2 * at as isize - REACH as isize;
        even[at] = row[reflect(column, row.len())];
        odd[at] = row[reflect(column + 1, row.len())];
    }
}

/// Filters one row of results out of nine rows of parted columns.
#[inline(always)]
fn filter_row_body(rows: [&[f32]; WINDOW], half: &mut [f32], products: &mut Products) {
    let line_len = rows[0].len() / 2;
    let Products(Aligned(products)) = products;
    for (chunk, half) in half.chunks_exact_mut(CHUNK).enumerate() {
        let Aligned(mut sums) = Aligned([0.0_f64; CHUNK]);
        for (position, row) in rows.iter().enumerate() {
            let taps = &TAPS[position.abs_diff(REACH)];
            for (distance, line) in products.iter_mut().enumerate() {
                let parity = distance % 2;
                let values = &row[parity * line_len + chunk * CHUNK..][..LINE];
                for x in 0..LINE {
                    line[x] = f64::from(values[x] * taps[distance]);
                }
            }
            let [p0, p1, p2, p3, p4] = &*products;
            for x in 0..CHUNK {
                sums[x] = sums[x]
                    + p4[x]
                    + p3[x]
                    + p2[x + 1]
                    + p1[x + 1]
                    + p0[x + 2]
                    + p1[x + 2]
                    + p2[x + 3]
                    + p3[x + 3]
                    + p4[x + 4];
            }
        }
        for x in 0..CHUNK {
            half[x] = sums[x] as f32;
        }
    }
}

per_isa! {
    fn split_row(row: &[f32], lines: &mut [f32]) = split_row_body;
    fn filter_row(rows: [&[f32]; WINDOW], half: &mut [f32], products: &mut Products)
        = filter_row_body;
}
