//! The latest rows of both pictures, as the window and the filter between scales look at them.

use super::block::{BEFORE_LINE_MAX, before_line};
use super::window::{self, LOSS, ROWS};

/// Rows that are kept. The filter between scales looks at 15 at once.
///
/// They lie in a ring which is entered so that the rows that are compared at once lie one after the
/// other: first [`LOSS`] to its end, then [`ROWS`] from its start, and so on.
pub(super) const SLOTS: usize = 16;

const _: () = assert!(SLOTS.is_multiple_of(ROWS) && SLOTS >= LOSS);

/// Values before the first of a row. The last of them are the row's first ones, reflected.
pub(super) const MARGIN: usize = 32;

/// How far the filter between scales looks beyond a row's ends.
pub(super) const REFLECTED: usize = 4;

/// The latest rows of two pictures.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// [`SLOTS`] rows of `row_len` values from the start of a cache line on.
    pictures: [Vec<f32>; 2],
    width: usize,
    row_len: usize,
    /// Rows that came; the next one is the row at hand.
    count: usize,
}

/// Both pictures' rows that are compared at once, `row_len` values apart.
pub(super) struct Waiting<'a> {
    pub(super) pictures: [&'a [f32]; 2],
    pub(super) row_len: usize,
    pub(super) count: usize,
}

/// The index inside `0..len` that `index` reflects to; the border sample is repeated.
pub(super) const fn reflect(index: isize, len: usize) -> usize {
    let len = len as isize;
    (if index < 0 {
        -1 - index
    } else if index >= len {
        2 * len - 1 - index
    } else {
        index
    }) as usize
}

/// The slot of row `y`.
const fn slot(y: usize) -> usize {
    (y + SLOTS - LOSS) % SLOTS
}

impl Rows {
    /// Begins anew, with rows of `width` values, not less than [`REFLECTED`].
    pub(super) fn start(&mut self, width: usize) {
        const LINE: usize = 16;
        let beyond = window::padded_len(width).max(width + MARGIN + 2 * LINE);
        (self.width, self.count) = (width, 0);
        self.row_len = (MARGIN + beyond).next_multiple_of(LINE);
        for rows in &mut self.pictures {
            rows.clear();
            rows.resize(SLOTS * self.row_len + BEFORE_LINE_MAX, 0.0);
        }
    }

    /// How many rows came.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The row of both pictures that is at hand.
    pub(super) fn at_hand(&mut self) -> [&mut [f32]; 2] {
        let start = slot(self.count) * self.row_len + MARGIN;
        let width = self.width;
        self.pictures.each_mut().map(|rows| {
            let start = before_line(rows) + start;
            &mut rows[start..][..width]
        })
    }

    /// Ends the row at hand: after it come its last values, reflected, and copies of the furthest of
    /// them, since zeros would keep the last windows from integers.
    pub(super) fn take(&mut self) {
        let start = slot(self.count) * self.row_len;
        let end = MARGIN + self.width;
        for rows in &mut self.pictures {
            let start = before_line(rows) + start;
            let row = &mut rows[start..][..self.row_len];
            for distance in 0..REFLECTED {
                row[MARGIN - 1 - distance] = row[MARGIN + distance];
                row[end + distance] = row[end - 1 - distance];
            }
            let last = row[end + REFLECTED - 1];
            row[end + REFLECTED..].fill(last);
        }
        self.count += 1;
    }

    /// The `count` rows that came last.
    pub(super) fn last(&self, count: usize) -> Waiting<'_> {
        let row_len = self.row_len;
        let start = slot(self.count - count) * row_len + MARGIN;
        let pictures = self.pictures.each_ref().map(|rows| &rows[before_line(rows) + start..]);
        Waiting { pictures, row_len, count }
    }

    /// Row `y` of one picture, which is among the last [`SLOTS`], from its margin on.
    pub(super) fn row(&self, picture: usize, y: usize) -> &[f32] {
        let rows = &self.pictures[picture];
        &rows[before_line(rows) + slot(y) * self.row_len..][..self.row_len]
    }
}
