//! What is asked: one reference, one or more distorted videos, a model, and how to treat them.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::encode::{EncodeError, EncodeRequest};
use crate::media::MediaRef;
use crate::model::{ModelRef, ModelSpec, ModelSpecError};

/// How urgent a job is: 0 (whenever) to 9 (first), 5 where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The highest number, served first.
    pub const MAX: Self = Self(9);

    /// Takes a priority.
    ///
    /// # Errors
    /// When it is above 9.
    pub fn new(priority: u8) -> Result<Self, SpecError> {
        if priority <= Self::MAX.0 {
            Ok(Self(priority))
        } else {
            Err(SpecError::Priority(priority))
        }
    }

    /// The number, 0 to 9.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Priority {
    type Error = SpecError;

    fn try_from(priority: u8) -> Result<Self, Self::Error> {
        Self::new(priority)
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a node must be able to do to run a part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Requirements {
    /// The compute backend, such as `cpu`; `None` takes any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// Decoders the inputs need, sorted: `y4m`, `raw`, `ffmpeg`, or a codec's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codecs: Vec<String>,
    /// Encoders the job needs, sorted, by `ffmpeg`'s names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoders: Vec<String>,
}

/// One job as submitted. [`check`](Self::check) says whether it is well formed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The undegraded video.
    pub reference: MediaRef,
    /// The videos to score against it, at least one; none where `encode` makes it.
    pub distorted: Vec<MediaRef>,
    /// The model, whose score is the headline.
    #[serde(default)]
    pub model: ModelSpec,
    /// Models to score with in the same pass, under names of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_models: Vec<ModelSpec>,
    /// Feature extractors to compute beside the model's, by libvmaf's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Every how many frames one is scored; 1 is every frame.
    #[serde(default = "one")]
    pub subsample_interval: NonZeroU32,
    /// The first frame that counts, 0-based, in both videos.
    #[serde(default)]
    pub first_frame_index: u64,
    /// How many frames count at most; `None` goes to the end of the shorter video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_count_max: Option<u64>,
    /// Who is served first.
    #[serde(default)]
    pub priority: Priority,
    /// What a node must be able to do.
    #[serde(default)]
    pub requirements: Requirements,
    /// Free labels for people and filters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Attempts that may end in an error before the job is failed.
    #[serde(default = "three")]
    pub attempts_max: NonZeroU32,
    /// How long one attempt may take; `None` leaves it to the node's limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_timeout: Option<Duration>,
    /// Records the job's trace whatever the sampling ratio.
    #[serde(default)]
    pub force_trace: bool,
    /// Encodes the reference's range and scores what comes of it, instead of distorted videos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encode: Option<EncodeRequest>,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

fn three() -> NonZeroU32 {
    JobSpec::ATTEMPTS_DEFAULT
}

impl JobSpec {
    /// Distorted videos a job may hold.
    pub const DISTORTED_MAX: usize = 64;
    /// Models of one job at most, each a column of every frame or more.
    pub const MODELS_MAX: usize = 8;
    /// Bytes of a path or URL.
    pub const URI_BYTES_MAX: usize = 4_096;
    /// Labels a job may hold.
    pub const LABELS_MAX: usize = 32;
    /// Bytes of a label's key, and of its value.
    pub const LABEL_BYTES_MAX: usize = 256;
    /// Extra feature extractors a job may ask for.
    pub const FEATURES_MAX: usize = 32;
    /// Attempts where nothing is said.
    pub const ATTEMPTS_DEFAULT: NonZeroU32 = NonZeroU32::new(3).unwrap();
    /// The most attempts a job may ask for.
    pub const ATTEMPTS_MAX: u32 = 100;

    /// A job of one pair with the default model and everything else as it is by default.
    #[must_use]
    pub fn pair(reference: MediaRef, distorted: MediaRef) -> Self {
        Self {
            reference,
            distorted: vec![distorted],
            model: ModelSpec::default(),
            further_models: Vec::new(),
            features: Vec::new(),
            subsample_interval: one(),
            first_frame_index: 0,
            frame_count_max: None,
            priority: Priority::default(),
            requirements: Requirements::default(),
            labels: BTreeMap::new(),
            attempts_max: three(),
            attempt_timeout: None,
            force_trace: false,
            encode: None,
        }
    }

    /// A job that encodes the reference and scores the result, on a node that has the encoder.
    #[must_use]
    pub fn encode(reference: MediaRef, request: EncodeRequest) -> Self {
        let spec = Self {
            distorted: Vec::new(),
            encode: Some(request),
            ..Self::pair(reference, MediaRef::new(""))
        };
        spec.with_needs()
    }

    /// The same job, which asks for a node with all that the job itself tells it needs. Whoever
    /// takes a job from outside calls this, so that no caller has to say the same thing twice.
    #[must_use]
    pub fn with_needs(mut self) -> Self {
        let encoders = &mut self.requirements.encoders;
        encoders.extend(self.encode.as_ref().map(|encode| encode.encoder.as_str().to_owned()));
        encoders.sort_unstable();
        encoders.dedup();
        self
    }

    /// Every model, the headline's first.
    pub fn models(&self) -> impl Iterator<Item = &ModelSpec> {
        std::iter::once(&self.model).chain(&self.further_models)
    }

    /// How many results it has: one for each distorted video, or that of its encode.
    #[must_use]
    pub fn result_count(&self) -> usize {
        if self.encode.is_some() { 1 } else { self.distorted.len() }
    }

    /// Checks every bound that a job must keep before it is stored.
    ///
    /// # Errors
    /// The first bound that is broken.
    pub fn check(&self) -> Result<(), SpecError> {
        match &self.encode {
            None if self.distorted.is_empty() || self.distorted.len() > Self::DISTORTED_MAX => {
                return Err(SpecError::DistortedCount(self.distorted.len()));
            }
            Some(_) if !self.distorted.is_empty() => return Err(SpecError::EncodeAndDistorted),
            Some(encode) => encode.check()?,
            None => {}
        }
        check_uri("reference", &self.reference.uri)?;
        for distorted in &self.distorted {
            check_uri("distorted", &distorted.uri)?;
        }
        if self.further_models.len() >= Self::MODELS_MAX {
            return Err(SpecError::ModelCount(self.further_models.len() + 1));
        }
        for model in self.models() {
            match &model.source {
                ModelRef::Version(text) => check_uri("model version", text)?,
                ModelRef::Path(text) => check_uri("model path", text)?,
            }
            model.check()?;
        }
        if self.labels.len() > Self::LABELS_MAX {
            return Err(SpecError::LabelCount(self.labels.len()));
        }
        for (key, value) in &self.labels {
            if key.is_empty() || key.len().max(value.len()) > Self::LABEL_BYTES_MAX {
                return Err(SpecError::Label(key.chars().take(64).collect()));
            }
        }
        if self.features.len() > Self::FEATURES_MAX {
            return Err(SpecError::FeatureCount(self.features.len()));
        }
        if self.attempts_max.get() > Self::ATTEMPTS_MAX {
            return Err(SpecError::Attempts(self.attempts_max.get()));
        }
        if self.frame_count_max == Some(0) {
            return Err(SpecError::NoFrames);
        }
        Ok(())
    }
}

fn check_uri(what: &'static str, uri: &str) -> Result<(), SpecError> {
    if uri.is_empty() {
        return Err(SpecError::Empty(what));
    }
    if uri.len() > JobSpec::URI_BYTES_MAX {
        return Err(SpecError::UriBytes { what, bytes: uri.len() });
    }
    if uri.contains('\0') {
        return Err(SpecError::Nul(what));
    }
    Ok(())
}

/// Which bound of a job is broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// A name that must be given is missing.
    #[error("no {0} is given")]
    Empty(&'static str),
    /// A path or URL is too long.
    #[error("the {what} has {bytes} bytes; at most {max} are taken", max = JobSpec::URI_BYTES_MAX)]
    UriBytes {
        /// Which of the names.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A path holds a NUL character.
    #[error("the {0} holds a NUL character")]
    Nul(&'static str),
    /// No distorted video, or too many.
    #[error("{0} distorted videos are given; a job takes 1 to {max}", max = JobSpec::DISTORTED_MAX)]
    DistortedCount(usize),
    /// Too many labels.
    #[error("{0} labels are given; a job takes at most {max}", max = JobSpec::LABELS_MAX)]
    LabelCount(usize),
    /// A label without a key, or one that is too long.
    #[error("label {0:?} has no key, or key or value is over {max} bytes", max = JobSpec::LABEL_BYTES_MAX)]
    Label(String),
    /// Too many features.
    #[error("{0} features are given; a job takes at most {max}", max = JobSpec::FEATURES_MAX)]
    FeatureCount(usize),
    /// A priority above the highest.
    #[error("priority {0} is out of range; use 0 (last) to 9 (first)")]
    Priority(u8),
    /// More attempts than a job may ask for.
    #[error("{0} attempts are asked for; at most {max} are granted", max = JobSpec::ATTEMPTS_MAX)]
    Attempts(u32),
    /// A frame range without a frame.
    #[error("the frame range holds no frame; ask for at least one or leave the limit out")]
    NoFrames,
    /// Both what is to be scored and what is to be encoded.
    #[error("a job that encodes makes its own distorted video; leave one of the two out")]
    EncodeAndDistorted,
    /// An encode that cannot be asked for.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Too many models.
    #[error("{0} models are given; a job takes at most {max}", max = JobSpec::MODELS_MAX)]
    ModelCount(usize),
    /// A model that cannot be meant.
    #[error(transparent)]
    Model(#[from] ModelSpecError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> JobSpec {
        JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"))
    }

    #[test]
    fn a_plain_pair_is_well_formed() {
        assert_eq!(pair().check(), Ok(()));
    }

    #[test]
    fn each_broken_bound_is_named() {
        let broken = |change: fn(&mut JobSpec)| {
            let mut spec = pair();
            change(&mut spec);
            spec.check().expect_err("a bound is broken")
        };
        assert_eq!(broken(|s| s.distorted.clear()), SpecError::DistortedCount(0));
        assert_eq!(broken(|s| s.reference.uri.clear()), SpecError::Empty("reference"));
        assert_eq!(broken(|s| s.distorted[0].uri = "a\0b".into()), SpecError::Nul("distorted"));
        assert_eq!(broken(|s| s.frame_count_max = Some(0)), SpecError::NoFrames);
        assert_eq!(
            broken(|s| s.reference.uri = "x".repeat(5_000)),
            SpecError::UriBytes { what: "reference", bytes: 5_000 }
        );
        assert!(Priority::new(10).is_err());
        let encode = EncodeRequest::new(crate::Encoder::X264, crate::Quality(2_300));
        let mut both = JobSpec::encode(MediaRef::new("/a"), encode.clone());
        assert_eq!((both.check(), both.result_count()), (Ok(()), 1));
        both.distorted.push(MediaRef::new("/b"));
        assert_eq!(both.check(), Err(SpecError::EncodeAndDistorted));
        let bad = EncodeRequest { threads: 0, ..encode };
        let bad = JobSpec::encode(MediaRef::new("/a"), bad).check();
        assert_eq!(bad, Err(SpecError::Encode(EncodeError::Threads(0))));
        let models = |count| vec![ModelSpec::version("a"); count];
        let mut many = pair();
        many.further_models = models(JobSpec::MODELS_MAX - 1);
        assert_eq!((many.check(), many.models().count()), (Ok(()), JobSpec::MODELS_MAX));
        many.further_models = models(JobSpec::MODELS_MAX);
        assert_eq!(many.check(), Err(SpecError::ModelCount(JobSpec::MODELS_MAX + 1)));
        let nameless = broken(|s| s.model.name = Some(String::new()));
        let text = ModelSpecError::Text { what: "model's name", bytes: 0 };
        assert_eq!(nameless, SpecError::Model(text));
    }

    #[test]
    fn a_job_that_encodes_needs_a_node_with_the_encoder_and_says_so_once() {
        let encode = EncodeRequest::new(crate::Encoder::SvtAv1, crate::Quality(3_000));
        let spec = JobSpec::encode(MediaRef::new("/a"), encode);
        assert_eq!(spec.requirements.encoders, ["libsvtav1"]);
        assert_eq!(spec.clone().with_needs(), spec);
        let text = serde_json::to_string(&spec).expect("plain data");
        assert_eq!(serde_json::from_str::<JobSpec>(&text).expect("ours"), spec);
    }

    #[test]
    fn a_stored_job_is_read_back_the_same_and_an_old_one_gets_the_defaults() {
        let spec = pair();
        let text = serde_json::to_string(&spec).expect("plain data");
        assert_eq!(serde_json::from_str::<JobSpec>(&text).expect("ours"), spec);
        let old = r#"{"reference":{"uri":"/a"},"distorted":[{"uri":"/b"}]}"#;
        assert_eq!(serde_json::from_str::<JobSpec>(old).expect("minimal"), spec);
    }
}
