//! Energies and entropies of blocks, and the difference between two planes'.
//!
//! With the eigenvalues `l` of the covariance, negative ones counting as 0, and a block's energy `s`,
//! its entropy is the sum over the eigenvalues, in their order, of
//! `log2(l s + sigma) + log2(2 pi e)`: the argument is `f32`, logarithms and additions are `f64`, and
//! the sum is rounded to `f32` after each term.
//!
//! Two blocks whose entropies are both below `25 (log2((1 + floor) sigma) + log2(2 pi e))` do not
//! differ. Others differ by `|e log2(1 + a) - f log2(1 + b)|`, with their entropies `e` and `f` and
//! the energies `a` and `b` that [`SpeedOptions::weight_var_mode`] names; each product is rounded to
//! `f32`. The score is the sum in order of the blocks, divided by their number, in `f32`.
//!
//! [`SpeedOptions::weight_var_mode`]: super::SpeedOptions::weight_var_mode

use super::covariance::{Products, covariance};
use super::eigen::eigenvalues;
use super::geometry::Geometry;
use super::log2::{Fused, log2};
use super::options::SpeedParams;
use super::shrink::Detail;
use super::solve::{Columns, Factors};
use super::{BLOCK_LEN, BLOCK_SIDE, LANES, SINGULAR_BELOW};

/// `log2(2 pi e)`: the entropy of a Gaussian of variance 1, doubled.
const LOG2_TAU_E: f64 = f64::from_bits(0x4010_6073_a671_183d);

/// Energy and entropy of every block, in rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    energies: Vec<f32>,
    entropies: Vec<f32>,
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        self.energies.len()
    }

    fn resize(&mut self, count: usize) {
        self.energies.resize(count, 0.0);
        self.entropies.resize(count, 0.0);
    }
}

/// Fills `blocks` and says whether the covariance is singular; energies are then 0.
#[inline(always)]
pub(super) fn measure(
    vector: impl Fused + Products,
    detail: Detail<'_>,
    geometry: &Geometry,
    params: &SpeedParams,
    blocks: &mut Blocks,
) -> bool {
    let covariance = covariance(vector, detail, geometry);
    let eigenvalues = eigenvalues(&covariance);
    let regular = !eigenvalues.iter().any(|value| f64::from(*value) < SINGULAR_BELOW);
    let factors = if regular { Factors::new(&covariance) } else { None };

    let sigma = params.options().sigma_nn as f32;
    let scales = eigenvalues.map(|value| if value < 0.0 { 0.0 } else { value });
    blocks.resize(geometry.block_count());
    let runs = blocks.energies.chunks_mut(LANES).zip(blocks.entropies.chunks_mut(LANES));
    for (run, (energies_out, entropies_out)) in runs.enumerate() {
        let energies = match &factors {
            Some(factors) => factors.energies(&samples(detail, geometry, run * LANES)),
            None => [0.0; LANES],
        };
        let entropies = entropies(vector, &energies, &scales, sigma);
        energies_out.copy_from_slice(&energies[..energies_out.len()]);
        entropies_out.copy_from_slice(&entropies[..entropies_out.len()]);
    }
    factors.is_none()
}

/// The samples of the blocks from `first` on; zeros after the last block.
#[inline(always)]
fn samples(detail: Detail<'_>, geometry: &Geometry, first: usize) -> Columns {
    let mut columns = [[0.0; LANES]; BLOCK_LEN];
    let count = LANES.min(geometry.block_count() - first);
    for lane in 0..count {
        let [x, y] = [(first + lane) % geometry.blocks[0], (first + lane) / geometry.blocks[0]];
        for row in 0..BLOCK_SIDE {
            let at = (y * BLOCK_SIDE + row) * detail.stride + x * BLOCK_SIDE;
            let samples = &detail.samples[at..][..BLOCK_SIDE];
            for column in 0..BLOCK_SIDE {
                columns[row * BLOCK_SIDE + column][lane] = samples[column];
            }
        }
    }
    columns
}

#[inline(always)]
fn entropies(
    fused: impl Fused,
    energies: &[f32; LANES],
    scales: &[f32; BLOCK_LEN],
    sigma: f32,
) -> [f32; LANES] {
    let mut entropies = [0.0_f32; LANES];
    for scale in scales {
        for lane in 0..LANES {
            let variance = scale * energies[lane] + sigma;
            let term = log2(fused, f64::from(variance)) + LOG2_TAU_E;
            entropies[lane] = (f64::from(entropies[lane]) + term) as f32;
        }
    }
    entropies
}

/// The score of two planes with the same number of blocks.
#[inline(always)]
pub(super) fn compare(
    fused: impl Fused,
    reference: &Blocks,
    distorted: &Blocks,
    params: &SpeedParams,
) -> f32 {
    let options = params.options();
    let least = (1.0 + options.nn_floor as f32) * options.sigma_nn as f32;
    let base = (BLOCK_LEN as f64 * (log2(fused, f64::from(least)) + LOG2_TAU_E)) as f32;
    let mut score = 0.0_f32;
    let count = reference.len();
    for first in (0..count).step_by(LANES) {
        let len = LANES.min(count - first);
        let load = |values: &[f32]| {
            let mut lanes = [0.0; LANES];
            lanes[..len].copy_from_slice(&values[first..first + len]);
            lanes
        };
        let energies = [load(&reference.energies), load(&distorted.energies)];
        let entropies = [load(&reference.entropies), load(&distorted.entropies)];
        let arguments = weight_arguments(options.weight_var_mode, &energies);
        let mut differences = [0.0_f32; LANES];
        for lane in 0..LANES {
            let [reference, distorted] = [0, 1].map(|of: usize| {
                (f64::from(entropies[of][lane]) * log2(fused, arguments[of][lane])) as f32
            });
            let unseen = entropies[0][lane] < base && entropies[1][lane] < base;
            differences[lane] = if unseen { 0.0 } else { (reference - distorted).abs() };
        }
        score = differences[..len].iter().fold(score, |score, difference| score + difference);
    }
    score / count as f32
}

/// One more than the energies whose logarithms weight the entropies of reference and distorted.
#[inline(always)]
fn weight_arguments(mode: u32, energies: &[[f32; LANES]; 2]) -> [[f64; LANES]; 2] {
    let [r, d] = energies;
    let own = |energy: f32| f64::from(1.0 + energy);
    let mean = |r: f32, d: f32| 1.0 + f64::from(r + d) / 2.0;
    let mix =
        |share: f64, r: f32, d: f32| 1.0 + (share * f64::from(r) + (1.0 - share) * f64::from(d));
    let mut arguments = [[1.0; LANES]; 2];
    for lane in 0..LANES {
        let (r, d) = (r[lane], d[lane]);
        let pair = match mode {
            0 => [own(r), own(d)],
            1 => [own(r), own(r)],
            2 => [own(d), own(d)],
            3 => [mean(r, d), mean(r, d)],
            4 => [own(r), mean(r, d)],
            5 => [own(r), mix(0.75, r, d)],
            _ => [own(r), mix(0.25, r, d)],
        };
        [arguments[0][lane], arguments[1][lane]] = pair;
    }
    arguments
}
