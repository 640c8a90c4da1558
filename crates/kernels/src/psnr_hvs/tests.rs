//! The lanes against the definition, one block and one coefficient after the other; what words hold;
//! and quotients made of products.

use std::cell::Cell;
use std::collections::BTreeSet;

use super::csf::PLANES;
use super::dct::{Step, transform};
use super::*;
use crate::isa::every_isa;

struct Plane {
    samples: Vec<u16>,
    bytes: Vec<u8>,
    width: usize,
    stride: usize,
    bit_depth: u32,
}

impl Plane {
    fn new(
        [width, height]: [usize; 2],
        stride: usize,
        bit_depth: u32,
        sample: &mut dyn FnMut() -> u16,
    ) -> Self {
        let samples: Vec<u16> = (0..stride * height).map(|_| sample()).collect();
        let bytes = samples.iter().map(|sample| *sample as u8).collect();
        Self { samples, bytes, width, stride, bit_depth }
    }

    fn height(&self) -> usize {
        self.samples.len() / self.stride
    }

    fn view(&self) -> PlaneRef<'_> {
        let samples = match self.bit_depth {
            8 => Samples::U8(&self.bytes),
            _ => Samples::U16(&self.samples),
        };
        PlaneRef::new(samples, self.width, self.height(), self.stride, self.bit_depth)
            .expect("the geometry is its own")
    }

    fn block(&self, x: usize, y: usize) -> [i32; 64] {
        std::array::from_fn(|at| i32::from(self.samples[(y + at / 8) * self.stride + x + at % 8]))
    }
}

/// The variance of some samples, times their number.
fn spread(samples: &[i32]) -> f32 {
    let count = samples.len() as f32;
    let mean = samples.iter().sum::<i32>() as f32 / count;
    let mut sum = 0.0;
    for sample in samples {
        sum += (*sample as f32 - mean) * (*sample as f32 - mean);
    }
    sum * (1.0 / (count - 1.0) * count)
}

fn coefficients(block: &[i32; 64]) -> [i32; 64] {
    let columns: [[i32; 8]; 8] =
        std::array::from_fn(|x| transform(std::array::from_fn(|y| block[y * 8 + x])));
    let rows: [[i32; 8]; 8] =
        std::array::from_fn(|y| transform(std::array::from_fn(|x| columns[x][y])));
    std::array::from_fn(|at| rows[at / 8][at % 8])
}

fn masking(block: &[i32; 64], mask: &[f32; 64]) -> f32 {
    let quarter = |top: usize, left: usize| -> Vec<i32> {
        (0..16).map(|at| block[(top + at / 4) * 8 + left + at % 4]).collect()
    };
    let quarters = [quarter(0, 0), quarter(4, 0), quarter(0, 4), quarter(4, 4)];
    let whole = spread(block);
    let [a, b, c, d] = quarters.each_ref().map(|quarter| spread(quarter));
    let share = if whole > 0.0 { (a + b + c + d) / whole } else { 0.0 };
    let mut energy = 0.0_f32;
    for (coefficient, mask) in coefficients(block).into_iter().zip(mask).skip(1) {
        energy += (coefficient * coefficient) as f32 * mask;
    }
    (f64::from(energy * share).sqrt() / 32.0) as f32
}

fn slow(plane: usize, reference: &Plane, distorted: &Plane) -> f64 {
    let Sensitivity { error, mask, .. } = &PLANES[plane];
    let (mut sum, mut count) = (0.0_f32, 0);
    for y in (0..reference.height().saturating_sub(7)).step_by(7) {
        for x in (0..reference.width.saturating_sub(7)).step_by(7) {
            let blocks = [reference, distorted].map(|picture| picture.block(x, y));
            let [first, second] = blocks.each_ref().map(coefficients);
            let [one, other] = blocks.each_ref().map(|block| masking(block, mask));
            let strongest = if other > one { other } else { one };
            for at in 0..64 {
                let mut left = (first[at] - second[at]).abs() as f32;
                if at > 0 {
                    let hidden = strongest / mask[at];
                    left = if left < hidden { 0.0 } else { left - hidden };
                }
                sum += (left * error[at]) * (left * error[at]);
                count += 1;
            }
        }
    }
    let peak = (1 << reference.bit_depth) - 1;
    f64::from(sum / count as f32 / (peak * peak) as f32)
}

/// Compares every instruction set with the slow way and returns how many comparisons ran.
fn check(size: [usize; 2], bit_depth: u32, gap: usize, kind: usize) -> usize {
    let mut state = (size[0] * 7919 + size[1] * 31 + bit_depth as usize) as u64;
    let mut next = move || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) as u16
    };
    let max = (1_u16 << bit_depth) - 1;
    let mut sample = move || match kind {
        0 => next() % (max + 1),
        1 => max / 2 + next() % 7,
        2 => max * (next() % 2),
        _ => max,
    };
    let reference = Plane::new(size, size[0] + gap, bit_depth, &mut sample);
    let distorted = Plane::new(size, size[0] + 2 * gap, bit_depth, &mut sample);
    let mut scratch = PsnrHvsScratch::new();
    let mut compared = 0;
    for plane in 0..3 {
        let expected = slow(plane, &reference, &distorted);
        for isa in every_isa() {
            let views = [reference.view(), distorted.view()];
            let error = psnr_hvs_error(isa, plane, &views[0], &views[1], &mut scratch);
            let error = error.expect("one shape");
            assert_eq!(error.to_bits(), expected.to_bits(), "{size:?} {bit_depth} {kind} {isa}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_size_gives_the_bits_of_the_definition_on_every_instruction_set() {
    let mut compared = 0;
    for side in 8..48 {
        for bit_depth in [8, 10, 12] {
            compared += check([side, 55 - side], bit_depth, side % 3, side % 4);
            compared += check([7 * side, 15], bit_depth, 1, (side + 1) % 4);
        }
    }
    assert_eq!(compared, 40 * 3 * 2 * 3 * every_isa().len());
}

#[test]
fn a_larger_picture_gives_them_too() {
    let compared = check([640, 360], 8, 0, 0) + check([640, 360], 10, 5, 1);
    assert_eq!(compared, 2 * 3 * every_isa().len());
}

#[test]
fn planes_without_a_block_have_no_error_to_tell() {
    let plane = Plane::new([7, 40], 7, 8, &mut || 3);
    let mut scratch = PsnrHvsScratch::new();
    for isa in every_isa() {
        let error = psnr_hvs_error(isa, 0, &plane.view(), &plane.view(), &mut scratch);
        assert!(error.expect("one shape").is_nan());
    }
}

#[test]
fn equal_planes_have_no_error_and_infinite_decibels() {
    let plane = Plane::new([64, 40], 64, 8, &mut || 77);
    for isa in every_isa() {
        let error =
            psnr_hvs_error(isa, 1, &plane.view(), &plane.view(), &mut PsnrHvsScratch::new());
        assert_eq!(error, Ok(0.0));
    }
    assert_eq!(psnr_hvs_db(combined_error([0.0; 3])), f64::INFINITY);
}

fn random_words() -> impl FnMut() -> u16 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    }
}

#[test]
fn pictures_that_differ_late_have_the_bits_of_the_definition() {
    let mut next = random_words();
    let reference = Plane::new([640, 64], 640, 8, &mut || next() >> 8);
    let at = 60 * 640 + 500;
    let samples = reference.samples.iter().copied().enumerate();
    let mut samples = samples.map(|(i, sample)| if i == at { sample ^ 0x80 } else { sample });
    let distorted = Plane::new([640, 64], 640, 8, &mut || samples.next().expect("as many"));
    let expected = slow(0, &reference, &distorted);
    assert!(expected > 0.0);
    for isa in every_isa() {
        let mut scratch = PsnrHvsScratch::new();
        let error = psnr_hvs_error(isa, 0, &reference.view(), &distorted.view(), &mut scratch);
        assert_eq!(error.map(f64::to_bits), Ok(expected.to_bits()), "{isa}");
    }
}

#[test]
fn samples_above_the_bit_depth_count_as_what_they_are() {
    let mut next = random_words();
    let narrow = Plane::new([80, 40], 80, 10, &mut || next() >> 6);
    let deep = Plane::new([80, 40], 80, 10, &mut || next() >> 4);
    let mut planes = vec![deep];
    // One such sample: in the first block, in the last, and in a row of blocks that no vector spans.
    for at in [0, 36 * 80 + 77, 20 * 80 + 40] {
        let samples = narrow.samples.iter().copied().enumerate();
        let mut samples = samples.map(|(i, sample)| if i == at { 4095 } else { sample });
        planes.push(Plane::new([80, 40], 80, 10, &mut || samples.next().expect("as many")));
    }
    let few = |sample: u16| Plane::new([15, 22], 15, 10, &mut || sample);
    let mut pairs: Vec<[&Plane; 2]> = Vec::new();
    for plane in &planes {
        pairs.extend([[plane, &narrow], [&narrow, plane]]);
    }
    let (low, high) = (few(1023), few(1024));
    pairs.extend([[&low, &high], [&high, &low]]);
    for [reference, distorted] in pairs {
        let expected = slow(0, reference, distorted);
        for isa in every_isa() {
            let (reference, distorted) = (reference.view(), distorted.view());
            let mut scratch = PsnrHvsScratch::new();
            let error = psnr_hvs_error(isa, 0, &reference, &distorted, &mut scratch);
            assert_eq!(error.map(f64::to_bits), Ok(expected.to_bits()), "{isa}");
        }
    }
}

#[test]
fn samples_beyond_the_definition_do_no_harm_and_shapes_are_checked() {
    let deep = Plane::new([80, 40], 80, 10, &mut random_words());
    let flat = Plane::new([80, 40], 80, 10, &mut || 0);
    let other = Plane::new([81, 40], 81, 10, &mut || 0);
    let mut results = Vec::new();
    for isa in every_isa() {
        let mut scratch = PsnrHvsScratch::new();
        let error = psnr_hvs_error(isa, 2, &deep.view(), &flat.view(), &mut scratch);
        results.push(error.expect("one shape").to_bits());
        let refused = psnr_hvs_error(isa, 2, &deep.view(), &other.view(), &mut scratch);
        assert_eq!(refused, Err(ShapeMismatch));
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

thread_local! {
    /// The largest magnitude that any step could have, of those since it was cleared.
    static LARGEST: Cell<f64> = const { Cell::new(0.0) };
}

/// A value of the transform: how it follows from a block's samples, and what roundings may add.
#[derive(Clone, Copy)]
struct Bound {
    weights: [f64; 64],
    error: f64,
}

impl Bound {
    /// The least and the largest value for samples up to this.
    fn range(&self, peak: f64) -> [f64; 2] {
        let sum = |sign: f64| self.weights.iter().map(|w| (sign * w).max(0.0)).sum::<f64>();
        [-sum(-1.0) * peak - self.error, sum(1.0) * peak + self.error]
    }

    fn noted(self) -> Self {
        let [least, most] = self.range(PEAK_OF_WORDS);
        LARGEST.set(LARGEST.get().max(most).max(-least));
        self
    }
}

#[cfg(target_arch = "x86_64")]
const PEAK_OF_WORDS: f64 = ((1 << words::BIT_DEPTH_MAX) - 1) as f64;
#[cfg(not(target_arch = "x86_64"))]
const PEAK_OF_WORDS: f64 = 2047.0;

impl Step for Bound {
    fn plus(self, other: Self) -> Self {
        let weights = std::array::from_fn(|at| self.weights[at] + other.weights[at]);
        Self { weights, error: self.error + other.error }.noted()
    }

    fn minus(self, other: Self) -> Self {
        let weights = std::array::from_fn(|at| self.weights[at] - other.weights[at]);
        Self { weights, error: self.error + other.error }.noted()
    }

    fn half(self) -> Self {
        Self { weights: self.weights.map(|w| w / 2.0), error: self.error / 2.0 + 0.5 }.noted()
    }

    fn times(self, factor: i16) -> Self {
        let factor = f64::from(factor) / 32_768.0;
        Self { weights: self.weights.map(|w| w * factor), error: self.error * factor + 0.5 }.noted()
    }
}

#[test]
fn words_hold_every_step_of_a_transform_and_differences_of_two() {
    let sample = |at: usize| {
        let weights = std::array::from_fn(|other| f64::from(u8::from(at == other)));
        Bound { weights, error: 0.0 }
    };
    LARGEST.set(0.0);
    let columns: [[Bound; 8]; 8] =
        std::array::from_fn(|x| transform(std::array::from_fn(|y| sample(y * 8 + x))));
    let rows: [[Bound; 8]; 8] =
        std::array::from_fn(|y| transform(std::array::from_fn(|x| columns[x][y])));
    let largest = LARGEST.get();
    assert!((8.0 * PEAK_OF_WORDS..32_767.0).contains(&largest), "{largest}");
    for coefficient in rows.iter().flatten() {
        let [least, most] = coefficient.range(PEAK_OF_WORDS);
        assert!(most - least < 32_767.0, "{least} to {most}");
    }
    // One bit more is more than can be shown: the limit is where it must be.
    let deeper = rows[0][0].range(2.0 * PEAK_OF_WORDS + 1.0)[1];
    assert!(deeper > 32_767.0, "{deeper}");
}

#[cfg(target_arch = "x86_64")]
mod quotients {
    use super::*;
    use crate::lanes::Lanes;

    trait Divides: Vector {
        /// Whether a mantissa by this divisor is another than the quotient; `None` where there is no such quotient.
        fn errs(self, divisor: [f32; 2]) -> Option<bool>;
    }

    impl Divides for Portable {
        fn errs(self, _divisor: [f32; 2]) -> Option<bool> {
            None
        }
    }

    #[inline(always)]
    fn errs_in_lanes<L: Lanes>(lanes: L, divisor: [f32; 2]) -> bool {
        let first: [i32; 16] = std::array::from_fn(|lane| 1.0_f32.to_bits() as i32 + lane as i32);
        let mut dividend = lanes.load_ints(&first, 0);
        let mut differing = lanes.splat_int(0);
        for _ in 0..(1 << 23) / L::INTS {
            let expected = lanes.div_floats(dividend, lanes.splat_float(divisor[0]));
            let quotient = words::quotient(lanes, dividend, divisor);
            differing = lanes.or(differing, lanes.xor(quotient, expected));
            dividend = lanes.add_ints(dividend, lanes.splat_int(L::INTS as i32));
        }
        lanes.any(differing)
    }

    macro_rules! divides {
        ($($vector:ty),+) => {$(
            impl Divides for $vector {
                #[inline(always)]
                fn errs(self, divisor: [f32; 2]) -> Option<bool> {
                    Some(errs_in_lanes(self, divisor))
                }
            }
        )+};
    }
    divides!(Avx2, Avx512);

    #[inline(always)]
    fn errs_on<V: Divides>(vector: V, divisor: [f32; 2]) -> Option<bool> {
        vector.errs(divisor)
    }

    per_isa! {
        fn errs(divisor: [f32; 2]) -> Option<bool> = errs_on, with vector;
    }

    /// A quotient depends on the mantissa of the dividend alone, as long as nothing leaves the range of
    /// normal numbers: maskings that are not 0 lie between 2^-40 and 2^20.
    #[test]
    fn every_mantissa_by_every_constant_is_the_rounded_quotient() {
        let constants = PLANES.iter().flat_map(|plane| {
            plane.mask.map(f32::to_bits).into_iter().zip(plane.mask_inverse.map(f32::to_bits))
        });
        let constants: BTreeSet<_> = constants.collect();
        assert!(constants.len() > 90, "{}", constants.len());
        let mut divided_by = Vec::new();
        for isa in every_isa() {
            for (divisor, inverse) in &constants {
                let divisor = [*divisor, *inverse].map(f32::from_bits);
                let Some(errs) = errs(isa, divisor) else { break };
                assert!(!errs, "{divisor:?} {isa}");
                divided_by.push(isa);
            }
        }
        // All but the baseline, which has no such quotients.
        let vectors = every_isa().len() - 1;
        assert_eq!(divided_by.len(), vectors * constants.len(), "{divided_by:?}");
        assert!(vectors > 0 || !std::arch::is_x86_feature_detected!("avx2"));
    }
}
