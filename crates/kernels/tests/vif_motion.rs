//! VIF and motion against the slow and obvious way, on every instruction set of this machine.

mod naive;
mod synthetic;

use kernels::motion::{MotionScratch, motion_sad};
use kernels::vif::{VifParams, VifScratch, vif, vif_each};
use kernels::{Isa, ShapeMismatch};
use synthetic::{Content, Plane, SplitMix64, pair};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 20;

const DEPTHS: [u32; 6] = [8, 9, 10, 12, 15, 16];

/// Compares all instruction sets with the naive way and returns how many comparisons ran.
fn check(content: Content, size: (usize, usize), bit_depth: u32, gap: usize, limit: f64) -> usize {
    let seed = (size.0 * 1000 + size.1) as u64;
    let (reference, distorted) = pair(content, size, bit_depth, 1, seed);
    let (previous, _) = pair(content, size, bit_depth, 0, seed);
    let expected_vif = naive::vif(&reference, &distorted, limit);
    let expected_sad = naive::motion_sad(&previous, &reference);
    let params = VifParams { enhancement_gain_limit: limit, ..VifParams::default() };
    let [reference, distorted, previous] =
        [(&reference, gap), (&distorted, 2 * gap), (&previous, 3 * gap)]
            .map(|(plane, gap)| Plane::with_gap(plane, gap));
    let mut vif_scratch = VifScratch::new();
    let mut motion_scratch = MotionScratch::new();
    for isa in every_isa() {
        let case = format!("{content:?} {size:?} {bit_depth} bit, gap {gap}, limit {limit}, {isa}");
        for _ in 0..2 {
            let scores = vif(isa, &reference.view(), &distorted.view(), &params, &mut vif_scratch)
                .expect("one shape");
            let scales = scores.scales.map(|scale| (scale.num, scale.den, scale.score));
            assert_eq!(scales, expected_vif, "{case}");
        }
        let sad = motion_sad(isa, &previous.view(), &reference.view(), &mut motion_scratch)
            .expect("one shape");
        assert_eq!(sad, expected_sad, "{case}");
    }
    every_isa().len()
}

#[test]
fn every_small_side_gives_the_same_bits_on_every_instruction_set() {
    let mut compared = 0;
    let mut random = SplitMix64(7);
    for side in 1..=40 {
        for bit_depth in DEPTHS {
            let other = 1 + random.below(40) as usize;
            for size in [(side, side), (side, other), (other, side)] {
                for content in [Content::Texture, Content::Noise] {
                    compared += check(content, size, bit_depth, 0, 100.0);
                }
            }
        }
    }
    assert_eq!(compared, 40 * DEPTHS.len() * 6 * every_isa().len());
}

#[test]
fn odd_sizes_and_gaps_between_rows_give_the_same_bits_on_every_instruction_set() {
    let mut compared = 0;
    let sizes =
        [(33, 33), (47, 61), (64, 35), (97, 65), (129, 97), (257, 33), (35, 259), (21, 603)];
    for (index, size) in sizes.into_iter().enumerate() {
        for bit_depth in DEPTHS {
            for limit in [100.0, 1.0] {
                compared += check(Content::Texture, size, bit_depth, 1 + index * 7, limit);
            }
        }
    }
    assert_eq!(compared, sizes.len() * DEPTHS.len() * 2 * every_isa().len());
}

/// A strip is 128 columns wide and begins to measure two reaches of the filter before it ends.
#[test]
fn sides_around_the_seams_of_strips_give_the_same_bits_on_every_instruction_set() {
    let mut compared = 0;
    let seams = [112, 128, 240, 248, 252, 256, 368];
    let widths = seams.iter().flat_map(|seam| [seam - 1, *seam, seam + 1, seam + 2]);
    for width in widths.clone() {
        for bit_depth in [8, 10, 16] {
            compared += check(Content::Noise, (width, 19), bit_depth, 1, 100.0);
        }
    }
    assert_eq!(compared, widths.count() * 3 * every_isa().len());
}

#[test]
fn pictures_that_share_a_reference_score_as_each_would_alone() {
    let mut compared = 0;
    let mut shared_scratch = VifScratch::new();
    for (size, bit_depth) in [((97, 65), 8), ((150, 34), 10), ((33, 129), 16), ((1, 7), 12)] {
        let (reference, first) = pair(Content::Texture, size, bit_depth, 1, 11);
        let contents = [Content::Noise, Content::Blocks, Content::Flat, Content::SingleSample];
        let others = contents.map(|content| pair(content, size, bit_depth, 2, 11).1);
        let planes: Vec<Plane> = [first, reference.clone()]
            .iter()
            .chain(&others)
            .enumerate()
            .map(|(gap, plane)| Plane::with_gap(plane, gap))
            .collect();
        let views: Vec<_> = planes.iter().map(Plane::view).collect();
        for isa in every_isa() {
            for skip_scale0 in [false, true] {
                let params = VifParams { skip_scale0, enhancement_gain_limit: 1.5 };
                let lone = views.iter().map(|distorted| {
                    vif(isa, &reference.view(), distorted, &params, &mut VifScratch::new())
                        .expect("one shape")
                });
                let lone: Vec<_> = lone.collect();
                for count in [0, 1, 2, 3, views.len(), 2] {
                    let distorted = &views[..count];
                    let scratch = &mut shared_scratch;
                    let scores = vif_each(isa, &reference.view(), distorted, &params, scratch);
                    assert_eq!(scores.as_deref(), Ok(&lone[..count]), "{size:?}, {isa}");
                    compared += count;
                }
            }
        }
    }
    assert_eq!(compared, 4 * every_isa().len() * 2 * (1 + 2 + 3 + 6 + 2));
}

#[test]
fn one_picture_of_another_shape_refuses_all() {
    let (reference, distorted) = pair(Content::Noise, (40, 30), 8, 0, 1);
    let (other, _) = pair(Content::Noise, (40, 31), 8, 0, 1);
    let distorted = [distorted.view(), other.view()];
    let params = VifParams::default();
    let scratch = &mut VifScratch::new();
    let refused = vif_each(Isa::BASELINE, &reference.view(), &distorted, &params, scratch);
    assert_eq!(refused, Err(ShapeMismatch));
}

#[test]
fn adversarial_content_gives_the_same_bits_on_every_instruction_set() {
    let mut compared = 0;
    for content in Content::ALL {
        for bit_depth in DEPTHS {
            for size in [(16, 16), (53, 37), (70, 66)] {
                compared += check(content, size, bit_depth, 3, 100.0);
                compared += check(content, size, bit_depth, 0, 1.0);
            }
        }
    }
    assert_eq!(compared, Content::ALL.len() * DEPTHS.len() * 6 * every_isa().len());
}

#[test]
fn samples_above_the_bit_depth_do_no_harm() {
    let (mut reference, mut distorted) = pair(Content::Noise, (67, 41), 16, 0, 5);
    for bit_depth in 9..16 {
        reference.bit_depth = bit_depth;
        distorted.bit_depth = bit_depth;
        for isa in every_isa() {
            let params = VifParams::default();
            let mut scratch = VifScratch::new();
            vif(isa, &reference.view(), &distorted.view(), &params, &mut scratch)
                .expect("one shape");
            motion_sad(isa, &reference.view(), &distorted.view(), &mut MotionScratch::new())
                .expect("one shape");
        }
    }
}

#[test]
fn scratch_serves_pictures_of_any_shape_in_any_order() {
    let mut vif_scratch = VifScratch::new();
    let mut motion_scratch = MotionScratch::new();
    let shapes = [((90, 70), 8), ((17, 90), 10), ((200, 30), 8), ((5, 3), 16), ((90, 70), 8)];
    for isa in every_isa() {
        for (size, bit_depth) in shapes {
            let (reference, distorted) = pair(Content::Texture, size, bit_depth, 1, 3);
            let params = VifParams::default();
            let views = (reference.view(), distorted.view());
            let reused = vif(isa, &views.0, &views.1, &params, &mut vif_scratch);
            assert_eq!(reused, vif(isa, &views.0, &views.1, &params, &mut VifScratch::new()));
            let reused = motion_sad(isa, &views.0, &views.1, &mut motion_scratch);
            assert_eq!(reused, motion_sad(isa, &views.0, &views.1, &mut MotionScratch::new()));
        }
    }
}

#[test]
fn pictures_of_different_shape_are_refused() {
    let (reference, _) = pair(Content::Noise, (16, 16), 8, 0, 1);
    for (size, bit_depth) in [((17, 16), 8), ((16, 15), 8), ((16, 16), 10)] {
        let (other, _) = pair(Content::Noise, size, bit_depth, 0, 1);
        let (isa, params) = (Isa::BASELINE, VifParams::default());
        let refused = vif(isa, &reference.view(), &other.view(), &params, &mut VifScratch::new());
        assert_eq!(refused, Err(ShapeMismatch));
        let refused = motion_sad(isa, &reference.view(), &other.view(), &mut MotionScratch::new());
        assert_eq!(refused, Err(ShapeMismatch));
    }
}

#[test]
fn a_skipped_scale_is_left_out_of_the_sums() {
    let (reference, distorted) = pair(Content::Texture, (64, 64), 8, 0, 9);
    let score = |skip_scale0| {
        let params = VifParams { skip_scale0, ..VifParams::default() };
        let mut scratch = VifScratch::new();
        vif(Isa::BASELINE, &reference.view(), &distorted.view(), &params, &mut scratch)
            .expect("one shape")
    };
    let (whole, skipped) = (score(false), score(true));
    let first = skipped.scales[0];
    assert_eq!((first.num, first.den, first.score), (0.0, -1.0, 0.0));
    assert_eq!(skipped.scales[1..], whole.scales[1..]);
    assert_eq!(skipped.num(), whole.scales[1..].iter().map(|scale| scale.num).sum::<f64>());
    assert_eq!(skipped.score(), skipped.num() / skipped.den());
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let mut compared = 0;
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let content = Content::ALL[below(Content::ALL.len() as u64)];
        let size = (1 + below(300), 1 + below(120));
        let limit = [100.0, 1.0, 1.2][below(3)];
        compared += check(content, size, DEPTHS[below(6)], below(70), limit);
    }
    println!("vif and motion: {} cases, {compared} comparisons", fuzz.cases());
    assert!(compared > 0, "nothing was compared");
}
