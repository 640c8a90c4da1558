//! Times SpEED on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_speed -- [WIDTH HEIGHT]` (luma, default 1920
//! 1080; chroma is half of each). Each figure is the least of several frames: the cost of the work,
//! with the least disturbance by whatever else runs.

use std::time::{Duration, Instant};

use kernels::speed::{
    PrescaleMethod, SCORE_MAX_DEFAULT, SpeedChroma, SpeedInput, SpeedOptions, SpeedParams,
    SpeedScore, SpeedScratch, SpeedStatistics, speed_score, speed_statistics,
};
use kernels::{Isa, PlaneRef, Samples};

/// Frames timed for each figure.
const ROUNDS: usize = 60;

/// A smooth texture with grain, and the same coarsely quantised; integer arithmetic only.
fn pictures(width: usize, height: usize, max: usize, seed: u32) -> [Vec<u16>; 2] {
    let mut state = seed;
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
            let texture = wave(x + y / 3, 127) / 2 + wave(y + x / 5, 83) / 4 + grain(max / 4);
            let step = max / 24 + 1;
            reference.push(texture.min(max) as u16);
            distorted.push((texture / step * step + step / 2).min(max) as u16);
        }
    }
    [reference, distorted]
}

/// The samples of a picture in the type of its bit depth.
enum Stored {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
}

impl Stored {
    fn new(words: Vec<u16>, bit_depth: u32) -> Self {
        if bit_depth == 8 {
            Self::Bytes(words.iter().map(|word| *word as u8).collect())
        } else {
            Self::Words(words)
        }
    }

    fn plane(&self, width: usize, height: usize, bit_depth: u32) -> PlaneRef<'_> {
        let samples = match self {
            Self::Bytes(bytes) => Samples::U8(bytes),
            Self::Words(words) => Samples::U16(words),
        };
        PlaneRef::new(samples, width, height, width, bit_depth).expect("sides are in range")
    }
}

fn least(mut frame: impl FnMut() -> f64) -> (Duration, f64) {
    let mut best = Duration::MAX;
    let mut score = 0.0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        score = frame();
        best = best.min(start.elapsed());
    }
    (best, score)
}

/// What the `v1.0.16` models ask for.
fn model_params(prescale: f64) -> SpeedParams {
    let options = SpeedOptions {
        prescale,
        prescale_method: PrescaleMethod::Bilinear,
        sigma_nn: 0.19,
        nn_floor: 0.1,
        weight_var_mode: 5,
        ..SpeedOptions::default()
    };
    SpeedParams::new(options).expect("options are in range")
}

fn score(
    isa: Isa,
    inputs: [SpeedInput<'_>; 2],
    params: &SpeedParams,
    (scratch, statistics): &mut (SpeedScratch, [SpeedStatistics; 2]),
) -> SpeedScore {
    for (input, statistics) in inputs.into_iter().zip(&mut *statistics) {
        speed_statistics(isa, input, params, scratch, statistics).expect("large enough");
    }
    speed_score(isa, &statistics[0], &statistics[1], params).expect("one shape")
}

fn report(name: &str, bit_depth: u32, samples: usize, mut frame: impl FnMut(Isa) -> f64) {
    let mut expected = None;
    for isa in Isa::available() {
        let (time, score) = least(|| frame(isa));
        let bits = score.to_bits();
        assert_eq!(*expected.get_or_insert(bits), bits, "{isa} differs");
        let nanoseconds = time.as_secs_f64() * 1e9;
        println!(
            "{bit_depth:2} bits  {name:20}  {isa:8}  {:8.3} ms  {:6.3} ns a sample  score {score:.6}",
            nanoseconds / 1e6,
            nanoseconds / samples as f64,
        );
    }
}

fn main() {
    let sides: Vec<usize> = std::env::args().skip(1).filter_map(|side| side.parse().ok()).collect();
    let (width, height) = match sides[..] {
        [width, height] => (width, height),
        _ => (1920, 1080),
    };
    println!("{width}x{height}, milliseconds a frame, least of {ROUNDS}");
    let (half_width, half_height) = (width / 2, height / 2);
    for bit_depth in [8, 10] {
        let max = (1 << bit_depth) - 1;
        let make = |width, height, seed| {
            pictures(width, height, max, seed).map(|words| Stored::new(words, bit_depth))
        };
        let (u, v) = (make(half_width, half_height, 1), make(half_width, half_height, 2));
        let [u, v] = [&u, &v]
            .map(|pair| pair.each_ref().map(|of| of.plane(half_width, half_height, bit_depth)));
        let (before, now) = (make(width, height, 3), make(width, height, 4));
        let [before, now] = [&before, &now]
            .map(|pair| pair.each_ref().map(|of| of.plane(width, height, bit_depth)));
        let mut scratch = Default::default();
        for (name, prescale) in [("chroma", 1.0), ("chroma, scaled 0.6", 0.6), ("chroma, 0.5", 0.5)]
        {
            let params = model_params(prescale);
            if params.check_size(half_width, half_height).is_err() {
                continue;
            }
            report(name, bit_depth, 4 * half_width * half_height, |isa| {
                let [u, v] = [&u, &v].map(|pair| {
                    let inputs = pair.each_ref().map(SpeedInput::Plane);
                    score(isa, inputs, &params, &mut scratch)
                });
                SpeedChroma::new(u, v, SCORE_MAX_DEFAULT).uv
            });
        }
        let params = SpeedParams::default();
        let inputs =
            [0, 1].map(|of| SpeedInput::Change { previous: &before[of], current: &now[of] });
        report("temporal", bit_depth, 4 * width * height, |isa| {
            f64::from(score(isa, inputs, &params, &mut scratch).score)
        });
    }
}
