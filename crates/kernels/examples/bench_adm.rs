//! Times ADM on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_adm -- [WIDTH HEIGHT]` (default 1920 1080).
//! Each figure is the least of several frames, in milliseconds: the cost of the work, with the
//! least disturbance by whatever else runs.

use std::time::{Duration, Instant};

use kernels::adm::{AdmOptions, AdmParams, AdmScores, AdmScratch, adm};
use kernels::{Isa, PlaneRef, Samples};

/// Frames timed for each figure.
const ROUNDS: usize = 30;

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

fn least(mut frame: impl FnMut() -> AdmScores) -> (Duration, AdmScores) {
    let mut best = Duration::MAX;
    let mut scores = AdmScores::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        scores = frame();
        best = best.min(start.elapsed());
    }
    (best, scores)
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
        let planes = [0, 1].map(|picture| {
            let samples = if bit_depth == 8 {
                Samples::U8(&bytes[picture])
            } else {
                Samples::U16(&words[picture])
            };
            PlaneRef::new(samples, width, height, width, bit_depth).expect("sides are in range")
        });
        for skip_aim in [true, false] {
            let options = AdmOptions { skip_aim, ..AdmOptions::default() };
            let params = AdmParams::new(options).expect("the default options are in range");
            let mut scratch = AdmScratch::new(width, height);
            let mut expected = None;
            for isa in Isa::available() {
                let (time, scores) = least(|| {
                    adm(isa, &planes[0], &planes[1], &params, &mut scratch).expect("one shape")
                });
                assert_eq!(*expected.get_or_insert(scores), scores, "{isa} differs");
                println!(
                    "{bit_depth:2} bits  {:8}  {}  {:6.2}  adm2 {:.6}",
                    isa.level().name(),
                    if skip_aim { "without AIM" } else { "with AIM   " },
                    time.as_secs_f64() * 1e3,
                    scores.adm2,
                );
            }
        }
    }
}
