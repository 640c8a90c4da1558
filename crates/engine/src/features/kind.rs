//! The extractors that are built: one line each in every match here, and a module each beside it.

use kernels::Isa;
use kernels::adm::{AdmOptions, AdmParams, AdmScratch};
use kernels::arena::Arena;
use kernels::cambi::{CambiError, CambiOptions, CambiParams};
use kernels::ciede::{ChromaLayout, CiedeScratch};
use kernels::psnr_hvs::PsnrHvsScratch;
use kernels::ssim::SsimScratch;
use kernels::vif::{VifParams, VifScratch};

use super::float_ms_ssim::FloatMsSsim;
use super::float_ssim::FloatSsim;
use super::options::{CheckedOptions, OptionSpec};
use super::outputs::OutputSpec;
use super::psnr::{PsnrOptions, PsnrRun};
use super::speed::chroma::{self as speed_chroma, ChromaSettings};
use super::speed::temporal::{self as speed_temporal, TemporalSettings};
use super::{
    FeatureError, MotionOptions, adm, cambi, ciede, float_ms_ssim, float_ssim, motion, psnr,
    psnr_hvs, speed, unbuilt, vif,
};
use crate::analyze::FrameInput;
use crate::clip_error::SquaredErrors;
use crate::heat_map::HeatMapSink;
use crate::picture::{PictureSpec, PlanesWanted};

/// The extractors that are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtractorKind {
    /// Visual information fidelity at four scales.
    Vif,
    /// Additive detail measure at four scales, with the additive impairment measure.
    Adm,
    /// Difference of each reference picture from one before.
    Motion,
    /// Banding.
    Cambi,
    /// Peak signal-to-noise ratio of each plane.
    Psnr,
    /// The same of what the eye sees of each plane.
    PsnrHvs,
    /// Colour difference.
    Ciede,
    /// Entropy of coarse detail in both chroma planes.
    SpeedChroma,
    /// Entropy of coarse detail in what has changed since the frame before.
    SpeedTemporal,
    /// Structural similarity at one scale.
    FloatSsim,
    /// Structural similarity over five scales.
    FloatMsSsim,
}

/// The checked options of an instance, as its kernel takes them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Settings {
    Vif(VifParams),
    /// `skip_aim` is as in the defaults: the plan decides.
    Adm(AdmOptions),
    Motion(MotionOptions),
    Cambi(CambiOptions),
    Psnr(PsnrOptions),
    PsnrHvs,
    Ciede,
    SpeedChroma(Box<ChromaSettings>),
    SpeedTemporal(Box<TemporalSettings>),
    FloatSsim(FloatSsim),
    FloatMsSsim(FloatMsSsim),
}

/// Which pictures beside the two of a frame its extractors look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Reference pictures before the frame's own: 0 to [`PICTURES_BEFORE_MAX`].
    ///
    /// [`PICTURES_BEFORE_MAX`]: crate::PICTURES_BEFORE_MAX
    pub references_before: u64,
    /// Distorted pictures before the frame's own: 0 to the same bound.
    pub distorted_before: u64,
    /// The planes of every picture.
    pub planes: PlanesWanted,
}

/// An instance that is ready to run on frames; motion is the analyzer's own.
#[derive(Debug)]
pub(crate) enum Prepared {
    Vif(VifParams),
    Adm(Box<AdmParams>),
    Motion,
    /// Or why the pictures are not taken.
    Cambi(Result<Box<CambiParams>, CambiError>),
    Psnr(PsnrRun),
    PsnrHvs,
    /// Or nothing, where the pictures are not taken.
    Ciede(Option<ChromaLayout>),
    SpeedChroma(Box<ChromaSettings>),
    SpeedTemporal(Box<TemporalSettings>),
    FloatSsim(FloatSsim),
    FloatMsSsim(FloatMsSsim),
}

/// Why an extractor does not take the pictures of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

/// The working memory of all spatial extractors, one instance after the other.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    vif: VifScratch,
    adm: AdmScratch,
    cambi: cambi::Scratch,
    psnr_hvs: PsnrHvsScratch,
    ciede: CiedeScratch,
    speed: speed::Scratch,
    ssim: SsimScratch,
    /// What ADM and CAMBI need most of, one after the other.
    arena: Arena,
    /// The squared errors of each distorted picture of the frame that PSNR ran on last.
    pub(crate) errors: Vec<SquaredErrors>,
}

impl ExtractorKind {
    /// Every extractor.
    pub const ALL: [Self; 11] = [
        Self::Vif,
        Self::Adm,
        Self::Motion,
        Self::Cambi,
        Self::SpeedChroma,
        Self::SpeedTemporal,
        Self::Psnr,
        Self::PsnrHvs,
        Self::Ciede,
        Self::FloatSsim,
        Self::FloatMsSsim,
    ];

    /// The name by which it is asked for and timed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vif => "vif",
            Self::Adm => "adm",
            Self::Motion => "motion",
            Self::Cambi => "cambi",
            Self::Psnr => "psnr",
            Self::PsnrHvs => "psnr_hvs",
            Self::Ciede => "ciede",
            Self::SpeedChroma => "speed_chroma",
            Self::SpeedTemporal => "speed_temporal",
            Self::FloatSsim => "float_ssim",
            Self::FloatMsSsim => "float_ms_ssim",
        }
    }

    pub(super) const fn options(self) -> &'static [OptionSpec] {
        match self {
            Self::Vif => vif::OPTIONS,
            Self::Adm => adm::OPTIONS,
            Self::Motion => motion::OPTIONS,
            Self::Cambi => cambi::OPTIONS,
            Self::Psnr => psnr::OPTIONS,
            Self::PsnrHvs => psnr_hvs::OPTIONS,
            Self::Ciede => ciede::OPTIONS,
            Self::SpeedChroma => speed_chroma::OPTIONS,
            Self::SpeedTemporal => speed_temporal::OPTIONS,
            Self::FloatSsim => float_ssim::OPTIONS,
            Self::FloatMsSsim => float_ms_ssim::OPTIONS,
        }
    }

    /// In the order in which libvmaf writes them.
    pub(super) const fn outputs(self) -> &'static [OutputSpec] {
        match self {
            Self::Vif => vif::OUTPUTS,
            Self::Adm => adm::OUTPUTS,
            Self::Motion => motion::OUTPUTS,
            Self::Cambi => cambi::OUTPUTS,
            Self::Psnr => psnr::OUTPUTS,
            Self::PsnrHvs => psnr_hvs::OUTPUTS,
            Self::Ciede => ciede::OUTPUTS,
            Self::SpeedChroma => speed_chroma::OUTPUTS,
            Self::SpeedTemporal => speed_temporal::OUTPUTS,
            Self::FloatSsim => float_ssim::OUTPUTS,
            Self::FloatMsSsim => float_ms_ssim::OUTPUTS,
        }
    }

    pub(super) fn settings(self, options: &CheckedOptions) -> Result<Settings, FeatureError> {
        Ok(match self {
            Self::Vif => Settings::Vif(vif::settings(options)),
            Self::Adm => Settings::Adm(adm::settings(options)?),
            Self::Motion => Settings::Motion(motion::settings(options)),
            Self::Cambi => Settings::Cambi(cambi::settings(options)),
            Self::Psnr => Settings::Psnr(psnr::settings(options)),
            Self::PsnrHvs => Settings::PsnrHvs,
            Self::Ciede => Settings::Ciede,
            Self::SpeedChroma => Settings::SpeedChroma(Box::new(speed_chroma::settings(options)?)),
            Self::SpeedTemporal => {
                Settings::SpeedTemporal(Box::new(speed_temporal::settings(options)?))
            }
            Self::FloatSsim => Settings::FloatSsim(float_ssim::settings(options)),
            Self::FloatMsSsim => Settings::FloatMsSsim(float_ms_ssim::settings(options)),
        })
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub(super) fn by_name(name: &str) -> Result<Self, FeatureError> {
        let unknown = || match unbuilt::extractor(name) {
            Some((name, instead)) => FeatureError::NotBuilt { name, instead },
            None => FeatureError::UnknownExtractor { name: name.chars().take(64).collect() },
        };
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)
    }
}

impl Settings {
    pub(super) fn needs(&self) -> Needs {
        let none = Needs::NONE;
        match self {
            Self::Motion(options) if options.force_zero => none,
            Self::Motion(options) => {
                Needs { references_before: options.frames_apart() as u64, ..none }
            }
            Self::SpeedTemporal(_) => Needs { references_before: 1, distorted_before: 1, ..none },
            Self::Psnr(options) if !options.chroma => none,
            Self::SpeedChroma(_) | Self::Psnr(_) | Self::PsnrHvs | Self::Ciede => {
                Needs { planes: PlanesWanted::All, ..none }
            }
            Self::Vif(_) | Self::Adm(_) | Self::Cambi(_) => none,
            Self::FloatSsim(_) | Self::FloatMsSsim(_) => none,
        }
    }

    /// Whether pictures of this kind can be measured: large enough, and with the planes it takes.
    pub(super) fn check(&self, spec: &PictureSpec) -> Result<(), FeatureError> {
        match self {
            Self::Cambi(options) => cambi::check(options, spec),
            Self::Psnr(options) => psnr::check(options, spec),
            Self::PsnrHvs => psnr_hvs::check(spec),
            Self::Ciede => ciede::check(spec),
            Self::SpeedChroma(settings) => speed_chroma::check(settings, spec),
            Self::SpeedTemporal(settings) => speed_temporal::check(settings, spec),
            Self::FloatSsim(settings) => settings.check(spec),
            Self::FloatMsSsim(settings) => settings.check(spec),
            Self::Vif(_) | Self::Adm(_) | Self::Motion(_) => Ok(()),
        }
    }

    /// `computes_asked`: outputs that cost time of their own are computed.
    pub(crate) fn prepare(&self, computes_asked: bool, spec: &PictureSpec) -> Prepared {
        match self {
            Self::Vif(params) => Prepared::Vif(*params),
            Self::Adm(options) => Prepared::Adm(Box::new(adm::prepare(options, computes_asked))),
            Self::Motion(_) => Prepared::Motion,
            Self::Cambi(options) => Prepared::Cambi(cambi::prepare(options, spec).map(Box::new)),
            Self::Psnr(options) => Prepared::Psnr(PsnrRun::new(options, spec)),
            Self::PsnrHvs => Prepared::PsnrHvs,
            Self::Ciede => Prepared::Ciede(ciede::layout(spec)),
            Self::SpeedChroma(settings) => Prepared::SpeedChroma(settings.clone()),
            Self::SpeedTemporal(settings) => Prepared::SpeedTemporal(settings.clone()),
            Self::FloatSsim(settings) => Prepared::FloatSsim(*settings),
            Self::FloatMsSsim(settings) => Prepared::FloatMsSsim(*settings),
        }
    }
}

impl Needs {
    pub(super) const NONE: Self =
        Self { references_before: 0, distorted_before: 0, planes: PlanesWanted::Luma };

    /// Whether any extractor but motion, which looks at references alone, looks at pictures before
    /// the frame's own.
    #[must_use]
    pub const fn spatial_looks_back(&self) -> bool {
        self.distorted_before > 0
    }

    /// What serves both.
    pub(super) fn and(self, other: Self) -> Self {
        let all = [self, other].iter().any(|needs| needs.planes == PlanesWanted::All);
        Self {
            references_before: self.references_before.max(other.references_before),
            distorted_before: self.distorted_before.max(other.distorted_before),
            planes: if all { PlanesWanted::All } else { PlanesWanted::Luma },
        }
    }
}

impl Prepared {
    /// Appends, for each distorted picture, the value of every output in the order of the
    /// extractor's table. `maps` is shown the heat maps, of an extractor that has some.
    ///
    /// # Errors
    /// When the extractor does not take the pictures.
    pub(crate) fn run(
        &self,
        isa: Isa,
        frame: &FrameInput<'_>,
        scratch: &mut Scratch,
        maps: Option<&dyn HeatMapSink>,
        values: &mut [Vec<f64>],
    ) -> Result<(), Refusal> {
        match self {
            Self::Vif(params) => vif::run(params, isa, frame, &mut scratch.vif, values),
            Self::Adm(params) => {
                scratch.adm.swap_arena(&mut scratch.arena);
                adm::run(params, isa, frame, &mut scratch.adm, values);
                scratch.adm.swap_arena(&mut scratch.arena);
            }
            Self::Motion => {}
            Self::Cambi(params) => {
                let params = params.as_ref().map_err(refusal)?;
                scratch.cambi.swap_arena(&mut scratch.arena);
                let run = cambi::run(params, isa, frame, &mut scratch.cambi, maps, values);
                scratch.cambi.swap_arena(&mut scratch.arena);
                run?;
            }
            Self::SpeedChroma(settings) => {
                let run = speed_chroma::run(settings, isa, frame, &mut scratch.speed, values);
                run.map_err(refusal)?;
            }
            Self::SpeedTemporal(settings) => {
                let run = speed_temporal::run(settings, isa, frame, &mut scratch.speed, values);
                run.map_err(refusal)?;
            }
            Self::Psnr(params) => psnr::run(params, isa, frame, &mut scratch.errors, values)?,
            Self::PsnrHvs => psnr_hvs::run(isa, frame, &mut scratch.psnr_hvs, values)?,
            Self::Ciede(layout) => {
                ciede::run(*layout, isa, frame, &mut scratch.ciede, values)?;
            }
            Self::FloatSsim(settings) => {
                let run = float_ssim::run(settings, isa, frame, &mut scratch.ssim, values);
                run.map_err(refusal)?;
            }
            Self::FloatMsSsim(settings) => {
                let run = float_ms_ssim::run(settings, isa, frame, &mut scratch.ssim, values);
                run.map_err(refusal)?;
            }
        }
        Ok(())
    }
}

fn refusal(error: impl std::fmt::Display) -> Refusal {
    Refusal(error.to_string())
}
