//! What happens to a score after the regressor: the transform and the clip of the model's file.

/// Transform, then clip.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ScoreMapping {
    pub(super) transform: Option<ScoreTransform>,
    pub(super) clip: Option<(f64, f64)>,
}

/// A polynomial, then pieces of straight lines, then a bound by what came in.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ScoreTransform {
    pub(super) enabled: bool,
    /// Coefficients of `1`, `y` and `y^2`; one that is absent counts as zero, and the polynomial
    /// is skipped when all are.
    pub(super) polynomial: [Option<f64>; 3],
    pub(super) knots: Option<Vec<(f64, f64)>>,
    pub(super) out_lte_in: bool,
    pub(super) out_gte_in: bool,
}

impl ScoreMapping {
    pub(super) fn apply(&self, score: f64) -> f64 {
        let transform = self.transform.as_ref().filter(|transform| transform.enabled);
        let mut score = transform.map_or(score, |transform| transform.apply(score));
        if let Some((min, max)) = self.clip {
            // Not `clamp`: a NaN must pass through as it does in libvmaf, and a file may give the
            // bounds in any order.
            score = if score < min { min } else { score };
            score = if score > max { max } else { score };
        }
        score
    }
}

impl ScoreTransform {
    fn apply(&self, score: f64) -> f64 {
        let mut out = score;
        if self.polynomial.iter().any(Option::is_some) {
            let [p0, p1, p2] = self.polynomial;
            out = 0.0;
            if let Some(p0) = p0 {
                out += p0;
            }
            if let Some(p1) = p1 {
                out += p1 * score;
            }
            if let Some(p2) = p2 {
                out += p2 * score * score;
            }
        }
        if let Some(knots) = &self.knots {
            out = piecewise_linear(knots, out);
        }
        if self.out_lte_in && out > score {
            out = score;
        }
        if self.out_gte_in && out < score {
            out = score;
        }
        out
    }
}

/// Maps `x` over the segments between `knots`; the first and the last go on beyond their ends.
///
/// The parser made sure of two knots or more whose `x` rises strictly and whose `y` never falls.
/// Where segments meet, the later one decides.
pub(super) fn piecewise_linear(knots: &[(f64, f64)], x: f64) -> f64 {
    let last = knots.len() - 2;
    let mut y = 0.0;
    for (segment, pair) in knots.windows(2).enumerate() {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let within = x0 <= x && x <= x1;
        let before = segment == 0 && x < x0;
        let beyond = segment == last && x > x1;
        if !(within || before || beyond) {
            continue;
        }
        y = if y0 == y1 {
            y0
        } else if x0 == 0.0 {
            (y1 - y0) / x1 * x + y0
        } else {
            let slope = (y1 - y0) / (x1 - x0);
            slope * x + (y0 - x0 * slope)
        };
    }
    y
}
