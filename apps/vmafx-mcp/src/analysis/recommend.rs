//! Which model fits a viewing situation, of those that are built in, and why.

use engine::builtin_models;

/// How the video is watched.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum View {
    /// A television of 1080 lines, from three picture heights.
    HdTv,
    /// A television of 2160 lines, from one and a half picture heights.
    #[serde(rename = "4k_tv")]
    FourKTv,
    /// A phone, held in the hand.
    Phone,
    /// A computer's screen.
    Desktop,
}

/// What is known of the viewing situation and the video.
#[derive(Debug, Clone, Default)]
pub(crate) struct Situation {
    pub view: Option<View>,
    pub height: Option<u32>,
    pub frames_per_second: Option<f64>,
    pub bit_depth: Option<u8>,
    pub transfer: Option<String>,
    /// The question is which encoder or setting is better, not how good it looks.
    pub compares_encoders: bool,
}

/// What to use, and what to know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recommendation {
    pub model: &'static str,
    pub why: Vec<String>,
    pub warnings: Vec<String>,
    /// What would fit better and is not built in.
    pub not_available: Vec<String>,
}

/// Why encoders are compared without credit for enhancement.
const NO_CREDIT: &str = "encoders are compared: this model gives no credit for sharpening and other \
                         enhancement, which an encoder or preprocessor could use to raise its score";

/// From this height on a video is taken for one of 2160 lines.
const FOUR_K_HEIGHT: u32 = 1_440;
/// From this rate on motion looks other than the models were trained with.
const HIGH_FRAME_RATE: f64 = 47.0;
/// The height that the HD models judge pictures at.
const HD_HEIGHT: u32 = 1_080;

/// Chooses among the built-in models. Deterministic, and names only models that are built in.
pub(crate) fn recommend(situation: &Situation) -> Recommendation {
    let view = situation.view;
    let is_four_k = match view {
        Some(View::FourKTv) => true,
        Some(_) => false,
        None => situation.height.is_some_and(|height| height >= FOUR_K_HEIGHT),
    };
    let mut why = Vec::new();
    let model = if is_four_k {
        why.push(match view {
            Some(_) => "a 4K television at one and a half picture heights is what this model was \
                        trained for"
                .to_owned(),
            None => format!(
                "the video has {} lines and no view was given: taken as watched on a 4K television",
                situation.height.unwrap_or_default()
            ),
        });
        if situation.compares_encoders {
            why.push(NO_CREDIT.to_owned());
            "vmaf_4k_v0.6.1neg"
        } else {
            "vmaf_4k_v0.6.1"
        }
    } else if situation.compares_encoders {
        why.push(NO_CREDIT.to_owned());
        "vmaf_v0.6.1neg"
    } else {
        why.push(
            "an HD television at three picture heights, the default, is what this model was \
             trained for"
                .to_owned(),
        );
        "vmaf_v0.6.1"
    };
    debug_assert!(builtin_models().iter().any(|built| built.version == model));
    let (warnings, not_available) = caveats(situation, is_four_k);
    Recommendation { model, why, warnings, not_available }
}

fn caveats(situation: &Situation, is_four_k: bool) -> (Vec<String>, Vec<String>) {
    let (mut warnings, mut missing) = (Vec::new(), Vec::new());
    if let (Some(height), false) = (situation.height, is_four_k)
        && height < HD_HEIGHT
        && situation.view != Some(View::Phone)
    {
        warnings.push(format!(
            "the model judges pictures as if they filled {HD_HEIGHT} lines: scale reference and \
             distorted to {HD_HEIGHT} lines (bicubic) to judge a {height}-line rendition as it is \
             watched; at its own size it scores as if it were watched smaller, and so higher"
        ));
    }
    if let Some(height) = situation.height.filter(|height| is_four_k && *height < 2_160) {
        warnings.push(format!(
            "scale both videos from {height} to 2160 lines (bicubic), the size this model judges at"
        ));
    }
    match situation.view {
        Some(View::Phone) => warnings.push(
            "this model is too strict for a small screen, and differences among high scores mean \
             less there. For phones there are vmaf_v1.0.16_5d0h, of generation 1, and the phone \
             transform of this one: vmaf_v0.6.1:enable_transform"
                .to_owned(),
        ),
        Some(View::Desktop) => warnings.push(
            "a computer's screen is watched from nearer than the model assumes: artifacts show \
             more than the score says"
                .to_owned(),
        ),
        _ => {}
    }
    if situation.frames_per_second.is_some_and(|rate| rate >= HIGH_FRAME_RATE) {
        warnings.push(
            "this model was trained with up to 30 frames a second; compare only scores of the same \
             rate, or score with one for high frame rates, of generation 1 (vmaf_v1.0.16_hfr_*)"
                .to_owned(),
        );
    }
    if matches!(situation.transfer.as_deref(), Some("smpte2084" | "arib-std-b67")) {
        missing.push(
            "a model for HDR: the built-in ones know standard dynamic range only. Scores of HDR \
             pairs may rank encodes of one title; they say nothing of how good it looks"
                .to_owned(),
        );
    }
    if situation.bit_depth.is_some_and(|depth| depth > 8) {
        warnings.push(
            "both videos must have the same bit depth: raise the lower one, do not lower the \
             higher; the models take 8 to 16 bits"
                .to_owned(),
        );
    }
    warnings.push(
        "the models of generation 1 (vmaf_v1.0.16_*) see banding and damaged chroma too, and name \
         the distance they judge at; their scores are not comparable with this one's"
            .to_owned(),
    );
    (warnings, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(situation: &Situation) -> &'static str {
        let recommendation = recommend(situation);
        assert!(!recommendation.why.is_empty());
        assert!(builtin_models().iter().any(|built| built.version == recommendation.model));
        recommendation.model
    }

    #[test]
    fn the_view_goes_before_the_size() {
        let at = |view, height| Situation { view, height: Some(height), ..Situation::default() };
        assert_eq!(model(&Situation::default()), "vmaf_v0.6.1");
        assert_eq!(model(&at(None, 2_160)), "vmaf_4k_v0.6.1");
        assert_eq!(model(&at(None, 1_080)), "vmaf_v0.6.1");
        assert_eq!(model(&at(Some(View::HdTv), 2_160)), "vmaf_v0.6.1");
        assert_eq!(model(&at(Some(View::FourKTv), 1_080)), "vmaf_4k_v0.6.1");
        let compared = Situation { compares_encoders: true, ..Situation::default() };
        assert_eq!(model(&compared), "vmaf_v0.6.1neg");
        let large = Situation { height: Some(2_160), ..compared };
        assert_eq!(model(&large), "vmaf_4k_v0.6.1neg");
    }

    #[test]
    fn what_is_missing_is_said() {
        let hard = Situation {
            view: Some(View::Phone),
            frames_per_second: Some(59.94),
            transfer: Some("smpte2084".to_owned()),
            ..Situation::default()
        };
        let found = recommend(&hard);
        assert!(found.not_available.join("\n").contains("HDR"));
        let warnings = found.warnings.join("\n");
        for word in ["phones", "hfr", "generation 1"] {
            assert!(warnings.contains(word), "{word}");
        }
        let small = Situation { height: Some(720), ..Situation::default() };
        assert!(recommend(&small).warnings[0].contains("1080 lines"));
    }
}
