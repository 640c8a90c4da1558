//! What walks keep of one picture: the rows of its smaller scales that are still to be read, and
//! what one strip of a band leaves to the next.

use std::ops::Range;

use super::lines::{LINES, Left};
use super::source::View;
use super::strip::{LINE, STRIP};
use super::taps::{PAIRS_MAX, REACH_MAX};
use crate::plane::PlaneRef;

/// Runs of pairs that the ring holds of two rows: samples, then parts of at most two products.
pub(super) const RUNS: usize = 5;

/// What a ring holds of two rows. Whole vectors lie on whole cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Slot(pub(super) [[u32; STRIP]; RUNS]);

/// The line that the next scale's row is made of, on whole cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct NextLine(pub(super) [u32; LINE]);

impl Default for NextLine {
    fn default() -> Self {
        Self([0; LINE])
    }
}

/// Buffers of one picture; they grow to the largest seen and are then reused.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The picture at scales 1, 2 and 3.
    pub(super) shrunk: [Shrunk; 3],
    /// What walks need of it.
    pub(super) buffers: Buffers,
}

#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Pairs of rows.
    pub(super) ring: Vec<Slot>,
    /// The last pairs of all lines of a strip, for the next one, row after row.
    pub(super) left: Vec<Left>,
    /// The same of the next scale's lines, every second row.
    pub(super) left_next: Vec<Left>,
    /// The next scale's line.
    pub(super) next_line: NextLine,
}

impl Stream {
    /// Makes room for pictures of this size, of which scale 0 is walked `band_pairs` pairs of rows
    /// at a time, and forgets the picture before.
    pub(super) fn start(&mut self, width: usize, height: usize, band_pairs: usize) {
        self.buffers.ring.resize(PAIRS_MAX, Slot([[0; STRIP]; RUNS]));
        for (index, shrunk) in self.shrunk.iter_mut().enumerate() {
            // What a band adds, and what is kept around the seam to the next.
            let rows = (band_pairs >> index).saturating_add(2 * REACH_MAX);
            let rows = rows.min(height >> (index + 1));
            shrunk.first_row = 0;
            shrunk.grow(rows * (width >> (index + 1)));
        }
    }

    /// Makes room for what strips of a band leave.
    pub(super) fn reserve(&mut self, pairs: usize) {
        let grow = |buffer: &mut Vec<Left>, len: usize| {
            if buffer.len() < len {
                buffer.resize(len, Left::default());
            }
        };
        grow(&mut self.buffers.left, pairs * 2 * LINES);
        grow(&mut self.buffers.left_next, pairs);
    }
}

/// Rows of a picture at one of the smaller scales.
#[derive(Debug, Default)]
pub(super) struct Shrunk {
    samples: Vec<u16>,
    /// The row that comes first in `samples`.
    first_row: usize,
}

impl Shrunk {
    /// Keeps the rows `kept` of those that are there, and makes room for all up to `end` after them.
    pub(super) fn make_room(&mut self, width: usize, kept: Range<usize>, end: usize) {
        let place = |row: usize| (row - self.first_row) * width;
        self.samples.copy_within(place(kept.start)..place(kept.end), 0);
        self.first_row = kept.start;
        self.grow((end - kept.start) * width);
    }

    fn grow(&mut self, len: usize) {
        if self.samples.len() < len {
            self.samples.resize(len, 0);
        }
    }

    /// The rows to read.
    pub(super) fn view(&self, width: usize) -> View<'_, u16> {
        View { samples: &self.samples, stride: width, first_row: self.first_row }
    }

    /// One row, to write.
    pub(super) fn row_mut(&mut self, row: usize, width: usize) -> &mut [u16] {
        &mut self.samples[(row - self.first_row) * width..][..width]
    }
}

/// A view of the samples of a plane.
pub(super) fn whole<'a, S>(plane: &PlaneRef<'_>, samples: &'a [S]) -> View<'a, S> {
    View { samples, stride: plane.stride(), first_row: 0 }
}
