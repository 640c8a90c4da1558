//! PSNR-HVS against the slow and obvious way, on every instruction set of this machine.

mod naive;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use kernels::psnr_hvs::{BIT_DEPTH_MAX, PLANE_SIDE_MIN, PsnrHvsScratch, psnr_hvs_error};
use synthetic::{Content, Plane, bands, pair};
use testkit::SplitMix64;
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 60;

/// Compares all instruction sets with the naive way and returns how many comparisons ran.
fn check(case: &str, planes: [&Plane; 2], gaps: [usize; 2], scratch: &mut PsnrHvsScratch) -> usize {
    let views = [planes[0].with_gap(gaps[0]), planes[1].with_gap(gaps[1])];
    let mut compared = 0;
    for (plane, table) in [naive::LUMA, naive::CB, naive::CR].iter().enumerate() {
        let expected = naive::error(table, planes[0], planes[1]);
        for isa in every_isa() {
            let [reference, distorted] = views.each_ref().map(Plane::view);
            let error = psnr_hvs_error(isa, plane, &reference, &distorted, scratch);
            let error = error.expect("one shape");
            assert_eq!(error.to_bits(), expected.to_bits(), "{case}, table {plane}, {isa}");
            compared += 1;
        }
    }
    compared
}

/// Planes that no content makes: ramps in bands with grain, and single bits that differ.
fn other_content(size: (usize, usize), bit_depth: u32, random: &mut SplitMix64) -> (Plane, Plane) {
    let reference = bands(size, bit_depth, random.next_u64());
    let mut distorted = reference.clone();
    if random.below(2) == 0 {
        distorted = bands(size, bit_depth, random.next_u64());
    } else {
        for _ in 0..1 + random.below(20) {
            let at = random.below(distorted.samples.len() as u64) as usize;
            distorted.samples[at] ^= 1 << random.below(u64::from(bit_depth));
        }
        distorted = Plane::of(distorted.samples, size.0, size.1, bit_depth);
    }
    (reference, distorted)
}

#[test]
fn every_content_and_depth_is_the_naive_one() {
    let mut scratch = PsnrHvsScratch::new();
    let mut compared = 0;
    for content in Content::ALL {
        for bit_depth in 8..=BIT_DEPTH_MAX {
            for size in [(8, 8), (71, 23), (232, 16), (460, 40)] {
                let (reference, distorted) = pair(content, size, bit_depth, 0, 3);
                let case = format!("{content:?} {size:?}, {bit_depth} bits");
                compared += check(&case, [&reference, &distorted], [0, 5], &mut scratch);
            }
        }
    }
    assert_eq!(compared, Content::ALL.len() * 5 * 4 * 3 * every_isa().len());
}

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let (mut scratch, mut compared) = (PsnrHvsScratch::new(), 0);
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let kind = below(Content::ALL.len() as u64 + 2);
        let bit_depth = 8 + below(5) as u32;
        let size = (PLANE_SIDE_MIN + below(500), PLANE_SIDE_MIN + below(60));
        let gaps = [below(40), below(40)];
        let (reference, distorted) = match Content::ALL.get(kind) {
            Some(content) => pair(*content, size, bit_depth, below(4), case.random.next_u64()),
            None => other_content(size, bit_depth, &mut case.random),
        };
        let what = format!("kind {kind} {size:?}, {bit_depth} bits");
        compared += check(&what, [&reference, &distorted], gaps, &mut scratch);
    }
    assert!(compared > 0, "nothing was compared");
    println!("psnr_hvs: {} cases", fuzz.cases());
}
