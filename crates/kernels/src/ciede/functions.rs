//! The functions of which a colour difference is made, for groups of lanes.
//!
//! Powers, roots, angles and exponentials come from polynomials, which err by less than 2^-44 of the
//! result; whether multiplication and addition are fused changes only what is lost in that error.
//! [`doubtful`] says where it could have changed a rounding to `f32`.

use std::f64::consts::PI;

use super::exact::{CHROMA_KNEE, LINEAR_MAX, ROOT_MIN};
use super::lanes::Lanes;

/// Units of 2^-52 by which a value may be off: 2^-44 of any.
pub(super) const OFF: u64 = 1 << 9;

/// Whether `value`, which may be off by 2^-44 of itself, might be rounded to either of two `f32`.
#[inline(always)]
pub(super) fn doubtful(value: f64) -> u32 {
    u32::from(value.to_bits().wrapping_add(OFF).wrapping_sub(1 << 28) & FAR == 0)
}

/// Of the bits that an `f32` has no room for, those that tell that the middle is further than [`OFF`].
pub(super) const FAR: u64 = ((1 << 29) - 1) & !(2 * OFF - 1);

/// `x^2.4` of a component, or the straight line that stands for it near black.
#[inline(always)]
pub(super) fn linear<V: Lanes>(v: V, component: V::Group) -> V::Group {
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

/// The cube root of a component, or the straight line that stands for it near black.
#[inline(always)]
pub(super) fn cube_root<V: Lanes>(v: V, component: V::Group) -> V::Group {
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
pub(super) fn stretch<V: Lanes>(v: V, chroma: V::Group) -> V::Group {
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
pub(super) fn angle<V: Lanes>(v: V, y: V::Group, x: V::Group) -> V::Group {
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
pub(super) fn sine<V: Lanes>(v: V, x: V::Group) -> V::Group {
    v.mul(x, polynomial(v, v.mul(x, x), SINE))
}

/// How fast hue is seen to change, for a hue of 0 to 5 pi / 2.
#[inline(always)]
pub(super) fn hue_weight<V: Lanes>(v: V, hue: V::Group) -> V::Group {
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
    let (s3, c3) = (v.mul_add(s, c2, v.mul(c, s2)), v.mul_sub_from(s, s2, v.mul(c, c2)));
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
pub(super) fn decay<V: Lanes>(v: V, x: V::Group) -> V::Group {
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
    let scaled = v.add_bits_shifted_left::<52>(polynomial(v, r, EXP), shifted);
    v.select(v.greater(v.splat(DECAY_MAX), x), scaled, v.splat(0.0))
}

/// How fast lightness is seen to change, so far from the middle.
#[inline(always)]
pub(super) fn lightness_scale<V: Lanes>(v: V, from_middle: V::Group) -> V::Group {
    let square = v.mul(from_middle, from_middle);
    let inverse = v.inverse_root(v.add(square, v.splat(20.0)));
    v.mul_add(v.mul(square, v.splat(0.015)), inverse, v.splat(1.0))
}
