//! How much rate one encoder needs against another, at equal quality.

use crate::monotone::Monotone;

/// One setting of an encoder: what it costs and what it reaches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatePoint {
    /// Bits a second, in any unit that both encoders share.
    pub rate: f64,
    /// The score it reaches.
    pub score: f64,
}

/// Bjøntegaard's difference of rate: by what share more (positive) or less (negative) rate `tested`
/// needs for the same score as `anchor`, on average over the scores both reach. -0.25 is a quarter
/// less.
///
/// The logarithm of the rate over the score is interpolated by a monotone cubic, as is usual today;
/// points that cost more and reach less than another of the same encoder are left out. `None` when an
/// encoder has fewer than two points left, or no score is reached by both.
#[must_use]
pub fn bd_rate(anchor: &[RatePoint], tested: &[RatePoint]) -> Option<f64> {
    let (anchor, tested) = (curve(anchor)?, curve(tested)?);
    let ends = |curve: &Monotone| Some((*curve.knots().first()?, *curve.knots().last()?));
    let ((from_a, to_a), (from_b, to_b)) = (ends(&anchor)?, ends(&tested)?);
    let (from, to) = (from_a.max(from_b), to_a.min(to_b));
    if from >= to {
        return None;
    }
    let mean = |curve: &Monotone| curve.integral(from, to) / (to - from);
    Some((mean(&tested) - mean(&anchor)).exp_m1())
}

/// The logarithm of the rate over the score.
fn curve(points: &[RatePoint]) -> Option<Monotone> {
    let mut points: Vec<(f64, f64)> = points
        .iter()
        .filter(|point| point.rate > 0.0 && point.rate.is_finite() && point.score.is_finite())
        .map(|point| (point.score, point.rate.ln()))
        .collect();
    // From the best down: whoever costs as much as a better one is left out.
    points.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        if kept.last().is_none_or(|last| point.0 < last.0 && point.1 < last.1) {
            kept.push(point);
        }
    }
    kept.reverse();
    Monotone::through(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(factor: f64) -> Vec<RatePoint> {
        [(100.0, 70.0), (200.0, 80.0), (420.0, 88.0), (900.0, 94.0)]
            .map(|(rate, score)| RatePoint { rate: rate * factor, score })
            .to_vec()
    }

    #[test]
    fn a_constant_factor_is_the_difference() {
        for factor in [0.5, 1.0, 1.3] {
            let difference = bd_rate(&points(1.0), &points(factor)).expect("they overlap");
            assert!((difference - (factor - 1.0)).abs() < 1e-12, "{factor}: {difference}");
        }
    }

    #[test]
    fn the_way_back_is_the_reciprocal_and_a_bad_point_changes_nothing() {
        let mut other = points(0.8);
        other[1].rate *= 1.1;
        let there = bd_rate(&points(1.0), &other).expect("they overlap");
        let back = bd_rate(&other, &points(1.0)).expect("they overlap");
        assert!(((1.0 + there) * (1.0 + back) - 1.0).abs() < 1e-12);
        let mut with_bad = other.clone();
        with_bad.push(RatePoint { rate: 1e6, score: 60.0 });
        assert_eq!(bd_rate(&points(1.0), &with_bad), Some(there));
    }

    #[test]
    fn without_a_common_score_there_is_none() {
        let low = [(1.0, 10.0), (2.0, 20.0)].map(|(rate, score)| RatePoint { rate, score });
        assert_eq!(bd_rate(&low, &points(1.0)), None);
        assert_eq!(bd_rate(&points(1.0)[..1], &points(1.0)), None);
    }
}
