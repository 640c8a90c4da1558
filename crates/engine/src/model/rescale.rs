//! What happens to features before the regressor, and to its value after: straight lines, and the
//! chroma that follows from luma.

/// `slope * value + intercept`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

impl Line {
    fn apply(self, value: f64) -> f64 {
        self.slope * value + self.intercept
    }

    fn invert(self, value: f64) -> f64 {
        (value - self.intercept) / self.slope
    }
}

/// How features enter the regressor.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rescaling {
    /// One line a feature; `None` where they enter as they are.
    pub(super) lines: Option<Vec<Line>>,
    pub(super) chroma: Option<ChromaFromLuma>,
}

/// Gives pictures without chroma the chroma value that belongs to their luma.
///
/// A chroma feature that is exactly zero says that the pictures are grey. The regressor has learnt
/// from coloured ones, where chroma is damaged as luma is, so it is given
/// `parameter * (1 - luma)` instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChromaFromLuma {
    pub(super) parameter: f64,
    /// The place of the luma feature, which is 1 for equal pictures.
    pub(super) luma: usize,
    /// The place of the chroma feature.
    pub(super) chroma: usize,
}

impl Rescaling {
    /// What the regressor is given for these features.
    ///
    /// libvmaf tests and corrects what it gets back from the values that it has rescaled already, so
    /// that a chroma value too small to change the intercept counts as zero too.
    pub(super) fn apply(&self, values: &[f64]) -> Vec<f64> {
        let mut rescaled = match &self.lines {
            None => values.to_vec(),
            Some(lines) => lines.iter().zip(values).map(|(line, x)| line.apply(*x)).collect(),
        };
        if let Some(ChromaFromLuma { parameter, luma, chroma }) = self.chroma {
            let line = |place: usize| self.lines.as_ref().map(|lines| lines[place]);
            let back = |place: usize, value| line(place).map_or(value, |line| line.invert(value));
            if back(chroma, rescaled[chroma]) == 0.0 {
                let corrected = -parameter * back(luma, rescaled[luma]) + parameter;
                rescaled[chroma] = line(chroma).map_or(corrected, |line| line.apply(corrected));
            }
        }
        rescaled
    }
}

/// What the regressor's value means as a score.
pub(super) fn score_of(line: Option<Line>, value: f64) -> f64 {
    line.map_or(value, |line| line.invert(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rescaling(intercept: f64) -> Rescaling {
        let line = Line { slope: 0.5, intercept };
        let chroma = Some(ChromaFromLuma { parameter: 120.0, luma: 1, chroma: 0 });
        Rescaling { lines: Some(vec![line, Line { slope: 2.0, intercept: -1.0 }]), chroma }
    }

    #[test]
    fn chroma_that_is_zero_follows_from_luma_and_no_other_does() {
        // 120 * (1 - 0.75) = 30.
        assert_eq!(rescaling(-0.25).apply(&[0.0, 0.75]), [14.75, 0.5]);
        assert_eq!(rescaling(-0.25).apply(&[-0.0, 0.75]), [14.75, 0.5]);
        assert_eq!(rescaling(-0.25).apply(&[0.5, 0.75]), [0.0, 0.5]);
        let none = Rescaling { chroma: None, ..rescaling(-0.25) };
        assert_eq!(none.apply(&[0.0, 0.75]), [-0.25, 0.5]);
    }

    #[test]
    fn chroma_that_vanishes_beside_the_intercept_counts_as_zero() {
        assert_eq!(rescaling(-0.25).apply(&[1e-18, 0.75]), [14.75, 0.5]);
        assert_eq!(rescaling(0.0).apply(&[1e-18, 0.75]), [0.5e-18, 0.5]);
    }

    #[test]
    fn without_lines_the_features_themselves_are_looked_at() {
        let plain = Rescaling { lines: None, ..rescaling(0.0) };
        assert_eq!(plain.apply(&[0.0, 0.75]), [30.0, 0.75]);
        assert_eq!(plain.apply(&[1e-300, 0.75]), [1e-300, 0.75]);
    }
}
