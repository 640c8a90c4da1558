//! Which model fits a viewing situation, and why: the choice of `vmafx score --view`, for agents.

use engine::{PictureSpec, Stored, Watched, choose};

/// How the video is watched.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub(crate) enum View {
    /// A television of 1080 lines, from three picture heights.
    #[serde(alias = "tv-1080p")]
    HdTv,
    /// A television of 2160 lines, from one and a half picture heights: the critical eye.
    #[serde(rename = "4k_tv", alias = "tv-4k-close")]
    FourKTv,
    /// A television of 2160 lines, from three picture heights: the sofa at its usual place.
    #[serde(rename = "4k_tv_sofa", alias = "tv-4k")]
    FourKTvSofa,
    /// A phone, held in the hand.
    Phone,
    /// A computer's screen.
    Desktop,
}

/// What is known of the viewing situation and the video.
#[derive(Debug, Clone, Default)]
pub(crate) struct Situation {
    pub view: Option<View>,
    /// Where only lines are known, pictures are taken for 16:9.
    pub width: Option<u32>,
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

/// From this height on a video is taken for one of 2160 lines.
const FOUR_K_HEIGHT: u32 = 1_440;
/// The depth that the models look for banding at.
const BIT_DEPTH: u8 = 10;

/// The view that the engine chooses for, and why, where none was named.
fn engine_view(situation: &Situation, why: &mut Vec<String>) -> engine::View {
    match (situation.view, situation.height) {
        (Some(View::HdTv | View::Desktop), _) => engine::View::Tv1080p,
        (Some(View::Phone), _) => engine::View::Phone,
        (Some(View::FourKTv), _) => engine::View::Tv4kClose,
        (Some(View::FourKTvSofa), _) => engine::View::Tv4k,
        (None, Some(height)) if height >= FOUR_K_HEIGHT => {
            why.push(format!(
                "the video has {height} lines and no view was given: taken as watched on a 4K television"
            ));
            engine::View::Tv4k
        }
        (None, _) => {
            why.push(
                "no view was given: taken as watched on a television of 1080 lines".to_owned(),
            );
            engine::View::Tv1080p
        }
    }
}

/// Chooses as `vmafx score --view` does. Deterministic, and names only models that are built in.
pub(crate) fn recommend(situation: &Situation) -> Recommendation {
    let mut why = Vec::new();
    let view = engine_view(situation, &mut why);
    // Pictures that need no change: what is left of the reasons is why this model.
    let ready = Stored { size: view.display(), bit_depth: BIT_DEPTH };
    let frames_per_second = situation.frames_per_second;
    let choice = choose(&Watched { view, reference: ready, distorted: ready, frames_per_second });
    why.extend(choice.why);
    if situation.compares_encoders {
        why.push(
            "encoders are compared: this model gives no credit for sharpening and other \
             enhancement, which an encoder or preprocessor could use to raise its score"
                .to_owned(),
        );
    }
    let (warnings, not_available) = caveats(situation, view);
    Recommendation { model: choice.model, why, warnings, not_available }
}

/// What must be done with the videos first: the tools score them as they are.
fn preparation(situation: &Situation, view: engine::View) -> Option<String> {
    let height = situation.height?.min(PictureSpec::SIDE_MAX);
    let width = situation.width.unwrap_or_else(|| (height * 16).div_ceil(18) * 2);
    let bit_depth = situation.bit_depth.unwrap_or(BIT_DEPTH);
    let stored = Stored { size: (width, height), bit_depth };
    let frames_per_second = situation.frames_per_second;
    let choice = choose(&Watched { view, reference: stored, distorted: stored, frames_per_second });
    let is_ready = (choice.size, choice.bit_depth) == (stored.size, bit_depth);
    let (to_width, to_height) = choice.size;
    (!is_ready).then(|| {
        format!(
            "this model judges pictures as they are shown, {to_width}x{to_height} at {} bits, and the tools score \
             videos as they are: bring both to that first (bicubic), or let `vmafx score --view {view}` do it, which \
             tells the banding detector how the video was encoded too",
            choice.bit_depth
        )
    })
}

fn caveats(situation: &Situation, view: engine::View) -> (Vec<String>, Vec<String>) {
    let mut missing = Vec::new();
    let mut warnings: Vec<String> = preparation(situation, view).into_iter().collect();
    if situation.view == Some(View::Desktop) {
        warnings.push(
            "a computer's screen is watched from nearer than the model assumes: artifacts show \
             more than the score says"
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
        "this model is of generation 1: it sees banding and damaged chroma, and its scores are not \
         comparable with those of vmaf_v0.6.1, which is what score takes where no model is named, \
         nor with those of another distance or frame rate"
            .to_owned(),
    );
    (warnings, missing)
}

#[cfg(test)]
mod tests {
    use engine::{Model, builtin_models};

    use super::*;

    fn model(situation: &Situation) -> &'static str {
        let recommendation = recommend(situation);
        assert!(!recommendation.why.is_empty());
        assert!(builtin_models().iter().any(|built| built.version == recommendation.model));
        recommendation.model
    }

    #[test]
    fn the_choice_is_that_of_the_view_and_goes_before_the_size() {
        let at = |view, height| Situation { view, height: Some(height), ..Situation::default() };
        assert_eq!(model(&Situation::default()), "vmaf_v1.0.16_3d0h");
        assert_eq!(model(&at(None, 2_160)), "vmaf_v1.0.16_3d0h_2160");
        assert_eq!(model(&at(None, 1_080)), "vmaf_v1.0.16_3d0h");
        assert_eq!(model(&at(Some(View::HdTv), 2_160)), "vmaf_v1.0.16_3d0h");
        assert_eq!(model(&at(Some(View::FourKTv), 1_080)), "vmaf_v1.0.16_1d5h_2160");
        assert_eq!(model(&at(Some(View::FourKTvSofa), 1_080)), "vmaf_v1.0.16_3d0h_2160");
        let phone = at(Some(View::Phone), 1_080);
        assert_eq!(model(&phone), "vmaf_v1.0.16_5d0h");
        let fast = Situation { frames_per_second: Some(59.94), ..phone };
        assert_eq!(model(&fast), "vmaf_v1.0.16_hfr_5d0h");
    }

    #[test]
    fn names_of_views_are_those_of_before_and_those_of_the_command_line() {
        for (name, view) in [
            ("hd_tv", View::HdTv),
            ("tv-1080p", View::HdTv),
            ("4k_tv", View::FourKTv),
            ("tv-4k-close", View::FourKTv),
            ("tv-4k", View::FourKTvSofa),
            ("phone", View::Phone),
            ("desktop", View::Desktop),
        ] {
            let read: View = serde_json::from_value(name.into()).expect(name);
            assert_eq!(read, view);
        }
        for view in engine::View::ALL {
            assert!(serde_json::from_value::<View>(view.name().into()).is_ok(), "{view}");
        }
    }

    /// What is said of comparing encoders holds of every model that can be chosen.
    #[test]
    fn every_model_of_a_view_gives_no_credit_for_enhancement() {
        for model in builtin_models().iter().filter(|it| it.version.starts_with("vmaf_v1")) {
            let model = Model::builtin(model.version).expect("built in");
            for feature in model.features() {
                let is_adm = feature.name.contains("adm");
                let limit = feature.options.get("adm_enhn_gain_limit");
                assert!(!is_adm || limit == Some("1"), "{}: {limit:?}", feature.name);
                assert!(!feature.name.contains("vif"), "{}", feature.name);
            }
        }
    }

    #[test]
    fn what_must_be_done_first_and_what_is_missing_is_said() {
        let hard = Situation {
            view: Some(View::Phone),
            transfer: Some("smpte2084".to_owned()),
            ..Situation::default()
        };
        assert!(recommend(&hard).not_available.join("\n").contains("HDR"));
        let small = Situation {
            width: Some(1_280),
            height: Some(720),
            bit_depth: Some(8),
            ..Situation::default()
        };
        let warning = recommend(&small).warnings.remove(0);
        assert!(warning.contains("1920x1080 at 10 bits"), "{warning}");
        assert!(warning.contains("--view tv-1080p"), "{warning}");
        let ready = Situation {
            width: Some(1_920),
            height: Some(1_080),
            bit_depth: Some(10),
            ..Situation::default()
        };
        assert!(!recommend(&ready).warnings.join("\n").contains("--view"));
    }
}
