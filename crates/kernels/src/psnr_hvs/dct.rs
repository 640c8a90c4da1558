//! The eight-point transform of a block's columns and rows, in integers.
//!
//! It is the reversible approximation of the orthonormal type-II DCT that the Daala codec made:
//! sums and differences, and rotations as three shears whose factors are fractions of a power of
//! two, each product rounded to nearest. A half is rounded towards zero.
//!
//! Range: the transform of a block multiplies by 8 at most, so that 12-bit samples give coefficients
//! below 2^15 and products below 2^30. In 32-bit integers samples of 13 bits do not wrap either; larger
//! ones may, which does no harm and means nothing.

/// What the transform does with numbers, or with vectors of them.
pub(super) trait Step: Copy {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// Half, rounded towards zero.
    fn half(self) -> Self;
    /// This times `factor / 2^15`, rounded to nearest, halves upwards.
    fn times(self, factor: i16) -> Self;
}

impl Step for i32 {
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline(always)]
    fn half(self) -> Self {
        self.wrapping_add((self as u32 >> 31) as i32) >> 1
    }

    #[inline(always)]
    fn times(self, factor: i16) -> Self {
        self.wrapping_mul(i32::from(factor)).wrapping_add(1 << 14) >> 15
    }
}

/// The eight coefficients of eight samples, the lowest frequency first.
#[inline(always)]
pub(super) fn transform<T: Step>(x: [T; 8]) -> [T; 8] {
    // Samples that lie opposite each other become a sum and half a difference, or a difference and
    // the mean, by turns: then the next step has one of each at its scale.
    let difference07 = x[0].minus(x[7]);
    let half_difference07 = difference07.half();
    let mean07 = x[0].minus(half_difference07);
    let sum16 = x[1].plus(x[6]);
    let half_difference16 = x[6].minus(sum16.half());
    let difference25 = x[2].minus(x[5]);
    let mean25 = x[2].minus(difference25.half());
    let sum34 = x[3].plus(x[4]);
    let half_difference34 = sum34.half().minus(x[4]);

    let outer = mean07.plus(sum34.half());
    let inner = sum16.half().minus(mean25);
    let [y0, y4] = mean_and_difference(outer, inner.minus(sum16));
    let [y2, y6] = rotate_by_three_eighths(inner, outer.minus(sum34));

    let [mixed5, mixed3] = rotate_by_a_quarter(half_difference16, difference25);
    let y7 = mixed5.half().minus(half_difference34);
    let y5 = mixed5.minus(y7);
    let y3 = half_difference07.minus(mixed3);
    let y1 = difference07.minus(y3);
    let [y1, y7] = rotate_by_a_sixteenth(y1, y7);
    let [y3, y5] = rotate_by_three_sixteenths(y3, y5);
    [y0, y1, y2, y3, y4, y5, y6, y7]
}

/// The two-point transform; the factors are sqrt(2) - 1 and sqrt(1/2).
#[inline(always)]
fn mean_and_difference<T: Step>(mut y0: T, mut y4: T) -> [T; 2] {
    y0 = y0.minus(y4.times(13_573));
    y4 = y4.plus(y0.times(2 * 11_585));
    y0 = y0.minus(y4.times(13_573));
    [y0, y4]
}

/// Rotation by 3 pi / 8; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_three_eighths<T: Step>(mut y2: T, mut y6: T) -> [T; 2] {
    y6 = y6.minus(y2.times(21_895));
    y2 = y2.plus(y6.times(2 * 15_137));
    y6 = y6.minus(y2.times(21_895));
    [y2, y6]
}

/// Rotation by pi / 4 with change of scale; the factors are 2 - sqrt(2), sqrt(1/2) and
/// sqrt(2) - 1/2.
#[inline(always)]
fn rotate_by_a_quarter<T: Step>(mut mixed5: T, mut mixed3: T) -> [T; 2] {
    mixed3 = mixed3.plus(mixed5.times(19_195));
    mixed5 = mixed5.plus(mixed3.times(2 * 11_585));
    mixed3 = mixed3.minus(mixed5.times(4 * 7489));
    [mixed5, mixed3]
}

/// Rotation by pi / 16; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_a_sixteenth<T: Step>(mut y1: T, mut y7: T) -> [T; 2] {
    y7 = y7.plus(y1.times(3227));
    y1 = y1.minus(y7.times(6393));
    y7 = y7.plus(y1.times(3227));
    [y1, y7]
}

/// Rotation by 3 pi / 16; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_three_sixteenths<T: Step>(mut y3: T, mut y5: T) -> [T; 2] {
    y5 = y5.plus(y3.times(4 * 2485));
    y3 = y3.minus(y5.times(18_205));
    y5 = y5.plus(y3.times(4 * 2485));
    [y3, y5]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The orthonormal DCT by its definition.
    fn orthonormal(x: [i32; 8]) -> [f64; 8] {
        std::array::from_fn(|k| {
            let scale = if k == 0 { 0.125_f64.sqrt() } else { 0.5 };
            let angle = |n: usize| std::f64::consts::PI * (2 * n + 1) as f64 * k as f64 / 16.0;
            scale * (0..8).map(|n| f64::from(x[n]) * angle(n).cos()).sum::<f64>()
        })
    }

    #[test]
    fn coefficients_are_close_to_the_orthonormal_transform() {
        let mut state = 1_u32;
        for _ in 0..2000 {
            let samples = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 20) as i32
            });
            for (coefficient, expected) in transform(samples).into_iter().zip(orthonormal(samples))
            {
                assert!((f64::from(coefficient) - expected).abs() < 3.0, "{samples:?}");
            }
        }
    }

    #[test]
    fn a_half_is_rounded_towards_zero() {
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(i32::half), [-1, -1, 0, 0, 0, 1, 1]);
    }
}
