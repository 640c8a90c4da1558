//! The presets of libvmaf's command line: models and features that a standard asks for together.
//!
//! `aom_ctc` are the common test conditions of the Alliance for Open Media, v1.0 to v7.0, and
//! `nflx_ctc` those of Netflix, v1.0. A preset is a list and no more; [`Plan::new`] refuses by name
//! what is not built.
//!
//! [`Plan::new`]: crate::Plan::new

use thiserror::Error;

use crate::features::{FeatureError, FeatureRequest};

/// The models and features of one version of a preset, in libvmaf's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Models by the name of their scores, and their built-in version.
    pub models: &'static [(&'static str, &'static str)],
    /// Feature requests, in libvmaf's syntax.
    pub features: &'static [&'static str],
    /// Whether pictures of different bit depths are compared at the larger of the two.
    pub common_bit_depth: bool,
}

/// No such preset, or no such version of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} has no version {version:?}; there are {}", known_presets())]
pub struct UnknownPreset {
    /// As asked for.
    pub name: String,
    /// As asked for.
    pub version: String,
}

const MODELS: &[(&str, &str)] = &[("vmaf", "vmaf_v0.6.1"), ("vmaf_neg", "vmaf_v0.6.1neg")];
const MODELS_4K: &[(&str, &str)] = &[("vmaf", "vmaf_4k_v0.6.1"), ("vmaf_neg", "vmaf_4k_v0.6.1neg")];

const PSNR_AOM: &str = "psnr=reduced_hbd_peak=true:enable_apsnr=true:min_sse=0.5";
const SSIM: &str = "float_ssim=enable_db=true:clip_db=true";
const SSIM_FULL_SIZE: &str = "float_ssim=scale=1:enable_db=true:clip_db=true";
const MS_SSIM: &str = "float_ms_ssim=enable_db=true:clip_db=true";

const AOM_V1: Preset = Preset {
    models: MODELS,
    features: &[PSNR_AOM, "ciede", SSIM, MS_SSIM, "psnr_hvs"],
    common_bit_depth: false,
};
const AOM_V3: Preset =
    Preset { features: &[PSNR_AOM, "ciede", SSIM, MS_SSIM, "psnr_hvs", "cambi"], ..AOM_V1 };
const AOM_V6: Preset = Preset { common_bit_depth: true, ..AOM_V3 };
const AOM_V7: Preset = Preset {
    features: &[PSNR_AOM, "ciede", SSIM_FULL_SIZE, MS_SSIM, "psnr_hvs", "cambi"],
    ..AOM_V6
};
const NFLX_V1: Preset = Preset {
    models: MODELS_4K,
    features: &["psnr=enable_chroma=true:enable_apsnr=true", SSIM, "cambi"],
    common_bit_depth: false,
};

/// Every preset by name and version.
const PRESETS: &[(&str, &str, Preset)] = &[
    ("aom_ctc", "v1.0", AOM_V1),
    ("aom_ctc", "v2.0", AOM_V1),
    ("aom_ctc", "v3.0", AOM_V3),
    ("aom_ctc", "v4.0", AOM_V3),
    ("aom_ctc", "v5.0", AOM_V3),
    ("aom_ctc", "v6.0", AOM_V6),
    ("aom_ctc", "v7.0", AOM_V7),
    ("nflx_ctc", "v1.0", NFLX_V1),
];

impl Preset {
    /// The preset of this name (`aom_ctc`, `nflx_ctc`) and version (`v1.0`).
    ///
    /// # Errors
    /// [`UnknownPreset`] says which there are.
    pub fn by_name(name: &str, version: &str) -> Result<Self, UnknownPreset> {
        let found = PRESETS.iter().find(|(of, at, _)| (*of, *at) == (name, version));
        found.map(|(_, _, preset)| *preset).ok_or_else(|| {
            let short = |text: &str| text.chars().take(64).collect();
            UnknownPreset { name: short(name), version: short(version) }
        })
    }

    /// The features as requests.
    ///
    /// # Errors
    /// None of the presets that there are.
    pub fn requests(&self) -> Result<Vec<FeatureRequest>, FeatureError> {
        self.features.iter().map(|feature| feature.parse()).collect()
    }
}

fn known_presets() -> String {
    let names: Vec<_> =
        PRESETS.iter().map(|(name, version, _)| format!("{name} {version}")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, Plan, PlanOptions};

    fn preset(name: &str, version: &str) -> Preset {
        Preset::by_name(name, version).expect(version)
    }

    fn check(name: &str, version: &str, models: &[&str], features: &[&str]) {
        let preset = preset(name, version);
        let listed: Vec<_> =
            preset.models.iter().map(|(name, version)| format!("{name}={version}")).collect();
        assert_eq!(listed, models, "{name} {version}");
        assert_eq!(preset.features, features, "{name} {version}");
        let requests = preset.requests().expect("every request has the form");
        assert_eq!(requests.len(), features.len());
        for (request, feature) in requests.iter().zip(features) {
            assert!(feature.starts_with(&request.name), "{request} of {feature}");
        }
    }

    #[test]
    fn presets_list_what_libvmaf_lists() {
        let models = ["vmaf=vmaf_v0.6.1", "vmaf_neg=vmaf_v0.6.1neg"];
        let mut features = vec![
            "psnr=reduced_hbd_peak=true:enable_apsnr=true:min_sse=0.5",
            "ciede",
            "float_ssim=enable_db=true:clip_db=true",
            "float_ms_ssim=enable_db=true:clip_db=true",
            "psnr_hvs",
        ];
        for version in ["v1.0", "v2.0"] {
            check("aom_ctc", version, &models, &features);
        }
        features.push("cambi");
        for version in ["v3.0", "v4.0", "v5.0", "v6.0"] {
            check("aom_ctc", version, &models, &features);
        }
        features[2] = "float_ssim=scale=1:enable_db=true:clip_db=true";
        check("aom_ctc", "v7.0", &models, &features);
        let models = ["vmaf=vmaf_4k_v0.6.1", "vmaf_neg=vmaf_4k_v0.6.1neg"];
        let features = [
            "psnr=enable_chroma=true:enable_apsnr=true",
            "float_ssim=enable_db=true:clip_db=true",
            "cambi",
        ];
        check("nflx_ctc", "v1.0", &models, &features);
    }

    #[test]
    fn bit_depths_are_made_common_from_version_six_on() {
        let common: Vec<_> = PRESETS
            .iter()
            .filter(|(_, _, preset)| preset.common_bit_depth)
            .map(|(name, version, _)| (*name, *version))
            .collect();
        assert_eq!(common, [("aom_ctc", "v6.0"), ("aom_ctc", "v7.0")]);
    }

    #[test]
    fn others_are_refused_with_those_that_there_are() {
        for (name, version) in
            [("aom_ctc", "v8.0"), ("aom_ctc", "proposed"), ("nflx_ctc", "v2.0"), ("ctc", "v1.0")]
        {
            let error = Preset::by_name(name, version).expect_err(version).to_string();
            assert!(error.contains(name) && error.contains(version), "{error}");
            assert!(error.contains("aom_ctc v7.0") && error.contains("nflx_ctc v1.0"), "{error}");
        }
    }

    /// Whatever a preset asks for is planned or refused by name, never left out.
    #[test]
    fn what_is_not_built_is_refused_by_name() {
        for (name, version, preset) in PRESETS {
            for feature in preset.features {
                let request: FeatureRequest = feature.parse().expect("it has the form");
                let extractor = request.name.clone();
                let options = PlanOptions { requests: vec![request], ..PlanOptions::default() };
                if let Err(error) = Plan::new(Vec::new(), &options) {
                    assert!(error.to_string().contains(&extractor), "{name} {version}: {error}");
                }
            }
            for (_, model) in preset.models {
                if let Err(error) = Model::builtin(model) {
                    assert!(error.to_string().contains(model), "{name} {version}: {error}");
                }
            }
        }
    }
}
