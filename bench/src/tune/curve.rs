//! The score at every step of an encoder's scale: what a search is held against.

use std::path::Path;

use media::Stop;
use types::{Quality, QualityScale};
use vmafx_tune::{
    CorpusRequest, EncodeSettings, Environment, Sampling, ScoreSettings, Silent, TuneRequest,
};

use crate::Error;

/// A curve without a gap.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    scale: QualityScale,
    /// By place on the scale.
    scores: Vec<f64>,
}

impl Curve {
    /// Encodes and scores all of a source at every step. Fails where one is missing.
    pub(super) fn sweep(
        env: &Environment,
        source: &str,
        encode: &EncodeSettings,
        folder: &Path,
    ) -> Result<Self, Error> {
        let set = media::encoders_of(&env.run.media.ffmpeg, &Stop::never())?;
        let scale = encode.scale(set.steps_per_unit(encode.encoder));
        let output = tempfile::Builder::new().suffix(".jsonl").tempfile_in(folder)?;
        let request = TuneRequest::Corpus(CorpusRequest {
            sources: vec![source.to_owned()],
            encodes: vec![encode.clone()],
            qualities: (0..scale.len()).map(|place| scale.at(place)).collect(),
            score: ScoreSettings::default(),
            sampling: Sampling::WHOLE,
            output: output.path().to_owned(),
        });
        vmafx_tune::run(&request, env, &Stop::never(), &Silent)?;
        let mut scores = vec![None; scale.len()];
        for line in std::fs::read_to_string(output.path())?.lines() {
            let line: serde_json::Value = serde_json::from_str(line)?;
            let quality = line["quality"].as_f64().ok_or("a line has a quality")?;
            let score = line["pooled"]["mean"].as_f64().ok_or("a line has a score")?;
            scores[scale.index_of(Quality::try_from(quality)?)] = Some(score);
        }
        let scores: Option<Vec<f64>> = scores.into_iter().collect();
        Ok(Self { scale, scores: scores.ok_or("the sweep left a step out")? })
    }

    /// Steps.
    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    /// The score at a number; `None` off the scale.
    pub(super) fn at(&self, quality: Quality) -> Option<f64> {
        let place = self.scale.index_of(quality);
        (self.scale.at(place) == quality).then(|| self.scores[place])
    }

    /// The score at the number after.
    pub(super) fn next(&self, quality: Quality) -> Option<f64> {
        self.scores.get(self.scale.index_of(quality) + 1).copied()
    }

    /// The largest number whose score meets the target.
    pub(super) fn largest(&self, target: f64) -> Option<Quality> {
        self.scores.iter().rposition(|score| *score >= target).map(|place| self.scale.at(place))
    }

    /// Whether the number meets the target and the one after it does not.
    pub(super) fn is_last(&self, quality: Quality, target: f64) -> bool {
        self.at(quality).is_some_and(|score| score >= target)
            && self.next(quality).is_none_or(|score| score < target)
    }

    /// Whether no step scores better than the one before it.
    pub(super) fn falls(&self) -> bool {
        self.scores.is_sorted_by(|before, after| before >= after)
    }
}

#[cfg(test)]
mod tests {
    use types::Encoder;

    use super::*;

    #[test]
    fn an_uneven_curve_has_a_largest_number_and_steps_before_it() {
        let scale = QualityScale { first: 20, last: 24, ..Encoder::Vp9.scale() };
        let curve = Curve { scale, scores: vec![95.0, 91.0, 89.0, 90.5, 80.0] };
        let at = |whole: i32| Quality(whole * 100);
        assert_eq!((curve.largest(90.0), curve.largest(99.0)), (Some(at(23)), None));
        assert!(curve.is_last(at(21), 90.0) && curve.is_last(at(23), 90.0));
        assert!(!curve.is_last(at(20), 90.0) && !curve.is_last(at(22), 90.0));
        assert!(curve.is_last(at(24), 70.0), "the end of the scale");
        assert_eq!((curve.at(at(22)), curve.at(Quality(2_250))), (Some(89.0), None));
        assert!(!curve.falls());
    }
}
