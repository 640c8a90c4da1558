//! Milliseconds a frame and cycles a pixel of VIF, by instruction set and bit depth, on one core.
//!
//! `cargo run --release -p kernels --example bench_vif [SECONDS_PER_CASE [WIDTH HEIGHT [ISA]]]`. The least
//! CPU time of the thread over all frames counts, so that others on the machine disturb little. The
//! clock rate is measured beside each case.
//!
//! `rest` is the time with scale 0 left out: making scales 1 to 3 and measuring them. `of N` is
//! the time for each of N distorted pictures that share a reference.

mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use kernels::vif::{VifParams, VifScratch, vif_each};
use kernels::{Isa, PlaneRef, Samples};
use support::cycles_per_second;

/// Frames timed at least, however slow.
const FRAMES_MIN: usize = 3;

/// Distorted pictures at most.
const DISTORTED_MAX: usize = 8;

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

/// CPU time of this thread.
fn cpu_time() -> Duration {
    #[repr(C)]
    struct Timespec {
        seconds: i64,
        nanoseconds: i64,
    }
    unsafe extern "C" {
        safe fn clock_gettime(clock: i32, time: &mut Timespec) -> i32;
    }
    const THREAD_CPU_TIME: i32 = 3;
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    assert_eq!(clock_gettime(THREAD_CPU_TIME, &mut time), 0, "the clock exists on 64-bit Linux");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

/// The least time of a frame.
fn time(budget: Duration, mut frame: impl FnMut()) -> f64 {
    frame();
    let mut least = Duration::MAX;
    let start = Instant::now();
    let mut frames = 0;
    while frames < FRAMES_MIN || start.elapsed() < budget {
        let before = cpu_time();
        frame();
        least = least.min(cpu_time() - before);
        frames += 1;
    }
    least.as_secs_f64()
}

fn main() {
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let budget = Duration::from_secs_f64(numbers.first().copied().unwrap_or(0.5));
    let width = numbers.get(1).map_or(1920, |number| *number as usize);
    let height = numbers.get(2).map_or(1080, |number| *number as usize);
    let only = std::env::args().nth(4);
    for bit_depth in [8, 10] {
        let grains = [4, 9, 7, 5, 13, 3, 8, 6, 11];
        let words = grains.map(|grain| picture(width, height, bit_depth, grain));
        let bytes = words.each_ref().map(|plane| plane.iter().map(|s| *s as u8).collect());
        let bytes: [Vec<u8>; 1 + DISTORTED_MAX] = bytes;
        let planes: Vec<PlaneRef<'_>> = (0..grains.len())
            .map(|index| {
                let samples = match bit_depth {
                    8 => Samples::U8(&bytes[index]),
                    _ => Samples::U16(&words[index]),
                };
                PlaneRef::new(samples, width, height, width, bit_depth).expect("fits by design")
            })
            .collect();
        for isa in Isa::available() {
            if only.as_ref().is_some_and(|only| *only != isa.to_string()) {
                continue;
            }
            let mut scratch = VifScratch::new();
            let mut run = |count: usize, skip_scale0: bool| {
                let params = VifParams { skip_scale0, ..VifParams::default() };
                let seconds = time(budget, || {
                    let distorted = &planes[1..=count];
                    let scores = vif_each(isa, &planes[0], distorted, &params, &mut scratch);
                    black_box(scores.expect("one shape"));
                });
                seconds / count as f64
            };
            let hertz = cycles_per_second();
            let [one, rest, two, four, eight] =
                [(1, false), (1, true), (2, false), (4, false), (8, false)]
                    .map(|(count, skip)| run(count, skip));
            let hertz = hertz.max(cycles_per_second());
            let cycles = |seconds: f64| seconds * hertz / (width * height) as f64;
            println!(
                "{isa:11} {width}x{height} {bit_depth:2} bit  {:7.3} ms  {:6.2} cycles/px  rest \
                 {:5.2}  of 2 {:6.2}  of 4 {:6.2}  of 8 {:6.2}  at {:4.2} GHz",
                one * 1e3,
                cycles(one),
                cycles(rest),
                cycles(two),
                cycles(four),
                cycles(eight),
                hertz / 1e9,
            );
        }
    }
}
