//! What SpEED promises as a whole. Its numbers are compared with libvmaf's in the engine's tests.

use super::*;
use crate::isa::every_isa;

/// A texture of a few waves and grain, integer arithmetic only.
fn picture(width: usize, height: usize, max: usize, seed: u32) -> Vec<u16> {
    let mut state = seed;
    let mut grain = |bound: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % bound
    };
    let wave = |at: usize, period: usize| {
        let phase = at % period;
        2 * phase.min(period - phase) * max / period
    };
    let mut samples = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let texture = wave(x + y / 3, 127) / 2 + wave(y + x / 5, 83) / 4;
            samples.push((texture + grain(max / 4)).min(max) as u16);
        }
    }
    samples
}

/// The same with coarser steps.
fn quantised(samples: &[u16], step: u16) -> Vec<u16> {
    samples.iter().map(|sample| sample / step * step).collect()
}

fn plane(samples: &[u16], width: usize, height: usize, bit_depth: u32) -> PlaneRef<'_> {
    PlaneRef::new(Samples::U16(samples), width, height, width, bit_depth).expect("sides in range")
}

/// The score of a pair, with statistics of its own.
fn pair(
    isa: Isa,
    inputs: [SpeedInput<'_>; 2],
    params: &SpeedParams,
    scratch: &mut SpeedScratch,
) -> Result<SpeedScore, SpeedError> {
    let mut statistics = [SpeedStatistics::default(), SpeedStatistics::default()];
    for (input, statistics) in inputs.into_iter().zip(&mut statistics) {
        speed_statistics(isa, input, params, scratch, statistics)?;
    }
    speed_score(isa, &statistics[0], &statistics[1], params)
}

fn planes_pair(
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    scratch: &mut SpeedScratch,
) -> SpeedScore {
    let inputs = [SpeedInput::Plane(reference), SpeedInput::Plane(distorted)];
    pair(Isa::BASELINE, inputs, &SpeedParams::default(), scratch).expect("large enough")
}

fn params(options: SpeedOptions) -> SpeedParams {
    SpeedParams::new(options).expect("options in range")
}

/// Options of every kind: all methods and modes, enlarging and shrinking, long and short blurs.
fn option_sets() -> Vec<SpeedOptions> {
    let base = SpeedOptions::default();
    let mut sets = vec![base];
    for (mode, prescale) in [(1, 0.5), (2, 0.6), (3, 1.5), (4, 2.0), (5, 0.9), (6, 1.1)] {
        for prescale_method in PrescaleMethod::ALL {
            let kernel_scale = f64::from(KERNEL_SCALES[3 * mode as usize]);
            let (sigma_nn, nn_floor) = (0.19, 0.1);
            sets.push(SpeedOptions {
                kernel_scale,
                prescale,
                prescale_method,
                sigma_nn,
                nn_floor,
                weight_var_mode: mode,
            });
        }
    }
    sets
}

#[test]
fn every_instruction_set_gives_the_same_bits_for_every_option_depth_and_size() {
    let mut compared = 0;
    let mut scratch = SpeedScratch::new();
    for (case, options) in option_sets().into_iter().enumerate() {
        let params = params(options);
        let bit_depth = [8, 10, 12, 16][case % 4];
        let (width, height) = (331 + 16 * (case % 5) + case, 342 + 7 * case);
        let reference = picture(width, height, (1 << bit_depth) - 1, 7 + case as u32);
        let distorted = quantised(&reference, 1 << (bit_depth - 4));
        let bytes = [&reference, &distorted]
            .map(|words| words.iter().map(|word| *word as u8).collect::<Vec<_>>());
        let planes: [PlaneRef<'_>; 2] = std::array::from_fn(|of| {
            let words = [&reference, &distorted][of];
            let samples =
                if bit_depth == 8 { Samples::U8(&bytes[of]) } else { Samples::U16(words) };
            PlaneRef::new(samples, width, height, width, bit_depth).expect("sides in range")
        });
        let mut expected = None;
        for isa in every_isa() {
            let [reference, distorted] = planes.each_ref();
            let change = |previous, current| SpeedInput::Change { previous, current };
            let pairs = [
                [SpeedInput::Plane(reference), SpeedInput::Plane(distorted)],
                [SpeedInput::Plane(distorted), change(reference, distorted)],
            ];
            let bits = pairs.map(|inputs| {
                let score = pair(isa, inputs, &params, &mut scratch).expect("large enough");
                assert!(!score.singular && score.score > 0.0, "{options:?}: {score:?}");
                score.score.to_bits()
            });
            assert_eq!(bits, *expected.get_or_insert(bits), "{isa}, {options:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 25 * every_isa().len());
}

#[test]
fn a_scratch_that_held_another_size_and_method_gives_the_same_result() {
    let (small, large) = (picture(170, 180, 255, 1), picture(400, 300, 255, 2));
    let score = |samples: &[u16], width, height, method, scratch: &mut SpeedScratch| {
        let options =
            SpeedOptions { prescale: 2.0, prescale_method: method, ..SpeedOptions::default() };
        let rough = quantised(samples, 16);
        let (plane, rough) = (plane(samples, width, height, 9), plane(&rough, width, height, 9));
        let input = [SpeedInput::Plane(&plane), SpeedInput::Plane(&rough)];
        pair(Isa::BASELINE, input, &params(options), scratch).expect("large enough").score
    };
    let mut used = SpeedScratch::new();
    for method in PrescaleMethod::ALL {
        for (samples, width, height) in [(&large, 400, 300), (&small, 170, 180)] {
            let again = score(samples, width, height, method, &mut used);
            let fresh = score(samples, width, height, method, &mut SpeedScratch::new());
            assert_eq!(again.to_bits(), fresh.to_bits(), "{method:?}");
            assert!(fresh > 0.0);
        }
    }
}

#[test]
fn planes_that_hold_no_block_are_refused_and_the_least_that_hold_one_are_not() {
    let samples = picture(200, 200, 255, 3);
    let taken = |width, height, options| {
        let mut statistics = SpeedStatistics::default();
        speed_statistics(
            Isa::BASELINE,
            SpeedInput::Plane(&plane(&samples, width, height, 10)),
            &params(options),
            &mut SpeedScratch::new(),
            &mut statistics,
        )
    };
    let whole = SpeedOptions::default();
    assert_eq!(taken(80, 80, whole), Ok(()));
    let small = |width, height, scaled_width, scaled_height| {
        Err(SpeedError::TooSmall { width, height, scaled_width, scaled_height })
    };
    assert_eq!(taken(79, 80, whole), small(79, 80, 79, 80));
    assert_eq!(taken(200, 79, whole), small(200, 79, 200, 79));
    let half = SpeedOptions { prescale: 0.5, ..whole };
    assert_eq!(taken(159, 160, half), Ok(()), "159 times 0.5 is rounded up");
    assert_eq!(taken(158, 160, half), small(158, 160, 79, 80));
    let fourfold = SpeedOptions { prescale: 4.0, ..whole };
    assert_eq!(taken(20, 20, fourfold), Ok(()));
}

#[test]
fn planes_of_different_shapes_are_refused() {
    let samples = picture(200, 200, 255, 3);
    let planes = [plane(&samples, 200, 200, 10), plane(&samples, 200, 120, 10)];
    let [a, b] = planes.each_ref();
    let score =
        |inputs| pair(Isa::BASELINE, inputs, &SpeedParams::default(), &mut SpeedScratch::new());
    let refused = Err(SpeedError::Shape);
    assert_eq!(score([SpeedInput::Plane(a), SpeedInput::Plane(b)]), refused);
    let change = SpeedInput::Change { previous: b, current: a };
    assert_eq!(score([SpeedInput::Plane(a), change]), refused);
    let empty = SpeedStatistics::default();
    assert_eq!(speed_score(Isa::BASELINE, &empty, &empty, &SpeedParams::default()), refused);
}

#[test]
fn a_pair_with_one_singular_plane_scores_nothing_and_so_does_one_of_two() {
    let texture = picture(320, 320, 255, 5);
    let (rough, flat) = (quantised(&texture, 32), vec![100_u16; 320 * 320]);
    let [texture, rough, flat] = [&texture, &rough, &flat].map(|of| plane(of, 320, 320, 10));
    let mut scratch = SpeedScratch::new();
    let both = planes_pair(&texture, &rough, &mut scratch);
    assert!(both.score > 0.0 && !both.singular);
    for (reference, distorted) in [(&texture, &flat), (&flat, &texture), (&flat, &flat)] {
        let score = planes_pair(reference, distorted, &mut scratch);
        assert_eq!(score, SpeedScore { score: 0.0, singular: true });
    }
}

#[test]
fn a_singular_channel_takes_the_score_of_the_other() {
    let of = |score, singular| SpeedScore { score, singular };
    let uv = |u, v| SpeedChroma::new(u, v, SCORE_MAX_DEFAULT).uv;
    assert_eq!(uv(of(3.0, false), of(4.0, false)), 3.5);
    assert_eq!(uv(of(3.0, false), of(0.0, true)), 3.0);
    assert_eq!(uv(of(0.0, true), of(4.0, false)), 4.0);
    assert_eq!(uv(of(0.0, true), of(0.0, true)), 0.0);
}

#[test]
fn scores_are_cut_at_the_greatest_value_and_what_is_no_number_becomes_it() {
    let of = |score| SpeedScore { score, singular: false };
    let cut = SpeedChroma::new(of(50.0), of(30.0), 45.0);
    assert_eq!((cut.u, cut.v, cut.uv), (45.0, 30.0, 40.0));
    let none = SpeedChroma::new(of(f32::NAN), of(30.0), 45.0);
    assert_eq!((none.u, none.v, none.uv), (45.0, 30.0, 45.0));
}

#[test]
fn samples_above_the_bit_depth_do_no_harm() {
    let samples = picture(200, 200, 65_535, 9);
    let wild = plane(&samples, 200, 200, 9);
    for isa in every_isa() {
        let input = [SpeedInput::Plane(&wild), SpeedInput::Plane(&wild)];
        let score = pair(isa, input, &SpeedParams::default(), &mut SpeedScratch::new());
        assert!(score.expect("large enough").score.is_finite());
    }
}
