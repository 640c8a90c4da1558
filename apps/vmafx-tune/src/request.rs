//! What can be asked for.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use search::Target;
use serde::{Deserialize, Serialize};
use types::{EncodeRequest, Encoder, ModelSpec, Quality, QualityScale};

/// Probes that may run at once on one machine: encoders bring threads of their own.
pub const PARALLEL_DEFAULT: NonZeroUsize = NonZeroUsize::MIN;
/// The most that may be asked for.
pub const PARALLEL_MAX: usize = 256;
/// Sources that one corpus may hold.
pub const SOURCES_MAX: usize = 10_000;
/// Resolutions, encoders or targets of one request.
pub const LIST_MAX: usize = 32;
/// Qualities that a sweep may try on one source with one encoder.
pub const SWEEP_MAX: usize = 512;

/// How to encode: everything but the quality, which is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncodeSettings {
    /// With which encoder.
    pub encoder: Encoder,
    /// How hard it tries; `None` takes the encoder's usual.
    #[serde(default)]
    pub preset: Option<String>,
    /// The pixel format to encode; `None` keeps the reference's, or takes the only one that the
    /// encoder takes.
    #[serde(default)]
    pub pixel_format: Option<String>,
    /// Further options by `ffmpeg`'s names.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Threads of one encoder.
    #[serde(default)]
    pub threads: Option<u8>,
    /// Width and height to scale to; `None` keeps the reference's.
    #[serde(default)]
    pub size: Option<(u32, u32)>,
    /// The smallest and the largest number to try; `None` tries the whole scale.
    #[serde(default)]
    pub range: Option<(i32, i32)>,
}

impl EncodeSettings {
    /// An encoder as it comes.
    #[must_use]
    pub fn new(encoder: Encoder) -> Self {
        Self {
            encoder,
            preset: None,
            pixel_format: None,
            options: BTreeMap::new(),
            threads: None,
            size: None,
            range: None,
        }
    }

    /// The encode at one quality.
    #[must_use]
    pub fn at(&self, quality: Quality) -> EncodeRequest {
        let usual = EncodeRequest::new(self.encoder, quality);
        EncodeRequest {
            preset: self.preset.clone().unwrap_or(usual.preset),
            pixel_format: self.pixel_format.clone().or(usual.pixel_format),
            size: self.size,
            options: self.options.clone(),
            threads: self.threads.unwrap_or(usual.threads),
            ..EncodeRequest::new(self.encoder, quality)
        }
    }

    /// The preset, spelled out.
    #[must_use]
    pub fn preset(&self) -> &str {
        self.preset.as_deref().unwrap_or(self.encoder.preset_default())
    }

    /// The part of the encoder's scale that may be tried, with so many steps a unit.
    #[must_use]
    pub fn scale(&self, steps_per_unit: u8) -> QualityScale {
        let scale = QualityScale { steps_per_unit, ..self.encoder.scale() };
        match self.range {
            None => scale,
            Some((from, to)) => {
                let first = from.clamp(scale.first, scale.last);
                QualityScale { first, last: to.clamp(first, scale.last), ..scale }
            }
        }
    }
}

/// How to score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreSettings {
    /// The model.
    #[serde(default)]
    pub model: ModelSpec,
    /// Every how many frames one is scored.
    #[serde(default = "one")]
    pub subsample_interval: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Default for ScoreSettings {
    fn default() -> Self {
        Self { model: ModelSpec::default(), subsample_interval: one() }
    }
}

/// Which part of a source a probe looks at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Seconds of one sample.
    pub seconds: f64,
    /// Samples to begin with, one from each class of complexity.
    pub count: usize,
    /// Samples at most, where they disagree.
    pub count_max: usize,
    /// Sources up to this many seconds are probed whole, and those whose samples would be most of
    /// them.
    pub whole_below_seconds: f64,
}

impl Sampling {
    /// Probes everything.
    pub const WHOLE: Self =
        Self { seconds: 0.0, count: 0, count_max: 0, whole_below_seconds: f64::INFINITY };
    /// The most samples.
    pub const COUNT_MAX: usize = 64;
}

impl Default for Sampling {
    /// Four samples of six seconds, up to sixteen; short clips whole.
    fn default() -> Self {
        Self { seconds: 6.0, count: 4, count_max: 16, whole_below_seconds: 45.0 }
    }
}

/// What becomes of streams of the source that are not its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// They are taken over as they are. A container that does not take them is an error.
    Copy,
    /// They are taken over where the container takes them, and left out with a word where it does not.
    Auto,
    /// They are left out.
    None,
}

/// What a finished file has besides its pictures. Nothing of it is encoded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Besides {
    /// Its sound.
    pub audio: Keep,
    /// Its subtitles.
    pub subtitles: Keep,
}

impl Besides {
    /// Pictures alone.
    pub const NOTHING: Self = Self { audio: Keep::None, subtitles: Keep::None };
}

impl Default for Besides {
    /// A film without its sound is no film; subtitles are of many kinds, and most containers take few.
    fn default() -> Self {
        Self { audio: Keep::Copy, subtitles: Keep::Auto }
    }
}

/// What becomes of the sound of a ladder's source. Each track becomes a file of its own, as players of
/// HLS and DASH take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderAudio {
    /// AAC is taken over as it is, all else is encoded as AAC.
    #[default]
    Auto,
    /// It is taken over as it is. What mp4 does not take is an error.
    Copy,
    /// It is encoded as AAC.
    Aac,
    /// It is left out.
    None,
}

/// Kilobits a second at which a ladder's sound is encoded unless told otherwise.
pub const AUDIO_KILOBITS_DEFAULT: NonZeroU32 = NonZeroU32::new(128).unwrap();
/// The least and the most that may be asked for: what AAC can do for two channels.
pub const AUDIO_KILOBITS: std::ops::RangeInclusive<u32> = 16..=512;

const fn audio_kilobits() -> NonZeroU32 {
    AUDIO_KILOBITS_DEFAULT
}

/// What is common to all searches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchSettings {
    /// What is to be reached.
    pub target: Target,
    /// How to score.
    #[serde(default)]
    pub score: ScoreSettings,
    /// What probes look at.
    #[serde(default)]
    pub sampling: Sampling,
    /// Qualities to try at most.
    #[serde(default = "probes_max")]
    pub probes_max: usize,
}

fn probes_max() -> usize {
    search::PROBES_MAX_DEFAULT
}

impl SearchSettings {
    /// A target with everything else as usual.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            score: ScoreSettings::default(),
            sampling: Sampling::default(),
            probes_max: probes_max(),
        }
    }
}

/// One source, one encoder, one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrfRequest {
    /// The reference.
    pub source: String,
    /// How to encode.
    pub encode: EncodeSettings,
    /// What to reach.
    pub search: SearchSettings,
    /// Where the finished file goes; `None` only searches.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// What the file has besides its pictures.
    #[serde(default)]
    pub besides: Besides,
}

/// One source at several sizes and targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LadderRequest {
    /// The reference.
    pub source: String,
    /// How to encode; its size is not looked at.
    pub encode: EncodeSettings,
    /// How to search; of its target only the tolerance is looked at.
    pub search: SearchSettings,
    /// Heights of the renditions; the widths follow. Heights above the source's are left out.
    pub heights: Vec<u32>,
    /// Mean scores to search for at each size.
    pub targets: Vec<f64>,
    /// Rungs closer than this factor in bits a second are thinned.
    pub ratio_min: f64,
    /// The folder to make the rungs in, and the sound beside them; `None` only searches.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// What becomes of the sound.
    #[serde(default)]
    pub audio: LadderAudio,
    /// Kilobits a second of a track that is encoded.
    #[serde(default = "audio_kilobits")]
    pub audio_kilobits: NonZeroU32,
}

/// Several encoders at equal quality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompareRequest {
    /// The reference.
    pub source: String,
    /// The encoders; the first is what the others are compared with.
    pub encodes: Vec<EncodeSettings>,
    /// How to search; of its target only the tolerance is looked at.
    pub search: SearchSettings,
    /// Mean scores to meet.
    pub targets: Vec<f64>,
}

/// One source, each shot by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShotsRequest {
    /// The reference.
    pub source: String,
    /// How to encode.
    pub encode: EncodeSettings,
    /// What each shot is to reach. Shots are probed whole.
    pub search: SearchSettings,
    /// Where the assembled file goes; `None` only searches.
    #[serde(default)]
    pub output: Option<PathBuf>,
    /// What the file has besides its pictures.
    #[serde(default)]
    pub besides: Besides,
}

/// Many sources, many settings, all measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorpusRequest {
    /// The references.
    pub sources: Vec<String>,
    /// The encoders.
    pub encodes: Vec<EncodeSettings>,
    /// The numbers to try on each; those off an encoder's scale are left out.
    pub qualities: Vec<Quality>,
    /// How to score.
    #[serde(default)]
    pub score: ScoreSettings,
    /// What probes look at.
    #[serde(default)]
    pub sampling: Sampling,
    /// The JSONL file to add to. What it holds already is not measured again.
    pub output: PathBuf,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum TuneRequest {
    /// The smallest file that reaches the target.
    Crf(CrfRequest),
    /// A ladder of renditions.
    Ladder(LadderRequest),
    /// Encoders at equal quality.
    Compare(CompareRequest),
    /// Each shot by itself, and the film of them.
    Shots(ShotsRequest),
    /// A sweep.
    Corpus(CorpusRequest),
}

impl TuneRequest {
    /// The command's word.
    #[must_use]
    pub const fn command(&self) -> &'static str {
        match self {
            Self::Crf(_) => "crf",
            Self::Ladder(_) => "ladder",
            Self::Compare(_) => "compare",
            Self::Shots(_) => "shots",
            Self::Corpus(_) => "corpus",
        }
    }
}
