//! One checked instance of an extractor, and the names of what it computes.

use std::collections::BTreeSet;

use super::kind::Settings;
use super::options::CheckedOptions;
use super::outputs::{Output, OutputSpec, When};
use super::psnr::{self, PsnrOptions};
use super::{ExtractorKind, FeatureError, FeatureOptions, cambi};
use crate::heat_map::HeatMaps;
use crate::picture::PictureSpec;

/// The one flag that takes outputs away instead of adding some, where it is true.
const SKIP_AIM: &str = "adm_skip_aim";

/// One instance of an extractor with checked options.
#[derive(Debug, Clone, PartialEq)]
pub struct Extractor {
    kind: ExtractorKind,
    settings: Settings,
    /// What the options add to the name of each feature.
    suffix: String,
    /// Flags that are set and bear on which outputs there are, on no value.
    flags: BTreeSet<&'static str>,
    /// Where its heat maps go.
    folder: Option<String>,
}

impl Extractor {
    /// The extractor of that name with these options.
    ///
    /// # Errors
    /// [`FeatureError`] names the extractor, option or value that is unknown, out of range or not
    /// built.
    pub fn new(name: &str, options: &FeatureOptions) -> Result<Self, FeatureError> {
        let kind = ExtractorKind::by_name(name)?;
        let folder = options.get(cambi::HEAT_MAPS).map(str::to_owned);
        let options = CheckedOptions::new(kind, options)?;
        let settings = kind.settings(&options)?;
        let (suffix, flags) = (options.name_suffix(), options.silent_flags().collect());
        Ok(Self { kind, settings, suffix, flags, folder })
    }

    /// What kind of extractor it is.
    #[must_use]
    pub const fn kind(&self) -> ExtractorKind {
        self.kind
    }

    /// Kind and options that bear on names, such as `adm_egl_1`.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{}{}", self.kind.name(), self.suffix)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the caller asked for AIM not to be computed.
    pub(super) fn skips_aim(&self) -> bool {
        self.flags.contains(SKIP_AIM)
    }

    /// The options of a PSNR that is asked for of the whole clip too.
    pub(super) fn clip_psnr(&self) -> Option<&PsnrOptions> {
        match &self.settings {
            Settings::Psnr(options) if self.flags.contains(psnr::APSNR) => Some(options),
            _ => None,
        }
    }

    /// The folder that heat maps were asked to be written to.
    pub(super) fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    /// The files in it, for pictures of this kind.
    pub(super) fn heat_maps(&self, spec: &PictureSpec) -> Option<HeatMaps> {
        match (&self.settings, &self.folder) {
            (Settings::Cambi(options), Some(folder)) => {
                cambi::heat_maps(options, spec, folder).ok()
            }
            _ => None,
        }
    }

    /// Whether `other` computes the same values under the same names.
    pub(super) fn computes_the_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.suffix == other.suffix && self.settings == other.settings
    }

    /// Makes this instance give whatever `other`, which computes the same, gives too.
    pub(super) fn absorb(&mut self, other: &Self) {
        let both_skip = self.skips_aim() && other.skips_aim();
        self.flags.extend(&other.flags);
        self.folder = self.folder.take().or_else(|| other.folder.clone());
        if !both_skip {
            self.flags.remove(SKIP_AIM);
        }
    }

    /// Every output with its key in logs, in libvmaf's order.
    pub(super) fn outputs(&self) -> impl Iterator<Item = (Output, &'static OutputSpec, String)> {
        let places = self.kind.outputs().iter().enumerate();
        places
            .filter(|(_, spec)| match spec.when {
                When::Always | When::Asked => true,
                When::Flag(name) => self.flags.contains(name),
                When::Flags(one, other) => [one, other].iter().all(|n| self.flags.contains(*n)),
            })
            .map(|(place, spec)| {
                let suffix = if spec.without_options { "" } else { self.suffix.as_str() };
                (Output(place), spec, format!("{}{suffix}", spec.key()))
            })
    }

    /// The instance and output that a model's feature means.
    pub(super) fn of_feature(
        name: &str,
        options: &FeatureOptions,
    ) -> Result<(Self, Output), FeatureError> {
        let (kind, output) = find_feature(name)
            .ok_or_else(|| FeatureError::UnknownFeature { name: name.to_owned() })?;
        Ok((Self::new(kind.name(), options)?, output))
    }
}

/// A feature that a model may read: an output that needs no flag.
fn find_feature(name: &str) -> Option<(ExtractorKind, Output)> {
    ExtractorKind::ALL.into_iter().find_map(|kind| {
        let place = kind.outputs().iter().position(|output| output.name == name)?;
        let when = kind.outputs()[place].when;
        matches!(when, When::Always | When::Asked).then_some((kind, Output(place)))
    })
}

/// The extractor that computes a feature, by libvmaf's internal name of the feature; `None` when
/// none that is built does.
pub(crate) fn extractor_of_feature(name: &str) -> Option<&'static str> {
    find_feature(name).map(|(kind, _)| kind.name())
}
