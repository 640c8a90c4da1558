//! Times SpEED on one thread, on every instruction set, and checks that all give one result.
//!
//! `cargo run --release -p kernels --example bench_speed -- [WIDTH HEIGHT]` (luma, default 1920
//! 1080; chroma is half of each). Each figure is the least of several frames: the cost of the work,
//! with the least disturbance by whatever else runs.

mod support;

use kernels::Isa;
use kernels::speed::{
    PrescaleMethod, SCORE_MAX_DEFAULT, SpeedChroma, SpeedInput, SpeedOptions, SpeedParams,
    SpeedScore, SpeedScratch, SpeedStatistics, speed_score, speed_statistics,
};
use support::{PlanePair, cost, size_asked};

/// Frames timed for each figure.
const ROUNDS: usize = 60;
/// See [`PlanePair::new`].
const GRAIN_PARTS: usize = 4;

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

/// `pixels` are those of luma, `samples` all that a frame's pictures give this feature to read.
fn report(
    name: &str,
    bit_depth: u32,
    [pixels, samples]: [usize; 2],
    mut frame: impl FnMut(Isa) -> f64,
) {
    let mut expected = None;
    for isa in Isa::available() {
        let (cost, score) = cost(ROUNDS, pixels, || frame(isa));
        let bits = score.to_bits();
        assert_eq!(*expected.get_or_insert(bits), bits, "{isa} differs");
        let nanoseconds = cost.time.as_secs_f64() * 1e9;
        println!(
            "{bit_depth:2} bits  {name:20}  {isa:8}  {:8.3} ms  {:6.2} cycles/pixel  {:6.3} ns a sample  score {score:.6}",
            nanoseconds / 1e6,
            cost.cycles_per_pixel,
            nanoseconds / samples as f64,
        );
    }
}

fn main() {
    let (width, height) = size_asked();
    println!("{width}x{height}, a frame, least of {ROUNDS}");
    let (half_width, half_height) = (width / 2, height / 2);
    let pixels = width * height;
    for bit_depth in [8, 10] {
        let make = |size, seed| PlanePair::new(size, bit_depth, seed, GRAIN_PARTS);
        let half = (half_width, half_height);
        let pairs =
            [make(half, 1), make(half, 2), make((width, height), 3), make((width, height), 4)];
        let [u, v, before, now] = pairs.each_ref().map(PlanePair::views);
        let mut scratch = Default::default();
        for (name, prescale) in [("chroma", 1.0), ("chroma, scaled 0.6", 0.6), ("chroma, 0.5", 0.5)]
        {
            let params = model_params(prescale);
            if params.check_size(half_width, half_height).is_err() {
                continue;
            }
            report(name, bit_depth, [pixels, 4 * half_width * half_height], |isa| {
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
        report("temporal", bit_depth, [pixels, 4 * pixels], |isa| {
            f64::from(score(isa, inputs, &params, &mut scratch).score)
        });
    }
}
