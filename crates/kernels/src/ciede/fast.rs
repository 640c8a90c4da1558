//! The colour differences of a run of pixels, in lanes.
//!
//! The steps are those of [`super::exact`]; what is exact there (sums, products, quotients and roots
//! of `f64` and `f32`) is the same here. Powers, roots and angles come from polynomials, which err
//! by less than 2^-44 of the result. Where one is rounded to `f32` and lies closer than that to the
//! middle between two neighbours, the pixel is marked as doubtful. Whether multiplication and
//! addition are fused changes only what is lost in that error.

use std::f64::consts::PI;

use super::exact::{
    CHROMA_KNEE, CHROMA_KNEE_SINGLE, LINEAR_MAX, Lab, Parts, ROOT_MIN, below_root, curved,
    hue_step, lab, length, mean_hue, positive_hue, rgb, steps_from_blue, straight, xyz,
};
use super::fused::Fused;
use super::power7::power7;

/// Pixels computed together at most.
pub(super) const CHUNK: usize = 64;

/// Luma, Cb and Cr of a run of pixels of both pictures.
type Pixels<'a> = [[&'a [u16]; 3]; 2];

/// What is known of a run of pixels.
#[derive(Debug)]
pub(super) struct Lanes {
    labs: [LabLanes; 2],
    /// Chroma before and after the first axis is stretched, and the stretched axis.
    chromas: [[f32; CHUNK]; 2],
    lengths: [[f32; CHUNK]; 2],
    stretched: [[f32; CHUNK]; 2],
    hues: [[f32; CHUNK]; 2],
    powers: [f32; CHUNK],
    /// What of the hues enters a difference.
    hue_steps: [f32; CHUNK],
    weights: [f32; CHUNK],
    turns: [f32; CHUNK],
    differences: [f32; CHUNK],
    doubts: [u32; CHUNK],
}

#[derive(Debug)]
struct LabLanes {
    /// Red, green and blue; then, made linear, and the roots of X, Y and Z.
    steps: [[f64; CHUNK]; 3],
    l: [f32; CHUNK],
    a: [f32; CHUNK],
    b: [f32; CHUNK],
}

const ZEROS: [f32; CHUNK] = [0.0; CHUNK];
const NO_LAB: LabLanes = LabLanes { steps: [[0.0; CHUNK]; 3], l: ZEROS, a: ZEROS, b: ZEROS };

impl Default for Lanes {
    fn default() -> Self {
        Self {
            labs: [NO_LAB; 2],
            chromas: [ZEROS; 2],
            lengths: [ZEROS; 2],
            stretched: [ZEROS; 2],
            hues: [ZEROS; 2],
            powers: ZEROS,
            hue_steps: ZEROS,
            weights: ZEROS,
            turns: ZEROS,
            differences: ZEROS,
            doubts: [0; CHUNK],
        }
    }
}

impl Lanes {
    /// Computes the differences of the pixels, [`CHUNK`] at most.
    #[inline(always)]
    pub(super) fn differences<V: Fused>(&mut self, v: V, pixels: &Pixels<'_>, bit_depth: u32) {
        let count = pixels[0][0].len().min(CHUNK);
        self.doubts = [0; CHUNK];
        for (planes, labs) in pixels.iter().zip(&mut self.labs) {
            labs.fill(v, planes, bit_depth, count, &mut self.doubts);
        }
        self.measure_chroma(v, count);
        for picture in 0..2 {
            self.measure_hue(v, picture, count);
        }
        self.raise(v, count);
        self.compare_hues(v, count);
        self.join(count);
    }

    /// The differences of the first `count` pixels.
    pub(super) fn all(&self, count: usize) -> &[f32] {
        &self.differences[..count]
    }

    /// Whether any of the first `count` pixels is doubtful.
    #[inline(always)]
    pub(super) fn any_doubt(&self, count: usize) -> bool {
        self.doubts[..count].iter().fold(0, |all, doubt| all | doubt) != 0
    }

    /// The places of those that are.
    pub(super) fn doubtful(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let doubts = self.doubts;
        (0..count).filter(move |at| doubts[*at] != 0)
    }

    pub(super) fn set_difference(&mut self, at: usize, difference: f32) {
        self.differences[at] = difference;
    }

    #[inline(always)]
    fn measure_chroma<V: Fused>(&mut self, v: V, count: usize) {
        let [first, second] = &self.labs;
        let (a, b) =
            ([&first.a[..count], &second.a[..count]], [&first.b[..count], &second.b[..count]]);
        let [chromas0, chromas1] = self.chromas.each_mut().map(|lane| &mut lane[..count]);
        let [lengths0, lengths1] = self.lengths.each_mut().map(|lane| &mut lane[..count]);
        let [stretched0, stretched1] = self.stretched.each_mut().map(|lane| &mut lane[..count]);
        let doubts = &mut self.doubts[..count];
        for at in 0..count {
            let (a0, b0, a1, b1) = (a[0][at], b[0][at], a[1][at], b[1][at]);
            chromas0[at] = length(a0, b0);
            chromas1[at] = length(a1, b1);
            let stretch = stretch(v, (chromas0[at] + chromas1[at]) / 2.0);
            let wide0 = v.fma(f64::from(a0 / 2.0), stretch, f64::from(a0));
            let wide1 = v.fma(f64::from(a1 / 2.0), stretch, f64::from(a1));
            stretched0[at] = wide0 as f32;
            stretched1[at] = wide1 as f32;
            doubts[at] |= doubtful(wide0) | doubtful(wide1);
            lengths0[at] = length(stretched0[at], b0);
            lengths1[at] = length(stretched1[at], b1);
        }
    }

    #[inline(always)]
    fn measure_hue<V: Fused>(&mut self, v: V, picture: usize, count: usize) {
        let (a, b) = (&self.stretched[picture][..count], &self.labs[picture].b[..count]);
        let (hues, doubts) = (&mut self.hues[picture][..count], &mut self.doubts[..count]);
        for at in 0..count {
            let angle = angle(v, f64::from(b[at]), f64::from(a[at]));
            hues[at] = positive_hue(angle as f32);
            doubts[at] |= doubtful(angle);
        }
    }

    /// Raises the mean chroma to its seventh power.
    #[inline(always)]
    fn raise<V: Fused>(&mut self, v: V, count: usize) {
        let [lengths0, lengths1] = self.lengths.each_ref().map(|lane| &lane[..count]);
        let (powers, doubts) = (&mut self.powers[..count], &mut self.doubts[..count]);
        for at in 0..count {
            let power = power7(v, (lengths0[at] + lengths1[at]) / 2.0);
            powers[at] = power as f32;
            doubts[at] |= doubtful(power);
        }
    }

    /// What the hues say, each in a loop of its own: see [`LabLanes::fill`].
    #[inline(always)]
    fn compare_hues<V: Fused>(&mut self, v: V, count: usize) {
        let [chromas0, chromas1] = self.chromas.each_ref().map(|lane| &lane[..count]);
        let [lengths0, lengths1] = self.lengths.each_ref().map(|lane| &lane[..count]);
        let [hues0, hues1] = self.hues.each_ref().map(|lane| &lane[..count]);
        let (steps, doubts) = (&mut self.hue_steps[..count], &mut self.doubts[..count]);
        for at in 0..count {
            let step = hue_step([chromas0[at], chromas1[at]], [hues0[at], hues1[at]]);
            let area = f64::from(lengths0[at] * lengths1[at]).sqrt();
            let hue = 2.0 * area * sine(v, f64::from(step) / 2.0);
            steps[at] = hue as f32;
            doubts[at] |= doubtful(hue);
        }
        let weights = &mut self.weights[..count];
        for at in 0..count {
            let weight = hue_weight(v, f64::from(mean_hue([hues0[at], hues1[at]])));
            weights[at] = weight as f32;
            doubts[at] |= doubtful(weight);
        }
        let turns = &mut self.turns[..count];
        for at in 0..count {
            let steps = steps_from_blue(mean_hue([hues0[at], hues1[at]]));
            let degrees = 60.0 * decay(v, f64::from(steps * steps));
            turns[at] = (f64::from(degrees as f32) * (PI / 180.0)) as f32;
            doubts[at] |= doubtful(degrees);
        }
        let powers = &self.powers[..count];
        for at in 0..count {
            let share = powers[at] / (powers[at] + CHROMA_KNEE_SINGLE);
            let rotation = -2.0 * f64::from(share).sqrt() * sine(v, f64::from(turns[at]));
            turns[at] = rotation as f32;
            doubts[at] |= doubtful(rotation);
        }
    }

    #[inline(always)]
    fn join(&mut self, count: usize) {
        let [first, second] = self.labs.each_ref().map(|labs| &labs.l[..count]);
        let [lengths0, lengths1] = self.lengths.each_ref().map(|lane| &lane[..count]);
        let (steps, weights) = (&self.hue_steps[..count], &self.weights[..count]);
        let (turns, differences) = (&self.turns[..count], &mut self.differences[..count]);
        for at in 0..count {
            let parts = Parts {
                lightness: second[at] - first[at],
                chroma: lengths1[at] - lengths0[at],
                hue: steps[at],
                mean_lightness: (first[at] + second[at]) / 2.0,
                mean_chroma: (lengths0[at] + lengths1[at]) / 2.0,
                hue_weight: weights[at],
                rotation: turns[at],
            };
            differences[at] = parts.joined();
        }
    }
}

impl LabLanes {
    #[inline(always)]
    fn fill<V: Fused>(
        &mut self,
        v: V,
        planes: &[&[u16]; 3],
        bit_depth: u32,
        count: usize,
        doubts: &mut [u32; CHUNK],
    ) {
        let [ys, us, vs] = planes.map(|plane| &plane[..count]);
        let [first, second, third] = self.steps.each_mut().map(|step| &mut step[..count]);
        for at in 0..count {
            let pixel = [f64::from(ys[at]), f64::from(us[at]), f64::from(vs[at])];
            [first[at], second[at], third[at]] = rgb(pixel, bit_depth);
        }
        // Polynomials are chains. A short loop for each lets the processor work on many at a time.
        for step in [&mut *first, &mut *second, &mut *third] {
            for value in step {
                *value = linear(v, *value);
            }
        }
        for at in 0..count {
            [first[at], second[at], third[at]] = xyz([first[at], second[at], third[at]]);
        }
        let doubts = &mut doubts[..count];
        for step in [&mut *first, &mut *second, &mut *third] {
            for at in 0..count {
                step[at] = root(v, step[at]);
                doubts[at] |= doubtful(step[at]);
            }
        }
        let (l, a, b) = (&mut self.l[..count], &mut self.a[..count], &mut self.b[..count]);
        for at in 0..count {
            let colour: Lab = lab([first[at] as f32, second[at] as f32, third[at] as f32]);
            l[at] = colour.l;
            a[at] = colour.a;
            b[at] = colour.b;
        }
    }
}

/// Whether `value`, which may be off by 2^-44 of itself, might be rounded to either of two `f32`.
#[inline(always)]
fn doubtful(value: f64) -> u32 {
    /// Bits that an `f32` has no room for, and the units of 2^-52 by which the value may be off.
    const CUT: u64 = (1 << 29) - 1;
    const OFF: u64 = 1 << 9;
    let beyond_middle = value.to_bits().wrapping_add(OFF).wrapping_sub(1 << 28) & CUT;
    u32::from(beyond_middle < 2 * OFF)
}

/// A first guess of `x^(-1 / n)`: bits are nearly logarithms.
#[inline(always)]
fn guess(x: f64, share: f64, offset: f64) -> f64 {
    /// 2^52: a number below it in the low bits of this one is that number added to it.
    const WHOLE: u64 = 0x4330_0000_0000_0000;
    let logarithm = f64::from_bits(x.to_bits() >> 12 | WHOLE) - f64::from_bits(WHOLE);
    let result = (offset - logarithm * share) + f64::from_bits(WHOLE);
    f64::from_bits(result.to_bits() << 12)
}

/// `x^2.4` of a component, or the straight line that stands for it near black.
#[inline(always)]
fn linear<V: Fused>(v: V, component: f64) -> f64 {
    let x = curved(if component > LINEAR_MAX { component } else { LINEAR_MAX });
    // y = x^(-1/5): from 3.1 % off by two steps of (1 - h)^(-1/5), h = 1 - x y^5.
    let y = guess(x, 1.0 / 5.0, 1_349_692_304_536_895.5);
    let missing = |y: f64| {
        let square = y * y;
        v.fma(-(x * y), square * square, 1.0)
    };
    let h = missing(y);
    let high = v.fma(h, 0.089_453_548_516_376_14, 0.121_728_950_490_619_66);
    let low = v.fma(h, 0.199_995_596_374_033_14, 0.999_994_762_649_383_1);
    let y = y * v.fma(h * h, high, low);
    let h = missing(y);
    let y = v.fma(y * h, v.fma(h, 3.0 / 25.0, 1.0 / 5.0), y);
    let root = x * y;
    let power = root * root * root;
    if component > LINEAR_MAX { power } else { straight(component) }
}

/// The cube root of a component, or the straight line that stands for it near black.
#[inline(always)]
fn root<V: Fused>(v: V, component: f64) -> f64 {
    let x = if component > ROOT_MIN { component } else { ROOT_MIN };
    // y = x^(-1/3): from 3.4 % off by two steps of (1 - h)^(-1/3), h = 1 - x y^3.
    let y = guess(x, 1.0 / 3.0, 1_499_659_093_495_775.2);
    let h = v.fma(-(x * y), y * y, 1.0);
    let high = v.fma(h, 0.174_160_756_785_726_23, 0.223_746_265_566_889_9);
    let low = v.fma(h, 0.333_331_596_324_213_8, 0.999_997_996_474_196_7);
    let y = y * v.fma(h * h, high, low);
    let h = v.fma(-(x * y), y * y, 1.0);
    let y = v.fma(y * h, v.fma(h, 2.0 / 9.0, 1.0 / 3.0), y);
    let root = x * y * y;
    if component > ROOT_MIN { root } else { below_root(component) }
}

/// By how much of its half the first axis is stretched.
#[inline(always)]
fn stretch<V: Fused>(_: V, mean_chroma: f32) -> f64 {
    let chroma = f64::from(mean_chroma);
    let square = chroma * chroma;
    let power = square * square * square * chroma;
    1.0 - (power / (power + CHROMA_KNEE)).sqrt()
}

/// `c[0] + c[1] z + ...`
#[inline(always)]
fn polynomial<V: Fused, const N: usize>(v: V, z: f64, c: [f64; N]) -> f64 {
    let mut sum = c[N - 1];
    for at in (0..N - 1).rev() {
        sum = v.fma(sum, z, c[at]);
    }
    sum
}

/// The angle of the point (`x`, `y`), -pi to pi; 0 where both are zero.
#[inline(always)]
fn angle<V: Fused>(v: V, y: f64, x: f64) -> f64 {
    const TAN_EIGHTH: f64 = 0.414_213_562_373_095_03;
    let (across, along) = (x.abs(), y.abs());
    let steep = along > across;
    let (low, high) = if steep { (across, along) } else { (along, across) };
    // Beyond an eighth of pi, from the diagonal: tan(t - pi/4) = (tan(t) - 1) / (tan(t) + 1).
    let wide = low > TAN_EIGHTH * high;
    let (above, below) = if wide { (low - high, low + high) } else { (low, high) };
    let slope = above / if below > 0.0 { below } else { 1.0 };
    let start = if wide { PI / 4.0 } else { 0.0 };
    let z = slope * slope;
    let series = polynomial(v, z, ATAN);
    let angle = v.fma(slope, series, start);
    let angle = if steep { PI / 2.0 - angle } else { angle };
    let angle = if x < 0.0 { PI - angle } else { angle };
    if y < 0.0 { -angle } else { angle }
}

const ATAN: [f64; 11] = [
    1.0,
    -0.333_333_333_333_284_4,
    0.199_999_999_988_550_56,
    -0.142_857_141_809_720_48,
    0.111_111_061_802_764_31,
    -0.090_907_730_706_379_61,
    0.076_899_534_375_606_76,
    -0.066_402_334_200_916_6,
    0.056_883_465_561_804_9,
    -0.043_480_445_002_846_27,
    0.021_135_278_667_770_936,
];

const SINE: [f64; 8] = [
    1.0,
    -0.166_666_666_666_660_72,
    0.008_333_333_333_282_756,
    -0.000_198_412_698_248_618_78,
    2.755_731_660_907_16e-6,
    -2.505_188_194_657_787_7e-8,
    1.604_816_831_386_485_2e-10,
    -7.374_387_450_238_072e-13,
];

const COSINE: [f64; 9] = [
    1.0,
    -0.499_999_999_999_999_7,
    0.041_666_666_666_663_88,
    -0.001_388_888_888_877_299,
    2.480_158_727_741_49e-5,
    -2.755_731_639_102_35e-7,
    2.087_656_183_981_706_4e-9,
    -1.146_290_189_865_528_5e-11,
    4.608_976_969_480_383e-14,
];

/// Coefficients of `e^r` for `|r| <= ln2 / 2`.
const EXP: [f64; 11] = [
    1.0,
    1.000_000_000_000_006_7,
    0.500_000_000_000_000_6,
    0.166_666_666_665_543_14,
    0.041_666_666_666_573_066,
    0.008_333_333_385_699_212,
    0.001_388_888_893_251_478,
    0.000_198_411_702_305_702_86,
    2.480_150_431_378_554e-5,
    2.764_019_739_169_484e-6,
    2.762_637_106_569_635_4e-7,
];

/// 1.5 * 2^52: adding it rounds to a whole number, which then lies in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// The sine of -pi/2 to pi/2.
#[inline(always)]
fn sine<V: Fused>(v: V, x: f64) -> f64 {
    x * polynomial(v, x * x, SINE)
}

/// How fast hue is seen to change, for a hue of 0 to 5 pi / 2.
#[inline(always)]
fn hue_weight<V: Fused>(v: V, hue: f64) -> f64 {
    /// pi in two parts, the first so short that its multiples are exact.
    const PI_HIGH: f64 = f64::from_bits(0x4009_21fb_5440_0000);
    const PI_LOW: f64 = f64::from_bits(0x3de0_b461_1a62_6331);
    /// Amplitude times cosine and sine of the phase of the first, third and fourth harmonic.
    const FIRST: [f64; 2] = [-0.17 * 0.866_025_403_784_438_6, -0.17 * 0.5];
    const THIRD: [f64; 2] = [0.32 * 0.994_521_895_368_273_3, -0.32 * 0.104_528_463_267_653_47];
    const FOURTH: [f64; 2] = [-0.20 * 0.453_990_499_739_546_8, -0.20 * 0.891_006_524_188_367_9];
    // Half turns change the sign of odd harmonics, and nothing else.
    let turns = (hue * (1.0 / PI) + ROUND) - ROUND;
    let odd_turns = hue * (1.0 / PI) + ROUND;
    let sign = f64::from_bits(1.0_f64.to_bits() | (odd_turns.to_bits() << 63));
    let r = v.fma(-turns, PI_LOW, v.fma(-turns, PI_HIGH, hue));
    let z = r * r;
    let (s, c) = (r * polynomial(v, z, SINE), polynomial(v, z, COSINE));
    let (s2, c2) = (2.0 * s * c, v.fma(-2.0 * s, s, 1.0));
    let (s3, c3) = (v.fma(s, c2, c * s2), v.fma(c, c2, -(s * s2)));
    let (s4, c4) = (2.0 * s2 * c2, v.fma(-2.0 * s2, s2, 1.0));
    let first = v.fma(FIRST[0], c, FIRST[1] * s);
    let odd = v.fma(THIRD[0], c3, v.fma(THIRD[1], s3, first));
    let fourth = v.fma(FOURTH[0], c4, FOURTH[1] * s4);
    let even = v.fma(0.24, c2, fourth) + 1.0;
    v.fma(sign, odd, even)
}

/// `e^-x`; 0 beyond 80, where no difference would show.
#[inline(always)]
fn decay<V: Fused>(v: V, x: f64) -> f64 {
    const DECAY_MAX: f64 = 80.0;
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
    const LN2_LOW: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);
    let bounded = if x < DECAY_MAX { -x } else { -DECAY_MAX };
    let shifted = bounded * std::f64::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let r = v.fma(-power, LN2_LOW, v.fma(-power, LN2_HIGH, bounded));
    let result = polynomial(v, r, EXP);
    let scaled = f64::from_bits(result.to_bits().wrapping_add(shifted.to_bits() << 52));
    if x < DECAY_MAX { scaled } else { 0.0 }
}
