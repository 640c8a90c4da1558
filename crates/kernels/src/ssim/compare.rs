//! Two pictures compared while their rows arrive: a ring of the last blurred rows, and sums.

use super::block::{BLOCK, Block, grow};
use super::lanes::Lanes;
use super::measure::{Detail, Everything, Parts, Sums, Whole, WindowRows, Work, measure_rows};
use super::range::Ranges;
use super::sum::OrderedSum;
use super::window::{LINES, LOSS, Products, ROWS, ROWS_UNDER, blur_across, blurred_blocks};
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
    /// As many slots of the ranges that each block was blurred from.
    ranges: Vec<Ranges>,
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
        self.ranges.resize(ROWS_UNDER * blocks, Ranges::default());
        shared.work.reserve(blocks);
    }

    /// Takes the next row of both pictures, padded.
    pub(super) fn push(&mut self, isa: Isa, rows: [&[f32]; 2], shared: &mut Shared) {
        let slot_len = LINES * blurred_blocks(self.width);
        let slot = &mut self.ring[self.rows % ROWS_UNDER * slot_len..][..slot_len];
        let blocks = blurred_blocks(self.width);
        let ranges = &mut self.ranges[self.rows % ROWS_UNDER * blocks..][..blocks];
        blur_rows(isa, rows, slot, ranges, shared.work.products());
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
        let blocks = blurred_blocks(self.width);
        let ranges = std::array::from_fn(|row| {
            &self.ranges[(self.measured + row) % ROWS_UNDER * blocks..][..blocks]
        });
        let window = WindowRows { rows, ranges, places: self.width - LOSS, count };
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
    vector: impl Lanes,
    rows: [&[f32]; 2],
    slot: &mut [Block<f32>],
    ranges: &mut [Ranges],
    products: &mut Products,
) {
    let blocks = slot.len() / LINES;
    let (mean1, rest) = slot.split_at_mut(blocks);
    let (mean2, rest) = rest.split_at_mut(blocks);
    let (square1, rest) = rest.split_at_mut(blocks);
    let (square2, product) = rest.split_at_mut(blocks);
    for index in 0..blocks {
        let rows = rows.map(|row| row[index * BLOCK..].first_chunk().expect("rows are padded"));
        let blurred = [
            &mut mean1[index],
            &mut mean2[index],
            &mut square1[index],
            &mut square2[index],
            &mut product[index],
        ];
        ranges[index] = blur_across(vector, rows, blurred, products);
    }
}

per_isa! {
    fn blur_rows(
        rows: [&[f32]; 2],
        slot: &mut [Block<f32>],
        ranges: &mut [Ranges],
        products: &mut Products,
    ) = blur_rows_body, with vector;
    fn measure_whole(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Whole>, with vector;
    fn measure_everything(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Everything>, with vector;
    fn measure_parts(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Parts>, with vector;
    fn measure_detail(window: WindowRows<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Detail>, with vector;
}
