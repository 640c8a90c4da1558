//! Elementary functions that are right to the last place of `f64`, slowly.
//!
//! A [`Dd`] is the sum of two `f64`, the second what the first left off: some 104 bits. Series and
//! reductions below err by less than 2^-95, so that a result rounded to `f64` is the nearest one but
//! for one argument in 2^40.

/// A number as the sum of two, the larger first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dd {
    high: f64,
    low: f64,
}

const LN2: Dd = Dd { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };
const PI: Dd = Dd { high: std::f64::consts::PI, low: 1.224_646_799_147_353_2e-16 };
const ONE: Dd = Dd { high: 1.0, low: 0.0 };

/// Terms of the series of logarithms and of arc tangents, whose terms are less by a factor of 24 or more
/// each.
const TERMS: i32 = 24;
/// Terms of that of `e^x` up to `ln2 / 2`: the last, 0.35^25 / 25!, is below 2^-120.
const EXP_TERMS: i32 = 25;
/// Terms of those of sine and cosine up to `pi / 4`: the last, 0.79^30 / 30!, is below 2^-117.
const SINE_TERMS: i32 = 15;

impl From<f64> for Dd {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Dd {
    /// The nearest `f64`.
    pub(super) fn rounded(self) -> f64 {
        self.high + self.low
    }

    /// `a + b`, exactly.
    fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let of_b = high - a;
        Self { high, low: (a - (high - of_b)) + (b - of_b) }
    }

    /// `a * b`, exactly.
    pub(super) fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.high, other.high);
        let low = Self::sum(self.low, other.low);
        let partial = Self::sum(high.high, high.low + low.high);
        Self::sum(partial.high, partial.low + low.low)
    }

    fn negated(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }

    fn subtract(self, other: Self) -> Self {
        self.add(other.negated())
    }

    pub(super) fn multiply(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        let cross = self.high.mul_add(other.low, self.low * other.high);
        Self::sum(product.high, product.low + cross)
    }

    /// `self` times a power of two.
    fn scaled(self, power: f64) -> Self {
        Self { high: self.high * power, low: self.low * power }
    }

    fn divide(self, other: Self) -> Self {
        let first = self.high / other.high;
        let left = self.subtract(other.multiply(first.into()));
        let second = left.high / other.high;
        let left = left.subtract(other.multiply(second.into()));
        Self::sum(first, second).add((left.high / other.high).into())
    }

    /// `self / other`, where `other` is a whole number below 2^26.
    fn divide_by(self, other: i32) -> Self {
        let other = f64::from(other);
        let first = self.high / other;
        let left = (-first).mul_add(other, self.high) + self.low;
        Self::sum(first, left / other)
    }

    fn root(self) -> Self {
        let first = self.high.sqrt();
        let left = self.subtract(Self::product(first, first));
        Self::sum(first, left.high / (2.0 * first))
    }

    /// `e^self` for -700 to 700.
    fn exp(self) -> Self {
        let power = (self.high / LN2.high).round();
        let r = self.subtract(LN2.multiply(power.into()));
        let mut sum = ONE;
        for n in (1..=EXP_TERMS).rev() {
            sum = ONE.add(sum.multiply(r).divide_by(n));
        }
        // In two steps, since the whole power of two may be beyond `f64`.
        let half = (power / 2.0).trunc();
        sum.scaled(power_of_two(half)).scaled(power_of_two(power - half))
    }

    /// The natural logarithm of a positive, normal number.
    fn ln(x: f64) -> Self {
        const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
        let above = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
        let exponent = above as i64 >> 52;
        let mantissa = f64::from_bits(x.to_bits().wrapping_sub((exponent as u64) << 52));
        let s = Self::sum(mantissa, -1.0).divide(Self::sum(mantissa, 1.0));
        let series = odd_series(s, |n| ONE.divide_by(2 * n + 1));
        LN2.multiply((exponent as f64).into()).add(series.scaled(2.0))
    }

    /// Sine and cosine.
    fn sin_cos(self) -> [Self; 2] {
        let quarters = (self.high / (PI.high / 2.0)).round();
        let r = self.subtract(PI.scaled(0.5).multiply(quarters.into()));
        let square = r.multiply(r).negated();
        let (mut sine, mut cosine) = (ONE, ONE);
        for n in (1..=SINE_TERMS).rev() {
            sine = ONE.add(sine.multiply(square).divide_by(2 * n * (2 * n + 1)));
            cosine = ONE.add(cosine.multiply(square).divide_by((2 * n - 1) * (2 * n)));
        }
        let sine = sine.multiply(r);
        match quarters.rem_euclid(4.0) {
            0.0 => [sine, cosine],
            1.0 => [cosine, sine.negated()],
            2.0 => [sine.negated(), cosine.negated()],
            _ => [cosine.negated(), sine],
        }
    }

    /// The arc tangent of 0 to 1.
    fn atan(self) -> Self {
        let halved = |t: Self| t.divide(ONE.add(ONE.add(t.multiply(t)).root()));
        let t = halved(halved(self));
        let series = odd_series(t, |n| {
            let sign = if n % 2 == 0 { 1.0 } else { -1.0 };
            Self::from(sign).divide_by(2 * n + 1)
        });
        series.scaled(4.0)
    }
}

/// 2 to a whole power that is normal.
fn power_of_two(power: f64) -> f64 {
    f64::from_bits(((1023 + power as i64) as u64) << 52)
}

/// The sum of `coefficient(n) * x^(2n + 1)`.
fn odd_series(x: Dd, coefficient: impl Fn(i32) -> Dd) -> Dd {
    let square = x.multiply(x);
    let mut sum = coefficient(TERMS);
    for n in (0..TERMS).rev() {
        sum = coefficient(n).add(sum.multiply(square));
    }
    sum.multiply(x)
}

/// `x^y` for a positive `x` and a result within the normal numbers.
pub(super) fn pow(x: f64, y: f64) -> f64 {
    Dd::ln(x).multiply(y.into()).exp().rounded()
}

/// `e^x`; 0 where that is below 1e-280.
pub(super) fn exp(x: f64) -> f64 {
    if x < -650.0 { 0.0 } else { Dd::from(x).exp().rounded() }
}

/// The sine.
pub(super) fn sin(x: f64) -> f64 {
    Dd::from(x).sin_cos()[0].rounded()
}

/// The cosine.
pub(super) fn cos(x: f64) -> f64 {
    Dd::from(x).sin_cos()[1].rounded()
}

/// The angle of the point (`x`, `y`), -pi to pi; not both are zero.
pub(super) fn atan2(y: f64, x: f64) -> f64 {
    let (low, high) = if y.abs() < x.abs() { (y.abs(), x.abs()) } else { (x.abs(), y.abs()) };
    let mut angle = Dd::from(low).divide(high.into()).atan();
    if y.abs() >= x.abs() {
        angle = PI.scaled(0.5).subtract(angle);
    }
    if x < 0.0 {
        angle = PI.subtract(angle);
    }
    let angle = angle.rounded();
    if y < 0.0 { -angle } else { angle }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(name: &str, x: f64, own: f64, machine: f64) {
        let units = own.to_bits().abs_diff(machine.to_bits());
        assert!(units <= 1, "{name} of {x:?}: {own:?}, not {machine:?}");
    }

    #[test]
    fn results_are_within_one_unit_of_the_machines_own() {
        let mut checked = 0;
        for step in 1..1000_u32 {
            let x = f64::from(step) * 0.007_31;
            assert_close("exp", -x, exp(-x), (-x).exp());
            assert_close("sin", x, sin(x), x.sin());
            assert_close("cos", x, cos(x), x.cos());
            assert_close("pow 2.4", x, pow(x, 2.4), x.powf(2.4));
            assert_close("pow 1/3", x, pow(x, 1.0 / 3.0), x.powf(1.0 / 3.0));
            for y in [0.001_f64, 0.5, 1.0, -3.3, -700.0] {
                assert_close("atan2", x, atan2(y, x), y.atan2(x));
                assert_close("atan2", x, atan2(y, -x), y.atan2(-x));
            }
            checked += 1;
        }
        assert_eq!(checked, 999);
    }

    /// Arguments that are close to the middle between two numbers, so that few bits would not do.
    #[test]
    fn known_results_have_every_bit() {
        assert_eq!(pow(2.0, 0.5), std::f64::consts::SQRT_2);
        assert_eq!(exp(1.0), std::f64::consts::E);
        assert_eq!(exp(-700.0), 0.0);
        assert_eq!(atan2(1.0, 0.0), std::f64::consts::FRAC_PI_2);
        assert_eq!(atan2(0.0, -1.0), std::f64::consts::PI);
        assert_eq!(sin(std::f64::consts::PI), PI.low);
    }
}
