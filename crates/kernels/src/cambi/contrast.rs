//! The contrast of each sample with the bands around it.
//!
//! Around a sample of bin `v` let `n(k)` be how many samples of the window are of bin `v + k`. A
//! step of `d` levels contrasts `p = n(0)` samples with `q = max(n(d), n(-d))`; the sample's
//! contrast is the largest of `w(d) p q / (p + q)` over all steps `d` that count at `v`, and 0
//! where the mask is not set. Windows are cut off at the picture's border.
//!
//! Rounding: `w p q` is rounded to `f32` once (its factors are exact: `w q` is below 2^16), then
//! multiplied by a reciprocal of `p + q` in `f32`. The reciprocals are libvmaf's, rounded to nine
//! decimal digits before they became `f32`, which makes 42 of them one unit wrong.
//!
//! `n` is kept for all bins and all columns of one row, and the row is moved down by adding the
//! samples that enter the windows and taking out those that leave. Both only touch what changed: a
//! run of samples of one bin adds a trapezoid to that bin's counts. Counts are at most the window
//! (4225) and stay far inside 16 bits. Contrasts are worked out [`LANES`] columns at a time, once
//! for each bin that occurs among them.

use super::pooling::Totals;
use super::visibility::{NO_BIN, STEPS, StepGroup, Visibility};

/// Columns of a block of counts; rows of bins are padded to whole blocks with [`NO_BIN`].
pub(super) const BLOCK: usize = 32;

/// Columns whose contrasts are worked out together.
const LANES: usize = 16;

/// Counts of one bin in neighbouring columns.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Block([u16; BLOCK]);

/// Sums of two counts that can occur, and room to index with any masked number.
const RECIPROCALS: usize = 8192;
const SUM_MAX: usize = 65 * 65;

/// `1 / sum` as libvmaf has it: rounded to nine significant decimal digits, then to `f32`.
static RECIPROCAL: [f32; RECIPROCALS] = reciprocals();

const fn reciprocals() -> [f32; RECIPROCALS] {
    let mut table = [0.0; RECIPROCALS];
    let mut sum = 1;
    while sum <= SUM_MAX {
        // The power of ten that leaves nine digits before the point.
        let mut power = 100_000_000_u64;
        while power / (sum as u64) < 100_000_000 {
            power *= 10;
        }
        let digits = (power + sum as u64 / 2) / sum as u64;
        table[sum] = (digits as f64 / power as f64) as f32;
        sum += 1;
    }
    table
}

/// A picture of bins and how to look at it.
pub(super) struct View<'a> {
    /// Rows of whole blocks.
    pub(super) bins: &'a [u16],
    pub(super) stride: usize,
    pub(super) height: usize,
    /// Samples of the window on each side of its middle; at most [`BLOCK`].
    pub(super) reach: usize,
    pub(super) visibility: &'a Visibility,
}

/// Counts of all bins around one row; they grow to the largest picture seen. Between pictures all
/// are 0, since each picture's samples are taken out at its end.
#[derive(Debug, Default)]
pub(super) struct Counts {
    blocks: Vec<Block>,
    /// Blocks of one bin: the row's and one more at either side.
    across: usize,
    /// A row outside the picture.
    outside: Vec<u16>,
}

impl Counts {
    /// Makes room.
    pub(super) fn prepare(&mut self, stride: usize, bins: usize) {
        self.across = stride / BLOCK + 2;
        let len = self.blocks.len().max(self.across * bins);
        self.blocks.resize(len, Block([0; BLOCK]));
        self.outside.resize(stride.max(self.outside.len()), NO_BIN);
    }
}

/// Which contrasts are kept once they are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// All, in the layout of the bins.
    All,
    /// Groups of [`LANES`] neighbours among which one is above 0, one after the other: in most
    /// pictures few, so that most of `out` is never touched.
    Found,
}

/// Works out the contrasts of all samples, row by row, and their sum. Says how many numbers are
/// kept at the start of `out`, which must have room for all.
#[inline(always)]
pub(super) fn contrasts(
    view: &View<'_>,
    counts: &mut Counts,
    out: &mut [f32],
    keep: Keep,
) -> (Totals, usize) {
    let Counts { blocks, across, outside } = counts;
    let (stride, reach) = (view.stride, view.reach);
    let outside = &outside[..stride];
    let row_of = |row: Option<usize>| match row {
        Some(row) if row < view.height => &view.bins[row * stride..][..stride],
        _ => outside,
    };
    for row in 0..reach {
        slide(blocks, *across, reach, outside, row_of(Some(row)));
    }
    let (mut totals, mut kept) = (Totals::default(), 0);
    for row in 0..view.height {
        let leaving = row_of(row.checked_sub(reach + 1));
        slide(blocks, *across, reach, leaving, row_of(Some(row + reach)));
        let bins = row_of(Some(row));
        let out = &mut out[kept..][..stride];
        if view.visibility.groups.is_empty() {
            out.fill(0.0);
        }
        for (index, group) in view.visibility.groups.iter().enumerate() {
            contrast_row(blocks, *across, view.visibility.margin, group, bins, index == 0, out);
        }
        totals.add(out);
        kept += match keep {
            Keep::All => stride,
            Keep::Found => gather(out),
        };
    }
    for row in view.height.saturating_sub(reach + 1)..view.height {
        slide(blocks, *across, reach, row_of(Some(row)), outside);
    }
    (totals, kept)
}

/// Moves the groups among which a contrast is above 0 to the front, and says how many numbers they
/// are.
#[inline(always)]
fn gather(row: &mut [f32]) -> usize {
    let groups = row.as_chunks_mut::<LANES>().0;
    let mut kept = 0;
    for at in 0..groups.len() {
        let group = groups[at];
        groups[kept] = group;
        kept += usize::from(group.iter().fold(false, |any, contrast| any | (*contrast > 0.0)));
    }
    kept * LANES
}

/// Takes the samples of one row out of the windows and another's in.
#[inline(always)]
fn slide(blocks: &mut [Block], across: usize, reach: usize, leaving: &[u16], entering: &[u16]) {
    let pairs = leaving.as_chunks::<BLOCK>().0.iter().zip(entering.as_chunks::<BLOCK>().0);
    for (place, (leaving, entering)) in pairs.enumerate() {
        let differs = leaving.iter().zip(entering).fold(0, |any, (a, b)| any | (a ^ b));
        if differs != 0 {
            let column = (place + 1) * BLOCK;
            add_runs::<-1>(blocks, across, reach, column, leaving, entering);
            add_runs::<1>(blocks, across, reach, column, entering, leaving);
        }
    }
}

/// Adds `SIGN` times the samples that `other` does not have at the same place, run by run.
#[inline(always)]
fn add_runs<const SIGN: i16>(
    blocks: &mut [Block],
    across: usize,
    reach: usize,
    column: usize,
    samples: &[u16; BLOCK],
    other: &[u16; BLOCK],
) {
    let mut left = 0_u32;
    for lane in 0..BLOCK {
        let (bin, other) = (samples[lane], other[lane]);
        left |= u32::from((bin != other) & (bin != NO_BIN)) << lane;
    }
    while left != 0 {
        let start = left.trailing_zeros() as usize;
        let bin = samples[start];
        let mut end = start + 1;
        while end < BLOCK && samples[end] == bin && (left >> end) & 1 == 1 {
            end += 1;
        }
        left = left.checked_shr(end as u32).unwrap_or(0).checked_shl(end as u32).unwrap_or(0);
        let row = &mut blocks[usize::from(bin) * across..][..across];
        add_run::<SIGN>(row, reach, column + start, end - start);
    }
}

/// A run of `len` samples counts in a trapezoid of columns, `reach` beyond it on both sides.
#[inline(always)]
fn add_run<const SIGN: i16>(row: &mut [Block], reach: usize, start: usize, len: usize) {
    let first = start - reach;
    let last = start + len - 1 + reach;
    let top = len.min(2 * reach + 1) as i16;
    let (from, to) = (first / BLOCK, last / BLOCK);
    for (index, block) in row[from..=to].iter_mut().enumerate() {
        let base = ((from + index) * BLOCK) as i16;
        let (rise, fall) = (base - first as i16 + 1, last as i16 + 1 - base);
        for (lane, count) in block.0.iter_mut().enumerate() {
            let lane = lane as i16;
            let add = (lane + rise).min(fall - lane).min(top).max(0);
            *count = count.wrapping_add((SIGN * add) as u16);
        }
    }
}

/// The contrasts of one row with one group of steps, the first of which starts them.
#[inline(always)]
fn contrast_row(
    blocks: &[Block],
    across: usize,
    margin: usize,
    group: &StepGroup,
    bins: &[u16],
    starts: bool,
    out: &mut [f32],
) {
    let (first, count) = (margin as u16, (group.gates.len() - 2 * margin) as u16);
    for (place, (bins, out)) in
        bins.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)).enumerate()
    {
        let mut open = [NO_BIN; LANES];
        for lane in 0..LANES {
            let counts = bins[lane].wrapping_sub(first) < count;
            open[lane] = if counts { bins[lane] } else { NO_BIN };
        }
        let mut bin = least(&open);
        if bin == NO_BIN {
            if starts {
                out.fill(0.0);
            }
            continue;
        }
        let column = BLOCK + place * LANES;
        let (block, half) = (column / BLOCK, column % BLOCK);
        let mut own = [0_u16; LANES];
        let mut others = [[0_u16; LANES]; STEPS];
        while bin != NO_BIN {
            let at = |bin: usize| -> &[u16; LANES] {
                let lanes = &blocks[bin * across + block].0[half..half + LANES];
                lanes.try_into().expect("a block holds whole groups of lanes")
            };
            let middle = usize::from(bin);
            let gates = &group.gates[middle];
            let counts = at(middle);
            let mut chosen = [0_u16; LANES];
            for lane in 0..LANES {
                chosen[lane] = if open[lane] == bin { u16::MAX } else { 0 };
            }
            for lane in 0..LANES {
                own[lane] |= counts[lane] & chosen[lane];
                open[lane] |= chosen[lane];
            }
            for (step, others) in others.iter_mut().enumerate() {
                let distance = group.first + step + 1;
                let (above, below) = (at(middle + distance), at(middle - distance));
                for lane in 0..LANES {
                    others[lane] |= above[lane].max(below[lane]) & chosen[lane] & gates[step];
                }
            }
            bin = least(&open);
        }
        let mut most: [f32; LANES] =
            if starts { [0.0; LANES] } else { std::array::from_fn(|lane| out[lane]) };
        for (others, weight) in others.iter().zip(group.weights) {
            raise(&mut most, &own, others, weight);
        }
        out.copy_from_slice(&most);
    }
}

#[inline(always)]
fn least(lanes: &[u16; LANES]) -> u16 {
    lanes.iter().fold(u16::MAX, |least, lane| least.min(*lane))
}

/// Raises each contrast to that of one step.
#[inline(always)]
fn raise(most: &mut [f32; LANES], own: &[u16; LANES], others: &[u16; LANES], weight: f32) {
    let mut reciprocals = [0.0_f32; LANES];
    for lane in 0..LANES {
        reciprocals[lane] = RECIPROCAL[usize::from(own[lane] + others[lane]) % RECIPROCALS];
    }
    for lane in 0..LANES {
        let (p, q) = (f32::from(own[lane]), f32::from(others[lane]));
        let contrast = weight * q * p * reciprocals[lane];
        most[lane] = if contrast > most[lane] { contrast } else { most[lane] };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_are_those_of_nine_digits() {
        // 1/82 is 0.0121951219512..., rounded to 0.012195122, nearest to another f32 than 1/82.
        assert_eq!(RECIPROCAL[82], 0.012_195_122_f32);
        assert_ne!(RECIPROCAL[82], 1.0 / 82.0);
        let wrong = (1..=SUM_MAX).filter(|sum| RECIPROCAL[*sum] != 1.0 / *sum as f32);
        assert_eq!(wrong.count(), 42);
        assert_eq!(RECIPROCAL[0], 0.0);
    }

    #[test]
    fn groups_with_a_contrast_are_gathered_in_their_order() {
        let mut row = [0.0; 6 * LANES];
        (row[3], row[2 * LANES - 1], row[4 * LANES]) = (1.0, 2.0, 3.0);
        assert_eq!(gather(&mut row), 3 * LANES);
        let found: Vec<_> = (0..3 * LANES).filter(|at| row[*at] > 0.0).collect();
        assert_eq!(found, [3, 2 * LANES - 1, 2 * LANES]);
        assert_eq!(gather(&mut [0.0; 2 * LANES]), 0);
    }

    #[test]
    fn runs_add_trapezoids() {
        let mut row = [Block([0; BLOCK]); 3];
        add_run::<1>(&mut row, 2, BLOCK, 3);
        let counts: Vec<u16> = row.iter().flat_map(|block| block.0).collect();
        assert_eq!(counts[BLOCK - 3..BLOCK + 6], [0, 1, 2, 3, 3, 3, 2, 1, 0]);
        add_run::<-1>(&mut row, 2, BLOCK, 3);
        assert!(row.iter().all(|block| block.0 == [0; BLOCK]));
    }
}
