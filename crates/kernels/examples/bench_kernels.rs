//! Milliseconds a frame and cycles a pixel of the kernels of `vmaf_v0.6.1`, by instruction set, size
//! and bit depth, on one core.
//!
//! `cargo run --release -p kernels --example bench_kernels [SECONDS_PER_CASE]`. Pin it
//! (`taskset -c 0`) for steady figures. The best of all frames is printed beside the median, and in cycles.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use kernels::adm::{AdmOptions, AdmParams, AdmScratch, adm};
use kernels::motion::{MotionScratch, motion_sad};
use kernels::vif::{VifParams, VifScratch, vif};
use kernels::{Isa, PlaneRef, Samples};
use support::cycles_per_second;

/// Frames timed at least, however slow.
const FRAMES_MIN: usize = 3;

fn picture(width: usize, height: usize, bit_depth: u32, grain: u32) -> Vec<u16> {
    let mut state = 0x2545_F491_u32 ^ grain;
    (0..width * height)
        .map(|i| {
            let (x, y) = ((i % width) as f64, (i / width) as f64);
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = (x / 31.0).sin() * 60.0 + (y / 17.0 + x / 90.0).cos() * 50.0 + 125.0;
            let sample = wave + f64::from(state >> 24) / 256.0 * f64::from(grain);
            (sample * f64::from(1 << (bit_depth - 8))) as u16
        })
        .collect()
}

struct Pictures {
    samples: [Vec<u16>; 2],
    bytes: [Vec<u8>; 2],
    size: (usize, usize),
    bit_depth: u32,
}

impl Pictures {
    fn new(size: (usize, usize), bit_depth: u32) -> Self {
        let samples = [4, 9].map(|grain| picture(size.0, size.1, bit_depth, grain));
        let bytes = samples.each_ref().map(|plane| plane.iter().map(|s| *s as u8).collect());
        Self { samples, bytes, size, bit_depth }
    }

    fn views(&self) -> [PlaneRef<'_>; 2] {
        let (width, height) = self.size;
        [0, 1].map(|picture| {
            let samples = match self.bit_depth {
                8 => Samples::U8(&self.bytes[picture]),
                _ => Samples::U16(&self.samples[picture]),
            };
            PlaneRef::new(samples, width, height, width, self.bit_depth).expect("fits by design")
        })
    }
}

fn time(name: &str, isa: Isa, pictures: &Pictures, budget: Duration, mut frame: impl FnMut()) {
    frame();
    let hertz = cycles_per_second();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < FRAMES_MIN || start.elapsed() < budget {
        let frame_start = Instant::now();
        frame();
        times.push(frame_start.elapsed());
    }
    times.sort_unstable();
    let pixels = pictures.size.0 * pictures.size.1;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{name:8} {isa:9} {:4}x{:<4} {:2} bit  best {:8.3}  median {:8.3} ms/frame  {:6.2} cycles/pixel",
        pictures.size.0,
        pictures.size.1,
        pictures.bit_depth,
        milliseconds(times[0]),
        milliseconds(times[times.len() / 2]),
        times[0].as_secs_f64() * hertz.max(cycles_per_second()) / pixels as f64,
    );
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0.5);
    let budget = Duration::from_secs_f64(seconds);
    for size in [(576, 324), (1920, 1080)] {
        for bit_depth in [8, 10] {
            let pictures = Pictures::new(size, bit_depth);
            let [reference, distorted] = pictures.views();
            for isa in Isa::available() {
                let params = VifParams::default();
                let mut scratch = VifScratch::new();
                time("vif", isa, &pictures, budget, || {
                    let scores = vif(isa, &reference, &distorted, &params, &mut scratch);
                    black_box(scores.expect("one shape"));
                });
                let params = AdmParams::new(AdmOptions::default()).expect("defaults are in range");
                let mut scratch = AdmScratch::new(size.0, size.1);
                time("adm", isa, &pictures, budget, || {
                    let scores = adm(isa, &reference, &distorted, &params, &mut scratch);
                    black_box(scores.expect("one shape"));
                });
                let mut scratch = MotionScratch::new();
                time("motion", isa, &pictures, budget, || {
                    let sad = motion_sad(isa, &reference, &distorted, &mut scratch);
                    black_box(sad.expect("one shape"));
                });
            }
        }
    }
}
