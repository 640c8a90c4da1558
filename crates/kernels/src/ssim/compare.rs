//! Two pictures compared while their rows arrive, some at a time: what the next windows still cover of
//! those before, and sums.

use super::measure::{
    Batch, BlockRanges, Detail, Everything, Parts, Sums, Whole, Work, measure_rows,
};
use super::range::Ranges;
use super::rows::Waiting;
use super::sum::OrderedSum;
use super::window::{LOSS, ROWS, ROWS_UNDER, STRIPS, Strip, blurred_blocks};
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
    /// Rows taken.
    rows: usize,
    sums: Sums,
    /// [`STRIPS`] for each block.
    strips: Vec<Strip>,
    ranges: Vec<BlockRanges>,
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
        self.rows = 0;
        self.sums = Sums::default();
        let blocks = blurred_blocks(width);
        self.strips.resize(STRIPS * blocks, Strip::default());
        self.ranges.resize(blocks, [Ranges::default(); ROWS_UNDER]);
        shared.work.reserve(blocks);
    }

    /// How many rows are to come at once.
    pub(super) fn batch(&self) -> usize {
        if self.rows == 0 { LOSS } else { ROWS }
    }

    /// Takes the next rows of both pictures, padded: [`Self::batch`] of them, or at the end fewer.
    pub(super) fn push(&mut self, isa: Isa, waiting: Waiting<'_>, shared: &mut Shared) {
        let Waiting { pictures: rows, row_len, count } = waiting;
        let places = self.width - LOSS;
        let kept = LOSS.min(self.rows);
        let (strips, ranges) = (&mut self.strips, &mut self.ranges);
        let batch = Batch { rows, row_len, count, kept, places, strips, ranges };
        let measure = match self.want {
            Want::Whole => measure_whole,
            Want::Everything => measure_everything,
            Want::Parts => measure_parts,
            Want::Detail => measure_detail,
        };
        measure(isa, batch, &mut shared.work, &mut self.sums);
        self.rows += count;
    }

    /// The means over all places.
    ///
    /// At least [`super::window::WINDOW`] rows must have come.
    pub(super) fn finish(&self) -> Means {
        let places = ((self.width - LOSS) * (self.rows - LOSS)) as f64;
        let mean = |sum: OrderedSum| f64::from((sum.value() / places) as f32);
        Means {
            luminance: mean(self.sums.luminance),
            contrast: mean(self.sums.contrast),
            structure: mean(self.sums.structure),
            whole: mean(self.sums.whole),
        }
    }
}

per_isa! {
    fn measure_whole(batch: Batch<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Whole>, with vector;
    fn measure_everything(batch: Batch<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Everything>, with vector;
    fn measure_parts(batch: Batch<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Parts>, with vector;
    fn measure_detail(batch: Batch<'_>, work: &mut Work, sums: &mut Sums)
        = measure_rows::<Detail>, with vector;
}
