//! One scale of a pair of pictures, row by row: transform, decouple, mask, sum.
//!
//! Masking of a row needs the rows above and below it, so three rows of weighted coefficients are
//! kept and each is summed one row late. Only the low-pass bands are kept whole, for the next
//! scale, and of those only the part it reads.

use super::decouple::{Depth, PartsRow, WeightedRow, decouple_row};
use super::dwt::{Coefficient, DetailRow, Sample, Source, Stage};
use super::geometry::Axis;
use super::pooling::{MaskedSums, ReferenceSums, sum_rows, thresholds};

/// Rows of weighted coefficients that are kept: the one being summed and its neighbours.
pub(super) const KEPT_ROWS: usize = 3;

/// Buffers for rows, used by one scale after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    reference: DetailRow,
    distorted: DetailRow,
    parts: PartsRow,
    restored: [WeightedRow; KEPT_ROWS],
    impaired: [WeightedRow; KEPT_ROWS],
    column_sums: Vec<i32>,
    threshold: Vec<i32>,
}

impl Rows {
    /// Makes room for the rows of a scale.
    pub(super) fn fit(&mut self, columns: &Axis) {
        self.reference.fit(columns);
        self.distorted.fit(columns);
        let need = columns.need.len();
        self.parts.fit(need);
        for row in self.restored.iter_mut().chain(&mut self.impaired) {
            row.fit(need);
        }
        self.column_sums.resize(columns.score.len() + 2, 0);
        self.threshold.resize(columns.score.len(), 0);
    }
}

/// The sums of one scale.
#[derive(Clone, Debug, Default)]
pub(super) struct ScaleSums {
    /// Restored detail, masked by impairments.
    pub(super) restored: MaskedSums,
    /// Impairments, masked by restored detail; left empty where not asked for.
    pub(super) impaired: MaskedSums,
    /// Detail of the reference.
    pub(super) reference: ReferenceSums,
}

impl ScaleSums {
    /// Empty sums of scale `scale`.
    pub(super) fn new(scale: usize, [columns, lines]: [&Axis; 2]) -> Self {
        Self {
            restored: MaskedSums::new(scale, columns.band, lines.band),
            impaired: MaskedSums::new(scale, columns.band, lines.band),
            reference: ReferenceSums::new(scale, columns.score.len(), lines.score.len()),
        }
    }
}

/// What a scale does beside its transform.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// The scale, 0 the finest.
    pub(super) scale: usize,
    /// How much a restored coefficient may grow.
    pub(super) gain_limit: f64,
    /// Whether detail is scored at all, or the scale is only passed through.
    pub(super) is_scored: bool,
    /// Whether impairments are summed too.
    pub(super) with_impairments: bool,
}

/// Runs one scale: reads both sources, fills both low-pass bands and returns the sums.
///
/// The low-pass bands hold the `made` part of both axes, row after row.
#[inline(always)]
pub(super) fn run_scale<S: Sample, C: Coefficient, T: Stage, D: Depth>(
    stage: T,
    depth: D,
    work: Work,
    axes: [&Axis; 2],
    sources: [&Source<'_, S>; 2],
    low_bands: [&mut [C]; 2],
    rows: &mut Rows,
) -> ScaleSums {
    let [columns, lines] = axes;
    let mut sums = ScaleSums::new(work.scale, axes);
    rows.fit(columns);
    let [reference_low, distorted_low] = low_bands;
    let width = columns.made.len();
    for line in lines.made.clone() {
        let start = (line - lines.made.start) * width;
        let kept = start..start + width;
        rows.reference.transform(stage, sources[0], axes, line, &mut reference_low[kept.clone()]);
        rows.distorted.transform(stage, sources[1], axes, line, &mut distorted_low[kept]);
        if !work.is_scored || !lines.need.contains(&line) {
            continue;
        }
        score_line(depth, work, axes, line, rows, &mut sums);
    }
    sums
}

#[inline(always)]
fn score_line<D: Depth>(
    depth: D,
    work: Work,
    axes: [&Axis; 2],
    line: usize,
    rows: &mut Rows,
    sums: &mut ScaleSums,
) {
    let [columns, lines] = axes;
    let offset = columns.need.start - columns.made.start;
    let need = offset..offset + columns.need.len();
    let reference = part(&rows.reference, need.clone());
    if lines.score.contains(&line) {
        let offset = columns.score.start - columns.need.start;
        let score = offset..offset + columns.score.len();
        sums.reference.add_row(work.scale, reference.map(|band| &band[score.clone()]));
    }
    let slot = line % KEPT_ROWS;
    let distorted = part(&rows.distorted, need);
    if work.with_impairments {
        decouple_row::<D, true>(
            depth,
            work.gain_limit,
            reference,
            distorted,
            &mut rows.parts,
            &mut rows.restored[slot],
            &mut rows.impaired[slot],
        );
    } else {
        decouple_row::<D, false>(
            depth,
            work.gain_limit,
            reference,
            distorted,
            &mut rows.parts,
            &mut rows.restored[slot],
            &mut rows.impaired[slot],
        );
    }
    for ready in rows_ready(lines, line) {
        let (column_sums, threshold) = (&mut rows.column_sums, &mut rows.threshold);
        mask(
            axes,
            ready,
            [&rows.restored, &rows.impaired],
            column_sums,
            threshold,
            &mut sums.restored,
        );
        if work.with_impairments {
            mask(
                axes,
                ready,
                [&rows.impaired, &rows.restored],
                column_sums,
                threshold,
                &mut sums.impaired,
            );
        }
    }
}

/// The rows that can be masked once row `line` is weighed: the row above has now all its
/// neighbours, and so has this one if it is the last.
#[inline(always)]
pub(super) fn rows_ready(lines: &Axis, line: usize) -> impl Iterator<Item = usize> {
    let above = line.checked_sub(1).filter(|above| lines.score.contains(above));
    let last = Some(line).filter(|_| line + 1 == lines.band && lines.score.contains(&line));
    [above, last].into_iter().flatten()
}

fn part(row: &DetailRow, range: std::ops::Range<usize>) -> [&[i32]; 3] {
    [&row.bands[0][range.clone()], &row.bands[1][range.clone()], &row.bands[2][range]]
}

/// Sums row `line` of the first kind, masked by the second.
#[inline(always)]
fn mask(
    axes: [&Axis; 2],
    line: usize,
    [values, masks]: [&[WeightedRow; KEPT_ROWS]; 2],
    column_sums: &mut [i32],
    threshold: &mut [i32],
    sums: &mut MaskedSums,
) {
    let [columns, _] = axes;
    masking_thresholds(axes, line, masks, column_sums, threshold);
    sums.add_row(threshold, &values[line % KEPT_ROWS], columns.score.start - columns.need.start);
}

/// The masking thresholds of the scored part of row `line`.
#[inline(always)]
pub(super) fn masking_thresholds(
    axes: [&Axis; 2],
    line: usize,
    masks: &[WeightedRow; KEPT_ROWS],
    column_sums: &mut [i32],
    threshold: &mut [i32],
) {
    let [columns, lines] = axes;
    let neighbours = [lines.before(line), line, lines.after(line)];
    let around = neighbours.map(|line| masks[line % KEPT_ROWS].around.as_slice());
    let need = columns.need.len();
    // Entry 0 belongs to the neighbour before the first scored column. Where the scored part
    // starts at the edge of the band, that neighbour is none of the needed columns before it.
    let offset = columns.score.start - columns.need.start;
    sum_rows(around, &mut column_sums[1 - offset..1 - offset + need]);
    if offset == 0 {
        column_sums[0] = column_sums[1 + columns.before(0)];
    }
    if columns.need.end == columns.score.end {
        column_sums[1 - offset + need] = column_sums[need - offset];
    }
    let centre = &masks[line % KEPT_ROWS].centre[offset..];
    thresholds(column_sums, centre, threshold);
}
