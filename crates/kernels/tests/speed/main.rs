//! SpEED against the slow and obvious way, on every instruction set of this machine: planes, as of
//! chroma, and changes from a frame to the next, as of the temporal extractor.

mod naive;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use kernels::speed::{
    KERNEL_SCALES, PrescaleMethod, SpeedInput, SpeedOptions, SpeedParams, SpeedScratch,
    SpeedStatistics, speed_score, speed_statistics,
};
use naive::Grid;
use synthetic::{Content, Plane, bands, pair};
use testkit::SplitMix64;
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 24;

/// The least side of a scaled plane.
const SIDE_MIN: usize = 80;

fn options(random: &mut SplitMix64) -> SpeedOptions {
    let mut below = |bound: u64| random.below(bound) as usize;
    let kernel_scale = if below(2) == 0 { 1.0 } else { KERNEL_SCALES[below(21)] };
    SpeedOptions {
        kernel_scale: f64::from(kernel_scale),
        prescale: [1.0, 1.0, 0.5, 0.6, 0.93, 1.4][below(6)],
        prescale_method: PrescaleMethod::ALL[below(4)],
        sigma_nn: [0.29, 0.19, 1.0][below(3)],
        nn_floor: [0.0, 0.1][below(2)],
        weight_var_mode: below(7) as u32,
    }
}

fn planes(
    size: (usize, usize),
    bit_depth: u32,
    frame: usize,
    random: &mut SplitMix64,
) -> [Plane; 2] {
    let kind = random.below(Content::ALL.len() as u64 + 6) as usize;
    let seed = random.next_u64();
    match Content::ALL.get(kind) {
        Some(content) => <[Plane; 2]>::from(pair(*content, size, bit_depth, frame, seed)),
        // Most of the others have a covariance that is singular.
        None if kind.is_multiple_of(2) => {
            <[Plane; 2]>::from(pair(Content::Texture, size, bit_depth, frame, seed))
        }
        None => [bands(size, bit_depth, seed), bands(size, bit_depth, seed + 1)],
    }
}

/// Samples in steps of 8 bits, less their middle.
fn centred(plane: &Plane) -> Grid {
    let (step, middle) =
        (f32::from(1_u16 << (plane.bit_depth - 8)), 1_i32 << (plane.bit_depth - 1));
    Grid::new([plane.width, plane.height], |x, y| {
        (i32::from(plane.samples[y * plane.stride + x]) - middle) as f32 / step
    })
}

/// The samples of the frame before less those of this one, in the same steps.
fn change(previous: &Plane, current: &Plane) -> Grid {
    let step = f32::from(1_u16 << (current.bit_depth - 8));
    Grid::new([current.width, current.height], |x, y| {
        let at = y * current.stride + x;
        (i32::from(previous.samples[at]) - i32::from(current.samples[at])) as f32 / step
    })
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let (mut scratch, mut compared, mut regular) = (SpeedScratch::new(), 0, 0);
    while let Some(mut case) = fuzz.next_case() {
        let random = &mut case.random;
        let options = options(random);
        let params = SpeedParams::new(options).expect("options in range");
        let least = (SIDE_MIN as f64 / options.prescale).ceil() as u64;
        // Windows must be more than elements for a covariance to be regular.
        let mut side = || (least + random.below(160)) as usize;
        let size = (side(), side());
        let bit_depth = 8 + random.below(9) as u32;
        let before = planes(size, bit_depth, 0, random);
        let now = planes(size, bit_depth, 1, random);
        let is_change = random.below(2) == 0;
        let grids: [Grid; 2] = std::array::from_fn(|of| {
            if is_change { change(&before[of], &now[of]) } else { centred(&now[of]) }
        });
        let twins = grids.each_ref().map(|grid| naive::statistics(grid, &options));
        let expected = naive::score(&twins[0], &twins[1], &options);
        let singular = twins[0].singular || twins[1].singular;
        let before = before.map(|plane| plane.with_gap(5));
        let now = now.map(|plane| plane.with_gap(9));
        for isa in every_isa() {
            let what =
                format!("{size:?}, {bit_depth} bits, change {is_change}, {options:?}, {isa}");
            let mut statistics = [SpeedStatistics::default(), SpeedStatistics::default()];
            for of in 0..2 {
                let (previous, current) = (&before[of].view(), &now[of].view());
                let input = if is_change {
                    SpeedInput::Change { previous, current }
                } else {
                    SpeedInput::Plane(current)
                };
                speed_statistics(isa, input, &params, &mut scratch, &mut statistics[of])
                    .expect(&what);
            }
            let score = speed_score(isa, &statistics[0], &statistics[1], &params).expect(&what);
            assert_eq!(score.singular, singular, "{what}");
            let (score, expected) = (score.score, expected);
            assert_eq!(score.to_bits(), expected.to_bits(), "{what}: {score}, expected {expected}");
            compared += 1;
        }
        regular += u64::from(!singular);
    }
    assert!(compared > 0, "nothing was compared");
    assert!(fuzz.cases() < 10 || regular > 0, "every covariance was singular");
    println!("speed: {} cases, {regular} of regular planes", fuzz.cases());
}
