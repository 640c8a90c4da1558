//! Times SSIM and MS-SSIM on one thread, on every instruction set, and checks that all give one
//! result.
//!
//! `cargo run --release -p kernels --example bench_ssim -- [WIDTH HEIGHT]` (default 1920 1080).
//! Each figure is the least of several frames, in milliseconds: the cost of the work, with the
//! least disturbance by whatever else runs.

use std::time::{Duration, Instant};

use kernels::ssim::{SsimMeans, SsimParams, SsimScratch, float_ms_ssim, float_ssim};
use kernels::{Isa, PlaneRef, Samples};

/// Frames timed for each figure.
const ROUNDS: usize = 20;

/// A smooth texture with grain, and the same coarsely quantised; integer arithmetic only.
fn pictures(width: usize, height: usize, max: usize) -> [Vec<u16>; 2] {
    let mut state = 1_u32;
    let mut grain = |bound: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % bound
    };
    let wave = |at: usize, period: usize| {
        let phase = at % period;
        2 * phase.min(period - phase) * max / period
    };
    let mut reference = Vec::with_capacity(width * height);
    let mut distorted = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let texture = wave(x + y / 3, 127) / 2 + wave(y + x / 5, 83) / 4 + grain(max / 16);
            let step = max / 24 + 1;
            reference.push(texture.min(max) as u16);
            distorted.push((texture / step * step + step / 2).min(max) as u16);
        }
    }
    [reference, distorted]
}

/// The least time of a frame, and the bits of what it gave.
fn least(mut frame: impl FnMut() -> Vec<f64>) -> (Duration, Vec<u64>) {
    let mut best = Duration::MAX;
    let mut values = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        values = frame();
        best = best.min(start.elapsed());
    }
    (best, values.iter().map(|value| value.to_bits()).collect())
}

fn main() {
    let sides: Vec<usize> = std::env::args().skip(1).filter_map(|side| side.parse().ok()).collect();
    let (width, height) = match sides[..] {
        [width, height] => (width, height),
        _ => (1920, 1080),
    };
    println!("{width}x{height}, milliseconds a frame, least of {ROUNDS}");
    for bit_depth in [8, 10] {
        let words = pictures(width, height, (1 << bit_depth) - 1);
        let bytes =
            words.each_ref().map(|words| words.iter().map(|word| *word as u8).collect::<Vec<_>>());
        let [reference, distorted] = [0, 1].map(|picture| {
            let samples = if bit_depth == 8 {
                Samples::U8(&bytes[picture])
            } else {
                Samples::U16(&words[picture])
            };
            PlaneRef::new(samples, width, height, width, bit_depth).expect("sides are in range")
        });
        for case in ["float_ms_ssim", "float_ssim", "float_ssim of scale 1"] {
            let mut scratch = SsimScratch::new();
            let mut expected = None;
            for isa in Isa::available() {
                let (time, bits) = least(|| {
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
                assert_eq!(*expected.get_or_insert(bits.clone()), bits, "{isa} differs");
                println!(
                    "{bit_depth:2} bits  {:8}  {case:22} {:7.2}",
                    isa.level().name(),
                    time.as_secs_f64() * 1e3,
                );
            }
        }
    }
}
