//! SSIM and MS-SSIM against the slow and obvious way, on every instruction set of this machine.

mod naive;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use kernels::ssim::{
    MS_SSIM_SIDE_MIN, SHRINK_MAX, SSIM_SIDE_MIN, SsimError, SsimMeans, SsimParams, SsimScratch,
    float_ms_ssim, float_ssim,
};
use kernels::{Isa, ShapeMismatch};
use naive::{Real, means};
use synthetic::{Content, SplitMix64, pair};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 20;

const DEPTHS: [u32; 6] = [8, 9, 10, 12, 15, 16];

fn bits<const N: usize>(values: [f64; N]) -> [u64; N] {
    values.map(f64::to_bits)
}

/// Compares all instruction sets with the naive way and returns how many comparisons ran.
fn check_ssim(
    content: Content,
    size: (usize, usize),
    bit_depth: u32,
    shrink: usize,
    scratch: &mut SsimScratch,
) -> usize {
    let (reference, distorted) = pair(content, size, bit_depth, 1, (size.0 * 1000 + size.1) as u64);
    let shrunk = [&reference, &distorted].map(|plane| Real::new(plane).shrunk(shrink));
    let expected = means(&shrunk[0], &shrunk[1]);
    let (reference, distorted) = (reference.with_gap(3), distorted.with_gap(7));
    for isa in every_isa() {
        let case = format!("{content:?} {size:?} by {shrink}, {bit_depth} bits, {isa}");
        let mut run = |means| {
            let params = SsimParams { shrink, means };
            float_ssim(isa, &reference.view(), &distorted.view(), &params, scratch).expect(&case)
        };
        let all = run(SsimMeans::All);
        let actual = [all.ssim, all.luminance, all.contrast, all.structure];
        assert_eq!(bits(actual), bits(expected), "{case}: {actual:?}, expected {expected:?}");
        assert_eq!(run(SsimMeans::ForScore).ssim.to_bits(), all.ssim.to_bits(), "{case}");
    }
    every_isa().len()
}

/// The same for MS-SSIM.
fn check_ms_ssim(
    content: Content,
    size: (usize, usize),
    bit_depth: u32,
    scratch: &mut SsimScratch,
) -> usize {
    let (reference, distorted) = pair(content, size, bit_depth, 1, (size.0 * 1000 + size.1) as u64);
    let mut pictures = [Real::new(&reference), Real::new(&distorted)];
    let expected: [[f64; 4]; 5] = std::array::from_fn(|scale| {
        if scale > 0 {
            pictures = pictures.each_ref().map(Real::halved);
        }
        means(&pictures[0], &pictures[1])
    });
    let (reference, distorted) = (reference.with_gap(3), distorted.with_gap(7));
    for isa in every_isa() {
        let case = format!("{content:?} {size:?}, {bit_depth} bits, {isa}");
        let mut run = |means| {
            float_ms_ssim(isa, &reference.view(), &distorted.view(), means, scratch).expect(&case)
        };
        let (all, score) = (run(SsimMeans::All), run(SsimMeans::ForScore));
        for scale in 0..5 {
            let actual = [all.luminance[scale], all.contrast[scale], all.structure[scale]];
            let [_, luminance, contrast, structure] = expected[scale];
            assert_eq!(bits(actual), bits([luminance, contrast, structure]), "{case}, {scale}");
        }
        assert_eq!(bits(score.contrast), bits(all.contrast), "{case}");
        assert_eq!(bits(score.structure), bits(all.structure), "{case}");
        assert_eq!(score.luminance[4].to_bits(), all.luminance[4].to_bits(), "{case}");
    }
    every_isa().len()
}

#[test]
fn ssim_of_every_small_size_content_and_depth_is_the_naive_one() {
    let mut random = SplitMix64(11);
    let mut scratch = SsimScratch::new();
    let mut compared = 0;
    for side in (SSIM_SIDE_MIN..150).step_by(3) {
        for content in Content::ALL {
            let other = SSIM_SIDE_MIN + random.below(140) as usize;
            let bit_depth = DEPTHS[random.below(6) as usize];
            let size = if random.below(2) == 0 { (side, other) } else { (other, side) };
            compared += check_ssim(content, size, bit_depth, 1, &mut scratch);
        }
    }
    let sides = (150 - SSIM_SIDE_MIN).div_ceil(3);
    assert_eq!(compared, sides * Content::ALL.len() * every_isa().len());
}

#[test]
fn ssim_of_shrunk_pictures_is_the_naive_one_for_every_factor() {
    let mut random = SplitMix64(12);
    let mut scratch = SsimScratch::new();
    let mut compared = 0;
    for shrink in 1..=SHRINK_MAX {
        for content in Content::ALL {
            for bit_depth in DEPTHS {
                let mut side = || 11 * shrink + random.below(150) as usize;
                compared += check_ssim(content, (side(), side()), bit_depth, shrink, &mut scratch);
            }
        }
    }
    let cases = SHRINK_MAX * Content::ALL.len() * DEPTHS.len();
    assert_eq!(compared, cases * every_isa().len());
}

#[test]
fn ms_ssim_of_even_and_odd_sizes_is_the_naive_one() {
    let mut random = SplitMix64(13);
    let mut scratch = SsimScratch::new();
    let mut compared = 0;
    for content in Content::ALL {
        for bit_depth in DEPTHS {
            let mut side = || MS_SSIM_SIDE_MIN + random.below(60) as usize;
            compared += check_ms_ssim(content, (side(), side()), bit_depth, &mut scratch);
        }
    }
    compared += check_ms_ssim(Content::Texture, (176, 176), 8, &mut scratch);
    compared += check_ms_ssim(Content::Texture, (641, 179), 10, &mut scratch);
    // At scale 2 there are columns whose values are zeros and negative.
    compared += check_ms_ssim(Content::SingleSample, (274, 261), 12, &mut scratch);
    let cases = Content::ALL.len() * DEPTHS.len() + 3;
    assert_eq!(compared, cases * every_isa().len());
}

#[test]
fn the_factor_follows_the_shorter_side() {
    for (size, factor) in [
        ((176, 144), 1),
        ((500, 383), 1),
        ((384, 500), 2),
        ((1280, 720), 3),
        ((1920, 1080), 4),
        ((3840, 2160), 8),
    ] {
        let side = |len: usize| if factor == 1 { len } else { len / factor + len % 2 };
        let compared = SsimParams::default().compared_size(size.0, size.1);
        assert_eq!(compared, Ok([side(size.0), side(size.1)]), "{size:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let mut scratch = SsimScratch::new();
    let isa = Isa::BASELINE;
    let (small, other) = pair(Content::Texture, (175, 300), 8, 0, 1);
    let (wide, _) = pair(Content::Texture, (176, 300), 8, 0, 1);
    let error = float_ms_ssim(isa, &small.view(), &other.view(), SsimMeans::All, &mut scratch);
    let too_small = SsimError::TooSmall { width: 175, height: 300, side_min: 176 };
    assert_eq!(error, Err(too_small));
    assert!(too_small.to_string().contains("175x300"), "{too_small}");
    let error = float_ms_ssim(isa, &wide.view(), &other.view(), SsimMeans::All, &mut scratch);
    assert_eq!(error, Err(SsimError::Shape(ShapeMismatch)));
    for (shrink, expected) in [(10, None), (11, Some(SsimError::Shrink { factor: 11 })), (0, None)]
    {
        let params = SsimParams { shrink, ..SsimParams::default() };
        let scores = float_ssim(isa, &small.view(), &other.view(), &params, &mut scratch);
        assert_eq!(scores.err(), expected);
    }
    let params = SsimParams { shrink: 10, ..SsimParams::default() };
    let error = params.compared_size(108, 300);
    assert_eq!(error, Err(SsimError::TooSmall { width: 10, height: 30, side_min: 11 }));
}

#[test]
fn samples_above_the_bit_depth_do_no_harm() {
    let words = vec![u16::MAX; 200 * 200];
    let plane = kernels::PlaneRef::new(kernels::Samples::U16(&words), 200, 200, 200, 9)
        .expect("the geometry fits");
    let mut scratch = SsimScratch::new();
    for isa in every_isa() {
        let scores = float_ms_ssim(isa, &plane, &plane, SsimMeans::All, &mut scratch);
        assert!(scores.expect("one kind").luminance.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let (mut scratch, mut compared) = (SsimScratch::new(), 0);
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let content = Content::ALL[below(Content::ALL.len() as u64)];
        let bit_depth = DEPTHS[below(6)];
        if below(3) == 0 {
            let size = (MS_SSIM_SIDE_MIN + below(150), MS_SSIM_SIDE_MIN + below(150));
            compared += check_ms_ssim(content, size, bit_depth, &mut scratch);
        } else {
            let shrink = 1 + below(SHRINK_MAX as u64);
            let size = (SSIM_SIDE_MIN * shrink + below(200), SSIM_SIDE_MIN * shrink + below(200));
            compared += check_ssim(content, size, bit_depth, shrink, &mut scratch);
        }
    }
    assert!(compared > 0, "nothing was compared");
    println!("ssim and ms_ssim: {} cases", fuzz.cases());
}
