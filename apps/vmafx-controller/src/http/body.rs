//! The JSON that callers send, checked while it is read: a field that is not known is refused,
//! never ignored.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use service::http::FieldError;
use service::http::shapes::{MediaBody, ModelBody, further_models, model, spec_error};
use types::{EncodeRequest, JobSpec, MediaRef, Priority, Quality, Requirements, State};

/// A job as submitted over HTTP.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpecBody {
    reference: MediaBody,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    distorted: Option<OneOrMany>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encode: Option<EncodeBody>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelBody>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    further_models: Vec<ModelBody>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subsample_interval: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_frame_index: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frame_count_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requirements: Option<RequirementsBody>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempts_max: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    force_trace: Option<bool>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "one distorted video, or an array of them")]
enum OneOrMany {
    One(MediaBody),
    Many(Vec<MediaBody>),
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequirementsBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backend: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    codecs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    encoders: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncodeBody {
    encoder: String,
    quality: Quality,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pixel_format: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    options: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    threads: Option<u8>,
}

impl EncodeBody {
    fn into_request(self) -> Result<EncodeRequest, FieldError> {
        let error = |field: &str, problem| FieldError { field: format!("encode.{field}"), problem };
        let encoder = self.encoder.parse().map_err(|problem| error("encoder", problem))?;
        let defaults = EncodeRequest::new(encoder, self.quality);
        let size = match (self.width, self.height) {
            (None, None) => None,
            (Some(width), Some(height)) => Some((width, height)),
            _ => return Err(error("width", "width and height go together".to_owned())),
        };
        Ok(EncodeRequest {
            preset: self.preset.unwrap_or(defaults.preset),
            pixel_format: self.pixel_format,
            size,
            options: self.options,
            threads: self.threads.unwrap_or(defaults.threads),
            ..EncodeRequest::new(encoder, self.quality)
        })
    }
}

impl From<EncodeRequest> for EncodeBody {
    fn from(request: EncodeRequest) -> Self {
        let (width, height) = request.size.unzip();
        Self {
            encoder: request.encoder.as_str().to_owned(),
            quality: request.quality,
            preset: Some(request.preset),
            pixel_format: request.pixel_format,
            width,
            height,
            options: request.options,
            threads: Some(request.threads),
        }
    }
}

impl SpecBody {
    /// The job that is meant, with defaults where nothing was said.
    pub(crate) fn into_spec(self) -> Result<JobSpec, FieldError> {
        let reference = self.reference.into_media("reference")?;
        let many = match self.distorted {
            None => Vec::new(),
            Some(OneOrMany::One(one)) => vec![one],
            Some(OneOrMany::Many(many)) => many,
        };
        let distorted = many.into_iter().enumerate().map(|(index, media)| {
            let field = format!("distorted[{index}]");
            media.into_media(&field)
        });
        let distorted = distorted.collect::<Result<Vec<_>, _>>()?;
        let priority = self.priority.map_or(Ok(Priority::default()), Priority::new);
        let requirements = self.requirements.unwrap_or_default();
        let defaults = JobSpec::pair(MediaRef::new(""), MediaRef::new(""));
        let spec = JobSpec {
            reference,
            distorted,
            model: model(self.model)?,
            further_models: further_models(self.further_models)?,
            features: self.features,
            subsample_interval: self.subsample_interval.unwrap_or(defaults.subsample_interval),
            first_frame_index: self.first_frame_index.unwrap_or_default(),
            frame_count_max: self.frame_count_max,
            priority: priority.map_err(|error| spec_error(&error))?,
            requirements: Requirements {
                backend: requirements.backend,
                codecs: requirements.codecs,
                encoders: requirements.encoders,
            },
            labels: self.labels,
            attempts_max: self.attempts_max.unwrap_or(defaults.attempts_max),
            attempt_timeout: self.attempt_timeout_ms.map(Duration::from_millis),
            force_trace: self.force_trace.unwrap_or(false),
            encode: self.encode.map(EncodeBody::into_request).transpose()?,
        };
        spec.check().map_err(|error| spec_error(&error))?;
        Ok(spec)
    }
}

impl From<JobSpec> for SpecBody {
    /// The job as it is shown: every default spelled out.
    fn from(spec: JobSpec) -> Self {
        Self {
            reference: spec.reference.into(),
            distorted: match spec.encode {
                Some(_) => None,
                None => {
                    let all = spec.distorted.into_iter().map(Into::into);
                    Some(OneOrMany::Many(all.collect()))
                }
            },
            encode: spec.encode.map(Into::into),
            model: Some(spec.model.into()),
            further_models: spec.further_models.into_iter().map(Into::into).collect(),
            features: spec.features,
            subsample_interval: Some(spec.subsample_interval),
            first_frame_index: Some(spec.first_frame_index),
            frame_count_max: spec.frame_count_max,
            priority: Some(spec.priority.get()),
            requirements: Some(RequirementsBody {
                backend: spec.requirements.backend,
                codecs: spec.requirements.codecs,
                encoders: spec.requirements.encoders,
            }),
            labels: spec.labels,
            attempts_max: Some(spec.attempts_max),
            attempt_timeout_ms: spec
                .attempt_timeout
                .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            force_trace: Some(spec.force_trace),
        }
    }
}

/// Which jobs to put back into the queue: those named, or all failed ones that pass the filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBody {
    /// The jobs.
    #[serde(default)]
    pub(crate) job_ids: Vec<String>,
    /// Instead of ids.
    #[serde(default)]
    pub(crate) filter: Option<FilterBody>,
}

/// Which jobs pass.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterBody {
    /// In one of these states; empty takes all.
    #[serde(default)]
    pub(crate) states: Vec<State>,
    /// With all of these labels.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

/// Whether to drain a node or to take that back.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainBody {
    /// Take it back.
    #[serde(default)]
    pub(crate) undo: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<JobSpec, String> {
        let body: SpecBody = serde_json::from_str(json).map_err(|error| error.to_string())?;
        body.into_spec().map_err(|error| format!("{}: {}", error.field, error.problem))
    }

    #[test]
    fn two_paths_are_a_whole_job() {
        let expected = JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"));
        for json in [
            r#"{"reference":"/a","distorted":"/b"}"#,
            r#"{"reference":{"uri":"/a"},"distorted":[{"uri":"/b"}]}"#,
            r#"{"reference":"/a","distorted":["/b"],"model":"vmaf_v0.6.1","priority":5}"#,
        ] {
            assert_eq!(read(json).as_ref(), Ok(&expected), "{json}");
        }
    }

    #[test]
    fn a_job_that_is_shown_can_be_submitted_again() {
        let json = r#"{"reference":{"uri":"/a","raw":{"width":64,"height":32,"chroma":"422",
            "bit_depth":10}},"distorted":"/b","model":{"path":"/m.json"},"features":["psnr"],
            "subsample_interval":2,"first_frame_index":3,"frame_count_max":4,"priority":9,
            "requirements":{"backend":"cpu","codecs":["y4m"]},"labels":{"k":"v"},
            "attempts_max":7,"attempt_timeout_ms":1500,"force_trace":true}"#;
        let spec = read(json).expect("valid");
        assert_eq!(spec.attempt_timeout, Some(Duration::from_millis(1_500)));
        let shown = serde_json::to_string(&SpecBody::from(spec.clone())).expect("plain data");
        assert_eq!(read(&shown), Ok(spec));
        let encode = r#"{"reference":"/a","encode":{"encoder":"x264","quality":23.25,
            "preset":"slow","width":640,"height":360,"options":{"tune":"film"},"threads":2}}"#;
        let spec = read(encode).expect("valid");
        assert_eq!(spec.encode.as_ref().map(|encode| encode.quality), Some(Quality(2_325)));
        let shown = serde_json::to_string(&SpecBody::from(spec.clone())).expect("plain data");
        assert_eq!(read(&shown), Ok(spec));
    }

    #[test]
    fn what_is_wrong_is_named_by_its_field() {
        let check = |json, expected: &str| {
            let error = read(json).expect_err(json);
            assert!(error.contains(expected), "{json}: {error}");
        };
        check(r#"{"reference":"/a"}"#, "distorted");
        check(r#"{"reference":"/a","encode":{"encoder":"x","quality":1}}"#, "encode.encoder");
        check(
            r#"{"reference":"/a","encode":{"encoder":"x264","quality":99}}"#,
            "encode: quality 99",
        );
        check(r#"{"reference":"/a","distorted":"/b","prio":1}"#, "prio");
        check(r#"{"reference":"/a","distorted":[]}"#, "distorted: 0 distorted videos");
        check(r#"{"reference":"","distorted":"/b"}"#, "reference: no reference");
        check(r#"{"reference":"/a","distorted":"/b","priority":10}"#, "priority: priority 10");
        check(r#"{"reference":7,"distorted":"/b"}"#, "a path or URL");
        check(
            r#"{"reference":"/a","distorted":{"uri":"/b","raw":{"width":1,"height":1,"chroma":"420","bit_depth":7}}}"#,
            "distorted[0].raw.bit_depth: 7",
        );
    }
}
