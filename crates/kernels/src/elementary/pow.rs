//! Powers: a logarithm in two parts, times the exponent, and `e` to the power of that.

mod table;

use super::exp::exp_of_sum;
use table::PARTS;

/// ln2 in two parts, the first short enough that its multiples by exponents are exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
const LN2_LOW: f64 = f64::from_bits(0x3d2e_f357_93c7_6730);

/// `x` to the power of `y`, whose magnitude is above 2^-64; NaN where `x` is negative.
///
/// `x` is of magnitude 2^-500 to 2^500, or 0 where `y` is positive; the result is of magnitude
/// 2^-700 to 2^700.
pub fn pow(x: f64, y: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    if x < 0.0 || x.is_nan() {
        return f64::NAN;
    }
    let (high, low) = log_in_two_parts(x);
    let exponent = y * high;
    exp_of_sum(exponent, y.mul_add(low, y.mul_add(high, -exponent)))
}

/// The natural logarithm of a positive normal number and what its rounding left off.
fn log_in_two_parts(x: f64) -> (f64, f64) {
    const ORIGIN: u64 = 0x3fe6_9555_0000_0000;
    /// Of `r^2` to `r^8`, scaled for the order in which they are summed.
    const A: [f64; 7] = [
        -0.5,
        f64::from_bits(0xbfe5_5555_5555_5560),
        f64::from_bits(0x3fe0_0000_0000_0006),
        f64::from_bits(0x3fe9_9999_9959_554e),
        f64::from_bits(0xbfe5_5555_5529_a47a),
        f64::from_bits(0xbff2_495b_9b48_45e9),
        f64::from_bits(0x3ff0_002b_8b26_3fc3),
    ];
    // x = 2^exponent * mantissa, and the mantissa, counted from the origin, lies in one of 128 parts.
    let offset = x.to_bits().wrapping_sub(ORIGIN);
    let exponent = f64::from((offset as i64 >> 52) as i32);
    let mantissa = f64::from_bits(x.to_bits().wrapping_sub(offset & (0xfff << 52)));
    let part = (offset >> 45) as usize % PARTS.len();
    let [reciprocal, log, log_tail] = PARTS[part].map(f64::from_bits);
    let r = mantissa.mul_add(reciprocal, -1.0);
    let whole = exponent.mul_add(LN2_HIGH, log);
    let sum = whole + r;
    let low1 = exponent.mul_add(LN2_LOW, log_tail);
    let low2 = whole - sum + r;
    let half = A[0] * r;
    let square = r * half;
    let cube = r * square;
    let high = sum + square;
    let low3 = half.mul_add(r, -square);
    let low4 = sum - high + square;
    let outer = square.mul_add(r.mul_add(A[6], A[5]), r.mul_add(A[4], A[3]));
    let rest = square.mul_add(outer, r.mul_add(A[2], A[1]));
    let low = cube.mul_add(rest, low1 + low2 + low3 + low4);
    let result = high + low;
    (result, high - result + low)
}

#[cfg(test)]
mod tests;
