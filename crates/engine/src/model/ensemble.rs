//! One regressor, or the members of a bootstrapped collection, evaluated together.
//!
//! A regressor is `sum(coefficient * exp(-gamma * |x - vector|^2)) - rho`. Members of a collection
//! were trained on draws from the same material, so they share most of their support vectors:
//! 4,435 of `vmaf_b_v0.6.3` are 230 different ones. Each different one is evaluated once for all
//! members; then a member is a sum of as many products as it has vectors, in the order of its file.
//! Sharing changes no bit, since equal vectors give equal kernel values.

use std::collections::HashMap;

use kernels::elementary::exp;

use super::mapping::ScoreMapping;
use super::rescale::{Line, Rescaling, score_of};
use super::svm::Svm;

/// One regressor as a model's file describes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Regressor {
    pub(super) rescaling: Rescaling,
    /// How the score was rescaled before training; `None` where it was not.
    pub(super) score_line: Option<Line>,
    pub(super) svm: Svm,
    pub(super) mapping: ScoreMapping,
}

/// Regressors over the same features.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ensemble {
    bases: Vec<Basis>,
    members: Vec<Member>,
}

/// The different support vectors of all members that see features alike.
#[derive(Debug, Clone, PartialEq)]
struct Basis {
    rescaling: Rescaling,
    gamma: f64,
    vector_count: usize,
    /// Component by component, `vector_count` values each, so that a step works on neighbours. One
    /// that a file leaves out is zero, which gives libsvm's sums: it leaves out zeros only.
    components: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    basis: usize,
    /// Places in the basis with their coefficients, in the file's order.
    terms: Vec<(usize, f64)>,
    rho: f64,
    score_line: Option<Line>,
    mapping: ScoreMapping,
}

/// A basis that still grows.
struct Growing {
    rescaling: Rescaling,
    gamma: f64,
    vectors: Vec<Vec<f64>>,
    /// Places by the bits of the components.
    places: HashMap<Vec<u64>, usize>,
}

impl Ensemble {
    /// All `regressors` read `feature_count` features.
    pub(super) fn new(regressors: Vec<Regressor>, feature_count: usize) -> Self {
        let widths = regressors.iter().flat_map(|regressor| regressor.svm.widths());
        let width = widths.chain([feature_count]).max().unwrap_or(feature_count);
        let mut growing: Vec<Growing> = Vec::new();
        let members = regressors.into_iter().map(|regressor| {
            let basis = Growing::find(&mut growing, &regressor);
            let vectors = regressor.svm.vectors.iter();
            let terms = vectors
                .map(|vector| (growing[basis].place(vector.dense(width)), vector.coefficient))
                .collect();
            let Regressor { score_line, svm, mapping, .. } = regressor;
            Member { basis, terms, rho: svm.rho, score_line, mapping }
        });
        let members = members.collect();
        Self { bases: growing.into_iter().map(|basis| basis.finish(width)).collect(), members }
    }

    pub(super) fn member_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn mapping(&self, member: usize) -> &ScoreMapping {
        &self.members[member].mapping
    }

    pub(super) fn mappings_mut(&mut self) -> impl Iterator<Item = &mut ScoreMapping> {
        self.members.iter_mut().map(|member| &mut member.mapping)
    }

    /// The scores of the first `count` members, before transform and clip.
    pub(super) fn scores(&self, values: &[f64], count: usize) -> Vec<f64> {
        let members = &self.members[..count];
        let kernels: Vec<Vec<f64>> = self
            .bases
            .iter()
            .enumerate()
            .map(|(at, basis)| {
                let is_used = members.iter().any(|member| member.basis == at);
                if is_used { basis.kernels(values) } else { Vec::new() }
            })
            .collect();
        members.iter().map(|member| member.score(&kernels[member.basis])).collect()
    }
}

impl Growing {
    /// The basis for a regressor, which is added if there is none.
    fn find(all: &mut Vec<Self>, regressor: &Regressor) -> usize {
        let (rescaling, gamma) = (&regressor.rescaling, regressor.svm.gamma);
        let is_its = |basis: &Self| basis.rescaling == *rescaling && basis.gamma == gamma;
        if let Some(found) = all.iter().position(is_its) {
            return found;
        }
        let rescaling = rescaling.clone();
        all.push(Self { rescaling, gamma, vectors: Vec::new(), places: HashMap::new() });
        all.len() - 1
    }

    fn place(&mut self, vector: Vec<f64>) -> usize {
        let bits = vector.iter().map(|component| component.to_bits()).collect();
        *self.places.entry(bits).or_insert_with(|| {
            self.vectors.push(vector);
            self.vectors.len() - 1
        })
    }

    fn finish(self, width: usize) -> Basis {
        let component = |at: usize| self.vectors.iter().map(move |vector| vector[at]);
        Basis {
            vector_count: self.vectors.len(),
            components: (0..width).flat_map(component).collect(),
            rescaling: self.rescaling,
            gamma: self.gamma,
        }
    }
}

impl Basis {
    /// `exp(-gamma * |x - vector|^2)` of every vector. The square sums components by rising index.
    fn kernels(&self, values: &[f64]) -> Vec<f64> {
        let x = self.rescaling.apply(values);
        let mut kernels = vec![0.0; self.vector_count];
        let x = x.into_iter().chain(std::iter::repeat(0.0));
        for (x, component) in x.zip(self.components.chunks_exact(self.vector_count)) {
            for (sum, component) in kernels.iter_mut().zip(component) {
                let difference = x - component;
                *sum += difference * difference;
            }
        }
        for kernel in &mut kernels {
            *kernel = exp(-self.gamma * *kernel);
        }
        kernels
    }
}

impl Member {
    fn score(&self, kernels: &[f64]) -> f64 {
        let sum = self
            .terms
            .iter()
            .fold(0.0, |sum, (vector, coefficient)| sum + coefficient * kernels[*vector]);
        score_of(self.score_line, sum - self.rho)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regressor(gamma: f64, vectors: &str) -> Regressor {
        let text = format!(
            "svm_type nu_svr\nkernel_type rbf\ngamma {gamma}\nnr_class 2\ntotal_sv {}\nrho -0.25\nSV\n{vectors}",
            vectors.lines().count()
        );
        Regressor {
            rescaling: Rescaling { lines: None, chroma: None },
            score_line: None,
            svm: Svm::parse(&text).expect("well formed"),
            mapping: ScoreMapping::default(),
        }
    }

    /// The sum as libsvm writes it.
    fn expected(gamma: f64, terms: &[(f64, &[f64])], x: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (coefficient, vector) in terms {
            let mut square = 0.0;
            for (x, v) in x.iter().zip(*vector) {
                square += (x - v) * (x - v);
            }
            sum += coefficient * exp(-gamma * square);
        }
        sum + 0.25
    }

    #[test]
    fn members_that_share_vectors_give_the_bits_of_each_alone() {
        let texts = ["2 1:1 3:0.5\n-1 2:2\n", "-1 2:2\n0.5 1:1 3:0.5\n3 2:0.125\n", "1 2:2\n"];
        let all: Vec<_> = texts.iter().map(|text| regressor(0.5, text)).collect();
        let together = Ensemble::new(all.clone(), 3);
        assert_eq!((together.bases.len(), together.bases[0].vector_count), (1, 3));
        let x = [1.0, 0.3, 0.7];
        let scores = together.scores(&x, 3);
        for (score, regressor) in scores.iter().zip(all) {
            assert_eq!(Ensemble::new(vec![regressor], 3).scores(&x, 1), [*score]);
        }
        let first = expected(0.5, &[(2.0, &[1.0, 0.0, 0.5]), (-1.0, &[0.0, 2.0, 0.0])], &x);
        assert_eq!(scores[0], first);
        assert_eq!(together.scores(&x, 1), scores[..1]);
    }

    #[test]
    fn members_of_another_kernel_do_not_share() {
        let pair = Ensemble::new(vec![regressor(0.5, "1 1:1\n"), regressor(0.25, "1 1:1\n")], 1);
        assert_eq!(pair.bases.len(), 2);
        let expected = [0.5, 0.25].map(|gamma| expected(gamma, &[(1.0, &[1.0])], &[0.0]));
        assert_eq!(pair.scores(&[0.0], 2), expected);
    }

    #[test]
    fn components_and_features_without_a_counterpart_count_in_full() {
        let wide = Ensemble::new(vec![regressor(0.5, "1 1:1 3:2\n")], 1);
        let square = expected(0.5, &[(1.0, &[1.0, 0.0, 2.0])], &[0.5, 0.0, 0.0]);
        assert_eq!(wide.scores(&[0.5], 1), [square]);
        let narrow = Ensemble::new(vec![regressor(0.5, "1 1:1\n")], 2);
        let square = expected(0.5, &[(1.0, &[1.0, 0.0])], &[0.5, 3.0]);
        assert_eq!(narrow.scores(&[0.5, 3.0], 1), [square]);
    }
}
