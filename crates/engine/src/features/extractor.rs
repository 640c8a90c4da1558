//! One checked instance of an extractor, and the names of what it computes.

use kernels::adm::AdmOptions;
use kernels::vif::VifParams;

use super::options::CheckedOptions;
use super::{FeatureError, FeatureOptions, MotionOptions};

/// The extractors that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtractorKind {
    /// Visual information fidelity at four scales.
    Vif,
    /// Additive detail measure at four scales, with the additive impairment measure.
    Adm,
    /// Difference of each reference picture from the one before.
    Motion,
}

impl ExtractorKind {
    /// Every extractor.
    pub const ALL: [Self; 3] = [Self::Vif, Self::Adm, Self::Motion];

    /// The name by which it is asked for and timed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vif => "vif",
            Self::Adm => "adm",
            Self::Motion => "motion",
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    fn by_name(name: &str) -> Result<Self, FeatureError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| FeatureError::UnknownExtractor { name: name.chars().take(64).collect() })
    }
}

/// One value that an extractor computes for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    VifScale(usize),
    Vif,
    VifNumerator,
    VifDenominator,
    VifScaleNumerator(usize),
    VifScaleDenominator(usize),
    Adm2,
    Aim,
    Adm3,
    AdmScale(usize),
    Adm,
    AdmNumerator,
    AdmDenominator,
    AdmScaleNumerator(usize),
    AdmScaleDenominator(usize),
    MotionSad,
    Motion,
    Motion2,
    Motion3,
}

/// When an output appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Debug,
}

/// One output with libvmaf's internal name and, where it has one, the shorter name in logs.
struct OutputName {
    output: Output,
    when: When,
    name: &'static str,
    alias: Option<&'static str>,
}

const fn always(output: Output, name: &'static str, alias: &'static str) -> OutputName {
    OutputName { output, when: When::Always, name, alias: Some(alias) }
}

const fn plain(output: Output, when: When, name: &'static str) -> OutputName {
    OutputName { output, when, name, alias: None }
}

/// In the order in which libvmaf writes them.
const VIF: &[OutputName] = &[
    always(Output::VifScale(0), "VMAF_integer_feature_vif_scale0_score", "integer_vif_scale0"),
    always(Output::VifScale(1), "VMAF_integer_feature_vif_scale1_score", "integer_vif_scale1"),
    always(Output::VifScale(2), "VMAF_integer_feature_vif_scale2_score", "integer_vif_scale2"),
    always(Output::VifScale(3), "VMAF_integer_feature_vif_scale3_score", "integer_vif_scale3"),
    plain(Output::Vif, When::Debug, "integer_vif"),
    plain(Output::VifNumerator, When::Debug, "integer_vif_num"),
    plain(Output::VifDenominator, When::Debug, "integer_vif_den"),
    plain(Output::VifScaleNumerator(0), When::Debug, "integer_vif_num_scale0"),
    plain(Output::VifScaleDenominator(0), When::Debug, "integer_vif_den_scale0"),
    plain(Output::VifScaleNumerator(1), When::Debug, "integer_vif_num_scale1"),
    plain(Output::VifScaleDenominator(1), When::Debug, "integer_vif_den_scale1"),
    plain(Output::VifScaleNumerator(2), When::Debug, "integer_vif_num_scale2"),
    plain(Output::VifScaleDenominator(2), When::Debug, "integer_vif_den_scale2"),
    plain(Output::VifScaleNumerator(3), When::Debug, "integer_vif_num_scale3"),
    plain(Output::VifScaleDenominator(3), When::Debug, "integer_vif_den_scale3"),
];

const ADM: &[OutputName] = &[
    always(Output::Adm2, "VMAF_integer_feature_adm2_score", "integer_adm2"),
    always(Output::Aim, "VMAF_integer_feature_aim_score", "integer_aim"),
    always(Output::Adm3, "VMAF_integer_feature_adm3_score", "integer_adm3"),
    plain(Output::AdmScale(0), When::Always, "integer_adm_scale0"),
    plain(Output::AdmScale(1), When::Always, "integer_adm_scale1"),
    plain(Output::AdmScale(2), When::Always, "integer_adm_scale2"),
    plain(Output::AdmScale(3), When::Always, "integer_adm_scale3"),
    plain(Output::Adm, When::Debug, "integer_adm"),
    plain(Output::AdmNumerator, When::Debug, "integer_adm_num"),
    plain(Output::AdmDenominator, When::Debug, "integer_adm_den"),
    plain(Output::AdmScaleNumerator(0), When::Debug, "integer_adm_num_scale0"),
    plain(Output::AdmScaleDenominator(0), When::Debug, "integer_adm_den_scale0"),
    plain(Output::AdmScaleNumerator(1), When::Debug, "integer_adm_num_scale1"),
    plain(Output::AdmScaleDenominator(1), When::Debug, "integer_adm_den_scale1"),
    plain(Output::AdmScaleNumerator(2), When::Debug, "integer_adm_num_scale2"),
    plain(Output::AdmScaleDenominator(2), When::Debug, "integer_adm_den_scale2"),
    plain(Output::AdmScaleNumerator(3), When::Debug, "integer_adm_num_scale3"),
    plain(Output::AdmScaleDenominator(3), When::Debug, "integer_adm_den_scale3"),
];

/// The last two are known only when the next picture is.
const MOTION: &[OutputName] = &[
    plain(Output::MotionSad, When::Always, "VMAF_integer_feature_motion_sad_score"),
    OutputName {
        output: Output::Motion,
        when: When::Debug,
        name: "VMAF_integer_feature_motion_score",
        alias: Some("integer_motion"),
    },
    always(Output::Motion2, "VMAF_integer_feature_motion2_score", "integer_motion2"),
    always(Output::Motion3, "VMAF_integer_feature_motion3_score", "integer_motion3"),
];

fn output_names(kind: ExtractorKind) -> &'static [OutputName] {
    match kind {
        ExtractorKind::Vif => VIF,
        ExtractorKind::Adm => ADM,
        ExtractorKind::Motion => MOTION,
    }
}

fn find_feature(name: &str) -> Option<(ExtractorKind, &'static OutputName)> {
    ExtractorKind::ALL.into_iter().find_map(|kind| {
        let found = output_names(kind).iter().find(|output| output.name == name);
        found.filter(|output| output.when == When::Always).map(|output| (kind, output))
    })
}

/// The extractor that computes a feature, by libvmaf's internal name of the feature; `None` when
/// none that is built does.
pub(crate) fn extractor_of_feature(name: &str) -> Option<&'static str> {
    find_feature(name).map(|(kind, _)| kind.name())
}

/// One instance of an extractor with checked options.
#[derive(Debug, Clone, PartialEq)]
pub struct Extractor {
    kind: ExtractorKind,
    settings: Settings,
    /// What the options add to the name of each feature. Instances of one kind with one suffix
    /// compute the same.
    suffix: String,
    debug: bool,
    skip_aim: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Settings {
    Vif(VifParams),
    /// `skip_aim` is as in the defaults: see [`Extractor::adm_options`].
    Adm(AdmOptions),
    Motion(MotionOptions),
}

impl Extractor {
    /// The extractor of that name with these options.
    ///
    /// # Errors
    /// [`FeatureError`] names the extractor, option or value that is unknown, out of range or not
    /// built.
    pub fn new(name: &str, options: &FeatureOptions) -> Result<Self, FeatureError> {
        let kind = ExtractorKind::by_name(name)?;
        let options = CheckedOptions::new(kind, options)?;
        let settings = match kind {
            ExtractorKind::Vif => Settings::Vif(options.vif()),
            ExtractorKind::Adm => Settings::Adm(options.adm()?),
            ExtractorKind::Motion => Settings::Motion(options.motion()?),
        };
        Ok(Self {
            kind,
            settings,
            suffix: options.name_suffix(),
            debug: options.flag("debug"),
            skip_aim: kind == ExtractorKind::Adm && options.flag("adm_skip_aim"),
        })
    }

    /// What kind of extractor it is.
    #[must_use]
    pub const fn kind(&self) -> ExtractorKind {
        self.kind
    }

    /// Kind and options that bear on values, such as `adm_egl_1`: the identity of the instance.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}{}", self.kind.name(), self.suffix)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the caller asked for AIM not to be computed.
    pub(super) fn skips_aim(&self) -> bool {
        self.skip_aim
    }

    /// Whether `other` computes the same values.
    pub(super) fn computes_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.suffix == other.suffix
    }

    /// Makes this instance give whatever `other`, which computes the same, gives too.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.debug |= other.debug;
        self.skip_aim &= other.skip_aim;
    }

    /// Every output with its key in logs, in libvmaf's order.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (Output, String)> {
        output_names(self.kind)
            .iter()
            .filter(|output| self.debug || output.when == When::Always)
            .map(|output| {
                let key = format!("{}{}", output.alias.unwrap_or(output.name), self.suffix);
                (output.output, key)
            })
    }

    /// The instance and output that a model's feature means.
    pub(super) fn of_feature(
        name: &str,
        options: &FeatureOptions,
    ) -> Result<(Self, Output), FeatureError> {
        let (kind, output) = find_feature(name)
            .ok_or_else(|| FeatureError::UnknownExtractor { name: name.to_owned() })?;
        Ok((Self::new(kind.name(), options)?, output.output))
    }
}
