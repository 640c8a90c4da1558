//! ADM gives one result on every instruction set, whatever the size, stride, depth and content.

use crate::content::{Content, Pair, Random};
use kernels::adm::{AdmOptions, AdmParams, AdmScores, AdmScratch, adm, adm_each};
use kernels::{Isa, PlaneRef, Samples, ShapeMismatch};
use testkit::isa::every_isa;

const BIT_DEPTHS: [u32; 4] = [8, 10, 12, 16];

fn params(gain_limit: f64, skip_aim: bool) -> AdmParams {
    let options =
        AdmOptions { enhancement_gain_limit: gain_limit, skip_aim, ..AdmOptions::default() };
    AdmParams::new(options).expect("options are in range")
}

fn bits(scores: &AdmScores) -> [u64; 17] {
    let mut values = [scores.adm2, scores.aim, scores.adm3, scores.numerator, scores.denominator]
        .into_iter()
        .chain(scores.scale)
        .chain(scores.scale_numerator)
        .chain(scores.scale_denominator);
    std::array::from_fn(|_| values.next().expect("seventeen values").to_bits())
}

/// Compares all instruction sets on one pair and returns how many comparisons were made.
fn check(pair: &Pair, params: &AdmParams, scratch: &mut AdmScratch, what: &str) -> usize {
    let (reference, distorted) = (pair.reference(), pair.distorted());
    let mut run = |isa| {
        let scores = adm(isa, &reference, &distorted, params, scratch).expect("one shape");
        assert!(bits(&scores).iter().all(|value| f64::from_bits(*value).is_finite()), "{what}");
        scores
    };
    let expected = run(Isa::BASELINE);
    let others = every_isa().into_iter().skip(1);
    others.map(|isa| assert_eq!(bits(&run(isa)), bits(&expected), "{isa}: {what}")).count()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let seed = 20_261_122;
    let mut random = Random::new(seed);
    let mut scratch = AdmScratch::default();
    let mut compared = 0;
    let sizes =
        [[33, 33], [64, 36], [65, 47], [129, 97], [162, 70], [177, 145], [256, 64], [355, 41]];
    for content in Content::ALL {
        for bit_depth in BIT_DEPTHS {
            for size in sizes {
                let stride = size[0] + random.below(3) as usize * 13;
                let pair = Pair::new(content, size, stride, bit_depth, random.next());
                let gain_limit = [1.0, 1.2, 100.0][random.below(3) as usize];
                let params = params(gain_limit, random.below(4) == 0);
                let what = format!("{content:?} {size:?} {bit_depth} bits, seed {seed}");
                compared += check(&pair, &params, &mut scratch, &what);
            }
        }
    }
    let others = every_isa().len() - 1;
    assert_eq!(compared, Content::ALL.len() * BIT_DEPTHS.len() * sizes.len() * others);
}

/// Options that take other ways through the code than the defaults.
fn unusual_options() -> [AdmOptions; 6] {
    let plain = AdmOptions::default;
    [
        AdmOptions { enhancement_gain_limit: 1.0, csf_mode: 2, noise_weight: 0.02, ..plain() },
        AdmOptions { csf_mode: 3, view_distance: 5.0, ..plain() },
        // Weights of scale 0 that 16 bits hold, that they just hold not, and that wrap.
        AdmOptions { csf_mode: 1, csf_scale: 0.015, csf_diagonal_scale: 0.006, ..plain() },
        AdmOptions { csf_mode: 1, csf_scale: 0.023, csf_diagonal_scale: 0.0, ..plain() },
        AdmOptions { csf_mode: 1, enhancement_gain_limit: 7.0, ..plain() },
        AdmOptions { view_distance: 24.0, skip_scale0: true, skip_aim: true, ..plain() },
    ]
}

#[test]
fn every_instruction_set_gives_the_same_bits_with_any_options() {
    let mut scratch = AdmScratch::default();
    let mut random = Random::new(41);
    let mut compared = 0;
    for (round, content) in Content::ALL.into_iter().enumerate() {
        for options in unusual_options() {
            let params = AdmParams::new(options.clone()).expect("options are in range");
            let bit_depth = BIT_DEPTHS[round % BIT_DEPTHS.len()];
            let pair = Pair::new(content, [331, 97], 340, bit_depth, random.next());
            let what = format!("{content:?} {bit_depth} bits {options:?}");
            compared += check_bits(&pair, &params, &mut scratch, &what);
        }
    }
    assert_eq!(compared, Content::ALL.len() * 6 * (every_isa().len() - 1));
}

/// As [`check`], for weights that may wrap and make sums that have no cube root.
fn check_bits(pair: &Pair, params: &AdmParams, scratch: &mut AdmScratch, what: &str) -> usize {
    let mut run = |isa| {
        let scores = adm(isa, &pair.reference(), &pair.distorted(), params, scratch);
        bits(&scores.expect("one shape")).map(|bits| {
            let value = f64::from_bits(bits);
            if value.is_nan() { f64::NAN.to_bits() } else { bits }
        })
    };
    let expected = run(Isa::BASELINE);
    let others = every_isa().into_iter().skip(1);
    others.map(|isa| assert_eq!(run(isa), expected, "{isa}: {what}")).count()
}

#[test]
fn several_distorted_pictures_score_as_each_alone() {
    let mut compared = 0;
    for (size, bit_depth) in [([331, 97], 8), ([129, 61], 10), ([40, 34], 12), ([20, 50], 16)] {
        let contents = [Content::Quantised, Content::Noise, Content::Flipped, Content::Noisy];
        let pairs = contents.map(|content| Pair::new(content, size, size[0] + 1, bit_depth, 3));
        let reference = pairs[0].reference();
        let distorted = pairs.each_ref().map(Pair::distorted);
        let params = params(100.0, false);
        for isa in every_isa() {
            let scratch = &mut AdmScratch::default();
            for count in [0, 1, 3, 4, 2] {
                let distorted = &distorted[..count];
                let scores = adm_each(isa, &reference, distorted, &params, scratch);
                let scores = scores.expect("one shape");
                assert_eq!(scores.len(), count);
                for (scores, distorted) in scores.iter().zip(distorted) {
                    let fresh = &mut AdmScratch::default();
                    let alone = adm(isa, &reference, distorted, &params, fresh);
                    assert_eq!(bits(scores), bits(&alone.expect("one shape")), "{isa} {size:?}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, 4 * 10 * every_isa().len());
}

#[test]
fn the_smallest_pictures_are_scored_alike_and_without_panic() {
    let params = params(100.0, false);
    let mut scratch = AdmScratch::default();
    let mut compared = 0;
    for width in 1..=34 {
        for height in 1..=34 {
            let content = Content::ALL[(width * 7 + height) % Content::ALL.len()];
            let bit_depth = BIT_DEPTHS[(width + height) % BIT_DEPTHS.len()];
            let pair = Pair::new(content, [width, height], width + 1, bit_depth, 5);
            let what = format!("{content:?} {width}x{height}");
            compared += check(&pair, &params, &mut scratch, &what);
        }
    }
    assert_eq!(compared, 34 * 34 * (every_isa().len() - 1));
}

#[test]
fn used_scratch_changes_nothing() {
    let params = params(100.0, false);
    let mut used = AdmScratch::new(640, 90);
    for (size, content) in [
        ([640, 90], Content::Noise),
        ([31, 200], Content::Flipped),
        ([200, 31], Content::Noise),
        ([5, 5], Content::Noise),
        ([200, 31], Content::Quantised),
        ([640, 90], Content::Quantised),
    ] {
        let pair = Pair::new(content, size, size[0], 8, 9);
        let (reference, distorted) = (pair.reference(), pair.distorted());
        let run = |scratch: &mut AdmScratch| {
            adm(Isa::BASELINE, &reference, &distorted, &params, scratch).expect("one shape")
        };
        let fresh = run(&mut AdmScratch::new(size[0], size[1]));
        assert_eq!(bits(&run(&mut used)), bits(&fresh), "{size:?} {content:?}");
    }
}

#[test]
fn samples_beyond_the_bit_depth_are_survived_alike() {
    let [width, height] = [150, 90];
    let mut random = Random::new(77);
    let mut compared = 0;
    for round in 0..24 {
        let bit_depth = [9, 10, 12, 15][round % 4];
        let gain_limit = [1.0, 1.2, 100.0][round % 3];
        // Words of 16 random bits, or of extremes only.
        let mut word = || match round % 2 {
            0 => random.next() as u16,
            _ => [0, u16::MAX, 0x7fff, 0x8000][random.below(4) as usize],
        };
        let mut picture = || (0..width * height).map(|_| word()).collect::<Vec<u16>>();
        let pictures = [picture(), picture()];
        let [reference, distorted] = pictures.each_ref().map(|samples| {
            PlaneRef::new(Samples::U16(samples), width, height, width, bit_depth).expect("fits")
        });
        let mut run = every_isa().into_iter().map(|isa| {
            let scratch = &mut AdmScratch::default();
            bits(
                &adm(isa, &reference, &distorted, &params(gain_limit, false), scratch)
                    .expect("one shape"),
            )
        });
        let expected = run.next().expect("the baseline is always there");
        assert!(run.all(|scores| scores == expected), "round {round}, {bit_depth} bits");
        compared += 1;
    }
    assert_eq!(compared, 24);
}

#[test]
fn a_flat_picture_scores_one_and_shows_no_impairment() {
    for size in [[1, 1], [16, 9], [33, 33], [320, 180]] {
        let pair = Pair::new(Content::Flat, size, size[0], 8, 3);
        let (reference, distorted) = (pair.reference(), pair.distorted());
        let scratch = &mut AdmScratch::default();
        let scores = adm(Isa::BASELINE, &reference, &distorted, &params(100.0, false), scratch)
            .expect("one shape");
        assert_eq!((scores.adm2, scores.scale), (1.0, [1.0; 4]), "{size:?}");
        assert_eq!((scores.aim, scores.adm3), (0.0, 1.0), "{size:?}");
    }
}

#[test]
fn without_detail_and_noise_floor_ratios_are_one() {
    let options = AdmOptions { noise_weight: 0.0, ..AdmOptions::default() };
    let params = AdmParams::new(options).expect("options are in range");
    let pair = Pair::new(Content::Flat, [64, 64], 64, 8, 3);
    let scratch = &mut AdmScratch::default();
    let scores = adm(Isa::BASELINE, &pair.reference(), &pair.distorted(), &params, scratch)
        .expect("one shape");
    assert_eq!((scores.adm2, scores.aim, scores.scale), (1.0, 0.0, [1.0; 4]));
    assert_eq!((scores.numerator, scores.denominator), (0.0, 0.0));
}

#[test]
fn skipping_impairments_changes_only_what_they_make() {
    let pair = Pair::new(Content::Noisy, [161, 91], 170, 10, 11);
    let (reference, distorted) = (pair.reference(), pair.distorted());
    let run = |skip_aim| {
        let scratch = &mut AdmScratch::default();
        adm(Isa::BASELINE, &reference, &distorted, &params(100.0, skip_aim), scratch)
            .expect("one shape")
    };
    let (with, without) = (run(false), run(true));
    assert!(with.aim > 0.0);
    assert_eq!((without.aim, without.adm3), (0.0, with.adm2 * 0.5 + 0.5));
    let common = |scores: AdmScores| AdmScores { aim: 0.0, adm3: 0.0, ..scores };
    assert_eq!(bits(&common(with)), bits(&common(without)));
}

#[test]
fn pictures_of_different_shapes_are_refused() {
    let pairs = [([40, 40], 8), ([41, 40], 8), ([40, 41], 8), ([40, 40], 10)]
        .map(|(size, bit_depth)| Pair::new(Content::Flat, size, size[0], bit_depth, 1));
    let params = params(100.0, false);
    for other in &pairs[1..] {
        let scratch = &mut AdmScratch::default();
        let result =
            adm(Isa::BASELINE, &pairs[0].reference(), &other.distorted(), &params, scratch);
        assert_eq!(result, Err(ShapeMismatch));
    }
}
