//! ADM once more, slow and obvious: whole planes, wide integers, true divisions, no cropping.
//!
//! It shares nothing with the kernel but the options' numbers, and defines what small pictures give.

use kernels::adm::{AdmOptions, AdmParams, AdmScratch, adm};
use kernels::{PlaneRef, Samples};

use crate::content::{Content, Pair, Random};
use testkit::fuzz::Fuzz;
use testkit::isa::every_isa;

/// Random cases in the suite; `cargo xtask fuzz` runs them for as long as it is told.
const FUZZ_CASES: u64 = 20;

/// Contrast weights of the default options, `f32`, as the threshold model gives them.
fn weights(scale: usize) -> [f32; 3] {
    let amplitudes: [[f32; 2]; 4] =
        [[0.67234, 0.72709], [0.41317, 0.49428], [0.22727, 0.28688], [0.11792, 0.15214]];
    let view = (3.0 * 1080.0 * std::f64::consts::PI / 180.0) as f32;
    let weight = |g: f32, amplitude: f32| {
        let octave = 2.0_f64.powi(scale as i32 + 1);
        let x = (octave * f64::from(0.401_f32) * f64::from(g) / f64::from(view)).log10() as f32;
        let power = 10.0_f64.powf(f64::from(0.466_f32 * x * x));
        1.0 / (2.0 * f64::from(0.495_f32) * power / f64::from(amplitude)) as f32
    };
    let straight = weight(1.0, amplitudes[scale][0]);
    [straight, straight, weight(0.534, amplitudes[scale][1])]
}

/// A plane of wide integers.
#[derive(Clone)]
struct Grid {
    width: usize,
    height: usize,
    values: Vec<i64>,
}

impl Grid {
    fn new(width: usize, height: usize, value: impl Fn(usize, usize) -> i64) -> Self {
        let values = (0..width * height).map(|at| value(at % width, at / width)).collect();
        Self { width, height, values }
    }

    fn at(&self, x: usize, y: usize) -> i64 {
        self.values[y * self.width + x]
    }
}

/// The input position under a tap: reflected at the start, mirrored with repetition at the end,
/// and the nearest sample where that lies outside too.
fn tap_position(output: usize, tap: usize, length: usize) -> usize {
    let length = length as i64;
    let mut position = 2 * output as i64 + tap as i64 - 1;
    if position < 0 {
        position = -position;
    }
    if position >= length {
        position = 2 * length - 1 - position;
    }
    position.clamp(0, length - 1) as usize
}

const LOW: [i64; 4] = [15_826, 27_411, 7_345, -4_240];
const HIGH: [i64; 4] = [-4_240, -7_345, 27_411, -15_826];

fn down_columns(input: &Grid, taps: [i64; 4], offset: i64, shift: u32) -> Grid {
    Grid::new(input.width, input.height.div_ceil(2), |x, y| {
        let sum: i64 = (0..4)
            .map(|tap| taps[tap] * (input.at(x, tap_position(y, tap, input.height)) - offset))
            .sum();
        (sum + ((1 << shift) >> 1)) >> shift
    })
}

fn along_rows(input: &Grid, taps: [i64; 4], shift: u32) -> Grid {
    Grid::new(input.width.div_ceil(2), input.height, |x, y| {
        let sum: i64 =
            (0..4).map(|tap| taps[tap] * input.at(tap_position(x, tap, input.width), y)).sum();
        (sum + ((1 << shift) >> 1)) >> shift
    })
}

/// The low-pass band and the horizontal, vertical and diagonal bands.
fn transform(input: &Grid, scale: usize, bit_depth: u32) -> (Grid, [Grid; 3]) {
    let (offset, column_shift) =
        if scale == 0 { (1 << (bit_depth - 1), bit_depth) } else { (0, [0, 0, 16, 16][scale]) };
    let row_shift = [16, 15, 16, 15][scale];
    let low = down_columns(input, LOW, offset, column_shift);
    let high = down_columns(input, HIGH, offset, column_shift);
    let along = |rows, taps| along_rows(rows, taps, row_shift);
    (along(&low, LOW), [along(&high, LOW), along(&low, HIGH), along(&high, HIGH)])
}

fn restored(o: i64, t: i64, near: bool, gain_limit: f64) -> i64 {
    let shift = (64 - o.abs().leading_zeros()).saturating_sub(15);
    let mantissa = (o.abs() + ((1 << shift) >> 1)) >> shift;
    let k = if o == 0 {
        1 << 15
    } else {
        let product = (1 << 30) / mantissa * t * o.signum();
        ((product + (1 << (14 + shift))) >> (15 + shift)).clamp(0, 1 << 15)
    };
    let share = (k * o + (1 << 14)) >> 15;
    let boosted = share as f64 * gain_limit;
    match (near && k > 0, o.signum()) {
        (true, 1) => boosted.min(t as f64) as i64,
        (true, -1) => boosted.max(t as f64) as i64,
        _ => share,
    }
}

/// Whether (horizontal, vertical) of both pictures point within one degree.
fn near(o: [i64; 2], t: [i64; 2]) -> bool {
    let dot = |a: [i64; 2], b: [i64; 2]| f64::from((a[0] * b[0] + a[1] * b[1]) as f32);
    let cosine = 1.0_f64.to_radians().cos();
    let bound = f64::from((cosine * cosine) as f32) * dot(o, o) * dot(t, t);
    dot(o, t) >= 0.0 && dot(o, t) * dot(o, t) >= bound
}

/// The value that pooling works on, and the one that masking works on.
fn weigh(scale: usize, band: usize, value: i64) -> (i64, i64) {
    if scale == 0 {
        let product = value * [36_453, 36_453, 49_417][band];
        return (product, (product + [16_384, 16_384, 65_535][band]) >> [15, 15, 17][band]);
    }
    let weight = (f64::from(weights(scale)[band]) * 2.0_f64.powi(32)) as i64;
    let weighted = (value * weight + (1 << 27)) >> 28;
    (weighted, weighted)
}

/// A share of a magnitude: a thirtieth or, doubled, a fifteenth.
fn share_of(scale: usize, weighted: i64, [shallow, deep]: [i64; 2]) -> i64 {
    if scale == 0 {
        i64::from(((weighted.abs() * shallow + 2048) >> 12) as i16)
    } else {
        (weighted.abs() * deep - (1 << 31)) >> 32
    }
}

fn threshold(scale: usize, masks: &[Grid; 3], x: usize, y: usize) -> i64 {
    let (width, height) = (masks[0].width, masks[0].height);
    let around = |at: usize, length: usize| {
        let before = if at == 0 { 1.min(length - 1) } else { at - 1 };
        [before, at, (at + 1).min(length - 1)]
    };
    let mut sum = 0;
    for (band, mask) in masks.iter().enumerate() {
        for (row, ny) in around(y, height).into_iter().enumerate() {
            for (column, nx) in around(x, width).into_iter().enumerate() {
                let weighted = weigh(scale, band, mask.at(nx, ny)).1;
                let is_centre = row == 1 && column == 1;
                let factors = if is_centre { [8738, 286_331_153] } else { [4369, 143_165_577] };
                sum += share_of(scale, weighted, factors);
            }
        }
    }
    sum
}

fn log2_ceil(count: usize) -> u32 {
    (count as f64).log2().ceil() as u32
}

fn rounded(value: i64, shift: u32) -> i64 {
    (value + ((1 << shift) >> 1)) >> shift
}

fn scored(length: usize) -> std::ops::Range<usize> {
    let border = (length as f64 * 0.1 - 0.5) as usize;
    border..length - border
}

fn cube_root(x: f32) -> f32 {
    x.powf(1.0 / 3.0)
}

fn pooled(sums: [f32; 3], floor: f32) -> f64 {
    let [h, v, d] = sums.map(|sum| cube_root(sum) + floor);
    f64::from(h + v + d)
}

fn masked_sums(scale: usize, values: &[Grid; 3], masks: &[Grid; 3]) -> [f32; 3] {
    let (width, height) = (values[0].width, values[0].height);
    let row_shift = log2_ceil(height);
    std::array::from_fn(|band| {
        let (threshold_shift, square_shift, cube_shift, pending) = match (scale, band) {
            (0, 2) => (12, 30, log2_ceil(width).saturating_sub(3), 57),
            (0, _) => (10, 29, log2_ceil(width).saturating_sub(4), 52),
            _ => (0, 30, log2_ceil(width), [45, 39, 36][scale - 1]),
        };
        let mut sum = 0;
        for y in scored(height) {
            let mut row = 0;
            for x in scored(width) {
                let weighted = weigh(scale, band, values[band].at(x, y)).0.abs();
                let left = (weighted - (threshold(scale, masks, x, y) << threshold_shift)).max(0);
                row += rounded(rounded(left * left, square_shift) * left, cube_shift);
            }
            sum += rounded(row, row_shift);
        }
        let unit = 2.0_f64.powi(pending - (cube_shift + row_shift) as i32);
        if scale == 0 { (sum as f64 / unit) as f32 } else { sum as f32 / unit as f32 }
    })
}

fn reference_sums(scale: usize, bands: &[Grid; 3]) -> [f32; 3] {
    let (columns, rows) = (scored(bands[0].width), scored(bands[0].height));
    let (square_shift, cube_shift, row_shift) = if scale == 0 {
        (0, 0, log2_ceil(columns.len() * rows.len()).saturating_sub(20))
    } else {
        ([31, 30, 31][scale - 1], log2_ceil(columns.len()), log2_ceil(rows.len()))
    };
    std::array::from_fn(|band| {
        let cube = |value: i64| {
            let value = value.abs();
            if scale == 0 {
                return value * value * value;
            }
            rounded(((value * value + (1 << square_shift)) >> square_shift) * value, cube_shift)
        };
        let row_sum = |y| columns.clone().map(|x| cube(bands[band].at(x, y))).sum();
        let sum: i64 = rows.clone().map(|y| rounded(row_sum(y), row_shift)).sum();
        let unit = 2.0_f64.powi([18, 32, 27, 23][scale] - (row_shift + cube_shift) as i32);
        (sum as f64 / unit * f64::from(weights(scale)[band]).powf(3.0)) as f32
    })
}

/// `adm2`, `aim`, and the four scales, by the default options but for the gain limit.
fn naive(reference: &PlaneRef<'_>, distorted: &PlaneRef<'_>, gain_limit: f64) -> [f64; 6] {
    let grid = |plane: &PlaneRef<'_>| {
        Grid::new(plane.width(), plane.height(), |x, y| match plane.samples() {
            Samples::U8(samples) => samples[y * plane.stride() + x].into(),
            Samples::U16(samples) => samples[y * plane.stride() + x].into(),
        })
    };
    let mut inputs = [grid(reference), grid(distorted)];
    let (mut numerator, mut denominator, mut impairments) = (0.0, 0.0, 0.0);
    let mut scales = [0.0; 4];
    for (scale, score) in scales.iter_mut().enumerate() {
        let (low_o, o) = transform(&inputs[0], scale, reference.bit_depth());
        let (low_t, t) = transform(&inputs[1], scale, reference.bit_depth());
        let (width, height) = (o[0].width, o[0].height);
        let r: [Grid; 3] = std::array::from_fn(|band| {
            Grid::new(width, height, |x, y| {
                let pair = |bands: &[Grid; 3]| [bands[0].at(x, y), bands[1].at(x, y)];
                let is_near = near(pair(&o), pair(&t));
                restored(o[band].at(x, y), t[band].at(x, y), is_near, gain_limit)
            })
        });
        let a: [Grid; 3] = std::array::from_fn(|band| {
            Grid::new(width, height, |x, y| t[band].at(x, y) - r[band].at(x, y))
        });
        let area = scored(width).len() * scored(height).len();
        let floor = cube_root((area as f64 * 0.03125) as f32);
        let scale_numerator = pooled(masked_sums(scale, &r, &a), floor);
        let scale_denominator = pooled(reference_sums(scale, &o), floor);
        impairments += pooled(masked_sums(scale, &a, &r), 0.0);
        numerator += scale_numerator;
        denominator += scale_denominator;
        *score = scale_numerator / scale_denominator;
        inputs = [low_o, low_t];
    }
    let [first, second, third, last] = scales;
    [numerator / denominator, impairments / denominator, first, second, third, last]
}

/// Compares the kernel on every instruction set with the twin on one pair, and returns how many
/// comparisons ran.
fn check(content: Content, size: [usize; 2], bit_depth: u32, gain_limit: f64, seed: u64) -> usize {
    let pair = Pair::new(content, size, size[0] + 3, bit_depth, seed);
    let (reference, distorted) = (pair.reference(), pair.distorted());
    let options = AdmOptions { enhancement_gain_limit: gain_limit, ..AdmOptions::default() };
    let params = AdmParams::new(options).expect("options are in range");
    let expected = naive(&reference, &distorted, gain_limit);
    let mut scratch = AdmScratch::default();
    for isa in every_isa() {
        let scores = adm(isa, &reference, &distorted, &params, &mut scratch).expect("one shape");
        let [first, second, third, last] = scores.scale;
        let given = [scores.adm2, scores.aim, first, second, third, last];
        assert_eq!(
            given.map(f64::to_bits),
            expected.map(f64::to_bits),
            "{isa}: {content:?} {size:?} {bit_depth} bits, gain {gain_limit}, seed {seed}: \
             {given:?} is not {expected:?}"
        );
    }
    every_isa().len()
}

#[test]
fn the_kernel_equals_its_plain_twin_at_every_small_size() {
    let mut random = Random::new(3);
    let mut compared = 0;
    for width in 1..=40 {
        for height in 1..=40 {
            let content = Content::ALL[random.below(Content::ALL.len() as i64) as usize];
            let bit_depth = [8, 10, 12, 16][random.below(4) as usize];
            let gain_limit = [1.0, 1.2, 100.0][random.below(3) as usize];
            compared += check(content, [width, height], bit_depth, gain_limit, random.next());
        }
    }
    assert_eq!(compared, 1600 * every_isa().len());
}

#[test]
fn the_kernel_equals_its_plain_twin_on_every_content() {
    let mut compared = 0;
    for content in Content::ALL {
        for (size, bit_depth) in [([97, 61], 8), ([61, 130], 10), ([150, 20], 12), ([70, 71], 16)] {
            for gain_limit in [1.0, 100.0] {
                compared += check(content, size, bit_depth, gain_limit, 17);
            }
        }
    }
    assert_eq!(compared, Content::ALL.len() * 8 * every_isa().len());
}

#[test]
fn fuzz_against_the_plain_twin() {
    let mut fuzz = Fuzz::from_env(FUZZ_CASES);
    let mut compared = 0;
    while let Some(mut case) = fuzz.next_case() {
        let mut below = |bound: u64| case.random.below(bound) as usize;
        let content = Content::ALL[below(Content::ALL.len() as u64)];
        let size = [1 + below(260), 1 + below(160)];
        let bit_depth = 8 + below(9) as u32;
        let gain_limit = [1.0, 1.2, 100.0, 7.0][below(4)];
        compared += check(content, size, bit_depth, gain_limit, below(1 << 40) as u64);
    }
    println!("adm: {} cases, {compared} comparisons", fuzz.cases());
    assert!(compared > 0, "nothing was compared");
}
