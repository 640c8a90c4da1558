//! How sure a difference between two results is: a confidence interval of the mean of paired
//! per-frame differences.
//!
//! Neighbouring frames are alike, so that treating them as independent would claim too much.
//! Blocks of neighbouring frames are drawn instead of frames (a circular moving-block bootstrap).
//! The draws follow from a seed: the same two results give the same interval everywhere.

/// Frames of one block: about a second of film.
const BLOCK_FRAMES: usize = 24;

/// Resamples drawn.
const RESAMPLES: usize = 2_000;

/// The mean of paired differences and where it lies with 95 % confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PairedMean {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
    pub count: usize,
}

/// `None` where there is no difference to speak of the mean of.
pub(crate) fn paired_mean(differences: &[f64], seed: u64) -> Option<PairedMean> {
    let count = differences.len();
    if count == 0 {
        return None;
    }
    let block = BLOCK_FRAMES.min(count / 4).max(1);
    // Sums from the start, twice around, so that any block is one subtraction.
    let mut sums = Vec::with_capacity(count + block + 1);
    sums.push(0.0);
    for at in 0..count + block {
        sums.push(sums[at] + differences[at % count]);
    }
    let mean = sums[count] / count as f64;
    let mut random = SplitMix(seed);
    let blocks = count.div_ceil(block);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = (0..blocks).map(|_| {
                let start = random.below(count);
                sums[start + block] - sums[start]
            });
            drawn.sum::<f64>() / (blocks * block) as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
    Some(PairedMean { mean, low: at(0.025), high: at(0.975), count })
}

/// A small generator whose numbers follow from its seed.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, which is small against 2^64: the bias is nil.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_interval_around_the_mean() {
        let differences: Vec<f64> = (0..480).map(|i| 1.0 + f64::from(i % 7) - 3.0).collect();
        let found = paired_mean(&differences, 7).expect("there are some");
        assert_eq!(paired_mean(&differences, 7), Some(found));
        assert_ne!(paired_mean(&differences, 8), Some(found));
        assert!(found.low < found.mean && found.mean < found.high, "{found:?}");
        assert!((found.mean - 1.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn a_constant_difference_is_certain() {
        let found = paired_mean(&[0.5; 100], 1).expect("there are some");
        assert!((found.low - 0.5).abs() < 1e-12 && (found.high - 0.5).abs() < 1e-12);
        assert_eq!(paired_mean(&[], 1), None);
        assert_eq!(paired_mean(&[2.0], 1).map(|p| (p.low, p.high)), Some((2.0, 2.0)));
    }

    #[test]
    fn frames_that_hang_together_make_the_interval_wider() {
        let independent: Vec<f64> =
            (0..960_u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 31)).collect();
        let in_scenes: Vec<f64> =
            (0..960_u32).map(|i| f64::from((i / 48).wrapping_mul(2_654_435_761) >> 31)).collect();
        let width = |differences: &[f64]| {
            let found = paired_mean(differences, 3).expect("there are some");
            found.high - found.low
        };
        assert!(width(&in_scenes) > 2.0 * width(&independent));
    }
}
