//! Times SSIM and MS-SSIM on one thread, on every instruction set, and checks that all give one
//! result.
//!
//! `cargo run --release -p kernels --example bench_ssim -- [WIDTH HEIGHT]` (default 1920 1080).
//! Each figure is the least of several frames, in milliseconds and cycles a pixel: the cost of the
//! work, with the least disturbance by whatever else runs.

mod support;

use kernels::Isa;
use kernels::ssim::{SsimMeans, SsimParams, SsimScratch, float_ms_ssim, float_ssim};
use support::{PlanePair, cost, size_asked};

/// Frames timed for each figure.
const ROUNDS: usize = 20;
/// See [`PlanePair::new`].
const GRAIN_PARTS: usize = 16;

fn main() {
    let (width, height) = size_asked();
    println!("{width}x{height}, a frame, least of {ROUNDS}");
    for bit_depth in [8, 10] {
        let pair = PlanePair::new((width, height), bit_depth, 1, GRAIN_PARTS);
        let [reference, distorted] = pair.views();
        for case in ["float_ms_ssim", "float_ssim", "float_ssim of scale 1"] {
            let mut scratch = SsimScratch::new();
            let mut expected = None;
            for isa in Isa::available() {
                let (cost, values) = cost(ROUNDS, width * height, || {
                    if case == "float_ms_ssim" {
                        let means = SsimMeans::ForScore;
                        let scores =
                            float_ms_ssim(isa, &reference, &distorted, means, &mut scratch);
                        let scores = scores.expect("one kind");
                        return [scores.contrast, scores.structure].concat();
                    }
                    let shrink = usize::from(case != "float_ssim");
                    let params = SsimParams { shrink, means: SsimMeans::ForScore };
                    let scores = float_ssim(isa, &reference, &distorted, &params, &mut scratch);
                    vec![scores.expect("one kind").ssim]
                });
                let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
                assert_eq!(*expected.get_or_insert(bits.clone()), bits, "{isa} differs");
                println!(
                    "{bit_depth:2} bits  {:8}  {case:22} {:7.2} ms  {:6.2} cycles/pixel",
                    isa.level().name(),
                    cost.time.as_secs_f64() * 1e3,
                    cost.cycles_per_pixel,
                );
            }
        }
    }
}
