//! Results as JSON. Numbers keep every bit: finite ones as their shortest decimal, the others,
//! which JSON does not know, as words.

use control::{StoreError, StoredResult};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{Encoded, ModelScore, PooledScore, Provenance, ResultView, ScoreReport, Warning};

use super::{corrupt, encode_frames, internal};

#[derive(Debug, Clone, Copy)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Word(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(value) => Ok(Self(value)),
            Either::Word(word) => word.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Pooled([Number; 10]);

impl From<&PooledScore> for Pooled {
    fn from(p: &PooledScore) -> Self {
        let ten = [
            p.mean,
            p.harmonic_mean,
            p.min,
            p.max,
            p.standard_deviation,
            p.p1,
            p.p5,
            p.p10,
            p.p25,
            p.p50,
        ];
        Self(ten.map(Number))
    }
}

impl From<Pooled> for PooledScore {
    fn from(Pooled(ten): Pooled) -> Self {
        let [mean, harmonic_mean, min, max, standard_deviation, p1, p5, p10, p25, p50] =
            ten.map(|number| number.0);
        Self { mean, harmonic_mean, min, max, standard_deviation, p1, p5, p10, p25, p50 }
    }
}

#[derive(Serialize, Deserialize)]
struct Model {
    name: String,
    version: String,
    sha256: String,
    pooled: Pooled,
}

#[derive(Serialize, Deserialize)]
struct StoredView {
    width: u32,
    height: u32,
    frame_count: u64,
    models: Vec<Model>,
    pooled: Vec<(String, Pooled)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aggregates: Vec<(String, Number)>,
    #[serde(default)]
    warnings: Vec<Warning>,
    #[serde(default)]
    provenance: Provenance,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoded: Option<Encoded>,
}

/// The results of one part as bytes, in the job's order.
///
/// # Errors
/// When a frame table is none, or larger than a store takes.
pub fn encode_results(reports: Vec<ScoreReport>) -> Result<StoredResult, StoreError> {
    let frames = reports.iter().map(|report| encode_frames(&report.frames));
    let frames = frames.collect::<Result<Vec<_>, _>>()?;
    let score = reports.first().and_then(ScoreReport::headline).map(|model| model.pooled.mean);
    let score_digests = reports.iter().map(|report| report.digest.clone()).collect();
    let views: Vec<StoredView> = reports
        .into_iter()
        .map(|report| StoredView {
            width: report.width,
            height: report.height,
            frame_count: report.frames.frame_count() as u64,
            models: report.models.into_iter().map(model).collect(),
            pooled: report.pooled.iter().map(|(name, p)| (name.clone(), p.into())).collect(),
            aggregates: report
                .aggregates
                .into_iter()
                .map(|(n, value)| (n, Number(value)))
                .collect(),
            warnings: report.warnings,
            provenance: report.provenance,
            digest: report.digest,
            encoded: report.encoded,
        })
        .collect();
    let encoded = serde_json::to_vec(&views).map_err(|e| internal("encode results", e))?;
    Ok(StoredResult { encoded, frames, score, score_digests })
}

fn model(model: ModelScore) -> Model {
    let ModelScore { name, version, sha256, pooled } = model;
    Model { name, version, sha256, pooled: (&pooled).into() }
}

/// Results out of what [`encode_results`] wrote.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_results(bytes: &[u8]) -> Result<Vec<ResultView>, StoreError> {
    let views: Vec<StoredView> =
        serde_json::from_slice(bytes).map_err(|e| corrupt("read results", e))?;
    Ok(views.into_iter().map(view).collect())
}

fn view(stored: StoredView) -> ResultView {
    let unfold = |m: Model| ModelScore {
        name: m.name,
        version: m.version,
        sha256: m.sha256,
        pooled: m.pooled.into(),
    };
    ResultView {
        width: stored.width,
        height: stored.height,
        frame_count: stored.frame_count,
        models: stored.models.into_iter().map(unfold).collect(),
        pooled: stored.pooled.into_iter().map(|(name, p)| (name, p.into())).collect(),
        aggregates: stored.aggregates.into_iter().map(|(n, Number(value))| (n, value)).collect(),
        warnings: stored.warnings,
        provenance: stored.provenance,
        digest: stored.digest,
        encoded: stored.encoded,
    }
}

#[cfg(test)]
mod tests {
    use types::{FrameTable, StageTimings};

    use super::*;

    fn pooled(mean: f64) -> PooledScore {
        let (inf, tiny) = (f64::INFINITY, f64::MIN_POSITIVE / 7.0);
        PooledScore {
            mean,
            harmonic_mean: f64::NAN,
            min: -inf,
            max: inf,
            standard_deviation: tiny,
            p1: 0.1 + 0.2,
            p5: -0.0,
            p10: 1e300,
            p25: 76.668_904_824_540_6,
            p50: 100.0,
        }
    }

    #[test]
    fn pooled_scores_come_back_bit_for_bit_even_where_json_has_no_word() {
        let report = ScoreReport {
            width: 1,
            height: 2,
            models: vec![ModelScore {
                name: "vmaf".into(),
                version: "v".into(),
                sha256: String::new(),
                pooled: pooled(97.428_042_999_999_99),
            }],
            pooled: vec![("x".into(), pooled(f64::NAN))],
            aggregates: vec![("a".into(), 0.1 + 0.2), ("b".into(), f64::NEG_INFINITY)],
            frames: FrameTable::default(),
            warnings: Vec::new(),
            provenance: Provenance::default(),
            timings: StageTimings::default(),
            digest: "d".into(),
            encoded: Some(Encoded {
                bytes: 7,
                frame_count: 2,
                frame_rate: (30_000, 1_001),
                encode_time: std::time::Duration::from_micros(1_234_567),
                encoder_version: "ffmpeg 7, libx264".into(),
            }),
        };
        let stored = encode_results(vec![report.clone()]).expect("plain");
        assert_eq!(stored.score, Some(97.428_042_999_999_99));
        let read = decode_results(&stored.encoded).expect("ours");
        // `{:?}` of a float is its shortest exact form, and equal for all NaN.
        assert_eq!(format!("{:?}", read[0].models), format!("{:?}", report.models));
        assert_eq!(format!("{:?}", read[0].pooled), format!("{:?}", report.pooled));
        assert_eq!(read[0].aggregates, report.aggregates);
        assert_eq!(read[0].encoded, report.encoded);
        assert!(decode_results(&stored.encoded[1..]).is_err());
    }
}
