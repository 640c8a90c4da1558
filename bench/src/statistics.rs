//! Order statistics of what was measured.

use std::time::Duration;

/// Durations in ascending order.
#[derive(Debug, Clone)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// `None` when nothing was measured.
    pub(crate) fn new(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        (!times.is_empty()).then_some(Self(times))
    }

    /// The smallest of the times that at least `share` of them do not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0[rank.clamp(1, self.0.len()) - 1].as_secs_f64() * 1e3
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        self.quantile_ms(0.50)
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        self.quantile_ms(0.99)
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.quantile_ms(1.0)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Between which of the values the median of what they are drawn from lies with 95 %; of few values all
/// of them; NaN of none.
pub(crate) fn median_between(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return (f64::NAN, f64::NAN) };
    // The number of values below the median is binomial; 1.96 of its standard deviations.
    let (count, margin) = (sorted.len() as f64, 0.98 * (sorted.len() as f64).sqrt());
    let low = (count / 2.0 - margin).floor().max(0.0) as usize;
    (sorted[low.min(last)], sorted[last - low.min(last)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_known_the_better_the_more_is_known() {
        let values = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
        assert_eq!(median_between(&values(4)), (0.0, 3.0));
        assert_eq!(median_between(&values(25)), (7.0, 17.0));
        assert_eq!(median_between(&values(400)), (180.0, 219.0));
        assert!(median_between(&[]).0.is_nan());
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let times = Times::new(times).expect("not empty");
        assert_eq!(
            [times.p50_ms(), times.p99_ms(), times.max_ms(), times.quantile_ms(0.0)],
            [100.0, 198.0, 200.0, 1.0]
        );
        assert!(Times::new(Vec::new()).is_none());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!([median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])], [2.0, 2.5]);
        assert!(median(&[]).is_nan());
    }
}
