//! Interpolation that keeps order: a piecewise cubic through points that rise, which rises too.

/// A smooth rising curve through points (Fritsch and Carlson's cubic, PCHIP).
///
/// Between two points it stays between their values: nothing overshoots, so that what is read from
/// it lies in the bracket it was made of. Outside the points it goes on as a straight line.
#[derive(Debug, Clone, PartialEq)]
pub struct Monotone {
    x: Vec<f64>,
    y: Vec<f64>,
    slope: Vec<f64>,
}

impl Monotone {
    /// A curve through `points`, whose x must rise strictly and whose y must not fall. `None` for
    /// fewer than two points, or others.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        let finite = points.iter().all(|(x, y)| x.is_finite() && y.is_finite());
        if points.len() < 2 || !finite || !points.windows(2).all(rises) {
            return None;
        }
        let (x, y): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let secants: Vec<f64> =
            points.windows(2).map(|p| (p[1].1 - p[0].1) / (p[1].0 - p[0].0)).collect();
        let mut slope = vec![0.0; x.len()];
        for i in 1..x.len() - 1 {
            let (before, after) = (secants[i - 1], secants[i]);
            if before > 0.0 && after > 0.0 {
                // The weighted harmonic mean, which is never over three times the flatter side.
                let (h0, h1) = (x[i] - x[i - 1], x[i + 1] - x[i]);
                let (w0, w1) = (2.0 * h1 + h0, h1 + 2.0 * h0);
                slope[i] = (w0 + w1) / (w0 / before + w1 / after);
            }
        }
        let last = x.len() - 1;
        if last == 1 {
            slope = vec![secants[0]; 2];
        } else {
            slope[0] = end_slope(x[1] - x[0], x[2] - x[1], secants[0], secants[1]);
            let (h0, h1) = (x[last] - x[last - 1], x[last - 1] - x[last - 2]);
            slope[last] = end_slope(h0, h1, secants[last - 1], secants[last - 2]);
        }
        Some(Self { x, y, slope })
    }

    /// The value at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        let last = self.x.len() - 1;
        if x <= self.x[0] {
            return self.y[0] + (x - self.x[0]) * self.slope[0];
        }
        if x >= self.x[last] {
            return self.y[last] + (x - self.x[last]) * self.slope[last];
        }
        let i = self.x.partition_point(|known| *known <= x) - 1;
        let h = self.x[i + 1] - self.x[i];
        let t = (x - self.x[i]) / h;
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * self.y[i]
            + (t3 - 2.0 * t2 + t) * h * self.slope[i]
            + (3.0 * t2 - 2.0 * t3) * self.y[i + 1]
            + (t3 - t2) * h * self.slope[i + 1]
    }

    /// The integral from `from` to `to`, exact.
    #[must_use]
    pub fn integral(&self, from: f64, to: f64) -> f64 {
        let inner = self.x.iter().copied().filter(|x| *x > from && *x < to);
        let mut knots: Vec<f64> = std::iter::once(from).chain(inner).collect();
        knots.push(to);
        // Simpson's rule is exact for cubics, and between two knots there is one.
        let piece = |w: &[f64]| {
            let (a, b) = (w[0], w[1]);
            (b - a) / 6.0 * (self.at(a) + 4.0 * self.at((a + b) / 2.0) + self.at(b))
        };
        knots.windows(2).map(piece).sum()
    }

    /// The x of the points, rising.
    #[must_use]
    pub fn knots(&self) -> &[f64] {
        &self.x
    }
}

/// The slope at an end: of the parabola through three points, held to what keeps order.
fn end_slope(h0: f64, h1: f64, near: f64, far: f64) -> f64 {
    let parabola = ((2.0 * h0 + h1) * near - h0 * far) / (h0 + h1);
    parabola.clamp(0.0, 3.0 * near)
}

/// The closest rising values to `values` by least squares (pool adjacent violators).
#[must_use]
pub fn isotonic(values: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(values.len());
    for value in values {
        blocks.push((*value, 1));
        while let [.., (before, n0), (after, n1)] = blocks[..]
            && before > after
        {
            let count = n0 + n1;
            let mean = (before * n0 as f64 + after * n1 as f64) / count as f64;
            blocks.truncate(blocks.len() - 2);
            blocks.push((mean, count));
        }
    }
    blocks.into_iter().flat_map(|(value, count)| std::iter::repeat_n(value, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_meets_its_points_and_never_overshoots() {
        let points = [(0.0, 0.0), (1.0, 0.1), (2.0, 5.0), (4.0, 5.0), (5.0, 9.0)];
        let curve = Monotone::through(&points).expect("rising");
        for (x, y) in points {
            assert!((curve.at(x) - y).abs() < 1e-12);
        }
        let mut before = f64::NEG_INFINITY;
        for step in 0..=700 {
            let value = curve.at(f64::from(step) / 100.0 - 1.0);
            assert!(value >= before - 1e-12, "falls at {step}");
            before = value;
        }
    }

    #[test]
    fn what_does_not_rise_makes_no_curve() {
        for points in [
            &[(0.0, 0.0)][..],
            &[(0.0, 0.0), (0.0, 1.0)],
            &[(0.0, 1.0), (1.0, 0.0)],
            &[(0.0, f64::NAN), (1.0, 0.0)],
        ] {
            assert_eq!(Monotone::through(points), None, "{points:?}");
        }
    }

    #[test]
    fn a_straight_line_is_kept_and_integrated_exactly() {
        let line: Vec<_> = (0..6).map(|x| (f64::from(x), 3.0 * f64::from(x) + 1.0)).collect();
        let curve = Monotone::through(&line).expect("rising");
        assert!((curve.at(2.5) - 8.5).abs() < 1e-12 && (curve.at(9.0) - 28.0).abs() < 1e-12);
        assert!(
            (curve.integral(0.5, 4.25) - (1.5 * (4.25_f64.powi(2) - 0.25) + 3.75)).abs() < 1e-9
        );
    }

    #[test]
    fn pooled_values_rise_and_keep_their_mean() {
        let values = [1.0, 3.0, 2.0, 2.5, 7.0, 6.0];
        let rising = isotonic(&values);
        assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]), "{rising:?}");
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        assert!((sum(&values) - sum(&rising)).abs() < 1e-12);
        assert_eq!(isotonic(&[1.0, 2.0]), [1.0, 2.0]);
    }
}
