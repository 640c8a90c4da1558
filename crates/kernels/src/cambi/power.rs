//! `x^y` in double precision, the same bits on every machine.
//!
//! Which luma levels banding can be seen at is decided by comparing luminances, so their last bits
//! must not depend on the machine's mathematical library. Here `e^(y ln x)` is worked out in pairs
//! of `f64` (an unevaluated sum, about 104 bits) and rounded once, so the result is the exactly
//! rounded one unless the exact one lies within `2^-40` units of a rounding boundary. At
//! 1753 of the 1754 levels of [`super::luminance`] that gives the bits of libvmaf over glibc 2.36
//! (a test holds it to them), at one, where glibc does not round rightly, the next number.
//!
//! Slow (under a microsecond) and meant for tables. Only for finite positive `x` and results well
//! inside the range of `f64`, and for `x = 0` with positive `y`.

use std::f64::consts::LN_2;

/// What `LN_2` leaves off.
const LN_2_TAIL: f64 = f64::from_bits(0x3c7a_bc9e_3b39_803f);
/// Terms of the logarithm's series: `0.1716^(2 * 24)` is below `2^-120`.
const LN_TERMS: u32 = 24;
/// Terms of the exponential's series: `0.35^30 / 30!` is below `2^-150`.
const EXP_TERMS: u32 = 30;

/// An unevaluated sum, the second part below half a unit in the last place of the first.
#[derive(Clone, Copy)]
struct Pair(f64, f64);

impl Pair {
    fn new(value: f64) -> Self {
        Self(value, 0.0)
    }

    /// The sum of `high` and a smaller `low`, without error.
    fn renormalised(high: f64, low: f64) -> Self {
        let sum = high + low;
        Self(sum, low - (sum - high))
    }

    fn plus(self, other: Self) -> Self {
        let sum = self.0 + other.0;
        let part = sum - self.0;
        let error = (self.0 - (sum - part)) + (other.0 - part);
        Self::renormalised(sum, error + self.1 + other.1)
    }

    fn times(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let error = self.0.mul_add(other.0, -product);
        Self::renormalised(product, error + self.0 * other.1 + self.1 * other.0)
    }

    fn over(self, divisor: Self) -> Self {
        let first = self.0 / divisor.0;
        let rest = self.plus(divisor.times(Self::new(-first)));
        let second = rest.0 / divisor.0;
        let rest = rest.plus(divisor.times(Self::new(-second)));
        Self::renormalised(first, second).plus(Self::new(rest.0 / divisor.0))
    }
}

/// `x^y`; see the module for the domain.
pub(super) fn pow(x: f64, y: f64) -> f64 {
    if x == 0.0 {
        return 0.0;
    }
    if x == 1.0 {
        return 1.0;
    }
    exp(ln(x).times(Pair::new(y)))
}

/// `ln(2^k m) = k ln 2 + 2 (s + s^3 / 3 + s^5 / 5 + ...)`, `s = (m - 1) / (m + 1)`, `m` around 1.
fn ln(x: f64) -> Pair {
    let exponent = (x.to_bits() >> 52) as i64 - 1023;
    let mantissa = f64::from_bits((x.to_bits() & ((1 << 52) - 1)) | (1023 << 52));
    let (m, k) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa / 2.0, exponent + 1)
    } else {
        (mantissa, exponent)
    };
    let s = Pair::new(m - 1.0).over(Pair::new(m).plus(Pair::new(1.0)));
    let square = s.times(s);
    let mut series = Pair::new(0.0);
    for term in (0..LN_TERMS).rev() {
        let coefficient = Pair::new(1.0).over(Pair::new(f64::from(2 * term + 1)));
        series = series.times(square).plus(coefficient);
    }
    let whole = Pair(LN_2, LN_2_TAIL).times(Pair::new(k as f64));
    whole.plus(series.times(s).times(Pair::new(2.0)))
}

/// `e^(k ln 2 + r) = 2^k (1 + r (1 + r / 2 (1 + r / 3 (...))))`, `|r| <= ln 2 / 2`.
fn exp(x: Pair) -> f64 {
    let k = (x.0 / LN_2).round();
    let r = x.plus(Pair(LN_2, LN_2_TAIL).times(Pair::new(-k)));
    let mut series = Pair::new(1.0);
    for term in (1..=EXP_TERMS).rev() {
        let part = r.over(Pair::new(f64::from(term)));
        series = series.times(part).plus(Pair::new(1.0));
    }
    let scale = f64::from_bits(((1023 + k as i64) as u64) << 52);
    (series.0 + series.1) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_powers_are_exact() {
        for (x, y, power) in
            [(4.0, 0.5, 2.0), (2.0, -3.0, 0.125), (10.0, 3.0, 1000.0), (0.25, 1.5, 0.125)]
        {
            assert_eq!(pow(x, y), power, "{x}^{y}");
        }
        assert_eq!(pow(0.0, 2.4), 0.0);
        assert_eq!(pow(1.0, 78.84375), 1.0);
    }

    #[test]
    fn results_are_within_one_unit_of_the_machines_own() {
        let mut checked = 0;
        for step in 1..2_000_u32 {
            let x = f64::from(step) / 1_000.0;
            for y in [2.4, 1.0 / 2.4, 1.0 / 78.84375, 1.0 / 0.159_301_757_812_5, -1.7] {
                let units = pow(x, y).to_bits().abs_diff(x.powf(y).to_bits());
                assert!(units <= 1, "{x}^{y}: {units} units apart");
                checked += 1;
            }
        }
        assert_eq!(checked, 9_995);
    }
}
