//! The digest of a report: equal wherever and however often the same pair is scored.

use sha2::{Digest as _, Sha256};
use types::ScoreReport;

use crate::hex::lower_hex;

/// Begins every digest, so that a change of its form is a change of every digest.
const FORM: &str = "vmafx score 1";

/// SHA-256 over size, models (name, version, hash), frame indices, and every column's name and
/// values by their bits; then, only where there are some, the clip's own values, so that digests
/// without them are what they always were. Lower-case hex. Pooled values follow from these and are left out, as are
/// warnings, provenance, timings and the digest that the report holds.
///
/// A NaN counts as one value, whatever its sign and payload, which no standard fixes.
#[must_use]
pub fn digest(report: &ScoreReport) -> String {
    let mut hash = Hasher(Sha256::new());
    hash.text(FORM);
    hash.number(u64::from(report.width));
    hash.number(u64::from(report.height));
    hash.number(report.models.len() as u64);
    for model in &report.models {
        hash.text(&model.name);
        hash.text(&model.version);
        hash.text(&model.sha256);
    }
    hash.number(report.frames.frame_indices.len() as u64);
    report.frames.frame_indices.iter().for_each(|index| hash.number(*index));
    hash.number(report.frames.columns.len() as u64);
    for column in &report.frames.columns {
        hash.text(&column.name);
        hash.number(column.values.len() as u64);
        column.values.iter().for_each(|value| hash.value(*value));
    }
    if !report.aggregates.is_empty() {
        hash.number(report.aggregates.len() as u64);
        for (name, value) in &report.aggregates {
            hash.text(name);
            hash.value(*value);
        }
    }
    lower_hex(&hash.0.finalize())
}

struct Hasher(Sha256);

impl Hasher {
    fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn value(&mut self, value: f64) {
        self.number(if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() });
    }

    /// Length first, so that no two lists of texts are the same bytes.
    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text);
    }
}
