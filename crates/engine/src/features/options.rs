//! The options of every extractor: names, ranges, defaults, and the checked values.

use kernels::adm::{AdmError, AdmOptions, AdmParams};
use kernels::vif::VifParams;

use super::{ExtractorKind, FeatureError, FeatureOptions};
use crate::model::{c_double_prefix, format_g};

/// What an option takes, and what it is where nothing is said.
#[derive(Debug, Clone, Copy)]
enum Domain {
    /// `true` or `false`; false by default.
    Flag,
    Integer {
        default: i32,
        min: i32,
        max: i32,
    },
    Real {
        default: f64,
        min: f64,
        max: f64,
    },
}

/// One option as libvmaf 3.2 declares it.
#[derive(Debug, Clone, Copy)]
struct OptionSpec {
    name: &'static str,
    /// What it is called within the name of a feature; `None` where it leaves the name alone.
    alias: Option<&'static str>,
    domain: Domain,
}

const fn flag(name: &'static str, alias: Option<&'static str>) -> OptionSpec {
    OptionSpec { name, alias, domain: Domain::Flag }
}

const fn real(
    name: &'static str,
    alias: &'static str,
    default: f64,
    (min, max): (f64, f64),
) -> OptionSpec {
    OptionSpec { name, alias: Some(alias), domain: Domain::Real { default, min, max } }
}

const fn integer(
    name: &'static str,
    alias: &'static str,
    default: i32,
    (min, max): (i32, i32),
) -> OptionSpec {
    OptionSpec { name, alias: Some(alias), domain: Domain::Integer { default, min, max } }
}

/// Sorted by name, which is the order in which they enter a feature's name.
const VIF: &[OptionSpec] = &[
    flag("debug", None),
    real("vif_enhn_gain_limit", "egl", 100.0, (1.0, 100.0)),
    flag("vif_skip_scale0", Some("ssclz")),
];

const ADM: &[OptionSpec] = &[
    real("adm_csf_diag_scale", "scfd", 1.0, (0.0, 50.0)),
    integer("adm_csf_mode", "csf", 0, (0, 3)),
    real("adm_csf_scale", "scf", 1.0, (0.0, 50.0)),
    real("adm_dlm_weight", "dlmw", 0.5, (0.0, 1.0)),
    real("adm_enhn_gain_limit", "egl", 100.0, (1.0, 100.0)),
    real("adm_min_val", "min", 0.0, (0.0, 1.0)),
    real("adm_noise_weight", "nw", 0.03125, (0.0, 1500.0)),
    real("adm_norm_view_dist", "nvd", 3.0, (0.75, 24.0)),
    integer("adm_ref_display_height", "rdh", 1080, (1, 4320)),
    flag("adm_skip_aim", None),
    flag("adm_skip_scale0", Some("ssz")),
    flag("debug", None),
];

const MOTION: &[OptionSpec] = &[
    flag("debug", None),
    real("motion_blend_factor", "mbf", 1.0, (0.0, 1.0)),
    real("motion_blend_offset", "mbo", 40.0, (0.0, 1000.0)),
    flag("motion_five_frame_window", Some("mffw")),
    flag("motion_force_zero", Some("force_0")),
    real("motion_fps_weight", "mfw", 1.0, (0.0, 5.0)),
    real("motion_max_val", "mmxv", 10_000.0, (0.0, 10_000.0)),
    flag("motion_moving_average", Some("mma")),
];

fn specs(kind: ExtractorKind) -> &'static [OptionSpec] {
    match kind {
        ExtractorKind::Vif => VIF,
        ExtractorKind::Adm => ADM,
        ExtractorKind::Motion => MOTION,
    }
}

/// The value of every option of an extractor, each in its range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CheckedOptions {
    kind: ExtractorKind,
    /// In the order of the extractor's specs. A flag is 0 or 1, an integer is exact.
    values: Vec<f64>,
}

impl CheckedOptions {
    /// Checks names, types and ranges.
    pub(super) fn new(kind: ExtractorKind, options: &FeatureOptions) -> Result<Self, FeatureError> {
        let specs = specs(kind);
        let is_known = |name: &str| specs.iter().any(|spec| spec.name == name);
        if let Some((unknown, _)) = options.iter().find(|(name, _)| !is_known(name)) {
            let known = specs.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
            let option = unknown.chars().take(64).collect();
            return Err(FeatureError::UnknownOption { extractor: kind.name(), option, known });
        }
        let value = |spec: &OptionSpec| match options.get(spec.name) {
            None => Ok(spec.default()),
            Some(text) => spec.parse(text).ok_or_else(|| FeatureError::BadValue {
                extractor: kind.name(),
                option: spec.name,
                value: text.chars().take(64).collect(),
                expected: spec.expected(),
            }),
        };
        Ok(Self { kind, values: specs.iter().map(value).collect::<Result<_, _>>()? })
    }

    fn real(&self, name: &str) -> f64 {
        let at = specs(self.kind).iter().position(|spec| spec.name == name);
        self.values[at.expect("options are asked for by the names in the table")]
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.real(name) != 0.0
    }

    /// What the options add to the name of a feature: every one that differs from its default.
    pub(super) fn name_suffix(&self) -> String {
        let mut suffix = String::new();
        for (spec, value) in specs(self.kind).iter().zip(&self.values) {
            let Some(alias) = spec.alias.filter(|_| *value != spec.default()) else { continue };
            suffix.push('_');
            suffix.push_str(alias);
            if !matches!(spec.domain, Domain::Flag) {
                suffix.push('_');
                suffix.push_str(&format_g(*value));
            }
        }
        suffix
    }

    pub(super) fn vif(&self) -> VifParams {
        VifParams {
            enhancement_gain_limit: self.real("vif_enhn_gain_limit"),
            skip_scale0: self.flag("vif_skip_scale0"),
        }
    }

    /// `skip_aim` is left at its default: the plan decides whether AIM is computed.
    pub(super) fn adm(&self) -> Result<AdmOptions, FeatureError> {
        let options = AdmOptions {
            enhancement_gain_limit: self.real("adm_enhn_gain_limit"),
            view_distance: self.real("adm_norm_view_dist"),
            display_height: self.real("adm_ref_display_height") as u32,
            csf_mode: self.real("adm_csf_mode") as u32,
            csf_scale: self.real("adm_csf_scale"),
            csf_diagonal_scale: self.real("adm_csf_diag_scale"),
            noise_weight: self.real("adm_noise_weight"),
            dlm_weight: self.real("adm_dlm_weight"),
            min_value: self.real("adm_min_val"),
            skip_scale0: self.flag("adm_skip_scale0"),
            ..AdmOptions::default()
        };
        match AdmParams::new(options.clone()) {
            Ok(_) => Ok(options),
            Err(error) => Err(unsupported_adm(&error)),
        }
    }

    pub(super) fn motion(&self) -> Result<MotionOptions, FeatureError> {
        for name in ["motion_five_frame_window", "motion_moving_average"] {
            if self.flag(name) {
                let what = format!("{name}=true is not supported");
                return Err(FeatureError::Unsupported { extractor: self.kind.name(), what });
            }
        }
        Ok(MotionOptions {
            force_zero: self.flag("motion_force_zero"),
            blend_factor: self.real("motion_blend_factor"),
            blend_offset: self.real("motion_blend_offset"),
            fps_weight: self.real("motion_fps_weight"),
            max_value: self.real("motion_max_val"),
        })
    }
}

fn unsupported_adm(error: &AdmError) -> FeatureError {
    FeatureError::Unsupported { extractor: ExtractorKind::Adm.name(), what: error.to_string() }
}

impl OptionSpec {
    fn default(&self) -> f64 {
        match self.domain {
            Domain::Flag => 0.0,
            Domain::Integer { default, .. } => f64::from(default),
            Domain::Real { default, .. } => default,
        }
    }

    fn parse(&self, text: &str) -> Option<f64> {
        match self.domain {
            Domain::Flag => match text {
                "true" => Some(1.0),
                "false" => Some(0.0),
                _ => None,
            },
            Domain::Integer { min, max, .. } => {
                let value: i32 = text.parse().ok()?;
                (min..=max).contains(&value).then_some(f64::from(value))
            }
            Domain::Real { min, max, .. } => {
                let (value, _) = c_double_prefix(text).filter(|(_, rest)| rest.is_empty())?;
                (min..=max).contains(&value).then_some(value)
            }
        }
    }

    fn expected(&self) -> String {
        match self.domain {
            Domain::Flag => "true or false".to_owned(),
            Domain::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Domain::Real { min, max, .. } => format!("a number from {min} to {max}"),
        }
    }
}

/// How motion2 and motion3 follow from the differences between reference pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionOptions {
    /// Every motion value is zero.
    pub force_zero: bool,
    /// The share of motion that counts in full in motion3; the rest counts up to `blend_offset`.
    pub blend_factor: f64,
    /// See `blend_factor`.
    pub blend_offset: f64,
    /// Multiplies every difference.
    pub fps_weight: f64,
    /// Differences and motion3 are cut to it.
    pub max_value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_by_name() {
        for table in [VIF, ADM, MOTION] {
            assert!(table.windows(2).all(|pair| pair[0].name < pair[1].name));
        }
    }
}
