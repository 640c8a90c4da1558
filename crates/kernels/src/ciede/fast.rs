//! The colour differences of a run of pixels, in lanes.
//!
//! The steps are those of [`super::exact`]; what is exact there (sums, products, quotients and roots
//! of `f64` and `f32`) is the same here. Powers, roots and angles come from polynomials, which err
//! by less than 2^-44 of the result. Where one is rounded to `f32` and lies closer than that to the
//! middle between two neighbours, the pixel is marked as doubtful. Whether multiplication and
//! addition are fused changes only what is lost in that error.

use std::f64::consts::PI;

use super::exact::{
    CHROMA_KNEE, CHROMA_KNEE_SINGLE, Joined, LINEAR_MAX, Lab, ROOT_MIN, hue_step, lab, mean_hue,
    positive_hue, rgb, steps_from_blue,
};
use super::lanes::Lanes;
use super::power7::power7;

/// Pixels computed together at most.
pub(super) const CHUNK: usize = 64;
/// Units of 2^-52 by which a value may be off: 2^-44 of any.
pub(super) const OFF: u64 = 1 << 9;

/// Luma, Cb and Cr of a run of pixels of both pictures.
type Pixels<'a> = [[&'a [u16]; 3]; 2];
/// A number or two for each pixel.
type Singles = [f32; CHUNK];
type Doubles = [f64; CHUNK];

/// What is known of a run of pixels.
#[derive(Debug)]
pub(super) struct Run {
    labs: [LabRun; 2],
    /// Chroma before and after the first axis is stretched, their means, and the stretched axis.
    chromas: [Singles; 2],
    mean_chroma: Singles,
    lengths: [Singles; 2],
    mean_length: Singles,
    stretched: [Singles; 2],
    hues: [Singles; 2],
    mean_hue: Singles,
    powers: Singles,
    /// What of the hues enters a difference.
    hue_steps: Singles,
    weights: Singles,
    turns: Singles,
    /// What comes in between.
    partial: Singles,
    squares: Doubles,
    differences: Singles,
    doubts: [u32; CHUNK],
}

#[derive(Debug)]
struct LabRun {
    /// Red, green and blue; then made linear.
    steps: [Doubles; 3],
    /// The roots of X, Y and Z.
    roots: [Singles; 3],
    l: Singles,
    a: Singles,
    b: Singles,
}

const ZEROS: Singles = [0.0; CHUNK];
const NO_LAB: LabRun =
    LabRun { steps: [[0.0; CHUNK]; 3], roots: [ZEROS; 3], l: ZEROS, a: ZEROS, b: ZEROS };

impl Default for Run {
    fn default() -> Self {
        Self {
            labs: [NO_LAB; 2],
            chromas: [ZEROS; 2],
            mean_chroma: ZEROS,
            lengths: [ZEROS; 2],
            mean_length: ZEROS,
            stretched: [ZEROS; 2],
            hues: [ZEROS; 2],
            mean_hue: ZEROS,
            powers: ZEROS,
            hue_steps: ZEROS,
            weights: ZEROS,
            turns: ZEROS,
            partial: ZEROS,
            squares: [0.0; CHUNK],
            differences: ZEROS,
            doubts: [0; CHUNK],
        }
    }
}

/// Places of a run of `$count` numbers at which groups of `$v` begin.
macro_rules! groups {
    ($v:ty, $count:expr) => {
        (0..$count.min(CHUNK)).step_by(<$v>::LANES)
    };
}

impl Run {
    /// Computes the differences of the pixels, [`CHUNK`] at most.
    ///
    /// What takes many operations is a loop of its own over groups. Where the last group is not full it
    /// computes with what an earlier run left there, which nobody reads.
    #[inline(always)]
    pub(super) fn differences<V: Lanes>(&mut self, v: V, pixels: &Pixels<'_>, bit_depth: u32) {
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
        self.turn(v, count);
        self.join(v, count);
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
    fn measure_chroma<V: Lanes>(&mut self, v: V, count: usize) {
        for (labs, chromas) in self.labs.iter().zip(&mut self.chromas) {
            for at in groups!(V, count) {
                lengths(v, &labs.a, &labs.b, chromas, at);
            }
        }
        means(&self.chromas, &mut self.mean_chroma, count);
        for at in groups!(V, count) {
            let stretch = stretch(v, v.load_single(&self.mean_chroma, at));
            for (labs, stretched) in self.labs.iter().zip(&mut self.stretched) {
                let axis = v.load_single(&labs.a, at);
                let wide = v.mul_add(v.mul(axis, v.splat(0.5)), stretch, axis);
                v.store_single(wide, stretched, at);
                v.mark_doubtful(wide, &mut self.doubts, at);
            }
        }
        for picture in 0..2 {
            let (labs, stretched) = (&self.labs[picture], &self.stretched[picture]);
            for at in groups!(V, count) {
                lengths(v, stretched, &labs.b, &mut self.lengths[picture], at);
            }
        }
        means(&self.lengths, &mut self.mean_length, count);
    }

    #[inline(always)]
    fn measure_hue<V: Lanes>(&mut self, v: V, picture: usize, count: usize) {
        let (a, b) = (&self.stretched[picture], &self.labs[picture].b);
        let hues = &mut self.hues[picture];
        for at in groups!(V, count) {
            let angle = angle(v, v.load_single(b, at), v.load_single(a, at));
            v.store_single(angle, hues, at);
            v.mark_doubtful(angle, &mut self.doubts, at);
        }
        for hue in &mut hues[..count] {
            *hue = positive_hue(*hue);
        }
    }

    /// Raises the mean chroma to its seventh power.
    #[inline(always)]
    fn raise<V: Lanes>(&mut self, v: V, count: usize) {
        let (powers, doubts) = (&mut self.powers[..count], &mut self.doubts[..count]);
        let lengths = &self.mean_length[..count];
        for at in 0..count {
            let power = power7(v, lengths[at]);
            powers[at] = power as f32;
            doubts[at] |= doubtful(power);
        }
    }

    /// What the hues say.
    #[inline(always)]
    fn compare_hues<V: Lanes>(&mut self, v: V, count: usize) {
        let [chromas0, chromas1] = self.chromas.each_ref().map(|lane| &lane[..count]);
        let [lengths0, lengths1] = self.lengths.each_ref().map(|lane| &lane[..count]);
        let [hues0, hues1] = self.hues.each_ref().map(|lane| &lane[..count]);
        let (areas, steps) = (&mut self.partial[..count], &mut self.hue_steps[..count]);
        let means = &mut self.mean_hue[..count];
        for at in 0..count {
            let hues = [hues0[at], hues1[at]];
            steps[at] = hue_step([chromas0[at], chromas1[at]], hues);
            areas[at] = lengths0[at] * lengths1[at];
            means[at] = mean_hue(hues);
        }
        for at in groups!(V, count) {
            let area = v.root(v.load_single(&self.partial, at));
            let half = v.mul(v.load_single(&self.hue_steps, at), v.splat(0.5));
            let hue = v.mul(v.add(area, area), sine(v, half));
            v.store_single(hue, &mut self.hue_steps, at);
            v.mark_doubtful(hue, &mut self.doubts, at);
        }
        for at in groups!(V, count) {
            let weight = hue_weight(v, v.load_single(&self.mean_hue, at));
            v.store_single(weight, &mut self.weights, at);
            v.mark_doubtful(weight, &mut self.doubts, at);
        }
    }

    /// By what the ellipse is turned.
    #[inline(always)]
    fn turn<V: Lanes>(&mut self, v: V, count: usize) {
        let (squares, hues) = (&mut self.partial[..count], &self.mean_hue[..count]);
        for at in 0..count {
            let steps = steps_from_blue(hues[at]);
            squares[at] = steps * steps;
        }
        for at in groups!(V, count) {
            let degrees = v.mul(v.splat(60.0), decay(v, v.load_single(&self.partial, at)));
            v.store_single(degrees, &mut self.turns, at);
            v.mark_doubtful(degrees, &mut self.doubts, at);
        }
        let (powers, shares) = (&self.powers[..count], &mut self.partial[..count]);
        let turns = &mut self.turns[..count];
        for at in 0..count {
            turns[at] = (f64::from(turns[at]) * (PI / 180.0)) as f32;
            shares[at] = powers[at] / (powers[at] + CHROMA_KNEE_SINGLE);
        }
        for at in groups!(V, count) {
            let share = v.root(v.load_single(&self.partial, at));
            let turn = sine(v, v.load_single(&self.turns, at));
            let rotation = v.mul(v.mul(share, v.splat(-2.0)), turn);
            v.store_single(rotation, &mut self.turns, at);
            v.mark_doubtful(rotation, &mut self.doubts, at);
        }
    }

    #[inline(always)]
    fn join<V: Lanes>(&mut self, v: V, count: usize) {
        let [first, second] = self.labs.each_ref().map(|labs| &labs.l[..count]);
        let middles = &mut self.partial[..count];
        for at in 0..count {
            middles[at] = (first[at] + second[at]) / 2.0 - 50.0;
        }
        for at in groups!(V, count) {
            let scale = lightness_scale(v, v.load_single(&self.partial, at));
            v.store_single(scale, &mut self.partial, at);
            v.mark_doubtful(scale, &mut self.doubts, at);
        }
        let scales = &self.partial[..count];
        let [lengths0, lengths1] = self.lengths.each_ref().map(|lane| &lane[..count]);
        let mean_length = &self.mean_length[..count];
        let (steps, weights) = (&self.hue_steps[..count], &self.weights[..count]);
        let (turns, squares) = (&self.turns[..count], &mut self.squares[..count]);
        for at in 0..count {
            let joined = Joined {
                lightness: second[at] - first[at],
                lightness_scale: scales[at],
                chroma: lengths1[at] - lengths0[at],
                hue: steps[at],
                mean_chroma: mean_length[at],
                hue_weight: weights[at],
                rotation: turns[at],
            };
            squares[at] = joined.square();
        }
        for at in groups!(V, count) {
            let root = v.root_for_single(v.load(&self.squares, at));
            v.store_single(root, &mut self.differences, at);
        }
    }
}

impl LabRun {
    #[inline(always)]
    fn fill<V: Lanes>(
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
        for step in &mut self.steps {
            for at in groups!(V, count) {
                v.store(linear(v, v.load(step, at)), step, at);
            }
        }
        for (weights, roots) in XYZ.iter().zip(&mut self.roots) {
            for at in groups!(V, count) {
                let [r, g, b] = &self.steps;
                let sum = v.mul(v.load(r, at), v.splat(weights[0]));
                let sum = v.mul_add(v.load(g, at), v.splat(weights[1]), sum);
                let sum = v.mul_add(v.load(b, at), v.splat(weights[2]), sum);
                let root = cube_root(v, sum);
                v.store_single(root, roots, at);
                v.mark_doubtful(root, doubts, at);
            }
        }
        let [x, y, z] = self.roots.each_ref().map(|roots| &roots[..count]);
        let (l, a, b) = (&mut self.l[..count], &mut self.a[..count], &mut self.b[..count]);
        for at in 0..count {
            let colour: Lab = lab([x[at], y[at], z[at]]);
            l[at] = colour.l;
            a[at] = colour.a;
            b[at] = colour.b;
        }
    }
}

/// Lengths of the vectors (`a`, `b`). Squares of `f32` are exact, so that fusing changes nothing.
#[inline(always)]
fn lengths<V: Lanes>(v: V, a: &Singles, b: &Singles, lengths: &mut Singles, at: usize) {
    let (a, b) = (v.load_single(a, at), v.load_single(b, at));
    let square = v.mul_add(a, a, v.mul(b, b));
    v.store_single(v.root_for_single(square), lengths, at);
}

#[inline(always)]
fn means(pairs: &[Singles; 2], means: &mut Singles, count: usize) {
    let ([first, second], means) = (pairs.each_ref().map(|lane| &lane[..count]), &mut means[..count]);
    for at in 0..count {
        means[at] = (first[at] + second[at]) / 2.0;
    }
}

/// Whether `value`, which may be off by 2^-44 of itself, might be rounded to either of two `f32`.
#[inline(always)]
pub(super) fn doubtful(value: f64) -> u32 {
    u32::from(value.to_bits().wrapping_add(OFF).wrapping_sub(1 << 28) & FAR == 0)
}

/// Of the bits that an `f32` has no room for, those that tell that the middle is further than [`OFF`].
pub(super) const FAR: u64 = ((1 << 29) - 1) & !(2 * OFF - 1);

/// `x^2.4` of a component, or the straight line that stands for it near black.
#[inline(always)]
fn linear<V: Lanes>(v: V, component: V::Group) -> V::Group {
    let bounded = v.max(component, v.splat(LINEAR_MAX));
    let x = v.mul_add(bounded, v.splat(1.0 / 1.055), v.splat(0.055 / 1.055));
    // y = x^(-1/5): from 3.1 % off by two steps of (1 - h)^(-1/5), h = 1 - x y^5.
    let y = v.guess(x, 1.0 / 5.0, 1227.538);
    let square = v.mul(y, y);
    let h = v.mul_sub_from(v.mul(x, y), v.mul(square, square), v.splat(1.0));
    let series = [
        0.999_994_762_649_383_1,
        0.199_995_596_374_033_14,
        0.121_728_950_490_619_66,
        0.089_453_548_516_376_14,
    ];
    let y = v.mul(y, polynomial(v, h, series));
    let square = v.mul(y, y);
    let root = v.mul(x, y);
    let h = v.mul_sub_from(root, v.mul(square, square), v.splat(1.0));
    let share = v.mul_add(h, v.splat(3.0 / 25.0), v.splat(1.0 / 5.0));
    let root = v.mul_add(v.mul(root, h), share, root);
    let power = v.mul(v.mul(root, root), root);
    let straight = v.mul(component, v.splat(1.0 / 12.92));
    v.select(v.greater(component, v.splat(LINEAR_MAX)), power, straight)
}

/// Of what X, Y and Z, relative to white, consist: see [`super::exact::xyz`].
const XYZ: [[f64; 3]; 3] = [
    [
        0.412_456_439_089_692_1 / 0.95047,
        0.357_576_077_643_909 / 0.95047,
        0.180_437_483_266_398_94 / 0.95047,
    ],
    [0.212_672_851_405_622_48, 0.715_152_155_287_818, 0.072_174_993_306_559_58],
    [
        0.019_333_895_582_329_317 / 1.08883,
        0.119_192_025_881_303 / 1.08883,
        0.950_304_078_536_367_7 / 1.08883,
    ],
];

/// The cube root of a component, or the straight line that stands for it near black.
#[inline(always)]
fn cube_root<V: Lanes>(v: V, component: V::Group) -> V::Group {
    let x = v.max(component, v.splat(ROOT_MIN));
    // y = x^(-1/3): from 3.4 % off by two steps of (1 - h)^(-1/3), h = 1 - x y^3.
    let y = v.guess(x, 1.0 / 3.0, 1363.932);
    let h = v.mul_sub_from(v.mul(x, y), v.mul(y, y), v.splat(1.0));
    let series = [
        0.999_997_996_474_196_7,
        0.333_331_596_324_213_8,
        0.223_746_265_566_889_9,
        0.174_160_756_785_726_23,
    ];
    let y = v.mul(y, polynomial(v, h, series));
    let square = v.mul(y, y);
    let h = v.mul_sub_from(v.mul(x, y), square, v.splat(1.0));
    let share = v.mul_add(h, v.splat(5.0 / 9.0), v.splat(2.0 / 3.0));
    let root = v.mul(x, square);
    let root = v.mul_add(v.mul(root, h), share, root);
    let below = v.mul_add(component, v.splat(24_389.0 / 27.0 / 116.0), v.splat(16.0 / 116.0));
    v.select(v.greater(component, v.splat(ROOT_MIN)), root, below)
}

/// By how much of its half the first axis is stretched.
#[inline(always)]
fn stretch<V: Lanes>(v: V, chroma: V::Group) -> V::Group {
    let square = v.mul(chroma, chroma);
    let power = v.mul(v.mul(v.mul(square, square), square), chroma);
    // The root of p / (p + k) is p over that of p (p + k).
    let root = v.inverse_root(v.mul(power, v.add(power, v.splat(CHROMA_KNEE))));
    v.mul_sub_from(power, root, v.splat(1.0))
}

/// `c[0] + c[1] z + ...`
#[inline(always)]
fn polynomial<V: Lanes, const N: usize>(v: V, z: V::Group, c: [f64; N]) -> V::Group {
    let mut sum = v.splat(c[N - 1]);
    for at in (0..N - 1).rev() {
        sum = v.mul_add(sum, z, v.splat(c[at]));
    }
    sum
}

/// The angle of the point (`x`, `y`), -pi to pi; 0 where both are zero.
#[inline(always)]
fn angle<V: Lanes>(v: V, y: V::Group, x: V::Group) -> V::Group {
    const TAN_EIGHTH: f64 = 0.414_213_562_373_095_03;
    let (across, along) = (v.abs(x), v.abs(y));
    let (low, high) = (v.min(across, along), v.max(across, along));
    // Beyond an eighth of pi, from the diagonal: tan(t - pi/4) = (tan(t) - 1) / (tan(t) + 1).
    let wide = v.greater(low, v.mul(high, v.splat(TAN_EIGHTH)));
    let above = v.select(wide, v.sub(low, high), low);
    let below = v.select(wide, v.add(low, high), high);
    // Both are zero or neither.
    let slope = v.quotient(above, v.max(below, v.splat(f64::MIN_POSITIVE)));
    let start = v.select(wide, v.splat(PI / 4.0), v.splat(0.0));
    let angle = v.mul_add(slope, polynomial(v, v.mul(slope, slope), ATAN), start);
    let steep = v.greater(along, across);
    let angle = v.select(steep, v.sub(v.splat(PI / 2.0), angle), angle);
    let angle = v.select(v.greater(v.splat(0.0), x), v.sub(v.splat(PI), angle), angle);
    v.signed_as(angle, y)
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
fn sine<V: Lanes>(v: V, x: V::Group) -> V::Group {
    v.mul(x, polynomial(v, v.mul(x, x), SINE))
}

/// How fast hue is seen to change, for a hue of 0 to 5 pi / 2.
#[inline(always)]
fn hue_weight<V: Lanes>(v: V, hue: V::Group) -> V::Group {
    /// pi in two parts, the first so short that its multiples are exact.
    const PI_HIGH: f64 = f64::from_bits(0x4009_21fb_5440_0000);
    const PI_LOW: f64 = f64::from_bits(0x3de0_b461_1a62_6331);
    /// Amplitude times cosine and sine of the phase of the first, third and fourth harmonic.
    const FIRST: [f64; 2] = [-0.17 * 0.866_025_403_784_438_6, -0.17 * 0.5];
    const THIRD: [f64; 2] = [0.32 * 0.994_521_895_368_273_3, -0.32 * 0.104_528_463_267_653_47];
    const FOURTH: [f64; 2] = [-0.20 * 0.453_990_499_739_546_8, -0.20 * 0.891_006_524_188_367_9];
    // Half turns change the sign of odd harmonics, and nothing else.
    let shifted = v.mul_add(hue, v.splat(1.0 / PI), v.splat(ROUND));
    let turns = v.sub(shifted, v.splat(ROUND));
    let r = v.mul_sub_from(turns, v.splat(PI_HIGH), hue);
    let r = v.mul_sub_from(turns, v.splat(PI_LOW), r);
    let z = v.mul(r, r);
    let (s, c) = (v.mul(r, polynomial(v, z, SINE)), polynomial(v, z, COSINE));
    let (s2, c2) = doubled(v, s, c);
    let (s3, c3) = (
        v.mul_add(s, c2, v.mul(c, s2)),
        v.mul_sub_from(s, s2, v.mul(c, c2)),
    );
    let (s4, c4) = doubled(v, s2, c2);
    let odd = v.mul_add(v.splat(FIRST[0]), c, v.mul(v.splat(FIRST[1]), s));
    let odd = v.mul_add(v.splat(THIRD[0]), c3, v.mul_add(v.splat(THIRD[1]), s3, odd));
    let even = v.mul_add(v.splat(0.24), c2, v.splat(1.0));
    let even = v.mul_add(v.splat(FOURTH[0]), c4, v.mul_add(v.splat(FOURTH[1]), s4, even));
    v.add(even, v.negated_if_odd(odd, shifted))
}

/// Sine and cosine of twice an angle, from those of the angle.
#[inline(always)]
fn doubled<V: Lanes>(v: V, s: V::Group, c: V::Group) -> (V::Group, V::Group) {
    let twice = v.add(s, s);
    (v.mul(twice, c), v.mul_sub_from(twice, s, v.splat(1.0)))
}

/// `e^-x`; near 0 beyond 80, where no difference would show.
#[inline(always)]
fn decay<V: Lanes>(v: V, x: V::Group) -> V::Group {
    const DECAY_MAX: f64 = 80.0;
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
    const LN2_LOW: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);
    let bounded = v.min(x, v.splat(DECAY_MAX));
    let shifted = v.mul_sub_from(bounded, v.splat(std::f64::consts::LOG2_E), v.splat(ROUND));
    let power = v.sub(shifted, v.splat(ROUND));
    // -x less the power of two.
    let r = v.mul_add(power, v.splat(LN2_HIGH), bounded);
    let r = v.mul_add(power, v.splat(LN2_LOW), r);
    let r = v.sub(v.splat(0.0), r);
    let scaled = v.scaled_by_low_bits(polynomial(v, r, EXP), shifted);
    v.select(v.greater(v.splat(DECAY_MAX), x), scaled, v.splat(0.0))
}

/// How fast lightness is seen to change, so far from the middle.
#[inline(always)]
fn lightness_scale<V: Lanes>(v: V, from_middle: V::Group) -> V::Group {
    let square = v.mul(from_middle, from_middle);
    let inverse = v.inverse_root(v.add(square, v.splat(20.0)));
    v.mul_add(v.mul(square, v.splat(0.015)), inverse, v.splat(1.0))
}
