//! What the benchmarks of kernels have in common: made pictures, their size, the least time, and the
//! clock rate that makes cycles of it.
#![allow(dead_code, reason = "each benchmark takes what it needs")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use kernels::{PlaneRef, Samples};

/// One plane of a reference and a distorted picture.
pub struct PlanePair {
    words: [Vec<u16>; 2],
    bytes: [Vec<u8>; 2],
    pub width: usize,
    pub height: usize,
    pub bit_depth: u32,
}

impl PlanePair {
    /// A smooth texture with grain, one part in `grain_parts` of the largest sample, and the same
    /// coarsely quantised; integer arithmetic only.
    pub fn new(
        (width, height): (usize, usize),
        bit_depth: u32,
        seed: u32,
        grain_parts: usize,
    ) -> Self {
        let words = pictures(width, height, (1 << bit_depth) - 1, seed, grain_parts);
        let bytes = words.each_ref().map(|words| words.iter().map(|word| *word as u8).collect());
        Self { words, bytes, width, height, bit_depth }
    }

    /// Reference and distorted.
    pub fn views(&self) -> [PlaneRef<'_>; 2] {
        [0, 1].map(|picture| {
            let samples = if self.bit_depth == 8 {
                Samples::U8(&self.bytes[picture])
            } else {
                Samples::U16(&self.words[picture])
            };
            PlaneRef::new(samples, self.width, self.height, self.width, self.bit_depth)
                .expect("sides are in range")
        })
    }
}

fn pictures(
    width: usize,
    height: usize,
    max: usize,
    seed: u32,
    grain_parts: usize,
) -> [Vec<u16>; 2] {
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
            let grain = grain(max / grain_parts);
            let texture = wave(x + y / 3, 127) / 2 + wave(y + x / 5, 83) / 4 + grain;
            let step = max / 24 + 1;
            reference.push(texture.min(max) as u16);
            distorted.push((texture / step * step + step / 2).min(max) as u16);
        }
    }
    [reference, distorted]
}

/// Width and height from the command line, 1920x1080 without them.
pub fn size_asked() -> (usize, usize) {
    let sides: Vec<usize> = std::env::args().skip(1).filter_map(|side| side.parse().ok()).collect();
    match sides[..] {
        [width, height] => (width, height),
        _ => (1920, 1080),
    }
}

/// The clock rate: a chain of multiplications of three cycles and operations of one, which is what
/// they take on every processor of the last ten years. The fastest of several short chains counts.
pub fn cycles_per_second() -> f64 {
    const STEPS: u32 = 200_000;
    const CYCLES_PER_STEP: f64 = 4.0;
    let chain = || {
        let start = Instant::now();
        let mut value = black_box(3_u64);
        for _ in 0..STEPS {
            value = value.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 1;
        }
        black_box(value);
        start.elapsed()
    };
    let least = (0..200).map(|_| chain()).min().expect("some");
    f64::from(STEPS) * CYCLES_PER_STEP / least.as_secs_f64()
}

/// Times of one kind of frame and the clock that went with them.
pub struct Cost {
    /// The least time of a frame.
    pub time: Duration,
    /// Cycles of that time for each of the pixels said.
    pub cycles_per_pixel: f64,
}

/// As [`least`], with cycles: the clock is measured before and after, for it follows what the
/// processor is given to do, and the faster of the two counts.
pub fn cost<T>(rounds: usize, pixels: usize, frame: impl FnMut() -> T) -> (Cost, T) {
    let before = cycles_per_second();
    let (time, value) = least(rounds, frame);
    let hertz = before.max(cycles_per_second());
    (Cost { time, cycles_per_pixel: time.as_secs_f64() * hertz / pixels as f64 }, value)
}

/// The least time of several frames, and what the last of them gave.
pub fn least<T>(rounds: usize, mut frame: impl FnMut() -> T) -> (Duration, T) {
    let start = Instant::now();
    let mut value = frame();
    let mut best = start.elapsed();
    for _ in 1..rounds {
        let start = Instant::now();
        value = frame();
        best = best.min(start.elapsed());
    }
    (best, value)
}
