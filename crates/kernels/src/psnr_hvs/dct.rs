//! The eight-point transform of a block's columns and rows, in integers.
//!
//! It is the reversible approximation of the orthonormal type-II DCT that the Daala codec made:
//! sums and differences, and rotations as three shears whose factors are fractions of a power of
//! two, each product rounded to nearest. A half is rounded towards zero.
//!
//! Range: the transform of a block multiplies by 8 at most, so that 12-bit samples give coefficients
//! below 2^15 and products below 2^30. Larger samples wrap and mean nothing.

/// Half of `value`, rounded towards zero.
#[inline(always)]
fn half(value: i32) -> i32 {
    value.wrapping_add((value as u32 >> 31) as i32) >> 1
}

/// `value` times `factor / 2^SHIFT`, rounded to nearest, halves upwards.
#[inline(always)]
fn times<const SHIFT: u32>(value: i32, factor: i32) -> i32 {
    value.wrapping_mul(factor).wrapping_add(1 << (SHIFT - 1)) >> SHIFT
}

/// The eight coefficients of eight samples, the lowest frequency first.
#[inline(always)]
pub(super) fn transform(x: [i32; 8]) -> [i32; 8] {
    // Samples that lie opposite each other become a sum and half a difference, or a difference and
    // the mean, by turns: then the next step has one of each at its scale.
    let difference07 = x[0].wrapping_sub(x[7]);
    let half_difference07 = half(difference07);
    let mean07 = x[0].wrapping_sub(half_difference07);
    let sum16 = x[1].wrapping_add(x[6]);
    let half_difference16 = x[6].wrapping_sub(half(sum16));
    let difference25 = x[2].wrapping_sub(x[5]);
    let mean25 = x[2].wrapping_sub(half(difference25));
    let sum34 = x[3].wrapping_add(x[4]);
    let half_difference34 = half(sum34).wrapping_sub(x[4]);

    let outer = mean07.wrapping_add(half(sum34));
    let inner = half(sum16).wrapping_sub(mean25);
    let [y0, y4] = mean_and_difference(outer, inner.wrapping_sub(sum16));
    let [y2, y6] = rotate_by_three_eighths(inner, outer.wrapping_sub(sum34));

    let [mixed5, mixed3] = rotate_by_a_quarter(half_difference16, difference25);
    let y7 = half(mixed5).wrapping_sub(half_difference34);
    let y5 = mixed5.wrapping_sub(y7);
    let y3 = half_difference07.wrapping_sub(mixed3);
    let y1 = difference07.wrapping_sub(y3);
    let [y1, y7] = rotate_by_a_sixteenth(y1, y7);
    let [y3, y5] = rotate_by_three_sixteenths(y3, y5);
    [y0, y1, y2, y3, y4, y5, y6, y7]
}

/// The two-point transform; the factors are sqrt(2) - 1 and sqrt(1/2).
#[inline(always)]
fn mean_and_difference(mut y0: i32, mut y4: i32) -> [i32; 2] {
    y0 = y0.wrapping_sub(times::<15>(y4, 13_573));
    y4 = y4.wrapping_add(times::<14>(y0, 11_585));
    y0 = y0.wrapping_sub(times::<15>(y4, 13_573));
    [y0, y4]
}

/// Rotation by 3 pi / 8; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_three_eighths(mut y2: i32, mut y6: i32) -> [i32; 2] {
    y6 = y6.wrapping_sub(times::<15>(y2, 21_895));
    y2 = y2.wrapping_add(times::<14>(y6, 15_137));
    y6 = y6.wrapping_sub(times::<15>(y2, 21_895));
    [y2, y6]
}

/// Rotation by pi / 4 with change of scale; the factors are 2 - sqrt(2), sqrt(1/2) and
/// sqrt(2) - 1/2.
#[inline(always)]
fn rotate_by_a_quarter(mut mixed5: i32, mut mixed3: i32) -> [i32; 2] {
    mixed3 = mixed3.wrapping_add(times::<15>(mixed5, 19_195));
    mixed5 = mixed5.wrapping_add(times::<14>(mixed3, 11_585));
    mixed3 = mixed3.wrapping_sub(times::<13>(mixed5, 7489));
    [mixed5, mixed3]
}

/// Rotation by pi / 16; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_a_sixteenth(mut y1: i32, mut y7: i32) -> [i32; 2] {
    y7 = y7.wrapping_add(times::<15>(y1, 3227));
    y1 = y1.wrapping_sub(times::<15>(y7, 6393));
    y7 = y7.wrapping_add(times::<15>(y1, 3227));
    [y1, y7]
}

/// Rotation by 3 pi / 16; the factors are the tangent of half of it and its sine.
#[inline(always)]
fn rotate_by_three_sixteenths(mut y3: i32, mut y5: i32) -> [i32; 2] {
    y5 = y5.wrapping_add(times::<13>(y3, 2485));
    y3 = y3.wrapping_sub(times::<15>(y5, 18_205));
    y5 = y5.wrapping_add(times::<13>(y3, 2485));
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
        assert_eq!([-3, -2, -1, 0, 1, 2, 3].map(half), [-1, -1, 0, 0, 0, 1, 1]);
    }
}
