//! Reads a support vector regressor with a radial basis kernel from libsvm's text. What it computes
//! is the [`Ensemble`](super::ensemble::Ensemble)'s to say.
//!
//! Bounds: [`VECTORS_MAX`] support vectors of [`INDEX_MAX`] components.

use super::number::c_double_prefix;

/// More support vectors than this are refused. Published models have a few hundred.
const VECTORS_MAX: usize = 100_000;
/// The largest component index of a support vector: as many as a model may have features.
const INDEX_MAX: u32 = super::json::FEATURES_MAX as u32;

/// The regressor: `sum(coefficient * exp(-gamma * |x - vector|^2)) - rho`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Svm {
    pub(super) gamma: f64,
    pub(super) rho: f64,
    pub(super) vectors: Vec<SupportVector>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct SupportVector {
    pub(super) coefficient: f64,
    /// Components by 1-based index, in the file's order. An absent one is zero.
    components: Vec<(u32, f64)>,
}

/// What is wrong with the text of a regressor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SvmError {
    Malformed(String),
    Unsupported(String),
}

#[derive(Default)]
struct Header<'a> {
    svm_type: Option<&'a str>,
    kernel_type: Option<&'a str>,
    gamma: Option<f64>,
    rho: Option<f64>,
    class_count: Option<f64>,
    vector_count: Option<f64>,
}

impl Svm {
    /// Reads libsvm's text form.
    pub(super) fn parse(text: &str) -> Result<Self, SvmError> {
        let mut lines = text.lines();
        let header = Header::parse(&mut lines)?;
        let vector_count = header.check()?;
        let vectors: Vec<_> = lines
            .by_ref()
            .take(vector_count)
            .enumerate()
            .map(|(index, line)| {
                SupportVector::parse(line)
                    .ok_or_else(|| malformed(format!("support vector {} is malformed", index + 1)))
            })
            .collect::<Result<_, _>>()?;
        if vectors.len() < vector_count {
            let found = vectors.len();
            return Err(malformed(format!("{found} support vectors of {vector_count} are there")));
        }
        let missing = |what| malformed(format!("the regressor has no {what}"));
        Ok(Self {
            gamma: header.gamma.ok_or_else(|| missing("gamma"))?,
            rho: header.rho.ok_or_else(|| missing("rho"))?,
            vectors,
        })
    }

    /// How many components each vector has, up to its last.
    pub(super) fn widths(&self) -> impl Iterator<Item = usize> {
        self.vectors.iter().map(|vector| vector.components.last().map_or(0, |(at, _)| *at as usize))
    }
}

impl<'a> Header<'a> {
    fn parse(lines: &mut std::str::Lines<'a>) -> Result<Self, SvmError> {
        let mut header = Self::default();
        for line in lines {
            let mut words = line.split_ascii_whitespace();
            let Some(key) = words.next() else { continue };
            if key == "SV" {
                return Ok(header);
            }
            let word = words
                .next()
                .ok_or_else(|| malformed(format!("the regressor's {key} has no value")))?;
            let number = || {
                let read = c_double_prefix(word).filter(|(_, rest)| rest.is_empty());
                read.map(|(value, _)| Some(value))
                    .ok_or_else(|| malformed(format!("the regressor's {key} is not a number")))
            };
            match key {
                "svm_type" => header.svm_type = Some(word),
                "kernel_type" => header.kernel_type = Some(word),
                "gamma" => header.gamma = number()?,
                "rho" => header.rho = number()?,
                "nr_class" => header.class_count = number()?,
                "total_sv" => header.vector_count = number()?,
                // They belong to other kernels and to classifiers; a radial basis regressor
                // reads none of them.
                "degree" | "coef0" | "label" | "probA" | "probB" | "nr_sv" => {}
                other => return Err(malformed(format!("the regressor has an unknown {other:?}"))),
            }
        }
        Err(malformed("the regressor has no support vectors".to_owned()))
    }

    /// Checks what kind of regressor it is and gives the number of its support vectors.
    fn check(&self) -> Result<usize, SvmError> {
        match self.svm_type {
            Some("nu_svr" | "epsilon_svr") => {}
            Some(other) => return Err(SvmError::Unsupported(format!("svm_type {other}"))),
            None => return Err(malformed("the regressor has no svm_type".to_owned())),
        }
        match self.kernel_type {
            Some("rbf") => {}
            Some(other) => return Err(SvmError::Unsupported(format!("kernel_type {other}"))),
            None => return Err(malformed("the regressor has no kernel_type".to_owned())),
        }
        if self.class_count != Some(2.0) {
            return Err(malformed("a regressor's nr_class must be 2".to_owned()));
        }
        let count = self.vector_count.unwrap_or(0.0);
        if count.fract() == 0.0 && (1.0..=VECTORS_MAX as f64).contains(&count) {
            Ok(count as usize)
        } else {
            Err(malformed(format!("total_sv must be 1 to {VECTORS_MAX}")))
        }
    }
}

impl SupportVector {
    fn parse(line: &str) -> Option<Self> {
        let (coefficient, mut rest) = c_double_prefix(line)?;
        let mut components = Vec::new();
        while let Some((index, value)) = rest.trim_start().split_once(':') {
            let index: u32 = index.parse().ok()?;
            let rises = components.last().is_none_or(|(last, _)| index > *last);
            if !rises || !(1..=INDEX_MAX).contains(&index) {
                return None;
            }
            let (value, after) = c_double_prefix(value)?;
            components.push((index, value));
            rest = after;
        }
        rest.trim().is_empty().then_some(Self { coefficient, components })
    }

    /// `width` components, those that the file leaves out as zeros.
    pub(super) fn dense(&self, width: usize) -> Vec<f64> {
        let mut dense = vec![0.0; width];
        for (index, value) in &self.components {
            dense[*index as usize - 1] = *value;
        }
        dense
    }
}

fn malformed(what: String) -> SvmError {
    SvmError::Malformed(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "svm_type nu_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\n\
                         rho -0.25\nSV\n2 1:1 3:0.5 \n-1 2:2 4:1 \n";

    #[test]
    fn absent_components_are_zero() {
        let svm = Svm::parse(SMALL).expect("well formed");
        assert_eq!((svm.gamma, svm.rho), (0.5, -0.25));
        assert_eq!(svm.widths().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(svm.vectors[0].dense(4), [1.0, 0.0, 0.5, 0.0]);
        assert_eq!(svm.vectors[1].coefficient, -1.0);
    }

    #[test]
    fn other_regressors_are_refused_by_name() {
        for (from, to, what) in
            [("nu_svr", "c_svc", "svm_type c_svc"), ("rbf", "polynomial", "kernel_type polynomial")]
        {
            let error = Svm::parse(&SMALL.replace(from, to)).expect_err("unsupported");
            assert_eq!(error, SvmError::Unsupported(what.to_owned()));
        }
    }

    #[test]
    fn damaged_text_is_refused() {
        for (from, to) in [
            ("total_sv 2", "total_sv 3"),
            ("total_sv 2", "total_sv 1e9"),
            ("nr_class 2", "nr_class 3"),
            ("gamma 0.5", "gamma"),
            ("gamma 0.5", "gamma x"),
            ("gamma 0.5", "gama 0.5"),
            ("gamma 0.5\n", ""),
            ("rho -0.25\n", ""),
            ("SV\n", ""),
            ("1:1 3:0.5", "3:0.5 1:1"),
            ("1:1 3:0.5", "0:1 3:0.5"),
            ("1:1 3:0.5", "1:1 65:0.5"),
            ("1:1 3:0.5", "1:1 3:x"),
            ("1:1 3:0.5", "1:1 3"),
        ] {
            let text = SMALL.replace(from, to);
            assert!(matches!(Svm::parse(&text), Err(SvmError::Malformed(_))), "{from} -> {to}");
        }
    }
}
