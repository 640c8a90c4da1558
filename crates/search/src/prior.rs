//! What is known of an encoder before anything is tried: the shape of its curve.
//!
//! On most material an encoder's score over its CRF has one shape; what the material changes is
//! mainly how far along it a CRF stands. One probe tells how far, and the second can be placed on the
//! shifted curve instead of by a straight line: the curve bends most just where targets are.

use types::{Encoder, Quality};

/// Points of the mean score over the encoder's number, typical of 1080p film at the default preset.
type Points = &'static [(f64, f64)];

const X264: Points = &[
    (5.0, 99.9),
    (10.0, 99.6),
    (15.0, 98.9),
    (18.0, 98.0),
    (20.0, 97.2),
    (23.0, 95.3),
    (26.0, 92.3),
    (28.0, 89.8),
    (30.0, 86.6),
    (32.0, 82.6),
    (34.0, 77.6),
    (36.0, 71.8),
    (40.0, 56.8),
    (45.0, 37.5),
    (51.0, 16.0),
];
const X265: Points = &[
    (5.0, 99.9),
    (11.0, 99.6),
    (16.0, 98.9),
    (19.0, 98.1),
    (22.0, 96.9),
    (25.0, 95.0),
    (28.0, 91.9),
    (30.0, 89.3),
    (32.0, 86.0),
    (34.0, 81.8),
    (36.0, 76.8),
    (38.0, 70.9),
    (42.0, 56.0),
    (46.0, 40.5),
    (51.0, 22.0),
];
const SVT_AV1: Points = &[
    (5.0, 99.6),
    (12.0, 98.8),
    (20.0, 97.8),
    (28.0, 96.5),
    (32.0, 95.6),
    (36.0, 94.5),
    (40.0, 93.1),
    (44.0, 91.4),
    (48.0, 89.2),
    (52.0, 86.2),
    (55.0, 83.4),
    (58.0, 79.6),
    (60.0, 76.2),
    (63.0, 69.0),
];
const AOM: Points = &[
    (5.0, 99.6),
    (12.0, 98.8),
    (20.0, 97.8),
    (28.0, 96.4),
    (32.0, 95.4),
    (36.0, 94.1),
    (40.0, 92.5),
    (44.0, 90.4),
    (48.0, 87.7),
    (52.0, 84.0),
    (56.0, 78.4),
    (60.0, 70.0),
    (63.0, 60.5),
];
const VP9: Points = &[
    (5.0, 99.5),
    (12.0, 98.5),
    (20.0, 97.2),
    (28.0, 95.5),
    (32.0, 94.2),
    (36.0, 92.7),
    (40.0, 90.7),
    (44.0, 88.3),
    (48.0, 85.1),
    (52.0, 81.0),
    (56.0, 75.2),
    (60.0, 67.0),
    (63.0, 58.5),
];
const VVENC: Points = &[
    (10.0, 99.6),
    (16.0, 98.8),
    (20.0, 97.9),
    (24.0, 96.4),
    (27.0, 94.6),
    (30.0, 92.0),
    (33.0, 88.0),
    (36.0, 82.4),
    (40.0, 71.8),
    (45.0, 54.5),
    (50.0, 36.0),
    (63.0, 4.0),
];

/// How many numbers a doubling of the height is worth: the same CRF looks better in larger pictures.
const NUMBERS_PER_OCTAVE: f64 = 0.5;

/// Heights beyond these say no more.
const HEIGHTS: (f64, f64) = (180.0, 4_320.0);

/// A typical curve of one encoder, shifted to where it is expected for a size and a preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    points: Points,
    shift: f64,
}

impl Prior {
    /// What is expected of an encoder with a preset at a picture height.
    #[must_use]
    pub fn of(encoder: Encoder, preset: &str, height: u32) -> Self {
        let points = match encoder {
            Encoder::X264 => X264,
            Encoder::X265 => X265,
            Encoder::SvtAv1 => SVT_AV1,
            Encoder::Aom => AOM,
            Encoder::Vp9 => VP9,
            Encoder::Vvenc => VVENC,
        };
        let height = f64::from(height).clamp(HEIGHTS.0, HEIGHTS.1);
        let by_height = (height / 1_080.0).log2() * NUMBERS_PER_OCTAVE;
        Self { points, shift: by_height + preset_shift(encoder, preset) }
    }

    /// The same curve, where a measurement shows it to lie: `score` at `quality`.
    #[must_use]
    pub fn seen(self, quality: Quality, score: f64) -> Self {
        Self { shift: self.shift + quality.value() - self.number_at(score), ..self }
    }

    /// The number at which this score is expected. Beyond the ends of what is typical, a straight
    /// line: a perfect score says little of how far one may go.
    #[must_use]
    pub fn number_at(&self, score: f64) -> f64 {
        let points = self.points;
        let score = if score.is_nan() { 0.0 } else { score.min(100.0) };
        let below = points.partition_point(|(_, typical)| *typical > score);
        let i = below.clamp(1, points.len() - 1);
        let ((n0, s0), (n1, s1)) = (points[i - 1], points[i]);
        n0 + (score - s0) / (s1 - s0) * (n1 - n0) + self.shift
    }
}

/// How many numbers a preset is worth against the default: a faster one reaches less with the same.
fn preset_shift(encoder: Encoder, preset: &str) -> f64 {
    const WORDS: [(&str, f64); 10] = [
        ("ultrafast", -3.0),
        ("superfast", -2.0),
        ("veryfast", -1.0),
        ("faster", -0.5),
        ("fast", -0.2),
        ("medium", 0.0),
        ("slow", 0.2),
        ("slower", 0.4),
        ("veryslow", 0.6),
        ("placebo", 0.7),
    ];
    let default = encoder.preset_default();
    let worth = |preset: &str| match preset.parse::<f64>() {
        Ok(number) => Some(-0.25 * number),
        Err(_) => WORDS.iter().find(|(word, _)| *word == preset).map(|(_, shift)| *shift),
    };
    match (worth(preset), worth(default)) {
        (Some(asked), Some(usual)) => asked - usual,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_falls_and_is_read_backwards() {
        for encoder in Encoder::ALL {
            let prior = Prior::of(*encoder, encoder.preset_default(), 1_080);
            assert!(
                prior.points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 > p[1].1),
                "{encoder}"
            );
            for (number, score) in prior.points {
                assert!((prior.number_at(*score) - number).abs() < 1e-9, "{encoder} {score}");
            }
            let mut before = f64::INFINITY;
            for tenth in -100..=1_100 {
                let number = prior.number_at(f64::from(tenth) / 10.0);
                assert!(number.is_finite() && number <= before, "{encoder} {tenth}");
                before = number;
            }
        }
    }

    #[test]
    fn a_faster_preset_and_a_smaller_picture_need_a_smaller_number() {
        let at = |preset, height| Prior::of(Encoder::X264, preset, height).number_at(93.0);
        assert!(at("veryfast", 1_080) < at("medium", 1_080));
        assert!(at("medium", 540) < at("medium", 1_080));
        assert_eq!(at("of-another-encoder", 1_080), at("medium", 1_080));
        let svt = |preset| Prior::of(Encoder::SvtAv1, preset, 1_080).number_at(93.0);
        assert!(svt("12") < svt("8") && svt("8") < svt("4"));
    }

    #[test]
    fn a_measurement_shifts_the_curve_through_itself() {
        let prior = Prior::of(Encoder::X264, "medium", 1_080).seen(Quality(3_000), 95.0);
        assert!((prior.number_at(95.0) - 30.0).abs() < 1e-9);
        assert!(prior.number_at(80.0) > 30.0);
    }
}
