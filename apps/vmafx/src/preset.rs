//! `--aom_ctc` and `--nflx_ctc`: the models and features that test conditions ask for together.

use engine::Preset;
use types::{ModelRef, ModelSpec};

/// libvmaf's flags for presets.
#[derive(Debug, clap::Args)]
pub(crate) struct PresetArgs {
    /// The models and features of the Alliance for Open Media's common test conditions, v1.0 to v7.0,
    /// before those of --model and --feature.
    #[arg(long = "aom_ctc", alias = "aom-ctc", value_name = "VERSION")]
    aom_ctc: Option<String>,

    /// Those of Netflix's common test conditions, v1.0.
    #[arg(long = "nflx_ctc", alias = "nflx-ctc", value_name = "VERSION")]
    nflx_ctc: Option<String>,
}

/// What the presets that were named ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub models: Vec<ModelSpec>,
    pub features: Vec<String>,
    /// Videos of different bit depths are to be compared at the larger one.
    pub common_bit_depth: bool,
}

impl PresetArgs {
    /// All that the named presets ask for; nothing where none is named.
    ///
    /// # Errors
    /// A sentence with the presets that there are, where one has no such version.
    pub(crate) fn asked(&self) -> Result<Asked, String> {
        let named = [("aom_ctc", &self.aom_ctc), ("nflx_ctc", &self.nflx_ctc)];
        let mut asked = Asked::default();
        for (name, version) in named {
            let Some(version) = version else { continue };
            let preset = Preset::by_name(name, version).map_err(|error| error.to_string())?;
            asked.models.extend(preset.models.iter().map(|(name, version)| ModelSpec {
                name: Some((*name).to_owned()),
                ..ModelRef::Version((*version).to_owned()).into()
            }));
            asked.features.extend(preset.features.iter().map(|feature| (*feature).to_owned()));
            asked.common_bit_depth |= preset.common_bit_depth;
        }
        Ok(asked)
    }
}
