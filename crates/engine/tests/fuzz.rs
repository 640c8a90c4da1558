//! Random clips, requests and models: every instruction set against the baseline, several distorted
//! clips in one walk against each alone, and ranges merged against a run in one piece; all by bits.
//!
//! In the suite a few dozen cases run from a fixed seed. `cargo xtask fuzz` runs this for as long as
//! it is told, from a seed of its own, which it prints. A failure says what repeats it.

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use engine::{
    FeatureRequest, FrameAnalyzer, FrameInput, Isa, OutputSet, Picture, PictureWithPast, Plan,
    PlanOptions, Scores, Sequence, builtin_models,
};
use testkit::fuzz::Fuzz;
use testkit::golden::differences;
use testkit::isa::every_isa;
use testkit::{Clip, ClipSpec, Content, SplitMix64};
use types::{ChromaSubsampling, PixelFormat};

/// Cases in the suite.
const CASES: u64 = 60;

/// An option, and values of it that take different ways through the code.
type Values = (&'static str, &'static [&'static str]);

/// Extractors with their options.
const OPTIONS: &[(&str, &[Values])] = &[
    (
        "vif",
        &[
            ("vif_enhn_gain_limit", &["100", "1", "1.2"]),
            ("vif_skip_scale0", &["false", "true"]),
            ("debug", &["false", "true"]),
        ],
    ),
    (
        "adm",
        &[
            ("adm_csf_mode", &["0", "1", "2", "3"]),
            // Weights of scale 0 that 16 bits hold, just hold not, and that wrap.
            ("adm_csf_scale", &["1", "0.015", "0.023", "50"]),
            ("adm_csf_diag_scale", &["1", "0.006", "0", "50"]),
            ("adm_min_val", &["0", "0.5", "1"]),
            ("adm_enhn_gain_limit", &["100", "1", "1.2"]),
            ("adm_norm_view_dist", &["3", "0.75", "5", "24"]),
            ("adm_ref_display_height", &["1080", "2160", "1"]),
            ("adm_noise_weight", &["0.03125", "0", "0.02"]),
            ("adm_skip_aim", &["false", "true"]),
            ("adm_skip_scale0", &["false", "true"]),
            ("adm_dlm_weight", &["0.5", "0", "0.9"]),
            ("debug", &["false", "true"]),
        ],
    ),
    (
        "motion",
        &[
            ("motion_five_frame_window", &["false", "true"]),
            ("motion_moving_average", &["false", "true"]),
            ("motion_blend_factor", &["1", "0.5"]),
            ("motion_fps_weight", &["1", "0.7"]),
            ("motion_max_val", &["10000", "12"]),
            ("debug", &["false", "true"]),
        ],
    ),
    (
        "cambi",
        &[
            ("full_ref", &["false", "true"]),
            ("max_log_contrast", &["2", "0", "5"]),
            ("window_size", &["65", "15", "127"]),
            ("topk", &["0.6", "0.05", "1"]),
            ("cambi_eotf", &["bt1886", "pq"]),
            ("cambi_vis_lum_threshold", &["0", "0.06", "4"]),
            ("enc_bitdepth", &["6", "8", "10"]),
            // Both sides at once: one alone is no size, and counts for nothing.
            ("enc_width", &["240:enc_height=180", "400:enc_height=300", "180:enc_height=240"]),
            ("src_width", &["320:src_height=240", "640:src_height=480"]),
            ("cambi_high_res_speedup", &["0", "1080", "2160"]),
            ("tvi_threshold", &["0.019", "0.0001", "0.3"]),
        ],
    ),
    (
        "speed_chroma",
        &[
            SPEED[0],
            SPEED[1],
            SPEED[2],
            SPEED[3],
            SPEED[4],
            SPEED[5],
            ("speed_weight_var_mode", &["0", "1", "2", "3", "4", "5", "6"]),
        ],
    ),
    (
        "speed_temporal",
        &[
            SPEED[0],
            SPEED[1],
            SPEED[2],
            SPEED[3],
            SPEED[4],
            SPEED[5],
            ("speed_use_ref_diff", &["false", "true"]),
        ],
    ),
    (
        "psnr",
        &[
            ("enable_chroma", &["true", "false"]),
            ("enable_mse", &["false", "true"]),
            ("reduced_hbd_peak", &["false", "true"]),
            ("min_sse", &["0", "0.5"]),
        ],
    ),
    ("psnr_hvs", &[]),
    ("ciede", &[]),
    ("float_ssim", &[SSIM[0], SSIM[1], SSIM[2], ("scale", &["0", "1", "3"])]),
    ("float_ms_ssim", SSIM),
];

/// What both of SpEED's extractors have.
const SPEED: &[Values] = &[
    ("speed_kernelscale", &["1", "0.5", "2"]),
    ("speed_max_val", &["1000", "3"]),
    // Enlarged often, for most pictures hold no block as they are.
    ("speed_prescale", &["1", "0.6", "2", "4", "1.1"]),
    ("speed_prescale_method", &["nearest", "bilinear", "bicubic", "lanczos4"]),
    ("speed_sigma_nn", &["0.29", "0.19", "2"]),
    ("speed_nn_floor", &["0", "0.1", "1"]),
];

/// What both SSIMs have.
const SSIM: &[Values] = &[
    ("enable_lcs", &["false", "true"]),
    ("enable_db", &["false", "true"]),
    ("clip_db", &["false", "true"]),
];

/// One case, as it can be told.
#[derive(Debug)]
struct Case {
    clip: ClipSpec,
    /// The distorted clips beyond the clip's own.
    others: Vec<ClipSpec>,
    requests: Vec<String>,
    models: Vec<&'static str>,
    interval: u32,
}

fn one<T: Copy>(random: &mut SplitMix64, of: &[T]) -> T {
    of[random.below(of.len() as u64) as usize]
}

fn request(random: &mut SplitMix64) -> String {
    let (name, options) = one(random, OPTIONS);
    let mut text = name.to_owned();
    for (option, values) in options {
        if random.below(3) == 0 {
            let mark = if text.contains('=') { ':' } else { '=' };
            text = format!("{text}{mark}{option}={}", one(random, values));
        }
    }
    text
}

impl Case {
    fn new(random: &mut SplitMix64) -> Self {
        // Small pictures often: there borders are everything. Some extractors need larger ones.
        let mut side = || {
            let bound = one(random, &[24, 100, 260, 420]);
            (16 + random.below(bound)) as u32
        };
        let (width, height) = (side(), side());
        let chroma = one(
            random,
            &[
                ChromaSubsampling::C420,
                ChromaSubsampling::C420,
                ChromaSubsampling::C422,
                ChromaSubsampling::C444,
                ChromaSubsampling::C400,
            ],
        );
        let format = PixelFormat { chroma, bit_depth: one(random, &[8, 8, 10, 12, 16]) };
        let frame_count = 1 + random.below(5) as u32;
        let clip_of = |random: &mut SplitMix64| {
            let (content, seed) = (one(random, &Content::ALL), random.next_u64());
            ClipSpec { content, seed, width, height, format, frame_count }
        };
        Self {
            clip: clip_of(random),
            others: (0..random.below(3)).map(|_| clip_of(random)).collect(),
            requests: (0..1 + random.below(3)).map(|_| request(random)).collect(),
            models: match random.below(3) {
                0 => vec![one(random, builtin_models()).version],
                _ => Vec::new(),
            },
            interval: one(random, &[1, 1, 1, 2]),
        }
    }

    /// `None` where the engine refuses the request or the pictures, which it does by name.
    fn plan(&self) -> Option<Arc<Plan>> {
        let requests: Result<Vec<FeatureRequest>, _> =
            self.requests.iter().map(|request| request.parse()).collect();
        let options = PlanOptions {
            requests: requests.expect("requests are well formed"),
            outputs: OutputSet::Full,
            subsample_interval: NonZeroU32::new(self.interval).expect("not zero"),
        };
        let models = self.models.iter().map(|version| support::model(version)).collect();
        let plan = Plan::new(models, &options).ok()?;
        let spec = self.clip.make().reference.picture_spec(plan.needs().planes);
        plan.check_pictures(&spec).ok()?;
        Some(Arc::new(plan))
    }
}

/// The pictures of a frame and those before it that the plan looks at.
fn pictures(plan: &Plan, clip: &Clip, frame: usize, before: u64) -> [Option<Picture>; 3] {
    let planes = plan.needs().planes;
    [0, 1, 2].map(|back| {
        let at = frame.checked_sub(back).filter(|_| back as u64 <= before)?;
        Some(clip.picture(at, planes))
    })
}

fn with_past(pictures: &[Option<Picture>; 3]) -> PictureWithPast<'_> {
    let [own, before @ ..] = pictures.each_ref().map(Option::as_ref);
    PictureWithPast { picture: own.expect("every frame has a picture"), before }
}

/// Scores any number of distorted clips in one walk over the reference.
fn walk(plan: &Arc<Plan>, reference: &Clip, distorted: &[&Clip], isa: Isa) -> Vec<Scores> {
    let needs = plan.needs();
    let spec = reference.picture_spec(needs.planes);
    let mut analyzer = FrameAnalyzer::new(Arc::clone(plan), spec, isa);
    let sequence = || Sequence::new(Arc::clone(plan), spec.width, spec.height);
    let mut sequences: Vec<_> = distorted.iter().map(|_| sequence()).collect();
    for frame in 0..reference.frame_count() {
        let own = pictures(plan, reference, frame, needs.references_before);
        let others: Vec<_> = distorted
            .iter()
            .map(|clip| pictures(plan, clip, frame, needs.distorted_before))
            .collect();
        let distorted: Vec<_> = others.iter().map(with_past).collect();
        let input = FrameInput {
            frame_index: frame as u64,
            reference: with_past(&own),
            distorted: &distorted,
        };
        let values = analyzer.analyze(&input, &mut || Duration::ZERO).expect("frames fit the plan");
        for (sequence, values) in sequences.iter_mut().zip(values) {
            sequence.add(values).expect("frames come once");
        }
    }
    let finished = sequences.into_iter().map(|it| it.finish().expect("all frames are there"));
    finished.collect()
}

/// How many values were compared.
fn same(expected: &Scores, actual: &Scores, what: &str) -> usize {
    assert_eq!(expected.frames.columns.len(), actual.frames.columns.len(), "{what}");
    let mut compared = 0;
    for (expected, actual) in expected.frames.columns.iter().zip(&actual.frames.columns) {
        assert_eq!(differences(expected, actual, 3), [""; 0], "{what}");
        compared += expected.values.len();
    }
    compared
}

fn check(case: &Case) -> Option<usize> {
    let plan = case.plan()?;
    let pair = case.clip.make();
    let others: Vec<_> = case.others.iter().map(|spec| spec.make().distorted).collect();
    let distorted: Vec<_> = std::iter::once(&pair.distorted).chain(&others).collect();
    let alone: Vec<_> = distorted
        .iter()
        .map(|clip| walk(&plan, &pair.reference, &[*clip], Isa::BASELINE).remove(0))
        .collect();
    let mut compared = 0;
    for isa in every_isa() {
        let together = walk(&plan, &pair.reference, &distorted, isa);
        for (expected, actual) in alone.iter().zip(&together) {
            compared += same(expected, actual, &format!("{isa}: {case:?}"));
        }
    }
    let frames = pair.reference.frame_count();
    let cut = frames / 2;
    let isa = *every_isa().last().expect("never empty");
    let mut merged = Sequence::new(Arc::clone(&plan), case.clip.width, case.clip.height);
    for range in [cut..frames, 0..cut] {
        let part = support::analyze(&plan, &pair, range, isa).into_part();
        merged.add_part(part).expect("parts of one plan");
    }
    let merged = merged.finish().expect("all frames are there");
    compared += same(&alone[0], &merged, &format!("cut at {cut}: {case:?}"));
    Some(compared)
}

#[test]
fn random_requests_give_the_same_bits_however_they_are_computed() {
    let mut fuzz = Fuzz::from_env(CASES);
    let (mut compared, mut refused) = (0, 0);
    while let Some(mut case) = fuzz.next_case() {
        match check(&Case::new(&mut case.random)) {
            Some(count) => compared += count,
            None => refused += 1,
        }
    }
    let cases = fuzz.cases();
    println!("{cases} cases, {refused} of them refused by name, {compared} values compared");
    assert!(compared > 0 && refused < cases, "nothing was compared");
}
