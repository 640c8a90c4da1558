//! Times CAMBI on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_cambi -- [WIDTH HEIGHT [CLIP BITS]]` (default
//! 1920 1080). Without a clip, two pictures are made: one of smooth ramps that show bands all over,
//! the hardest there is, and one of texture with flat parts. A clip is a raw 4:2:0 file, whose
//! frames are taken in turn. Figures are milliseconds of CPU time a frame and processor cycles a
//! sample, at the clock rate that a chain of multiplications shows.

mod support;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use kernels::cambi::{CambiOptions, CambiParams, CambiScratch, CambiSide, cambi};
use kernels::{Isa, PlaneRef, Samples};
use support::cycles_per_second;

/// Times that each frame is scored.
const ROUNDS: usize = 10;

/// CPU time of this thread, where the system tells it: what others run on the same processor does
/// not count then.
fn now() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse().ok());
    told.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

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

fn bench(clip: &Clip, options: &CambiOptions, label: &str, hertz: f64) {
    let Clip { width, height, bit_depth, .. } = *clip;
    let params = CambiParams::new(options.clone(), width, height, bit_depth)
        .expect("the picture is large enough");
    let bytes: Vec<Vec<u8>> = clip
        .frames
        .iter()
        .map(|frame| frame.iter().map(|sample| *sample as u8).collect())
        .collect();
    let planes: Vec<PlaneRef<'_>> = clip
        .frames
        .iter()
        .zip(&bytes)
        .map(|(words, bytes)| {
            let samples = if bit_depth == 8 { Samples::U8(bytes) } else { Samples::U16(words) };
            PlaneRef::new(samples, width, height, width, bit_depth).expect("sides are in range")
        })
        .collect();
    let mut expected: Option<Vec<f64>> = None;
    for isa in Isa::available() {
        let mut scratch = CambiScratch::new();
        let mut score_all = || -> Vec<f64> {
            let mut score = |plane| {
                cambi(isa, plane, CambiSide::Distorted, &params, &mut scratch, None)
                    .expect("samples are in range")
            };
            planes.iter().map(&mut score).collect()
        };
        let scores = score_all();
        assert_eq!(*expected.get_or_insert(scores.clone()), scores, "{isa} differs");
        let start = now();
        (0..ROUNDS).for_each(|_| {
            black_box(score_all());
        });
        let seconds = (now() - start).as_secs_f64() / (ROUNDS * planes.len()) as f64;
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
    println!("{width}x{height}, {ROUNDS} times each frame, {:.2} GHz", hertz / 1e9);
    for clip in &clips {
        bench(clip, &v1, "v1", hertz);
        bench(clip, &CambiOptions::default(), "default", hertz);
    }
    Ok(())
}
