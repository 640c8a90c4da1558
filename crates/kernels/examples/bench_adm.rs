//! Times ADM on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_adm -- [WIDTH HEIGHT]` (default 1920 1080).
//! Each figure is the least of several frames, in milliseconds and cycles a pixel: the cost of the
//! work, with the least disturbance by whatever else runs.

mod support;

use kernels::Isa;
use kernels::adm::{AdmOptions, AdmParams, AdmScratch, adm};
use support::{PlanePair, cost, size_asked};

/// Frames timed for each figure.
const ROUNDS: usize = 30;
/// See [`PlanePair::new`].
const GRAIN_PARTS: usize = 16;

fn main() {
    let (width, height) = size_asked();
    println!("{width}x{height}, a frame, least of {ROUNDS}");
    for bit_depth in [8, 10] {
        let pair = PlanePair::new((width, height), bit_depth, 1, GRAIN_PARTS);
        let planes = pair.views();
        for skip_aim in [true, false] {
            let options = AdmOptions { skip_aim, ..AdmOptions::default() };
            let params = AdmParams::new(options).expect("the default options are in range");
            let mut scratch = AdmScratch::new(width, height);
            let mut expected = None;
            for isa in Isa::available() {
                let (cost, scores) = cost(ROUNDS, width * height, || {
                    adm(isa, &planes[0], &planes[1], &params, &mut scratch).expect("one shape")
                });
                assert_eq!(*expected.get_or_insert(scores), scores, "{isa} differs");
                println!(
                    "{bit_depth:2} bits  {:8}  {}  {:6.2} ms  {:6.2} cycles/pixel  adm2 {:.6}",
                    isa.level().name(),
                    if skip_aim { "without AIM" } else { "with AIM   " },
                    cost.time.as_secs_f64() * 1e3,
                    cost.cycles_per_pixel,
                    scores.adm2,
                );
            }
        }
    }
}
