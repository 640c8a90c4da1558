//! Times PSNR, PSNR-HVS and CIEDE2000 on one thread, on every instruction set, and checks that all
//! give one result.
//!
//! `cargo run --release -p kernels --example bench_psnr -- [WIDTH HEIGHT] [NAME]` (default 1920 1080, all).
//! Each figure is the least of several frames of all three planes of 4:2:0: the cost of the work,
//! with the least disturbance by whatever else runs. Cycles are for each pixel of luma.

mod support;

use std::time::{Duration, Instant};

use kernels::ciede::{ChromaLayout, CiedeScratch, ciede_sum};
use kernels::psnr::squared_error;
use kernels::psnr_hvs::{PsnrHvsScratch, psnr_hvs_error};
use kernels::{Isa, PlaneRef};
use support::{PlanePair, cycles_per_second, size_asked};

/// Frames timed for each figure, unless they take longer than [`BUDGET`] together.
const ROUNDS: usize = 30;
/// See [`PlanePair::new`].
const GRAIN_PARTS: usize = 16;
/// Time for one figure.
const BUDGET: Duration = Duration::from_secs(2);

/// The least time of several rounds, and what each of them gave.
fn least<T: PartialEq + std::fmt::Debug>(mut round: impl FnMut() -> T) -> (Duration, T) {
    let given = round();
    let mut best = Duration::MAX;
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        assert_eq!(round(), given, "one round differs from the first");
        best = best.min(start.elapsed());
        if begin.elapsed() > BUDGET {
            break;
        }
    }
    (best, given)
}

/// What every instruction set must give: bits.
type Results = Vec<u64>;

fn report(
    name: &str,
    planes: &[PlanePair; 3],
    mut measure: impl FnMut(Isa, &[[PlaneRef<'_>; 2]; 3]) -> Results,
) {
    if std::env::args().skip(1).any(|word| word.parse::<usize>().is_err() && word != name) {
        return;
    }
    let views = planes.each_ref().map(PlanePair::views);
    let pixels = (planes[0].width * planes[0].height) as f64;
    let mut expected = None;
    for isa in Isa::available() {
        let hertz = cycles_per_second();
        let (time, results) = least(|| measure(isa, &views));
        let hertz = hertz.max(cycles_per_second());
        assert_eq!(*expected.get_or_insert_with(|| results.clone()), results, "{isa} differs");
        println!(
            "{name:9} {:2} bits  {:8}  {:8.3} ms/frame  {:6.2} cycles/pixel",
            planes[0].bit_depth,
            isa.level().name(),
            time.as_secs_f64() * 1e3,
            time.as_secs_f64() * hertz / pixels,
        );
    }
}

fn main() {
    let (width, height) = size_asked();
    println!("{width}x{height}, least of up to {ROUNDS}");
    for bit_depth in [8, 10] {
        let half = (width.div_ceil(2), height.div_ceil(2));
        let planes = [
            PlanePair::new((width, height), bit_depth, 1, GRAIN_PARTS),
            PlanePair::new(half, bit_depth, 2, GRAIN_PARTS),
            PlanePair::new(half, bit_depth, 3, GRAIN_PARTS),
        ];
        report("psnr", &planes, |isa, planes| {
            let errors = planes.iter().map(|[a, b]| squared_error(isa, a, b).expect("one shape"));
            errors.collect()
        });
        let mut scratch = PsnrHvsScratch::new();
        report("psnr_hvs", &planes, |isa, planes| {
            let errors = planes.iter().enumerate().map(|(plane, [a, b])| {
                psnr_hvs_error(isa, plane, a, b, &mut scratch).expect("one shape").to_bits()
            });
            errors.collect()
        });
        let mut scratch = CiedeScratch::new();
        report("ciede", &planes, |isa, planes| {
            let [reference, distorted] = [0, 1].map(|picture| planes.map(|plane| plane[picture]));
            let sum = ciede_sum(isa, ChromaLayout::Quarter, &reference, &distorted, &mut scratch);
            vec![sum.expect("one shape").to_bits()]
        });
    }
}
