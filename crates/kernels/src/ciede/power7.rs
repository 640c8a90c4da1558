//! The seventh power of an `f32`, with the bits of glibc's `powf`.
//!
//! That function is not right to the last place: it errs by up to 2^-26 before it rounds, so that one
//! result in some ten differs from the nearest `f32`. To equal it, its operations are performed:
//! `log2(x) = k + log2(c) + log2(1 + r)` with one of 16 points `c` near the mantissa of `x`,
//! `|r| < 1/32`, a polynomial of degree five; then `2^(7 log2(x))` from one of 32 powers and a
//! polynomial of degree three.

use super::lanes::Lanes;
use crate::elementary::powf_table::{BINADE, EXP2, LOG2, POINTS, POWERS, ROUND_TO_32ND};

/// Below this the result is of no account: the rotation term made of it is less than 2^-60.
const X_MIN: f64 = 1e-4;
/// Bits of a `f64` below its exponent.
const FRACTION_BITS: u32 = 52;

/// One half of each pair of [`POINTS`].
const fn points(log: bool) -> [f64; 16] {
    let mut half = [0.0; 16];
    let mut at = 0;
    while at < half.len() {
        half[at] = if log { POINTS[at].1 } else { POINTS[at].0 };
        at += 1;
    }
    half
}

/// Half of [`POWERS`]; the last bit of a place says which.
const fn powers(odd: usize) -> [f64; 16] {
    let mut half = [0.0; 16];
    let mut at = 0;
    while at < half.len() {
        half[at] = f64::from_bits(POWERS[2 * at + odd]);
        at += 1;
    }
    half
}

const RECIPROCALS: [f64; 16] = points(false);
const LOGARITHMS: [f64; 16] = points(true);
const EVEN_POWERS: [f64; 16] = powers(0);
const ODD_POWERS: [f64; 16] = powers(1);

/// `x^7` before it is rounded to `f32`, or 0 for what is below 0.0001. `x` is a `f32`, not negative, and
/// not so large that the result were beyond `f32`.
#[inline(always)]
pub(super) fn power7<V: Lanes>(v: V, x: V::Group) -> V::Group {
    let bounded = v.max(x, v.splat(X_MIN));
    let binade = v.splat(f64::from(f32::from_bits(BINADE)));
    let above = v.sub_bits(bounded, binade);
    let place = v.shift_bits_right::<{ FRACTION_BITS - 4 }>(above);
    let exponent = v.and_bits(above, v.splat(f64::from_bits(!0 << FRACTION_BITS)));
    let mantissa = v.sub_bits(bounded, exponent);
    let r = v.mul_add(mantissa, v.look_up(&RECIPROCALS, place), v.splat(-1.0));
    let start = v.add(v.look_up(&LOGARITHMS, place), v.top_bits_as_number(exponent));
    let square = v.mul(r, r);
    let high = v.mul_add(v.splat(LOG2[0]), r, v.splat(LOG2[1]));
    let middle = v.mul_add(v.splat(LOG2[2]), r, v.splat(LOG2[3]));
    let low = v.mul_add(middle, square, v.mul_add(v.splat(LOG2[4]), r, start));
    let log2 = v.mul_add(high, v.mul(square, square), low);
    let power = v.mul(v.splat(7.0), log2);
    let shifted = v.add(power, v.splat(ROUND_TO_32ND));
    let r = v.sub(power, v.sub(shifted, v.splat(ROUND_TO_32ND)));
    let half = v.shift_bits_right::<1>(shifted);
    let (even, odd) = (v.look_up(&EVEN_POWERS, half), v.look_up(&ODD_POWERS, half));
    let scale = v.add_bits_shifted_left::<47>(v.select(v.is_odd(shifted), odd, even), shifted);
    let square = v.mul(r, r);
    let high = v.mul_add(v.splat(EXP2[0]), r, v.splat(EXP2[1]));
    let low = v.mul_add(v.splat(EXP2[2]), r, v.splat(1.0));
    let result = v.mul(v.mul_add(high, square, low), scale);
    v.select(v.greater(v.splat(X_MIN), x), v.splat(0.0), result)
}
