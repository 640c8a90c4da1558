//! Strips: what part of a scale is walked from top to bottom at a time.
//!
//! A strip reads [`STRIP`] columns of the pictures. Their vertical sums join those of the last
//! columns of the strip before, which it left behind, so that nothing is summed twice; so the
//! places that a strip measures begin left of what it reads. With a filter that reaches `R` samples
//! to each side, strip `k` reads columns `STRIP k - R` on and measures places `STRIP k - 2 R` on,
//! as many. Columns outside the picture are reflected, in the first strip and the last.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

use super::source::View;
use super::taps::{REACH_MAX, Taps};
use crate::border::reflect;

/// Columns of a strip: what a walk holds of them stays in the first-level cache.
pub(super) const STRIP: usize = 128;

/// Where a strip's own pairs start in a line, so that they do on a cache line; before them are
/// those left behind by the strip before.
pub(super) const OWN: usize = 16;

/// Pairs of a line.
pub(super) const LINE: usize = OWN + STRIP / 2;

const _: () = assert!(REACH_MAX <= OWN);

/// One strip of a scale.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// The column read first, perhaps left of the picture.
    first: isize,
    /// Columns that are of use; a following strip exists only if all are.
    pub(super) columns: usize,
    width: usize,
    /// Pairs of places before the picture begins.
    pub(super) skipped: usize,
    /// The place that is measured first, perhaps left of the picture.
    first_place: isize,
}

impl Strip {
    /// How many strips pictures of a width have.
    pub(super) fn count<T: Taps>(width: usize) -> usize {
        (width + 2 * T::REACH).div_ceil(STRIP)
    }

    pub(super) fn new<T: Taps>(index: usize, width: usize) -> Self {
        let start = index * STRIP;
        let first_place = start as isize - 2 * T::REACH as isize;
        Self {
            first: start as isize - T::REACH as isize,
            columns: (width + 2 * T::REACH - start).min(STRIP),
            width,
            skipped: if index == 0 { T::REACH } else { 0 },
            first_place,
        }
    }

    /// Pairs of places, the last perhaps with only its even place in the picture.
    pub(super) fn pairs(&self) -> usize {
        self.columns.div_ceil(2)
    }

    /// Pairs whose place of this parity is in the picture, among `len` from `at` on.
    #[inline(always)]
    pub(super) fn counted(&self, parity: usize, at: usize, len: usize) -> (usize, usize) {
        let end = (self.columns + 1 - parity) / 2;
        (self.skipped.saturating_sub(at).min(len), end.saturating_sub(at).min(len))
    }

    /// Reads the strip's part of a row.
    #[inline(always)]
    pub(super) fn read<S: Copy + Into<u16>>(&self, row: &[S], words: &mut [u16; STRIP]) {
        let start = usize::try_from(self.first).ok();
        let run = start.and_then(|start| row.get(start..)).and_then(|run| run.first_chunk());
        if let Some(run) = run {
            let run: &[S; STRIP] = run;
            for j in 0..STRIP {
                words[j] = run[j].into();
            }
            return;
        }
        let inside = |column: isize| column.clamp(0, self.columns as isize) as usize;
        let from = inside(-self.first);
        let to = inside(self.width as isize - self.first).max(from);
        let start = (self.first + from as isize) as usize;
        for (word, sample) in words[from..to].iter_mut().zip(&row[start.min(row.len())..]) {
            *word = (*sample).into();
        }
        for column in (0..from).chain(to..self.columns) {
            words[column] = row[reflect(self.first + column as isize, self.width)].into();
        }
    }

    /// Asks for the strip's part of a row, if it exists, to be brought near.
    ///
    /// A strip reads a little of every row, too little for the processor to foresee the next.
    #[inline(always)]
    pub(super) fn prefetch<S>(&self, view: View<'_, S>, row: isize) {
        #[cfg(target_arch = "x86_64")]
        {
            let row = (row.max(0) as usize).saturating_sub(view.first_row);
            let row_start = row * view.stride;
            let start = row_start + self.first.max(0) as usize;
            for at in (0..STRIP + 64 / size_of::<S>()).step_by(64 / size_of::<S>()) {
                if let Some(sample) = view.samples.get(start + at) {
                    let sample = std::ptr::from_ref(sample).cast();
                    // SAFETY: every x86-64 processor has the instruction; it reads nothing.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(sample) };
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (view, row);
    }

    /// The places of the next scale that a strip makes of its pairs, from `.0` on, in columns
    /// `.1` on of a row of `len`.
    pub(super) fn next_places(&self, len: usize) -> (usize, std::ops::Range<usize>) {
        let column = (self.first_place / 2 + self.skipped as isize) as usize;
        let end = (column + self.pairs().min(STRIP / 2) - self.skipped).min(len);
        (self.skipped, column.min(len)..end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::taps::{Scale0, Scale1, Scale2, Scale3};
    use super::*;

    fn check<T: Taps>(width: usize) {
        let row: Vec<u16> = (0..width as u16).collect();
        let mut words = [0; STRIP];
        let mut places = [Vec::new(), Vec::new()];
        let mut next = Vec::new();
        for index in 0..Strip::count::<T>(width) {
            let strip = Strip::new::<T>(index, width);
            strip.read(&row, &mut words);
            for (j, word) in words[..strip.columns].iter().enumerate() {
                let column = (index * STRIP + j) as isize - T::REACH as isize;
                assert_eq!(usize::from(*word), reflect(column, width), "{width}, column {column}");
            }
            for parity in 0..2 {
                for at in (0..strip.pairs()).step_by(16) {
                    let (from, to) = strip.counted(parity, at, 16);
                    let pairs = (at + from..at + to).map(|pair| pair as isize);
                    places[parity]
                        .extend(pairs.map(|pair| strip.first_place + 2 * pair + parity as isize));
                }
            }
            let (from, columns) = strip.next_places(width / 2);
            for (offset, column) in columns.enumerate() {
                assert_eq!(2 * column as isize, strip.first_place + 2 * (from + offset) as isize);
                next.push(column);
            }
        }
        for (parity, places) in places.iter().enumerate() {
            let expected = (0..width as isize).filter(|place| *place as usize % 2 == parity);
            assert_eq!(places, &expected.collect::<Vec<_>>(), "{width}");
        }
        assert_eq!(next, (0..width / 2).collect::<Vec<_>>(), "{width}");
    }

    #[test]
    fn every_place_is_measured_once_and_every_column_read_rightly() {
        for width in (1..=3 * STRIP + 40).chain([1920, 3840]) {
            check::<Scale0>(width);
            check::<Scale1>(width);
            check::<Scale2>(width);
            check::<Scale3>(width);
        }
    }
}
