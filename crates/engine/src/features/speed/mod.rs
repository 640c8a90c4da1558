//! `speed_chroma` and `speed_temporal`: differences in the entropy of coarse detail.

pub(super) mod chroma;
pub(super) mod temporal;

use kernels::speed::{
    PrescaleMethod, SpeedError, SpeedOptions, SpeedParams, SpeedScratch, SpeedStatistics,
};

use super::options::{CheckedOptions, OptionSpec, real, word};
use super::{ExtractorKind, FeatureError};

/// Names of [`PrescaleMethod::ALL`], in that order.
const METHODS: &[&str] = &["nearest", "bilinear", "bicubic", "lanczos4"];

const KERNEL_SCALE: OptionSpec = real("speed_kernelscale", "ks", 1.0, (0.1, 4.0));
const MAX_VALUE: OptionSpec =
    real("speed_max_val", "mxv", kernels::speed::SCORE_MAX_DEFAULT, (0.0, 1000.0));
const NN_FLOOR: OptionSpec = real("speed_nn_floor", "nnf", 0.0, (0.0, 1.0));
const PRESCALE: OptionSpec = real("speed_prescale", "ps", 1.0, (0.1, 4.0));
const PRESCALE_METHOD: OptionSpec = word("speed_prescale_method", "psm", METHODS);
const SIGMA_NN: OptionSpec = real("speed_sigma_nn", "snn", 0.29, (0.1, 2.0));

/// The working memory of both extractors.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    kernel: SpeedScratch,
    /// Of the reference, which is measured once for all distorted pictures: both chroma channels,
    /// or luma alone.
    reference: [SpeedStatistics; 2],
    distorted: SpeedStatistics,
}

/// The options that both extractors have.
fn params(
    kind: ExtractorKind,
    options: &CheckedOptions,
    weight_var_mode: u32,
) -> Result<SpeedParams, FeatureError> {
    let method = options.real("speed_prescale_method") as usize;
    let options = SpeedOptions {
        kernel_scale: options.real("speed_kernelscale"),
        prescale: options.real("speed_prescale"),
        prescale_method: PrescaleMethod::ALL[method],
        sigma_nn: options.real("speed_sigma_nn"),
        nn_floor: options.real("speed_nn_floor"),
        weight_var_mode,
    };
    SpeedParams::new(options).map_err(|error| unsupported(kind, error))
}

fn unsupported(kind: ExtractorKind, error: SpeedError) -> FeatureError {
    FeatureError::Unsupported { extractor: kind.name(), what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_method_are_the_kernels_names_in_its_order() {
        assert_eq!(PrescaleMethod::ALL.map(PrescaleMethod::name), METHODS);
    }
}
