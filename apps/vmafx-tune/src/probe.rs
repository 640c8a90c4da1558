//! One trial: what is tried, what came of it, and who tries it.

use std::num::NonZeroU32;
use std::time::Duration;

use media::Stop;
use observability::Context;
use serde::{Deserialize, Serialize};
use types::{EncodeRequest, Encoded, Encoder, JobId, MediaRef, ModelRef, PooledScore};

use crate::digest::sha256;
use crate::error::TuneError;
use crate::progress::Sink;
use crate::request::ScoreSettings;

/// Frames whose scores a probe keeps, to be pooled with those of other samples.
pub const FRAME_SCORES_MAX: usize = 8_192;

/// Frames of the reference, from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FrameRange {
    /// The first frame, 0-based.
    pub first: u64,
    /// How many.
    pub count: u64,
}

/// Whether a part was tried or everything that is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// One of several samples.
    Sample,
    /// All of it.
    Whole,
}

impl ProbeKind {
    /// The word used on every face.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sample => "sample",
            Self::Whole => "whole",
        }
    }
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSpec {
    /// The video.
    pub reference: MediaRef,
    /// SHA-256 of its bytes, lower-case hex.
    pub source_sha256: String,
    /// Which of its frames.
    pub range: FrameRange,
    /// A part, or all.
    pub kind: ProbeKind,
    /// How it is encoded.
    pub request: EncodeRequest,
    /// How it is scored.
    pub score: ScoreSettings,
}

impl ProbeSpec {
    /// The same, with every frame scored.
    pub(crate) fn in_full(mut self) -> Self {
        self.score.subsample_interval = NonZeroU32::MIN;
        self
    }

    /// Says what is measured: two specs have the same key when their results are to be equal. `chain`
    /// names the programs that measure. A model's file counts by its content where it can be read
    /// here, else by its name.
    #[must_use]
    pub fn key(&self, chain: &str) -> String {
        // Maps are sorted, so that the same request is the same text.
        let text = serde_json::json!({
            "source": self.source_sha256,
            "range": self.range,
            "encode": self.request,
            "score": self.score,
            "model": self.score.model_sha256(),
            "chain": chain,
        });
        sha256(text.to_string())
    }
}

impl ScoreSettings {
    /// The content of a model that is named by its file, where it can be read here.
    pub(crate) fn model_sha256(&self) -> Option<String> {
        let ModelRef::Path(path) = &self.model.source else { return None };
        Some(sha256(std::fs::read(path).ok()?))
    }
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The range's score.
    pub pooled: PooledScore,
    /// The score of each frame, where the range is a sample.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frame_scores: Vec<f64>,
    /// Size, rate and cost of the encode.
    pub encoded: Encoded,
    /// Wall time of the scoring.
    pub score_time: Duration,
    /// Codes of what the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The job that measured it, where a node did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// Who carries trials out. Blocking; called from several threads at once.
pub(crate) trait Prober: Send + Sync {
    /// Carries one out, within the trace of `cx`, and tells `sink` how far it is.
    fn probe(
        &self,
        spec: &ProbeSpec,
        key: &str,
        cx: &Context,
        stop: &Stop,
        sink: &dyn Sink,
    ) -> Result<Probe, TuneError>;

    /// Names the programs that measure with an encoder, as far as results depend on them.
    fn chain(&self, encoder: Encoder) -> String;
}

#[cfg(test)]
pub(crate) mod tests {
    use types::Quality;

    use types::ModelSpec;

    use super::*;

    /// A probe with this mean.
    pub(crate) fn probe(mean: f64) -> Probe {
        Probe {
            pooled: PooledScore {
                mean,
                harmonic_mean: mean - 0.1,
                min: mean - 9.0,
                max: mean + 1.0,
                standard_deviation: 1.0,
                p1: mean - 8.0,
                p5: mean - 6.0,
                p10: mean - 5.0,
                p25: mean - 2.0,
                p50: mean,
            },
            frame_scores: vec![mean - 1.0, mean + 1.0],
            encoded: Encoded {
                bytes: 1_000,
                frame_count: 2,
                frame_rate: (25, 1),
                encode_time: Duration::from_millis(10),
                encoder_version: "x".to_owned(),
            },
            score_time: Duration::from_millis(5),
            warnings: Vec::new(),
            job: None,
        }
    }

    #[test]
    fn keys_differ_with_everything_that_changes_a_result_and_with_nothing_else() {
        let spec = ProbeSpec {
            reference: MediaRef::new("/a.mp4"),
            source_sha256: "ab".repeat(32),
            range: FrameRange { first: 0, count: 10 },
            kind: ProbeKind::Sample,
            request: EncodeRequest::new(Encoder::X264, Quality(2_300)),
            score: ScoreSettings::default(),
        };
        let key = spec.key("ffmpeg 7");
        let moved = ProbeSpec { reference: MediaRef::new("/b.mp4"), ..spec.clone() };
        assert_eq!(moved.key("ffmpeg 7"), key, "the same bytes at another place");
        let mut others = vec![spec.key("ffmpeg 8")];
        let mut differs = |change: fn(&mut ProbeSpec)| {
            let mut other = spec.clone();
            change(&mut other);
            others.push(other.key("ffmpeg 7"));
        };
        differs(|s| s.source_sha256 = "cd".repeat(32));
        differs(|s| s.range.first = 1);
        differs(|s| s.request.quality = Quality(2_325));
        differs(|s| s.request.threads = 1);
        differs(|s| s.request.options = [("tune".to_owned(), "film".to_owned())].into());
        differs(|s| s.score.model = ModelSpec::version("vmaf_4k_v0.6.1"));
        let all: std::collections::BTreeSet<_> = others.iter().chain([&key]).collect();
        assert_eq!(all.len(), 8);

        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.json");
        std::fs::write(&path, "one").expect("written");
        let mut trained = spec;
        trained.score.model = ModelRef::Path(path.display().to_string()).into();
        let before = trained.key("ffmpeg 7");
        std::fs::write(&path, "two").expect("written");
        assert_ne!(trained.key("ffmpeg 7"), before, "the model was trained anew");
    }
}
