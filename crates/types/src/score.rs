//! Scores: per frame at full precision, and pooled.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::encode::Encoded;
use crate::timing::StageTimings;

/// One named value per scored frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// libvmaf's key, such as `integer_vif_scale0`, or a model's name, such as `vmaf`.
    pub name: String,
    /// One value a row of the table; NaN where the feature has none for that frame.
    pub values: Vec<f64>,
}

/// Per-frame values by column. Every column is as long as `frame_indices`, which rises strictly.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FrameTable {
    /// The frames that were scored, 0-based in the shorter video.
    pub frame_indices: Vec<u64>,
    /// Features in the order libvmaf's log shows them, then the models' scores.
    pub columns: Vec<Column>,
}

impl FrameTable {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// How many frames were scored.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frame_indices.len()
    }
}

/// One column's values pooled over the scored frames.
///
/// `mean`, `min`, `max` and `harmonic_mean` are libvmaf's, bit for bit: sums in frame order, and
/// `n / sum(1 / (score + 1)) - 1`. Percentiles interpolate linearly between the two closest ranks.
/// `standard_deviation` is the population's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields say what they are; the type says how each is computed")]
pub struct PooledScore {
    pub mean: f64,
    pub harmonic_mean: f64,
    pub min: f64,
    pub max: f64,
    pub standard_deviation: f64,
    pub p1: f64,
    pub p5: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
}

macro_rules! pooling_methods {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $field:ident;)+) => {
        /// Which statistic of a column stands for the clip.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub enum PoolingMethod {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl PoolingMethod {
            /// Every method.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The method's name on the wire and for people.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }

        impl PooledScore {
            /// The statistic of that name.
            #[must_use]
            pub const fn by(&self, method: PoolingMethod) -> f64 {
                match method { $(PoolingMethod::$name => self.$field,)+ }
            }
        }
    };
}

pooling_methods! {
    /// The arithmetic mean.
    #[default]
    Mean = "mean", mean;
    /// The harmonic mean, which low scores weigh on.
    HarmonicMean = "harmonic_mean", harmonic_mean;
    /// The worst frame.
    Min = "min", min;
    /// The best frame.
    Max = "max", max;
    /// One frame in a hundred is worse.
    P1 = "p1", p1;
    /// One frame in twenty is worse.
    P5 = "p5", p5;
    /// One frame in ten is worse.
    P10 = "p10", p10;
    /// One frame in four is worse.
    P25 = "p25", p25;
    /// The median.
    P50 = "p50", p50;
}

impl fmt::Display for PoolingMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one model says of the clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelScore {
    /// The name of its column, `vmaf` unless the caller chose another.
    pub name: String,
    /// The model's version, such as `vmaf_v0.6.1`, or the path it was read from.
    pub version: String,
    /// SHA-256 of the model file, lower-case hex.
    pub sha256: String,
    /// The clip's score.
    pub pooled: PooledScore,
}

/// How sure a score is: what the models of a bootstrapped collection say of the clip together.
/// Each is the mean of a column of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapScore {
    /// The mean of the models.
    pub bagging: f64,
    /// Their standard deviation.
    pub standard_deviation: f64,
    /// Lower end of the interval that holds 95 % of them.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl BootstrapScore {
    /// What libvmaf appends to the model's name for the columns of each field, in their order.
    pub const SUFFIXES: [&str; 4] = ["_bagging", "_stddev", "_ci_p95_lo", "_ci_p95_hi"];

    /// Finds it among pooled columns by the model's name; `None` where the model is no collection.
    #[must_use]
    pub fn find(model_name: &str, pooled: &[(String, PooledScore)]) -> Option<Self> {
        let mean = |suffix: &str| {
            let is_its = |name: &str| name.strip_prefix(model_name) == Some(suffix);
            pooled.iter().find(|(name, _)| is_its(name)).map(|(_, pooled)| pooled.mean)
        };
        let [bagging, deviation, low, high] = Self::SUFFIXES.map(mean);
        Some(Self { bagging: bagging?, standard_deviation: deviation?, low: low?, high: high? })
    }
}

/// Something the user should know although there is a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What programs branch on, such as `length_mismatch`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
}

/// What made the scores.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The engine's version.
    pub engine_version: String,
    /// The instruction set the kernels ran on: `baseline`, `avx2`, `avx512`.
    pub isa: String,
    /// How each input was decoded, such as `y4m` or `ffmpeg 7.1`: reference, then distorted.
    pub decoders: Vec<String>,
}

/// The outcome of scoring one pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// Luma width of both videos.
    pub width: u32,
    /// Luma height of both videos.
    pub height: u32,
    /// One entry a model, in the order asked for; empty when only features were asked for.
    pub models: Vec<ModelScore>,
    /// Every column pooled, in the table's order.
    pub pooled: Vec<(String, PooledScore)>,
    /// Values of the whole clip that are no statistic of its frames' values, such as `apsnr_y`, by
    /// name; empty unless a feature that has some was asked for. Part of the digest where there are
    /// some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<(String, f64)>,
    /// Per-frame values.
    pub frames: FrameTable,
    /// What the user should know.
    pub warnings: Vec<Warning>,
    /// What made it.
    pub provenance: Provenance,
    /// Where the time went. No part of [`digest`](Self::digest).
    pub timings: StageTimings,
    /// SHA-256 over everything that must be the same wherever the pair is scored: size, models,
    /// frame indices, columns and values by their bits. Lower-case hex.
    pub digest: String,
    /// What came of the encode, where the job asked for one. No part of the digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded: Option<Encoded>,
}

impl ScoreReport {
    /// The first model's score, which is the job's headline.
    #[must_use]
    pub fn headline(&self) -> Option<&ModelScore> {
        self.models.first()
    }
}
