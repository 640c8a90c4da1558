//! CIEDE2000 against the slow and obvious way, on every instruction set of this machine.
//!
//! The twin calls the C library as libvmaf does. The kernel's functions are right to the last place and
//! the library's nearly always: where they differ *and* the last place decides a rounding to `f32`, about
//! once in 10^9 roundings, one pixel moves by some 10^-7 of itself. So a sum may differ, by no more
//! than [`OFF_MAX`] of itself, and hardly ever does; instruction sets never differ from each other.

mod naive;
#[path = "../synthetic/mod.rs"]
mod synthetic;

use kernels::ciede::{ChromaLayout, CiedeScratch, ciede_sum};
use synthetic::{Content, Plane, bands, pair};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 60;

/// What a sum may differ by, as a share of itself: one pixel of those that do not differ by nothing.
const OFF_MAX: f64 = 1e-6;

const LAYOUTS: [ChromaLayout; 3] =
    [ChromaLayout::Full, ChromaLayout::HalfWidth, ChromaLayout::Quarter];

#[test]
fn fuzz_against_the_naive_way() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let (mut scratch, mut compared, mut inexact) = (CiedeScratch::new(), 0, 0);
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let layout = LAYOUTS[below(3)];
        let size = (1 + below(200), 1 + below(24));
        let bit_depth = 8 + below(9) as u32;
        let chroma = layout.chroma_size(size.0, size.1);
        let mut kinds = Vec::new();
        let mut planes = [size, chroma, chroma].map(|size| {
            let kind = below(Content::ALL.len() as u64 + 1);
            kinds.push(kind);
            let seed = below(1 << 40) as u64;
            match Content::ALL.get(kind) {
                Some(content) => pair(*content, size, bit_depth, below(4), seed),
                None => (bands(size, bit_depth, seed), bands(size, bit_depth, seed + 1)),
            }
        });
        if below(3) == 0 {
            // Planes that differ in single bits.
            let plane = below(3);
            let samples = planes[plane].0.samples.clone();
            planes[plane].1 = Plane::of(
                samples.into_iter().map(|sample| sample ^ u16::from(below(5) == 0)).collect(),
                planes[plane].0.width,
                planes[plane].0.height,
                bit_depth,
            );
        }
        let [reference, distorted] = [
            planes.each_ref().map(|pair| pair.0.clone()),
            planes.each_ref().map(|pair| pair.1.clone()),
        ];
        let expected = naive::sum(layout, &reference, &distorted);
        let reference = reference.map(|plane| plane.with_gap(3));
        let distorted = distorted.map(|plane| plane.with_gap(17));
        let views = [&reference, &distorted].map(|planes| planes.each_ref().map(Plane::view));
        let mut bits = None;
        for isa in every_isa() {
            let what = format!("{layout:?} {size:?}, {bit_depth} bits, kinds {kinds:?}, {isa}");
            let sum = ciede_sum(isa, layout, &views[0], &views[1], &mut scratch).expect(&what);
            assert_eq!(*bits.get_or_insert(sum.to_bits()), sum.to_bits(), "{what}");
            let off = (sum - expected).abs();
            assert!(off <= OFF_MAX * expected, "{what}: {sum}, expected {expected}");
            compared += 1;
        }
        inexact += u64::from(bits != Some(expected.to_bits()));
    }
    assert!(compared > 0, "nothing was compared");
    assert!(inexact <= 1 + fuzz.cases() / 100, "{inexact} of {} sums differ", fuzz.cases());
    println!("ciede: {} cases, {inexact} sums not equal by their bits", fuzz.cases());
}
