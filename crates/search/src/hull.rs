//! What a cloud of measured settings says: the ones worth using, and a ladder of them.

/// Places of the points that no mix of others beats: the upper convex hull of score over the
/// logarithm of the rate, from the smallest rate to the best score, rates rising.
///
/// `points` are rate and score. What is not finite, or has no positive rate, is left out. Of points
/// that coincide the first is taken; a point on a straight line between two others is not.
#[must_use]
pub fn hull(points: &[(f64, f64)]) -> Vec<usize> {
    let usable = |i: &usize| {
        let (rate, score) = points[*i];
        rate.is_finite() && rate > 0.0 && score.is_finite()
    };
    let mut order: Vec<usize> = (0..points.len()).filter(usable).collect();
    let at = |i: usize| (points[i].0.ln(), points[i].1);
    order.sort_by(|a, b| {
        let ((xa, ya), (xb, yb)) = (at(*a), at(*b));
        xa.total_cmp(&xb).then(yb.total_cmp(&ya)).then(a.cmp(b))
    });
    let mut chain: Vec<usize> = Vec::new();
    for i in order {
        // Who costs more must be better than the best so far.
        if chain.last().is_some_and(|last| at(*last).1 >= at(i).1) {
            continue;
        }
        while let [.., a, b] = chain[..]
            && !turns_right(at(a), at(b), at(i))
        {
            chain.pop();
        }
        chain.push(i);
    }
    chain
}

/// Whether the way over `b` lies above the straight way from `a` to `c`.
fn turns_right(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> bool {
    (b.0 - a.0) * (c.1 - a.1) < (c.0 - a.0) * (b.1 - a.1)
}

/// Places of the rungs of a ladder: for each target the cheapest point that reaches it, without
/// those that lie closer than `ratio_min` in rate to the next higher one. Points must be a hull, as
/// [`hull`] orders it. A target that none reaches takes the best there is.
#[must_use]
pub fn rungs(points: &[(f64, f64)], targets: &[f64], ratio_min: f64) -> Vec<usize> {
    let Some(best) = points.len().checked_sub(1) else { return Vec::new() };
    let mut wanted: Vec<usize> = targets
        .iter()
        .map(|target| points.iter().position(|(_, score)| score >= target).unwrap_or(best))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut kept: Vec<usize> = Vec::new();
    for rung in wanted.into_iter().rev() {
        if kept.last().is_none_or(|above| points[rung].0 * ratio_min <= points[*above].0) {
            kept.push(rung);
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_that_a_mix_of_others_beats_is_no_part_of_the_hull() {
        let points =
            [(100.0, 50.0), (1_000.0, 90.0), (316.0, 60.0), (2_000.0, 89.0), (100.0, 40.0)];
        assert_eq!(hull(&points), [0, 1]);
        assert_eq!(hull(&[(1.0, 5.0), (1.0, 5.0)]), [0], "of two that coincide, the first");
        assert_eq!(hull(&[(0.0, 5.0), (f64::NAN, 1.0), (-1.0, 9.0)]), [0_usize; 0]);
    }

    #[test]
    fn rungs_are_the_cheapest_that_reach_and_keep_their_distance() {
        let points = [(100.0, 60.0), (200.0, 75.0), (210.0, 80.0), (900.0, 93.0)];
        assert_eq!(rungs(&points, &[93.0, 80.0, 75.0, 60.0], 1.5), [0, 2, 3]);
        assert_eq!(rungs(&points, &[99.0], 1.5), [3], "the best there is");
        assert_eq!(rungs(&[], &[50.0], 1.5), [0_usize; 0]);
    }
}
