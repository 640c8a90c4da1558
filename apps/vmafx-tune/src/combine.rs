//! Several samples' scores as one, and how far that can be trusted. Pure.

use serde::{Deserialize, Serialize};
use types::PooledScore;

use crate::probe::Probe;

/// Student's t for 95 %, two-sided, by degrees of freedom from 1; beyond, the last.
const T_95: [f64; 15] =
    [12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13];

/// What the samples at one quality say of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Combined {
    /// The expected score.
    pub pooled: PooledScore,
    /// The expected rate.
    pub kilobits_per_second: f64,
    /// Half the width of the 95 % interval around the mean, from how the samples differ; `None` where
    /// all of the source was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_width: Option<f64>,
}

/// Pools samples, each with the share of the source that it stands for. Percentiles are of all
/// samples' frames together, each frame with its share.
///
/// # Panics
/// When there is no sample.
pub(crate) fn combine(samples: &[(f64, &Probe)]) -> Combined {
    let rate = |probe: &Probe| probe.encoded.kilobits_per_second();
    let total: f64 = samples.iter().map(|(share, _)| share).sum();
    let kilobits_per_second =
        samples.iter().map(|(share, probe)| share / total * rate(probe)).sum();
    if let [(_, only)] = samples {
        return Combined { pooled: only.pooled, kilobits_per_second, half_width: None };
    }
    let mut frames: Vec<(f64, f64)> = Vec::new();
    for (share, probe) in samples {
        let values = if probe.frame_scores.is_empty() {
            std::slice::from_ref(&probe.pooled.mean)
        } else {
            &probe.frame_scores
        };
        let weight = share / total / values.len() as f64;
        frames.extend(values.iter().map(|value| (*value, weight)));
    }
    frames.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half_width = Some(half_width(samples));
    Combined { pooled: pool(&frames), kilobits_per_second, half_width }
}

/// Pools frames' scores that all count the same.
pub(crate) fn pool_frames(scores: &[f64]) -> PooledScore {
    let weight = 1.0 / scores.len().max(1) as f64;
    let mut frames: Vec<(f64, f64)> = scores.iter().map(|score| (*score, weight)).collect();
    frames.sort_by(|a, b| a.0.total_cmp(&b.0));
    pool(&frames)
}

/// Pools values that rise, each with a weight; the weights add up to 1.
fn pool(frames: &[(f64, f64)]) -> PooledScore {
    let sum = |value: fn(f64) -> f64| frames.iter().map(|(v, w)| value(*v) * w).sum::<f64>();
    let mean = sum(|value| value);
    let square = sum(|value| value * value);
    let reciprocal = sum(|value| 1.0 / (value + 1.0));
    let percentile = |share: f64| {
        let mut passed = 0.0;
        let at = frames.iter().find(|(_, weight)| {
            passed += weight;
            passed >= share
        });
        at.or(frames.last()).map_or(f64::NAN, |(value, _)| *value)
    };
    PooledScore {
        mean,
        harmonic_mean: 1.0 / reciprocal - 1.0,
        min: frames.first().map_or(f64::NAN, |(value, _)| *value),
        max: frames.last().map_or(f64::NAN, |(value, _)| *value),
        standard_deviation: (square - mean * mean).max(0.0).sqrt(),
        p1: percentile(0.01),
        p5: percentile(0.05),
        p10: percentile(0.10),
        p25: percentile(0.25),
        p50: percentile(0.50),
    }
}

/// Half the width of the mean's 95 % interval by the samples' means. Samples were chosen by class,
/// so that what the classes differ by is no error: the difference between neighbouring classes is
/// the most that two windows of one class can be expected to differ by, and that is counted.
fn half_width(samples: &[(f64, &Probe)]) -> f64 {
    let mut means: Vec<f64> = samples.iter().map(|(_, probe)| probe.pooled.mean).collect();
    means.sort_by(f64::total_cmp);
    let count = means.len();
    let steps = means.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f64>();
    let within = (steps / (2.0 * (count - 1) as f64)).sqrt();
    let t = T_95[(count - 2).min(T_95.len() - 1)];
    t * within / (count as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::probe;

    #[test]
    fn one_sample_is_taken_as_it_is() {
        let only = probe(93.0);
        let combined = combine(&[(1.0, &only)]);
        assert_eq!((combined.pooled, combined.half_width), (only.pooled, None));
    }

    #[test]
    fn samples_count_by_their_shares_and_percentiles_are_of_all_frames() {
        let (good, bad) = (probe(96.0), probe(80.0));
        let combined = combine(&[(0.75, &good), (0.25, &bad)]);
        assert!((combined.pooled.mean - 92.0).abs() < 1e-12);
        assert_eq!((combined.pooled.min, combined.pooled.max), (79.0, 97.0));
        assert_eq!(
            (combined.pooled.p5, combined.pooled.p25, combined.pooled.p50),
            (79.0, 81.0, 95.0)
        );
        assert!(combined.pooled.harmonic_mean < combined.pooled.mean);
    }

    #[test]
    fn samples_that_agree_can_be_trusted_and_more_of_them_the_more() {
        let probes = [90.0, 90.1, 90.2, 90.1].map(probe);
        let close: Vec<_> = probes.iter().map(|probe| (0.25, probe)).collect();
        let probes = [95.0, 80.0, 90.0, 70.0].map(probe);
        let wide: Vec<_> = probes.iter().map(|probe| (0.25, probe)).collect();
        let half = |samples: &[(f64, &Probe)]| combine(samples).half_width.expect("several");
        assert!(half(&close) < 0.2 && half(&wide) > 5.0);
        let twice: Vec<_> = wide.iter().chain(&wide).copied().collect();
        assert!(half(&twice) < half(&wide));
    }
}
