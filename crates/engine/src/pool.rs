//! Pooling: one column's values to one value of each kind.

use types::PooledScore;

/// Pools values in frame order; `None` when there are none.
///
/// Mean, harmonic mean, minimum and maximum perform libvmaf's operations in its order. A NaN
/// spreads to the means, as it does there.
#[must_use]
pub fn pool(values: &[f64]) -> Option<PooledScore> {
    let first = *values.first()?;
    let count = values.len() as f64;
    let (mut sum, mut inverse_sum, mut min, mut max) = (0.0, 0.0, first, first);
    for value in values {
        sum += value;
        inverse_sum += 1.0 / (value + 1.0);
        min = if *value < min { *value } else { min };
        max = if *value > max { *value } else { max };
    }
    let mean = sum / count;
    let deviations = values.iter().map(|value| (value - mean) * (value - mean));
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Some(PooledScore {
        mean,
        harmonic_mean: count / inverse_sum - 1.0,
        min,
        max,
        standard_deviation: (deviations.fold(0.0, |sum, square| sum + square) / count).sqrt(),
        p1: percentile(&sorted, 1.0),
        p5: percentile(&sorted, 5.0),
        p10: percentile(&sorted, 10.0),
        p25: percentile(&sorted, 25.0),
        p50: percentile(&sorted, 50.0),
    })
}

/// Interpolates linearly between the two values closest in rank. `sorted` holds at least one.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = percent * (sorted.len() - 1) as f64 / 100.0;
    let (below, above) = (rank.floor(), rank.ceil());
    if below == above {
        return sorted[below as usize];
    }
    sorted[below as usize] * (above - rank) + sorted[above as usize] * (rank - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_four_values_as_by_hand() {
        let pooled = pool(&[3.0, 1.0, 0.0, 4.0]).expect("there are values");
        assert_eq!(pooled.mean, 2.0);
        assert_eq!((pooled.min, pooled.max), (0.0, 4.0));
        assert_eq!(pooled.harmonic_mean, 4.0 / (0.25 + 0.5 + 1.0 + 0.2) - 1.0);
        assert_eq!(pooled.standard_deviation, 2.5_f64.sqrt());
        assert_eq!(pooled.p50, 2.0);
        assert_eq!(pooled.p25, 0.75);
        assert_eq!(pooled.p10, 0.0 * 0.7 + 1.0 * (10.0 * 3.0 / 100.0));
    }

    #[test]
    fn one_value_is_every_percentile() {
        let pooled = pool(&[42.0]).expect("there is a value");
        assert_eq!([pooled.p1, pooled.p5, pooled.p50, pooled.min, pooled.mean], [42.0; 5]);
        assert_eq!(pooled.standard_deviation, 0.0);
    }

    #[test]
    fn nothing_pools_to_nothing() {
        assert_eq!(pool(&[]), None);
    }
}
