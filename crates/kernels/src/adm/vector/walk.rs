//! The walk over the rows of all scales, for one reference and several distorted pictures.
//!
//! As in `super::super::scale`: a row of every picture is transformed, decoupled and weighed, and
//! the row above it, which has all its neighbours then, is masked and summed.

use super::super::decouple::{Shallow, WeightedRow};
use super::super::geometry::{Axis, SCALES, TAPS};
use super::super::params::AdmParams;
use super::super::pooling::ReferenceSums;
use super::super::scale::{KEPT_ROWS, ScaleSums, Work, masking_thresholds, rows_ready};
use super::super::{LowBands, LowMemory};
use super::deep::{self, Divisors};
use super::split::{Constants, PartRow};
use super::sums::{masked_deep, masked_first, plain_first, rounded_deep};
use super::transform::{
    Lines, SLACK, along_deep, along_first, columns_read, down_deep, down_picture, down_second,
};
use crate::lanes::{Lanes, PictureSample};
use crate::plane::PlaneRef;

/// A row of detail of one picture.
#[derive(Clone, Debug, Default)]
struct Pictured {
    first: [Vec<i16>; 3],
    deep: [Vec<i32>; 3],
}

/// Which picture's low-pass bands those of the reference are; the distorted ones follow.
const REFERENCE: usize = 0;

/// What belongs to one distorted picture: its rows in the making, and its sums.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Branch {
    picture: Pictured,
    /// Restored and impaired rows of scale 0.
    first: [[PartRow; KEPT_ROWS]; 2],
    /// Restored and impaired rows of the other scales.
    deep: [[WeightedRow; KEPT_ROWS]; 2],
    pub(in super::super) sums: [ScaleSums; SCALES],
}

/// Working memory, reused from frame to frame.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Scratch {
    lines: Lines,
    divisors: Divisors,
    masking: Masking,
    reference: Pictured,
    pub(in super::super) branches: Vec<Branch>,
}

#[derive(Clone, Debug, Default)]
struct Masking {
    column_sums: Vec<i32>,
    threshold: Vec<i32>,
}

impl Pictured {
    fn fit(&mut self, columns: &[Axis; SCALES]) {
        let made = |scale: usize| columns[scale].made.len();
        self.first.iter_mut().for_each(|row| row.resize(made(0) + SLACK, 0));
        self.deep.iter_mut().for_each(|row| row.resize(made(1) + SLACK, 0));
    }
}

impl Scratch {
    /// Makes room for `count` distorted pictures; keeps what there is.
    pub(super) fn fit(&mut self, axes: [&[Axis; SCALES]; 2], count: usize) {
        let need = |scale: usize| axes[0][scale].need.len();
        self.lines.fit(&axes[0][0]);
        self.masking.column_sums.resize(need(0) + 2 + SLACK, 0);
        self.masking.threshold.resize(need(0) + SLACK, 0);
        self.divisors.fit(need(1) + SLACK);
        self.reference.fit(axes[0]);
        if self.branches.len() < count {
            self.branches.resize_with(count, Branch::default);
        }
        for branch in &mut self.branches[..count] {
            branch.picture.fit(axes[0]);
            branch.first.iter_mut().flatten().for_each(|row| row.fit(need(0)));
            branch.deep.iter_mut().flatten().for_each(|row| row.fit(need(1) + SLACK));
        }
    }
}

/// Runs all scales; the sums are left in the branches of `scratch`.
#[inline(always)]
pub(super) fn all_scales<'a, L: Lanes, S: PictureSample + 'a>(
    lanes: L,
    reference: &PlaneRef<'a>,
    distorted: &[PlaneRef<'a>],
    samples: impl Fn(&PlaneRef<'a>) -> (&'a [S], usize),
    params: &AdmParams,
    axes: [&[Axis; SCALES]; 2],
    mut low: LowMemory<'_>,
    scratch: &mut Scratch,
) {
    let low = &mut low;
    let options = params.options();
    let work = |scale: usize| Work {
        scale,
        gain_limit: options.enhancement_gain_limit,
        is_scored: scale > 0 || !options.skip_scale0,
        with_impairments: !options.skip_aim,
    };
    let axes_of = |scale: usize| [&axes[0][scale], &axes[1][scale]];
    for branch in &mut scratch.branches[..distorted.len()] {
        branch.sums = std::array::from_fn(|scale| ScaleSums::new(scale, axes_of(scale)));
    }
    let depth = Shallow::new(params);
    let is_enhanced = options.enhancement_gain_limit > 1.0;
    let first = First {
        bit_depth: reference.bit_depth(),
        work: work(0),
        axes: axes_of(0),
        weights: depth.weights(),
        constants: Constants::new(lanes, depth, options.enhancement_gain_limit),
    };
    match (is_enhanced, !options.skip_aim) {
        (false, false) => {
            first.run::<S, false, false>(lanes, reference, distorted, samples, low, scratch)
        }
        (false, true) => {
            first.run::<S, false, true>(lanes, reference, distorted, samples, low, scratch)
        }
        (true, false) => {
            first.run::<S, true, false>(lanes, reference, distorted, samples, low, scratch)
        }
        (true, true) => {
            first.run::<S, true, true>(lanes, reference, distorted, samples, low, scratch)
        }
    }
    for scale in 1..SCALES {
        let deep = Deep {
            work: work(scale),
            axes: axes_of(scale),
            source_axes: axes_of(scale - 1),
            constants: deep::Constants::new(
                lanes,
                params.deep_weights(scale),
                options.enhancement_gain_limit,
            ),
        };
        deep.run(lanes, distorted.len(), low, scratch);
    }
}

/// Scale 0.
struct First<'a, L: Lanes> {
    bit_depth: u32,
    work: Work,
    axes: [&'a Axis; 2],
    weights: [i32; 3],
    constants: Constants<L>,
}

impl<L: Lanes> First<'_, L> {
    #[inline(always)]
    fn run<'a, S: PictureSample + 'a, const ENHANCED: bool, const IMPAIRMENTS: bool>(
        &self,
        lanes: L,
        reference: &PlaneRef<'a>,
        distorted: &[PlaneRef<'a>],
        samples: impl Fn(&PlaneRef<'a>) -> (&'a [S], usize),
        low: &mut LowMemory<'_>,
        scratch: &mut Scratch,
    ) {
        let [columns, rows] = self.axes;
        let Scratch { lines, masking, reference: reference_made, branches, .. } = scratch;
        for line in rows.made.clone() {
            let made = (low.of(REFERENCE).first, &mut reference_made.first);
            self.transform(lanes, samples(reference), line, lines, made);
            let is_needed = self.work.is_scored && rows.need.contains(&line);
            let sums = if is_needed && rows.score.contains(&line) {
                let offset = columns.score.start - columns.made.start;
                let length = columns.score.len();
                let [horizontal, vertical, diagonal] = &reference_made.first;
                Some([
                    plain_first(lanes, &horizontal[offset..], length),
                    plain_first(lanes, &vertical[offset..], length),
                    plain_first(lanes, &diagonal[offset..], length),
                ])
            } else {
                None
            };
            let need = columns.need.start - columns.made.start;
            for (place, (plane, branch)) in distorted.iter().zip(branches.iter_mut()).enumerate() {
                let made = (low.of(REFERENCE + 1 + place).first, &mut branch.picture.first);
                self.transform(lanes, samples(plane), line, lines, made);
                if !is_needed {
                    continue;
                }
                if let Some(sums) = sums {
                    branch.sums[0].reference.add_sums(sums);
                }
                let [restored, impaired] = &mut branch.first;
                self.constants.split_row::<ENHANCED, IMPAIRMENTS>(
                    lanes,
                    columns.need.len(),
                    reference_made.first.each_ref().map(|row| &row[need..]),
                    branch.picture.first.each_ref().map(|row| &row[need..]),
                    &mut restored[line % KEPT_ROWS],
                    &mut impaired[line % KEPT_ROWS],
                );
                for ready in rows_ready(rows, line) {
                    self.mask::<IMPAIRMENTS>(lanes, ready, branch, masking);
                }
            }
        }
    }

    #[inline(always)]
    fn transform<S: PictureSample>(
        &self,
        lanes: L,
        (samples, stride): (&[S], usize),
        line: usize,
        lines: &mut Lines,
        (low, bands): (&mut [i16], &mut [Vec<i16>; 3]),
    ) {
        let [columns, rows] = self.axes;
        let (range, entry) = columns_read(columns);
        let inputs: [&[S]; TAPS] =
            std::array::from_fn(|tap| &samples[rows.tap(line, tap) * stride..][range.clone()]);
        down_picture(lanes, self.bit_depth, inputs, entry, lines);
        let start = (line - rows.made.start) * columns.made.len();
        along_first(lanes, columns, lines, &mut low[start..], bands);
    }

    #[inline(always)]
    fn mask<const IMPAIRMENTS: bool>(
        &self,
        lanes: L,
        line: usize,
        branch: &mut Branch,
        masking: &mut Masking,
    ) {
        let [columns, _] = self.axes;
        let offset = columns.score.start - columns.need.start;
        let [restored, impaired] = &branch.first;
        let sums = &mut branch.sums[0];
        let kinds =
            [(restored, impaired, &mut sums.restored), (impaired, restored, &mut sums.impaired)];
        for (values, masks, sums) in kinds.into_iter().take(1 + usize::from(IMPAIRMENTS)) {
            first_thresholds(lanes, self.axes, line, masks, masking);
            let rows = values[line % KEPT_ROWS].values.each_ref().map(|row| &row[offset..]);
            let length = columns.score.len();
            let threshold = &masking.threshold;
            let row_sums =
                masked_first(lanes, threshold, length, rows, self.weights, sums.shifts());
            sums.add_sums(row_sums);
        }
    }
}

/// The masking thresholds of row `line`.
#[inline(always)]
fn first_thresholds<L: Lanes>(
    lanes: L,
    [columns, rows]: [&Axis; 2],
    line: usize,
    masks: &[PartRow; KEPT_ROWS],
    masking: &mut Masking,
) {
    let Masking { column_sums, threshold } = masking;
    let need = columns.need.len();
    let offset = columns.score.start - columns.need.start;
    // Entry 0 belongs to the neighbour before the first scored column.
    let base = 1 - offset;
    let around = [rows.before(line), line, rows.after(line)].map(|line| &masks[line % KEPT_ROWS]);
    let mut at = 0;
    while at < need {
        let a = lanes.load_unsigned_as_ints(&around[0].around, at);
        let b = lanes.load_unsigned_as_ints(&around[1].around, at);
        let c = lanes.load_unsigned_as_ints(&around[2].around, at);
        lanes.store_ints(column_sums, base + at, lanes.add_ints(lanes.add_ints(a, b), c));
        at += L::INTS;
    }
    for excess in around.iter().flat_map(|row| &row.excess).filter(|excess| excess.at < need) {
        column_sums[base + excess.at] += excess.around;
    }
    if offset == 0 {
        column_sums[0] = column_sums[1 + columns.before(0)];
    }
    if columns.need.end == columns.score.end {
        column_sums[base + need] = column_sums[base + need - 1];
    }
    let centre = &masks[line % KEPT_ROWS];
    let length = columns.score.len();
    let mut at = 0;
    while at < length {
        let a = lanes.load_ints(column_sums, at);
        let b = lanes.load_ints(column_sums, at + 1);
        let c = lanes.load_ints(column_sums, at + 2);
        let around = lanes.add_ints(lanes.add_ints(a, b), c);
        let centre = lanes.load_unsigned_as_ints(&centre.centre, offset + at);
        lanes.store_ints(threshold, at, lanes.add_ints(around, centre));
        at += L::INTS;
    }
    for excess in &centre.excess {
        if (offset..offset + length).contains(&excess.at) {
            threshold[excess.at - offset] += excess.centre;
        }
    }
}

/// One of the scales 1 to 3.
struct Deep<'a, L: Lanes> {
    work: Work,
    axes: [&'a Axis; 2],
    /// Those of the scale before, whose low-pass bands are read.
    source_axes: [&'a Axis; 2],
    constants: deep::Constants<L>,
}

impl<L: Lanes> Deep<'_, L> {
    #[inline(always)]
    fn run(&self, lanes: L, count: usize, low: &mut LowMemory<'_>, scratch: &mut Scratch) {
        let [columns, rows] = self.axes;
        let scale = self.work.scale;
        let Scratch { lines, divisors, masking, reference, branches } = scratch;
        for line in rows.made.clone() {
            self.transform(lanes, line, lines, low.of(REFERENCE), &mut reference.deep);
            let is_needed = rows.need.contains(&line);
            let need = columns.need.start - columns.made.start;
            let needed = reference.deep.each_ref().map(|row| &row[need..]);
            if is_needed {
                divisors.set(lanes, columns.need.len(), needed);
            }
            for (place, branch) in branches[..count].iter_mut().enumerate() {
                let low = low.of(REFERENCE + 1 + place);
                self.transform(lanes, line, lines, low, &mut branch.picture.deep);
                if is_needed {
                    let slot = line % KEPT_ROWS;
                    let distorted = branch.picture.deep.each_ref().map(|row| &row[need..]);
                    self.split_row(lanes, [needed, distorted], divisors, &mut branch.deep, slot);
                    for ready in rows_ready(rows, line) {
                        self.mask(lanes, ready, branch, masking);
                    }
                }
            }
            if rows.score.contains(&line) {
                let offset = columns.score.start - columns.made.start;
                let length = columns.score.len();
                let [square, cube] = ReferenceSums::new(scale, length, rows.score.len()).shifts();
                let [horizontal, vertical, diagonal] = &reference.deep;
                let sums = [
                    rounded_deep(lanes, &horizontal[offset..], length, square, cube),
                    rounded_deep(lanes, &vertical[offset..], length, square, cube),
                    rounded_deep(lanes, &diagonal[offset..], length, square, cube),
                ];
                for branch in &mut branches[..count] {
                    branch.sums[scale].reference.add_sums(sums);
                }
            }
        }
    }

    #[inline(always)]
    fn transform(
        &self,
        lanes: L,
        line: usize,
        lines: &mut Lines,
        low: LowBands<'_>,
        bands: &mut [Vec<i32>; 3],
    ) {
        let [columns, rows] = self.axes;
        let [source_columns, source_rows] = self.source_axes;
        let (range, entry) = columns_read(columns);
        let stride = source_columns.made.len();
        let starts: [usize; TAPS] = std::array::from_fn(|tap| {
            let row = rows.tap(line, tap) - source_rows.made.start;
            row * stride + range.start - source_columns.made.start
        });
        let start = (line - rows.made.start) * columns.made.len();
        let LowBands { first, deep: [second, third, last] } = low;
        let length = range.len();
        match self.work.scale {
            1 => {
                let inputs = starts.map(|start| &first[start..]);
                down_second(lanes, inputs, length, entry, lines);
                along_deep::<L, 15>(lanes, columns, lines, &mut second[start..], bands);
            }
            2 => {
                let inputs = starts.map(|start| &second[start..]);
                down_deep(lanes, inputs, length, entry, lines);
                along_deep::<L, 16>(lanes, columns, lines, &mut third[start..], bands);
            }
            _ => {
                let inputs = starts.map(|start| &third[start..]);
                down_deep(lanes, inputs, length, entry, lines);
                along_deep::<L, 15>(lanes, columns, lines, &mut last[start..], bands);
            }
        }
    }

    #[inline(always)]
    fn split_row(
        &self,
        lanes: L,
        rows: [[&[i32]; 3]; 2],
        divisors: &Divisors,
        [restored, impaired]: &mut [[WeightedRow; KEPT_ROWS]; 2],
        slot: usize,
    ) {
        let length = self.axes[0].need.len();
        let (restored, impaired) = (&mut restored[slot], &mut impaired[slot]);
        let constants = &self.constants;
        if self.work.with_impairments {
            constants.split_row::<true>(lanes, length, rows, divisors, restored, impaired);
        } else {
            constants.split_row::<false>(lanes, length, rows, divisors, restored, impaired);
        }
    }

    #[inline(always)]
    fn mask(&self, lanes: L, line: usize, branch: &mut Branch, masking: &mut Masking) {
        let [columns, _] = self.axes;
        let (offset, length) = (columns.score.start - columns.need.start, columns.score.len());
        let [restored, impaired] = &branch.deep;
        let sums = &mut branch.sums[self.work.scale];
        let kinds =
            [(restored, impaired, &mut sums.restored), (impaired, restored, &mut sums.impaired)];
        let kinds = kinds.into_iter().take(1 + usize::from(self.work.with_impairments));
        for (values, masks, sums) in kinds {
            let Masking { column_sums, threshold } = masking;
            masking_thresholds(self.axes, line, masks, column_sums, &mut threshold[..length]);
            let rows = values[line % KEPT_ROWS].bands.each_ref().map(|row| &row[offset..]);
            let row_sums = masked_deep(lanes, threshold, length, rows, sums.shifts()[0]);
            sums.add_sums(row_sums);
        }
    }
}
