//! The seventh power of an `f32`, with the bits of glibc's `powf`.
//!
//! That function is not right to the last place: it errs by up to 2^-26 before it rounds, so that one
//! result in some ten differs from the nearest `f32`. To equal it, its operations are performed:
//! `log2(x) = k + log2(c) + log2(1 + r)` with one of 16 points `c` near the mantissa of `x`,
//! `|r| < 1/32`, a polynomial of degree five; then `2^(7 log2(x))` from one of 32 powers and a
//! polynomial of degree three.

use super::fused::Fused;
use crate::elementary::powf_table::{BINADE, EXP2, LOG2, POINTS, POWERS, ROUND_TO_32ND};

/// Below this the result is of no account: the rotation term made of it is less than 2^-60.
const X_MIN: f32 = 1e-4;

/// `x^7` before it is rounded to `f32`, or 0 for what is below 0.0001. `x` is not negative, and not so large
/// that the result were beyond `f32`.
#[inline(always)]
pub(super) fn power7<V: Fused>(v: V, x: f32) -> f64 {
    let bits = x.max(X_MIN).to_bits();
    let above = bits.wrapping_sub(BINADE);
    let (reciprocal, log) = POINTS[(above >> 19 & 15) as usize];
    let exponent = above & 0xff80_0000;
    let mantissa = f64::from(f32::from_bits(bits.wrapping_sub(exponent)));
    let r = v.fma(mantissa, reciprocal, -1.0);
    let start = log + f64::from(exponent as i32 >> 23);
    let square = r * r;
    let high = v.fma(LOG2[0], r, LOG2[1]);
    let middle = v.fma(LOG2[2], r, LOG2[3]);
    let low = v.fma(middle, square, v.fma(LOG2[4], r, start));
    let log2 = v.fma(high, square * square, low);
    let power = 7.0 * log2;
    let shifted = power + ROUND_TO_32ND;
    let at = shifted.to_bits();
    let r = power - (shifted - ROUND_TO_32ND);
    let scale = f64::from_bits(POWERS[(at & 31) as usize].wrapping_add(at << 47));
    let square = r * r;
    let high = v.fma(EXP2[0], r, EXP2[1]);
    let low = v.fma(EXP2[2], r, 1.0);
    let result = v.fma(high, square, low) * scale;
    if x < X_MIN { 0.0 } else { result }
}
