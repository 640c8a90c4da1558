//! CAMBI against the slow and obvious way, on every instruction set of this machine.
//!
//! What libvmaf gives for whole clips is compared in the engine's golden tests.

mod naive;

#[path = "../synthetic/mod.rs"]
mod synthetic;

use kernels::Isa;
use kernels::cambi::{CambiError, CambiOptions, CambiParams, CambiScratch, CambiSide, cambi};
use naive::Settings;
use synthetic::{Content, Plane, SplitMix64, bands, pair};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 20;

/// The brightest levels at which steps of 1 to 4 are seen, by default.
const BRIGHTEST: [i32; 4] = [178, 305, 432, 559];

/// Compares all instruction sets with the naive way and returns how many comparisons ran.
fn check(plane: &Plane, options: &CambiOptions, dimmest: i32, scratch: &mut CambiScratch) -> usize {
    let (width, height, bit_depth) = (plane.width, plane.height, plane.bit_depth);
    let params = CambiParams::new(options.clone(), width, height, bit_depth)
        .expect("the picture is large enough");
    let levels: Vec<i32> =
        plane.samples.iter().map(|sample| naive::level(*sample, bit_depth)).collect();
    let settings = Settings {
        averaged: options.enc_bit_depth.unwrap_or(bit_depth) < 10,
        halved: params.is_halved(),
        window: params.window(CambiSide::Distorted) as usize,
        brightest: &BRIGHTEST[..1 << options.max_log_contrast],
        dimmest,
        topk: options.topk,
    };
    let expected = naive::cambi(&levels, width, height, &settings);
    let padded = Plane::with_gap(plane, 5);
    for isa in every_isa() {
        let score = cambi(isa, &padded.view(), CambiSide::Distorted, &params, scratch, None);
        assert_eq!(score, Ok(expected), "{width}x{height} {bit_depth} bits, {isa}, {options:?}");
    }
    every_isa().len()
}

#[test]
fn small_pictures_give_the_same_bits_on_every_instruction_set() {
    let mut random = SplitMix64(11);
    let mut scratch = CambiScratch::new();
    let mut compared = 0;
    for case in 0..60 {
        let long = 216 + random.below(40) as usize;
        let short = 34 + random.below(60) as usize;
        let size = if case % 2 == 0 { (long, short) } else { (short, long) };
        let bit_depth = [8, 9, 10, 12, 15, 16][case % 6];
        let options = CambiOptions {
            window_size: [65, 127, 90][case % 3],
            topk: [0.6, 0.05, 1.0, 0.9][case % 4],
            max_log_contrast: (case % 3) as u32,
            ..CambiOptions::default()
        };
        let plane = bands(size, bit_depth, case as u64);
        compared += check(&plane, &options, 0, &mut scratch);
    }
    assert_eq!(compared, 60 * every_isa().len());
}

#[test]
fn adversarial_content_gives_the_same_bits_on_every_instruction_set() {
    let mut scratch = CambiScratch::new();
    let mut compared = 0;
    for content in Content::ALL {
        for bit_depth in [8, 10, 12, 16] {
            let (_, plane) = pair(content, (230, 41), bit_depth, 1, 5);
            let options = CambiOptions { enc_bit_depth: Some(8), ..CambiOptions::default() };
            compared += check(&plane, &options, 0, &mut scratch);
            compared += check(&plane, &CambiOptions::default(), 0, &mut scratch);
        }
    }
    assert_eq!(compared, Content::ALL.len() * 8 * every_isa().len());
}

#[test]
fn large_pictures_are_halved_first_and_the_dark_is_left_out() {
    let options =
        CambiOptions { high_res_speedup: 1080, visible_luminance: 0.06, ..CambiOptions::default() };
    // 0.06 candela a square metre is level 78.
    let plane = bands((1920, 1080), 8, 3);
    let compared = check(&plane, &options, 78, &mut CambiScratch::new());
    assert_eq!(compared, every_isa().len());
}

#[test]
fn pictures_scored_at_another_size_take_the_nearest_samples() {
    let plane = bands((480, 270), 8, 9);
    let options =
        CambiOptions { enc_width: Some(240), enc_height: Some(180), ..CambiOptions::default() };
    let params = CambiParams::new(options, 480, 270, 8).expect("in range");
    assert_eq!(params.size(CambiSide::Distorted), [240, 180]);
    assert_eq!(params.size(CambiSide::Reference), [480, 270]);
    // Positions are 0.5, 2.5, ... across and 0.25, 1.75, 3.25, ... down, rounded.
    let small: Vec<u16> = (0..180)
        .flat_map(|y: usize| (0..240).map(move |x| (2 * x + 1, (3 * y).div_ceil(2))))
        .map(|(x, y)| plane.samples[y * 480 + x])
        .collect();
    let small = Plane::of(small, 240, 180, 8);
    let alone = CambiParams::new(CambiOptions::default(), 240, 180, 8).expect("in range");
    let mut scratch = CambiScratch::new();
    for isa in every_isa() {
        let side = CambiSide::Distorted;
        let scaled = cambi(isa, &plane.view(), side, &params, &mut scratch, None);
        let direct = cambi(isa, &small.view(), side, &alone, &mut scratch, None);
        assert!(scaled.is_ok_and(|score| score > 0.0), "{isa}");
        assert_eq!(scaled, direct, "{isa}");
    }
}

#[test]
fn samples_above_the_bit_depth_and_other_pictures_are_refused() {
    let params = CambiParams::new(CambiOptions::default(), 240, 40, 10).expect("in range");
    let mut samples = vec![100; 240 * 40];
    samples[240 * 40 - 1] = 1024;
    let plane = Plane::of(samples, 240, 40, 10);
    let other = Plane::of(vec![100; 240 * 41], 240, 41, 10);
    let mut scratch = CambiScratch::new();
    for isa in every_isa() {
        let mut score = |plane: &Plane| {
            cambi(isa, &plane.view(), CambiSide::Distorted, &params, &mut scratch, None)
        };
        assert_eq!(score(&plane), Err(CambiError::SampleTooLarge { bit_depth: 10 }));
        assert_eq!(score(&other), Err(CambiError::OtherShape));
    }
}

#[test]
fn heat_maps_show_every_scale_scaled_to_the_largest_contrast() {
    let plane = bands((300, 240), 8, 4);
    let params = CambiParams::new(CambiOptions::default(), 300, 240, 8).expect("in range");
    let mut scratch = CambiScratch::new();
    let mut sizes = Vec::new();
    let mut brightest = 0;
    let mut show = |map: kernels::cambi::CambiHeatMap<'_>| {
        assert_eq!(map.scale, sizes.len());
        assert_eq!(map.levels().count(), map.width() * map.height());
        brightest = map.levels().max().max(Some(brightest)).expect("some");
        sizes.push((map.width(), map.height()));
    };
    cambi(
        Isa::BASELINE,
        &plane.view(),
        CambiSide::Distorted,
        &params,
        &mut scratch,
        Some(&mut show),
    )
    .expect("in range");
    assert_eq!(sizes, [(300, 240), (150, 120), (75, 60), (38, 30), (19, 15)]);
    assert!(brightest > 10_000);
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let mut scratch = CambiScratch::new();
    let mut compared = 0;
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let size = (216 + below(200), 34 + below(200));
        let size = if below(2) == 0 { size } else { (size.1, size.0) };
        let bit_depth = [8, 9, 10, 12, 15, 16][below(6)];
        let options = CambiOptions {
            window_size: 15 + below(113) as u32,
            topk: [0.6, 0.05, 1.0, 0.9, 0.0001][below(5)],
            max_log_contrast: below(3) as u32,
            ..CambiOptions::default()
        };
        if CambiParams::new(options.clone(), size.0, size.1, bit_depth).is_err() {
            // Refused by name: the window does not fit.
            continue;
        }
        let seed = below(1 << 40) as u64;
        let plane = match below(3) {
            0 => pair(Content::ALL[below(Content::ALL.len() as u64)], size, bit_depth, 1, seed).1,
            _ => bands(size, bit_depth, seed),
        };
        compared += check(&plane, &options, 0, &mut scratch);
    }
    println!("cambi: {} cases, {compared} comparisons", fuzz.cases());
    assert!(compared > 0, "nothing was compared");
}
