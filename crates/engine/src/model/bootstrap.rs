//! What a collection of bootstrapped models says of one frame.
//!
//! Models that were trained on the same material drawn anew each time disagree the more, the less
//! the material says about such a frame. Mean, deviation and interval are those of the scores
//! before transform and clip, and are mapped afterwards.

use types::BootstrapScore;

use super::mapping::ScoreMapping;

/// The percentiles between which 95 % of the members lie.
const INTERVAL: (f64, f64) = (2.5, 97.5);
/// Half the width over which the slope of the mapping is measured.
const SLOPE_STEP: f64 = 0.01;

/// The statistics of the members' scores, in the order of [`BootstrapScore`]: the mean ("bagging"), the
/// population's standard deviation, and the ends of the interval.
///
/// `scores` are neither transformed nor clipped, one or more; `mapping` is the first member's. The
/// deviation is multiplied by the mapping's slope at the mean, so it is zero where the clip is flat.
pub(super) fn statistics(
    scores: &[f64],
    mapping: &ScoreMapping,
) -> [f64; BootstrapScore::SUFFIXES.len()] {
    let count = scores.len() as f64;
    let mean = scores.iter().fold(0.0, |sum, score| sum + score) / count;
    let squares = scores.iter().fold(0.0, |sum, score| sum + (score - mean) * (score - mean));
    let deviation = (squares / count).sqrt();
    let mut sorted = scores.to_vec();
    sorted.sort_by(f64::total_cmp);
    let low = percentile(&sorted, INTERVAL.0);
    let high = percentile(&sorted, INTERVAL.1);
    let rise = mapping.apply(mean + SLOPE_STEP) - mapping.apply(mean - SLOPE_STEP);
    let slope = rise / (2.0 * SLOPE_STEP);
    [mapping.apply(mean), deviation * slope, mapping.apply(low), mapping.apply(high)]
}

/// Interpolates between the two closest ranks of `sorted`.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let place = percent * (sorted.len() - 1) as f64 / 100.0;
    let (below, above) = (place.floor(), place.ceil());
    let at = |rank: f64| sorted[rank as usize];
    if below == above {
        at(below)
    } else {
        at(below) * (above - place) + at(above) * (place - below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIPPED: ScoreMapping = ScoreMapping { transform: None, clip: Some((0.0, 100.0)) };

    #[test]
    fn ranks_are_interpolated() {
        assert_eq!(percentile(&[7.0], 97.5), 7.0);
        assert_eq!(percentile(&[0.0, 10.0], 50.0), 5.0);
        assert_eq!(percentile(&[0.0, 10.0, 20.0], 50.0), 10.0);
        let sorted: Vec<f64> = (0..20).map(f64::from).collect();
        assert!((percentile(&sorted, 2.5) - 0.475).abs() < 1e-12);
        assert!((percentile(&sorted, 97.5) - 18.525).abs() < 1e-12);
    }

    #[test]
    fn the_deviation_is_the_populations_and_ranks_are_of_sorted_scores() {
        let [mean, deviation, low, high] = statistics(&[60.0, 40.0], &CLIPPED);
        assert!(mean == 50.0 && (deviation - 10.0).abs() < 1e-9, "{mean} {deviation}");
        assert!((low - 40.5).abs() < 1e-9 && (high - 59.5).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn where_the_clip_is_flat_there_is_no_deviation() {
        let [mean, deviation, low, high] = statistics(&[101.0, 105.0], &CLIPPED);
        assert_eq!((mean, deviation, low, high), (100.0, 0.0, 100.0, 100.0));
        // The mean lies on the edge: half of the step is flat.
        let [_, deviation, ..] = statistics(&[95.0, 105.0], &CLIPPED);
        assert!((deviation - 2.5).abs() < 1e-9, "{deviation}");
    }
}
