//! In what order the scales of a picture are walked: band by band.
//!
//! A band of rows of scale 0 makes rows of scale 1, which are walked as far as their filter finds
//! what it reads, and so on; then comes the next band. So only the rows around the seam are kept of
//! a smaller scale, and they are read while they are near. What a band costs is that the filters
//! start anew: as many pairs of rows as they reach are read twice.

use std::ops::Range;

use super::taps::{Scale0, Scale1, Scale2, Scale3, Taps};
use super::walk::Task;
use super::{SCALES, VifParams, VifScratch};
use crate::plane::PlaneRef;

/// Pairs of rows of scale 0 in a band.
pub(super) const BAND_PAIRS: usize = 128;

/// How far the filter of each scale reaches.
const REACHES: [usize; SCALES] = [Scale0::REACH, Scale1::REACH, Scale2::REACH, Scale3::REACH];

/// How many scales of a picture have samples.
pub(super) fn scale_count(width: usize, height: usize) -> usize {
    (0..SCALES).take_while(|scale| width >> scale > 0 && height >> scale > 0).count()
}

/// Calls `walk` for each band of each scale, in an order in which every row is made before it is
/// read.
pub(super) fn walk_bands(
    reference: &PlaneRef<'_>,
    distorted: &[PlaneRef<'_>],
    params: &VifParams,
    band_pairs: usize,
    scratch: &mut VifScratch,
    mut walk: impl FnMut(&Task<'_>, &mut VifScratch),
) {
    let (width, height) = (reference.width(), reference.height());
    let scales = scale_count(width, height);
    let mut walked = Walked { height, pairs: [0; SCALES] };
    scratch.start(width, height, distorted.len(), band_pairs);
    while walked.pairs[0] < height.div_ceil(2) {
        for scale in 0..scales {
            let pairs = walked.pairs[scale]..walked.ready(scale, band_pairs);
            if pairs.is_empty() {
                continue;
            }
            for stream in scratch.streams(distorted.len()) {
                stream.reserve(pairs.len());
                if let Some(next) = stream.shrunk.get_mut(scale) {
                    let (kept, end) = walked.next_rows(scale + 1, pairs.end);
                    next.make_room(width >> (scale + 1), kept, end);
                }
            }
            walked.pairs[scale] = pairs.end;
            let measured = scale > 0 || !params.skip_scale0;
            let gain_limit = params.enhancement_gain_limit;
            walk(&Task { reference, distorted, scale, measured, gain_limit, pairs }, scratch);
        }
    }
}

/// How many pairs of rows of each scale have been walked.
struct Walked {
    /// Of the picture at full size.
    height: usize,
    pairs: [usize; SCALES],
}

impl Walked {
    /// How many rows of a smaller scale have been made: one by each pair of the scale before.
    fn made(&self, scale: usize) -> usize {
        self.pairs[scale - 1].min(self.height >> scale)
    }

    /// How many pairs of a scale can have been walked after the next band.
    fn ready(&self, scale: usize, band_pairs: usize) -> usize {
        let height = self.height >> scale;
        let all = height.div_ceil(2);
        if scale == 0 {
            return self.pairs[0].saturating_add(band_pairs).min(all);
        }
        let made = self.made(scale);
        if made == height { all } else { made.saturating_sub(REACHES[scale]) / 2 }
    }

    /// The rows of a smaller scale that are still read, and the end of those that the scale before
    /// makes, up to its pair `pairs_end`.
    ///
    /// The pair that begins with a picture's last row has a row outside of it, whose window is
    /// read though it does not count: it reflects to a row more than the filter reaches back.
    fn next_rows(&self, scale: usize, pairs_end: usize) -> (Range<usize>, usize) {
        let made = self.made(scale);
        let first = (2 * self.pairs[scale]).saturating_sub(REACHES[scale] + 2);
        (first.min(made)..made, pairs_end.min(self.height >> scale))
    }
}
