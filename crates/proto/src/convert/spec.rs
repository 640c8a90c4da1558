//! What is asked: job specifications.

use std::num::NonZeroU32;
use std::time::Duration;

use types::{
    EncodeRequest, FeatureOverride, JobSpec, MediaRef, ModelRef, ModelSpec, PixelFormat, Priority,
    Quality, RawGeometry, Requirements,
};

use super::{bounded, convert, micros, names, optional, parsed, repeated, required};
use crate::controller as pb;
use crate::error::WireError;

/// Bits of a sample that a headerless file may have.
const BIT_DEPTHS: std::ops::RangeInclusive<u32> = 8..=16;

/// The longest side of a headerless video, in samples.
const SIDE_MAX: u32 = 65_536;

impl From<RawGeometry> for pb::RawGeometry {
    fn from(raw: RawGeometry) -> Self {
        Self {
            width: raw.width,
            height: raw.height,
            chroma: raw.format.chroma.as_str().to_owned(),
            bit_depth: raw.format.bit_depth.into(),
        }
    }
}

impl TryFrom<pb::RawGeometry> for RawGeometry {
    type Error = WireError;

    fn try_from(raw: pb::RawGeometry) -> Result<Self, WireError> {
        for (side, field) in [(raw.width, "width"), (raw.height, "height")] {
            if !(1..=SIDE_MAX).contains(&side) {
                return Err(WireError::new(field, format!("{side} is not 1 to {SIDE_MAX}")));
            }
        }
        let bit_depth = u8::try_from(raw.bit_depth)
            .ok()
            .filter(|_| BIT_DEPTHS.contains(&raw.bit_depth))
            .ok_or_else(|| {
                WireError::new("bit_depth", format!("{} is not 8 to 16", raw.bit_depth))
            })?;
        let format = PixelFormat { chroma: parsed(&raw.chroma, "chroma")?, bit_depth };
        Ok(Self { width: raw.width, height: raw.height, format })
    }
}

impl From<MediaRef> for pb::MediaRef {
    fn from(media: MediaRef) -> Self {
        Self { uri: media.uri, raw: media.raw.map(Into::into) }
    }
}

impl TryFrom<pb::MediaRef> for MediaRef {
    type Error = WireError;

    fn try_from(media: pb::MediaRef) -> Result<Self, WireError> {
        Ok(Self { uri: media.uri, raw: optional(media.raw, "raw")? })
    }
}

impl From<FeatureOverride> for pb::FeatureOverride {
    fn from(set: FeatureOverride) -> Self {
        Self { extractor: set.extractor, option: set.option, value: set.value }
    }
}

impl From<ModelSpec> for pb::ModelRef {
    fn from(model: ModelSpec) -> Self {
        let kind = match model.source {
            ModelRef::Version(version) => pb::model_ref::Kind::Version(version),
            ModelRef::Path(path) => pb::model_ref::Kind::Path(path),
        };
        Self {
            kind: Some(kind),
            name: model.name.unwrap_or_default(),
            disable_clip: model.disable_clip,
            enable_transform: model.enable_transform,
            overrides: model.overrides.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::ModelRef> for ModelSpec {
    type Error = WireError;

    fn try_from(model: pb::ModelRef) -> Result<Self, WireError> {
        let source = match model.kind {
            Some(pb::model_ref::Kind::Version(version)) => ModelRef::Version(version),
            Some(pb::model_ref::Kind::Path(path)) => ModelRef::Path(path),
            None => return Err(WireError::new("", "names neither a version nor a path")),
        };
        bounded(model.overrides.len(), "overrides", Self::OVERRIDES_MAX)?;
        let set = |set: pb::FeatureOverride| FeatureOverride {
            extractor: set.extractor,
            option: set.option,
            value: set.value,
        };
        let spec = Self {
            source,
            name: Some(model.name).filter(|name| !name.is_empty()),
            disable_clip: model.disable_clip,
            enable_transform: model.enable_transform,
            overrides: model.overrides.into_iter().map(set).collect(),
        };
        spec.check().map_err(|error| WireError::new("", error.to_string()))?;
        Ok(spec)
    }
}

impl From<Requirements> for pb::Requirements {
    fn from(requirements: Requirements) -> Self {
        Self {
            backend: requirements.backend.unwrap_or_default(),
            codecs: requirements.codecs,
            encoders: requirements.encoders,
        }
    }
}

impl TryFrom<pb::Requirements> for Requirements {
    type Error = WireError;

    /// Sorts the codecs and encoders and drops doubles, so that equal needs compare equal.
    fn try_from(requirements: pb::Requirements) -> Result<Self, WireError> {
        let max = types::Capabilities::NAMES_MAX;
        let sorted = |given, field| {
            let mut list = names(given, field, max)?;
            list.sort_unstable();
            list.dedup();
            Ok(list)
        };
        let codecs = sorted(requirements.codecs, "codecs")?;
        let encoders = sorted(requirements.encoders, "encoders")?;
        let backend = Some(requirements.backend).filter(|backend| !backend.is_empty());
        names(backend.iter().cloned().collect(), "backend", 1)?;
        Ok(Self { backend, codecs, encoders })
    }
}

impl From<EncodeRequest> for pb::EncodeRequest {
    fn from(request: EncodeRequest) -> Self {
        let (width, height) = request.size.unwrap_or_default();
        Self {
            encoder: request.encoder.as_str().to_owned(),
            quality_hundredths: request.quality.0,
            preset: request.preset,
            pixel_format: request.pixel_format.unwrap_or_default(),
            width,
            height,
            options: request.options.into_iter().collect(),
            threads: request.threads.into(),
        }
    }
}

impl TryFrom<pb::EncodeRequest> for EncodeRequest {
    type Error = WireError;

    /// What is left out gets its default; the whole is then [checked](EncodeRequest::check).
    fn try_from(request: pb::EncodeRequest) -> Result<Self, WireError> {
        bounded(request.options.len(), "options", Self::OPTIONS_MAX)?;
        let encoder = parsed(&request.encoder, "encoder")?;
        let defaults = Self::new(encoder, Quality(request.quality_hundredths));
        let threads = match request.threads {
            0 => Self::THREADS_DEFAULT,
            other => u8::try_from(other).unwrap_or(u8::MAX),
        };
        let request = Self {
            preset: Some(request.preset).filter(|p| !p.is_empty()).unwrap_or(defaults.preset),
            pixel_format: Some(request.pixel_format).filter(|format| !format.is_empty()),
            size: match (request.width, request.height) {
                (0, 0) => None,
                size => Some(size),
            },
            options: request.options.into_iter().collect(),
            threads,
            ..defaults
        };
        request.check().map_err(|error| WireError::new("", error.to_string()))?;
        Ok(request)
    }
}

impl From<JobSpec> for pb::JobSpec {
    fn from(spec: JobSpec) -> Self {
        Self {
            reference: Some(spec.reference.into()),
            distorted: spec.distorted.into_iter().map(Into::into).collect(),
            model: Some(spec.model.into()),
            features: spec.features,
            subsample_interval: spec.subsample_interval.get(),
            first_frame_index: spec.first_frame_index,
            frame_count_max: spec.frame_count_max,
            priority: Some(spec.priority.get().into()),
            requirements: Some(spec.requirements.into()),
            labels: spec.labels.into_iter().collect(),
            attempts_max: spec.attempts_max.get(),
            attempt_timeout_us: spec.attempt_timeout.map(micros),
            force_trace: spec.force_trace,
            encode: spec.encode.map(Into::into),
            further_models: spec.further_models.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::JobSpec> for JobSpec {
    type Error = WireError;

    /// What is left out gets its default; the whole is then [checked](JobSpec::check).
    fn try_from(spec: pb::JobSpec) -> Result<Self, WireError> {
        bounded(spec.labels.len(), "labels", Self::LABELS_MAX)?;
        let spec = Self {
            reference: required(spec.reference, "reference")?,
            distorted: repeated(spec.distorted, "distorted", Self::DISTORTED_MAX)?,
            model: optional(spec.model, "model")?.unwrap_or_default(),
            further_models: repeated(spec.further_models, "further_models", Self::MODELS_MAX - 1)?,
            features: names(spec.features, "features", Self::FEATURES_MAX)?,
            subsample_interval: NonZeroU32::new(spec.subsample_interval).unwrap_or(NonZeroU32::MIN),
            first_frame_index: spec.first_frame_index,
            frame_count_max: spec.frame_count_max,
            priority: spec.priority.map(priority).transpose()?.unwrap_or_default(),
            requirements: spec
                .requirements
                .map(|requirements| convert(requirements, "requirements"))
                .transpose()?
                .unwrap_or_default(),
            labels: spec.labels.into_iter().collect(),
            attempts_max: NonZeroU32::new(spec.attempts_max).unwrap_or(Self::ATTEMPTS_DEFAULT),
            attempt_timeout: attempt_timeout(spec.attempt_timeout_us)?,
            force_trace: spec.force_trace,
            encode: optional(spec.encode, "encode")?,
        };
        spec.check().map_err(|error| WireError::new("", error.to_string()))?;
        Ok(spec)
    }
}

fn priority(number: u32) -> Result<Priority, WireError> {
    let narrow = u8::try_from(number).unwrap_or(u8::MAX);
    Priority::new(narrow).map_err(|_| {
        WireError::new("priority", format!("{number} is out of range; use 0 (last) to 9 (first)"))
    })
}

fn attempt_timeout(timeout_us: Option<u64>) -> Result<Option<Duration>, WireError> {
    match timeout_us {
        Some(0) => Err(WireError::new("attempt_timeout_us", "leaves no time; leave it out")),
        other => Ok(other.map(Duration::from_micros)),
    }
}
