//! The squared error against the slow and obvious way, on every instruction set of this machine.

mod synthetic;

use kernels::psnr::squared_error;
use kernels::{Isa, ShapeMismatch};
use synthetic::{Content, Plane, pair};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 200;

fn slow(reference: &Plane, distorted: &Plane) -> u64 {
    let pairs = reference.samples.iter().zip(&distorted.samples);
    pairs.map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum()
}

#[test]
fn every_instruction_set_sums_the_same_over_all_content() {
    let mut compared = 0;
    for content in Content::ALL {
        for bit_depth in [8, 9, 10, 12, 16] {
            for size in [(1, 1), (7, 3), (33, 17), (64, 9), (129, 5), (1000, 4)] {
                let (reference, distorted) = pair(content, size, bit_depth, 1, 5);
                let expected = slow(&reference, &distorted);
                let [reference, distorted] =
                    [(&reference, 3), (&distorted, 11)].map(|(plane, gap)| plane.with_gap(gap));
                for isa in every_isa() {
                    let sse = squared_error(isa, &reference.view(), &distorted.view());
                    assert_eq!(sse, Ok(expected), "{content:?} {size:?} {bit_depth} {isa}");
                    compared += 1;
                }
            }
        }
    }
    assert_eq!(compared, Content::ALL.len() * 5 * 6 * every_isa().len());
}

#[test]
fn the_largest_row_overflows_nothing() {
    for (bit_depth, peak) in [(8, 255_u64), (16, 65_535)] {
        let (reference, distorted) = pair(Content::Saturated, (16_384, 2), bit_depth, 0, 1);
        for isa in every_isa() {
            let sse = squared_error(isa, &reference.view(), &distorted.view());
            assert_eq!(sse, Ok(2 * 16_384 * peak * peak), "{isa}");
        }
    }
}

#[test]
fn planes_of_different_shape_are_refused() {
    let (reference, _) = pair(Content::Noise, (16, 16), 8, 0, 1);
    for (size, bit_depth) in [((17, 16), 8), ((16, 15), 8), ((16, 16), 10)] {
        let (other, _) = pair(Content::Noise, size, bit_depth, 0, 1);
        let refused = squared_error(Isa::BASELINE, &reference.view(), &other.view());
        assert_eq!(refused, Err(ShapeMismatch));
    }
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let mut compared = 0;
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let content = Content::ALL[below(Content::ALL.len() as u64)];
        // One in eight is as wide as a sum of a row must bear.
        let width = if below(8) == 0 { 16_384 - below(64) } else { 1 + below(400) };
        let (size, bit_depth) = ((width, 1 + below(12)), 8 + below(9) as u32);
        let (reference, distorted) =
            pair(content, size, bit_depth, below(4), below(1 << 30) as u64);
        let expected = slow(&reference, &distorted);
        let (gap, other) = (below(70), below(70));
        let (reference, distorted) = (reference.with_gap(gap), distorted.with_gap(other));
        for isa in every_isa() {
            let sse = squared_error(isa, &reference.view(), &distorted.view());
            assert_eq!(sse, Ok(expected), "{content:?} {size:?}, {bit_depth} bits, {isa}");
            compared += 1;
        }
    }
    assert!(compared > 0, "nothing was compared");
    println!("psnr: {} cases", fuzz.cases());
}
