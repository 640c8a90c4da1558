//! Times CAMBI on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_cambi -- [WIDTH HEIGHT [CLIP BITS]]` (default
//! 1920 1080). Without a clip, two pictures are made: one of smooth ramps that show bands all over,
//! the hardest there is, and one of texture with flat parts. A clip is a raw 4:2:0 file, whose
//! frames are taken in turn. Each figure is the least of several frames, in milliseconds and in
//! processor cycles a sample at the clock rate that a chain of multiplications shows.

use std::hint::black_box;
use std::time::{Duration, Instant};

use kernels::cambi::{CambiOptions, CambiParams, CambiScratch, CambiSide, cambi};
use kernels::{Isa, PlaneRef, Samples};

/// Times that each frame is scored.
const ROUNDS: usize = 7;

/// Frames read of a clip.
const FRAMES_MAX: usize = 8;

struct Clip {
    name: String,
    width: usize,
    height: usize,
    bit_depth: u32,
    frames: Vec<Vec<u16>>,
}

/// Ramps of `slope` samples a level, with a little grain at the edges of the bands.
fn made(name: &str, width: usize, height: usize, bit_depth: u32, slope: usize) -> Clip {
    let unit = 1 << (bit_depth - 8);
    let mut state = 1_u32;
    let mut frame = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = usize::from(state >> 29 == 0) * unit;
            let textured = slope == 0 && (x / 96 + y / 64) % 3 != 0;
            let level = if textured {
                (state >> 24) as usize * unit
            } else {
                (40 * slope.max(20) + x + y / 2) * unit / slope.max(20) + grain
            };
            frame.push((level & (256 * unit - 1)) as u16);
        }
    }
    Clip { name: name.to_owned(), width, height, bit_depth, frames: vec![frame] }
}

fn read(path: &str, width: usize, height: usize, bit_depth: u32) -> std::io::Result<Clip> {
    let bytes = std::fs::read(path)?;
    let sample_bytes = if bit_depth == 8 { 1 } else { 2 };
    let frame_bytes = width * height * sample_bytes * 3 / 2;
    let frames = bytes
        .chunks_exact(frame_bytes)
        .take(FRAMES_MAX)
        .map(|frame| {
            let luma = &frame[..width * height * sample_bytes];
            if bit_depth == 8 {
                luma.iter().map(|byte| u16::from(*byte)).collect()
            } else {
                luma.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            }
        })
        .collect();
    Ok(Clip { name: path.to_owned(), width, height, bit_depth, frames })
}

fn cycles_per_second() -> f64 {
    const STEPS: u64 = 50_000_000;
    // A multiplication takes three cycles on every processor of the last ten years, and here each
    // waits for the one before and an operation of one cycle.
    const CYCLES_PER_STEP: f64 = 4.0;
    let start = Instant::now();
    let mut value = black_box(3_u64);
    for _ in 0..STEPS {
        value = value.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 1;
    }
    black_box(value);
    STEPS as f64 * CYCLES_PER_STEP / start.elapsed().as_secs_f64()
}

fn bench(clip: &Clip, options: &CambiOptions, label: &str, hertz: f64) {
    let Clip { width, height, bit_depth, .. } = *clip;
    let params = CambiParams::new(options.clone(), width, height, bit_depth)
        .expect("the picture is large enough");
    let mut expected: Option<Vec<f64>> = None;
    for isa in Isa::available() {
        let mut scratch = CambiScratch::new();
        let mut scores = Vec::new();
        let mut total = Duration::ZERO;
        for frame in &clip.frames {
            let bytes: Vec<u8> = frame.iter().map(|sample| *sample as u8).collect();
            let samples = if bit_depth == 8 { Samples::U8(&bytes) } else { Samples::U16(frame) };
            let plane = PlaneRef::new(samples, width, height, width, bit_depth)
                .expect("sides are in range");
            let mut best = Duration::MAX;
            let mut score = 0.0;
            for _ in 0..ROUNDS {
                let start = Instant::now();
                score = cambi(isa, &plane, CambiSide::Distorted, &params, &mut scratch, None)
                    .expect("samples are in range");
                best = best.min(start.elapsed());
            }
            total += best;
            scores.push(score);
        }
        assert_eq!(*expected.get_or_insert(scores.clone()), scores, "{isa} differs");
        let seconds = total.as_secs_f64() / clip.frames.len() as f64;
        println!(
            "{:24} {bit_depth:2} bits  {label:8} {:8} {:7.2} ms {:6.2} cycles/sample  first score {:.6}",
            clip.name,
            isa.level().name(),
            seconds * 1e3,
            seconds * hertz / (width * height) as f64,
            scores[0],
        );
    }
}

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, otherwise: usize| {
        args.get(index).and_then(|arg| arg.parse().ok()).unwrap_or(otherwise)
    };
    let (width, height) = (number(0, 1920), number(1, 1080));
    let clips = match args.get(2) {
        Some(path) => vec![read(path, width, height, number(3, 8) as u32)?],
        None => vec![
            made("bands", width, height, 8, 40),
            made("bands", width, height, 10, 40),
            made("texture", width, height, 8, 0),
            made("texture", width, height, 10, 0),
        ],
    };
    let v1 = CambiOptions {
        high_res_speedup: 1080,
        visible_luminance: 0.06,
        max_value: 17.0,
        ..CambiOptions::default()
    };
    let hertz = cycles_per_second();
    println!("{width}x{height}, least of {ROUNDS} a frame, {:.2} GHz", hertz / 1e9);
    for clip in &clips {
        bench(clip, &v1, "v1", hertz);
        bench(clip, &CambiOptions::default(), "default", hertz);
    }
    Ok(())
}
