//! Two pictures compared while their rows arrive: a ring of the last blurred rows, and sums.

use super::block::{Block, grow};
use super::measure::{
    Detail, Everything, LINES, Parts, Sums, Whole, WindowRows, Work, measure_rows,
};
use super::sum::OrderedSum;
use super::window::{LOSS, Products, ROWS, ROWS_UNDER, blur_row, blurred_blocks};
use crate::isa::{Isa, per_isa};

/// Which sums a comparison takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Want {
    /// The product of luminance, contrast and structure.
    #[default]
    Whole,
    /// That, and each of the three.
    Everything,
    /// Each of the three.
    Parts,
    /// Contrast and structure.
    Detail,
}

/// Two pictures under comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    width: usize,
    want: Want,
    /// Rows taken, and rows of places measured.
    rows: usize,
    measured: usize,
    sums: Sums,
    /// [`ROWS_UNDER`] slots of [`LINES`] blurred lines.
    ring: Vec<Block<f32>>,
}

/// Means over all places, as libvmaf rounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Means {
    pub(super) luminance: f64,
    pub(super) contrast: f64,
    pub(super) structure: f64,
    pub(super) whole: f64,
}

/// What comparisons share, one after the other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    work: Work,
    /// Products of two rows.
    line: Vec<f32>,
}

impl Comparison {
    /// Begins anew, with pictures of at least [`super::window::WINDOW`] columns.
    pub(super) fn start(&mut self, width: usize, want: Want, shared: &mut Shared) {
        self.width = width;
        self.want = want;
        (self.rows, self.measured) = (0, 0);
        self.sums = Sums::default();
        let blocks = blurred_blocks(width);
        grow(&mut self.ring, ROWS_UNDER * LINES * blocks);
        shared.work.reserve(blocks);
    }

    /// Takes the next row of both pictures, padded.
    pub(super) fn push(&mut self, isa: Isa, rows: [&[f32]; 2], shared: &mut Shared) {
        let slot_len = LINES * blurred_blocks(self.width);
        let slot = &mut self.ring[self.rows % ROWS_UNDER * slot_len..][..slot_len];
        shared.line.resize(rows[0].len(), 0.0);
        blur_rows(isa, rows, &mut shared.line, slot, shared.work.products());
        self.rows += 1;
        if self.rows == self.measured + ROWS_UNDER {
            self.measure(isa, ROWS, shared);
        }
    }

    /// Measures the places that are left and gives the means over all.
    ///
    /// At least [`super::window::WINDOW`] rows must have come.
    pub(super) fn finish(&mut self, isa: Isa, shared: &mut Shared) -> Means {
        let left = self.rows - LOSS - self.measured;
        if left > 0 {
            self.measure(isa, left, shared);
        }
        let places = ((self.width - LOSS) * self.measured) as f64;
        let mean = |sum: OrderedSum| f64::from((sum.value() / places) as f32);
        Means {
            luminance: mean(self.sums.luminance),
            contrast: mean(self.sums.contrast),
            structure: mean(self.sums.structure),
            whole: mean(self.sums.whole),
        }
    }

    /// Measures the next `count` rows of places.
    fn measure(&mut self, isa: Isa, count: usize, shared: &mut Shared) {
        let slot_len = LINES * blurred_blocks(self.width);
        let rows = std::array::from_fn(|row| {
            &self.ring[(self.measured + row) % ROWS_UNDER * slot_len..][..slot_len]
        });
        let window = WindowRows { rows, places: self.width - LOSS, count };
        let measure = match self.want {
            Want::Whole => measure_whole,
            Want::Everything => measure_everything,
            Want::Parts => measure_parts,
            Want::Detail => measure_detail,
        };
        measure(isa, window, &mut shared.work, &mut self.sums);
        self.measured += count;
    }
}

/// Blurs one row of both pictures, of their squares and of their product.
#[inline(always)]
fn blur_rows_body(
    rows: [&[f32]; 2],
    line: &mut [f32],
    slot: &mut [Block<f32>],
    products: &mut Products,
) {
    let blocks = slot.len() / LINES;
    let (means, others) = slot.split_at_mut(2 * blocks);
    for (row, blurred) in rows.iter().zip(means.chunks_exact_mut(blocks)) {
        blur_row(row, blurred, products);
    }
    for ((first, second), blurred) in
        [(0, 0), (1, 1), (0, 1)].into_iter().zip(others.chunks_exact_mut(blocks))
    {
        for ((product, first), second) in line.iter_mut().zip(rows[first]).zip(rows[second]) {
            *product = first * second;
        }
        blur_row(line, blurred, products);
    }
}

per_isa! {
    fn blur_rows(
        rows: [&[f32]; 2],
        line: &mut [f32],
        slot: &mut [Block<f32>],
        products: &mut Products,
    ) = blur_rows_body;
    fn measure_whole(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Whole>;
    fn measure_everything(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Everything>;
    fn measure_parts(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Parts>;
    fn measure_detail(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Detail>;
}
