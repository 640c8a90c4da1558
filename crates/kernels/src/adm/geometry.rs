//! Which samples and coefficients of one axis each scale reads, makes and scores.
//!
//! ADM scores the central part of every subband (a tenth of the length is left out on either
//! side), so most of the outer frame of a picture never has to be transformed. An [`Axis`] holds,
//! for one axis of one scale, the ranges that follow from that, worked out from the coarsest scale
//! back to the picture. Rows and columns follow the same rules independently.
//!
//! Invariants: all ranges lie within their lengths and none is empty; `score` lies within `need`,
//! `need` within `made`, and the `read` of one scale within the `made` of the scale before it.

use std::ops::Range;

/// Number of wavelet scales.
pub(super) const SCALES: usize = 4;

/// The part of a subband's length that is left out on either side.
const BORDER: f64 = 0.1;

/// Taps of the wavelet filter.
pub(super) const TAPS: usize = 4;

/// The ranges of one axis at one scale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Axis {
    /// Samples that the transform of this scale takes in.
    pub(super) input: usize,
    /// Coefficients of a subband: half of `input`, rounded up.
    pub(super) band: usize,
    /// Coefficients that are summed.
    pub(super) score: Range<usize>,
    /// Coefficients whose masking is needed: `score` and its direct neighbours.
    pub(super) need: Range<usize>,
    /// Coefficients that are made: `need`, and what the next scale reads.
    pub(super) made: Range<usize>,
    /// Input samples that are read to make `made`; it starts at an even position.
    pub(super) read: Range<usize>,
}

impl Axis {
    /// The input position under tap `tap` of output position `at`.
    ///
    /// Position 0 reads 1, 0, 1, 2 (reflected at the first sample); position `i` reads
    /// `2i - 1 ..= 2i + 2`. Past the end the input is mirrored with the last sample repeated. Where a
    /// side is so short that the mirror image lies outside too, the nearest sample is taken.
    pub(super) fn tap(&self, at: usize, tap: usize) -> usize {
        let plain = if at == 0 && tap == 0 { 1 } else { 2 * at + tap - 1 };
        let mirrored =
            if plain >= self.input { (2 * self.input).saturating_sub(plain + 1) } else { plain };
        mirrored.min(self.input - 1)
    }

    /// The neighbour before coefficient `at`; the first one's is the second.
    pub(super) fn before(&self, at: usize) -> usize {
        if at == 0 { 1.min(self.band - 1) } else { at - 1 }
    }

    /// The neighbour after coefficient `at`; the last one's is itself.
    pub(super) fn after(&self, at: usize) -> usize {
        (at + 1).min(self.band - 1)
    }

    fn new(input: usize) -> Self {
        let band = input.div_ceil(2);
        // A cast to an unsigned integer truncates and takes what is below zero to zero.
        let border = (band as f64 * BORDER - 0.5) as usize;
        let score = border..band - border;
        let need = score.start.saturating_sub(1)..(score.end + 1).min(band);
        Self { input, band, score, made: need.clone(), need, read: 0..input }
    }

    /// Pairs of input samples under the taps of `made`; the first and last of an odd input may be
    /// half a pair.
    pub(super) fn pairs(&self) -> Range<usize> {
        self.made.start.saturating_sub(1)..(self.made.end + 1).min(self.input.div_ceil(2))
    }
}

/// The axes of all scales for pictures of `length` samples along this axis.
pub(super) fn axes(length: usize) -> [Axis; SCALES] {
    let mut axes: [Axis; SCALES] = Default::default();
    let mut input = length;
    for axis in &mut axes {
        *axis = Axis::new(input);
        input = axis.band;
    }
    let mut wanted: Option<Range<usize>> = None;
    for axis in axes.iter_mut().rev() {
        if let Some(wanted) = wanted {
            axis.made = axis.need.start.min(wanted.start)..axis.need.end.max(wanted.end);
        }
        let pairs = axis.pairs();
        axis.read = 2 * pairs.start..(2 * pairs.end).min(axis.input);
        wanted = Some(axis.read.clone());
    }
    axes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::SIDE_MAX;

    fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
        !inner.is_empty() && outer.start <= inner.start && inner.end <= outer.end
    }

    #[test]
    fn every_length_keeps_the_order_of_ranges() {
        for length in (1..600).chain([1080, 1920, 2160, 3840, SIDE_MAX - 1, SIDE_MAX]) {
            let axes = axes(length);
            let mut available = 0..length;
            for axis in &axes {
                assert!(within(&axis.score, &axis.need), "{length}: {axis:?}");
                assert!(within(&axis.need, &axis.made), "{length}: {axis:?}");
                assert!(within(&axis.made, &(0..axis.band)), "{length}: {axis:?}");
                assert!(within(&axis.read, &available), "{length}: {axis:?}");
                for at in axis.made.clone() {
                    for tap in 0..TAPS {
                        assert!(axis.read.contains(&axis.tap(at, tap)), "{length}: {axis:?}");
                    }
                }
                for at in axis.score.clone() {
                    assert!(axis.need.contains(&axis.before(at)), "{length}: {axis:?}");
                    assert!(axis.need.contains(&axis.after(at)), "{length}: {axis:?}");
                }
                available = axis.made.clone();
            }
        }
    }

    #[test]
    fn the_outer_tenth_is_left_out_on_either_side() {
        let [first, .., last] = axes(1920);
        assert_eq!((first.band, first.score), (960, 95..865));
        assert_eq!((last.band, last.score), (120, 11..109));
    }
}
