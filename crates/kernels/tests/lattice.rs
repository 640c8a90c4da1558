//! Every size from 33x33 to 129x97, and those of real clips: each kernel gives on every instruction
//! set the bits that it gives on the baseline. SSIM is left to its own suite.
//!
//! Content, bit depth and the gap between rows change from size to size, each in a period of its own.

mod synthetic;

use kernels::Isa;
use kernels::adm::{AdmOptions, AdmParams, AdmScratch, adm};
use kernels::cambi::{CambiOptions, CambiParams, CambiScratch, CambiSide, cambi};
use kernels::ciede::{ChromaLayout, CiedeScratch, ciede_sum};
use kernels::motion::{MotionScratch, motion_sad};
use kernels::psnr::squared_error;
use kernels::psnr_hvs::{PsnrHvsScratch, psnr_hvs_error};
use kernels::speed::{
    PrescaleMethod, SpeedInput, SpeedOptions, SpeedParams, SpeedScratch, SpeedStatistics,
    speed_score, speed_statistics,
};
use kernels::vif::{VifParams, VifScratch, vif};
use synthetic::{Content, Plane, bands, pair};
use testkit::isa::every_isa;
use testkit::lattice::{REAL, SIDES, SIZES, sizes};

const DEPTHS: [u32; 6] = [8, 10, 9, 16, 12, 15];

/// Samples between one row and the next.
const GAPS: [usize; 5] = [0, 1, 0, 13, 64];

/// One size, and what goes with it.
#[derive(Clone, Copy, Debug)]
struct Case {
    index: usize,
    size: (usize, usize),
    content: Content,
    bit_depth: u32,
    gap: usize,
}

impl Case {
    fn turn<T: Copy>(&self, of: &[T]) -> T {
        of[self.index % of.len()]
    }

    /// Reference and distorted picture, whose rows are not equally far apart unless they touch.
    fn pair(&self) -> [Plane; 2] {
        self.pair_of(self.size, self.index as u64)
    }

    fn pair_of(&self, size: (usize, usize), seed: u64) -> [Plane; 2] {
        let (reference, distorted) = pair(self.content, size, self.bit_depth, 1, seed);
        [reference.with_gap(self.gap), distorted.with_gap(2 * self.gap)]
    }
}

/// The first `count` sizes of the lattice, then the real ones.
fn cases(count: usize, depths: &[u32]) -> impl Iterator<Item = Case> {
    let all = sizes().take(count).chain(REAL).enumerate();
    all.map(|(index, size)| Case {
        index,
        size,
        content: match REAL.contains(&size) {
            true => Content::Texture,
            false => Content::ALL[index % Content::ALL.len()],
        },
        // Not in step with sizes, contents or gaps, whatever their number.
        bit_depth: depths[(index / 11) % depths.len()],
        gap: GAPS[index % GAPS.len()],
    })
}

/// Compares every instruction set with the baseline, and returns how many comparisons were made.
fn agree(case: &Case, mut measure: impl FnMut(Isa) -> Vec<u64>) -> usize {
    let expected = measure(Isa::BASELINE);
    assert!(!expected.is_empty(), "{case:?}");
    let others = every_isa().into_iter().skip(1);
    others.map(|isa| assert_eq!(measure(isa), expected, "{isa}: {case:?}")).count()
}

/// That each of `count` sizes of the lattice, and the real ones, was compared on every instruction set.
fn finish(compared: usize, count: usize) {
    assert_eq!(compared, (count + REAL.len()) * (every_isa().len() - 1));
}

#[test]
fn vif_gives_the_same_bits_at_every_size() {
    let (mut scratch, mut compared) = (VifScratch::new(), 0);
    for case in cases(SIZES, &DEPTHS) {
        let [reference, distorted] = case.pair();
        let enhancement_gain_limit = case.turn(&[100.0, 1.0]);
        let params = VifParams { enhancement_gain_limit, ..VifParams::default() };
        compared += agree(&case, |isa| {
            let scores = vif(isa, &reference.view(), &distorted.view(), &params, &mut scratch);
            let scales = scores.expect("one shape").scales;
            scales.iter().flat_map(|scale| [scale.num.to_bits(), scale.den.to_bits()]).collect()
        });
    }
    finish(compared, SIZES);
}

#[test]
fn motion_gives_the_same_bits_at_every_size() {
    let (mut scratch, mut compared) = (MotionScratch::new(), 0);
    for case in cases(SIZES, &DEPTHS) {
        let [previous, current] = case.pair();
        compared += agree(&case, |isa| {
            let sad = motion_sad(isa, &previous.view(), &current.view(), &mut scratch);
            vec![sad.expect("one shape")]
        });
    }
    finish(compared, SIZES);
}

#[test]
fn adm_gives_the_same_bits_at_every_size() {
    let (mut scratch, mut compared) = (AdmScratch::default(), 0);
    let params = [100.0, 1.0].map(|enhancement_gain_limit| {
        AdmParams::new(AdmOptions { enhancement_gain_limit, ..AdmOptions::default() })
            .expect("options are in range")
    });
    for case in cases(SIZES, &DEPTHS) {
        let [reference, distorted] = case.pair();
        let params = &params[case.index % params.len()];
        compared += agree(&case, |isa| {
            let scores = adm(isa, &reference.view(), &distorted.view(), params, &mut scratch);
            let scores = scores.expect("one shape");
            let values = [scores.adm2, scores.aim, scores.adm3].into_iter();
            let values = values.chain(scores.scale_numerator).chain(scores.scale_denominator);
            values.map(f64::to_bits).collect()
        });
    }
    finish(compared, SIZES);
}

/// CAMBI takes pictures with a side of 216 or more: the lattice's width is lengthened so far, or its
/// height, by turns. A quarter of the sizes, each width and height often, for bands cost most of all.
#[test]
fn cambi_gives_the_same_bits_at_every_width_and_height() {
    const LONGER: usize = 183;
    let (mut scratch, mut compared) = (CambiScratch::new(), 0);
    for case in cases(8 * SIDES, &DEPTHS) {
        let (width, height) = case.size;
        let size = match (REAL.contains(&case.size), case.index % 2) {
            (true, _) => case.size,
            (false, 0) => (width + LONGER, height),
            (false, _) => (width, height + LONGER),
        };
        // Half of the pictures have bands; their neighbours would else be seen by nothing.
        let picture = match case.index % 4 {
            0 | 1 => bands(size, case.bit_depth, case.index as u64).with_gap(case.gap),
            _ => case.pair_of(size, case.index as u64)[1].clone(),
        };
        let options = CambiOptions {
            high_res_speedup: case.turn(&[0, 1080]),
            visible_luminance: case.turn(&[0.0, 0.06, 0.0]),
            topk: case.turn(&[0.6, 0.05, 1.0]),
            ..CambiOptions::default()
        };
        let params = CambiParams::new(options, size.0, size.1, case.bit_depth);
        let params = params.expect("one side is long enough and the window fits");
        compared += agree(&case, |isa| {
            let side = CambiSide::Distorted;
            let score = cambi(isa, &picture.view(), side, &params, &mut scratch, None);
            vec![score.expect("samples are in range").to_bits()]
        });
    }
    finish(compared, 8 * SIDES);
}

#[test]
fn psnr_gives_the_same_bits_at_every_size() {
    let mut compared = 0;
    for case in cases(SIZES, &DEPTHS) {
        let [reference, distorted] = case.pair();
        compared += agree(&case, |isa| {
            vec![squared_error(isa, &reference.view(), &distorted.view()).expect("one shape")]
        });
    }
    finish(compared, SIZES);
}

#[test]
fn psnr_hvs_gives_the_same_bits_at_every_size() {
    let (mut scratch, mut compared) = (PsnrHvsScratch::new(), 0);
    for case in cases(SIZES, &[8, 10, 12]) {
        let [reference, distorted] = case.pair();
        compared += agree(&case, |isa| {
            let views = [reference.view(), distorted.view()];
            let plane = case.index % 3;
            let error = psnr_hvs_error(isa, plane, &views[0], &views[1], &mut scratch);
            vec![error.expect("one shape").to_bits()]
        });
    }
    finish(compared, SIZES);
}

/// Each width and height, not each pair of them: a pixel costs a hundred times what others' do.
#[test]
fn ciede_gives_the_same_bits_at_every_width_and_height() {
    let (mut scratch, mut compared) = (CiedeScratch::new(), 0);
    for case in cases(3 * SIDES, &DEPTHS) {
        let layout =
            case.turn(&[ChromaLayout::Quarter, ChromaLayout::Full, ChromaLayout::HalfWidth]);
        let chroma = layout.chroma_size(case.size.0, case.size.1);
        let seed = case.index as u64;
        let planes = [(case.size, 1), (chroma, 2), (chroma, 3)]
            .map(|(size, of)| case.pair_of(size, seed * of));
        compared += agree(&case, |isa| {
            let [reference, distorted] =
                [0, 1].map(|picture| planes.each_ref().map(|pair| pair[picture].view()));
            let sum = ciede_sum(isa, layout, &reference, &distorted, &mut scratch);
            vec![sum.expect("one shape").to_bits()]
        });
    }
    finish(compared, 3 * SIDES);
}

/// Options under which planes of 33 by 33 hold a block, and the models' own where a plane holds one
/// without.
fn speed_params(case: &Case) -> SpeedParams {
    let prescale = match case.size {
        (80.., 80..) => case.turn(&[1.0, 2.5]),
        _ => 2.5,
    };
    let options = SpeedOptions {
        prescale,
        prescale_method: case.turn(&PrescaleMethod::ALL),
        sigma_nn: 0.19,
        nn_floor: 0.1,
        weight_var_mode: (case.index % 7) as u32,
        ..SpeedOptions::default()
    };
    SpeedParams::new(options).expect("options are in range")
}

#[test]
fn speed_gives_the_same_bits_at_every_size() {
    let (mut scratch, mut compared) = (SpeedScratch::new(), 0);
    let mut statistics = [SpeedStatistics::default(), SpeedStatistics::default()];
    for case in cases(SIZES, &DEPTHS) {
        let [reference, distorted] = case.pair();
        let params = speed_params(&case);
        compared += agree(&case, |isa| {
            let [reference, distorted] = [reference.view(), distorted.view()];
            let inputs = match case.index % 3 {
                0 => [
                    SpeedInput::Plane(&reference),
                    SpeedInput::Change { previous: &reference, current: &distorted },
                ],
                _ => [SpeedInput::Plane(&reference), SpeedInput::Plane(&distorted)],
            };
            for (input, statistics) in inputs.into_iter().zip(&mut statistics) {
                speed_statistics(isa, input, &params, &mut scratch, statistics)
                    .expect("large enough");
            }
            let score = speed_score(isa, &statistics[0], &statistics[1], &params);
            let score = score.expect("one shape");
            vec![score.score.to_bits().into(), score.singular.into()]
        });
    }
    finish(compared, SIZES);
}
