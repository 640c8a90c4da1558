//! What each operation does, in plain code.
#![cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "there only for the tests"))]

use std::array::from_fn;

use super::{FRACTION_BITS, Lanes};

/// The definition of every operation, and what targets without twins of their own run.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(in crate::ssim) struct Plain;

#[cfg(not(target_arch = "x86_64"))]
pub(in crate::ssim) use crate::isa::Portable as Plain;

impl Lanes for Plain {
    type Floats = [f32; 4];
    type Words = [u32; 4];
    type Doubles = [f64; 4];

    const LANES: usize = 4;
    const UNIT: f32 = 1.0;

    #[inline(always)]
    fn load(self, run: &[f32]) -> [f32; 4] {
        from_fn(|i| run[i])
    }

    #[inline(always)]
    fn store(self, lanes: [f32; 4], run: &mut [f32]) {
        run[..4].copy_from_slice(&lanes);
    }

    #[inline(always)]
    fn part(self, a: [f32; 4], b: [f32; 4]) -> [[f32; 4]; 2] {
        [[a[0], a[2], b[0], b[2]], [a[1], a[3], b[1], b[3]]]
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn mul(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn add_floats(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub_floats(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn div_floats(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn sqrt(self, a: [f32; 4]) -> [f32; 4] {
        a.map(f32::sqrt)
    }

    #[inline(always)]
    fn not_negative(self, a: [f32; 4]) -> [f32; 4] {
        a.map(|value| if value < 0.0 { 0.0 } else { value })
    }

    #[inline(always)]
    fn zero_if_negative_beside(self, a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        from_fn(|i| if a[i] < 0.0 && b[i] <= 0.0 { 0.0 } else { a[i] })
    }

    #[inline(always)]
    fn store_words(self, lanes: [u32; 4], run: &mut [u32]) {
        run[..4].copy_from_slice(&lanes);
    }

    #[inline(always)]
    fn splat_word(self, value: u32) -> [u32; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn add(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn sub(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn and(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn or(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn min(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| (a[i] as i32).min(b[i] as i32) as u32)
    }

    #[inline(always)]
    fn max(self, a: [u32; 4], b: [u32; 4]) -> [u32; 4] {
        from_fn(|i| (a[i] as i32).max(b[i] as i32) as u32)
    }

    #[inline(always)]
    fn least(self, a: [u32; 4]) -> u32 {
        a.into_iter().fold(a[0], |x, y| (x as i32).min(y as i32) as u32)
    }

    #[inline(always)]
    fn most(self, a: [u32; 4]) -> u32 {
        a.into_iter().fold(a[0], |x, y| (x as i32).max(y as i32) as u32)
    }

    #[inline(always)]
    fn all_reach(self, a: [u32; 4], b: [u32; 4], c: [u32; 4]) -> bool {
        (0..4).all(|i| a[i] as i32 >= b[i] as i32 || c[i] == 0)
    }

    #[inline(always)]
    fn bits(self, a: [f32; 4]) -> [u32; 4] {
        a.map(f32::to_bits)
    }

    #[inline(always)]
    fn floats(self, bits: [u32; 4]) -> [f32; 4] {
        bits.map(f32::from_bits)
    }

    #[inline(always)]
    fn integers(self, a: [f32; 4]) -> [u32; 4] {
        a.map(|value| value as u32)
    }

    #[inline(always)]
    fn nearest(self, high: [u32; 4], low: [u32; 4]) -> [f32; 4] {
        // At most 38 bits, so that the double is exact and only its narrowing rounds.
        let step = 1.0 / f64::from(1_u32 << FRACTION_BITS);
        from_fn(|i| (f64::from(high[i]) + f64::from(low[i]) * step) as f32)
    }

    #[inline(always)]
    fn widen(self, a: [f32; 4]) -> [f64; 4] {
        a.map(f64::from)
    }

    #[inline(always)]
    fn add_doubles(self, a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn mul_doubles(self, a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div_doubles(self, a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn mul_add_doubles(self, a: [f64; 4], b: [f64; 4], c: [f64; 4]) -> [f64; 4] {
        from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn abs_doubles(self, a: [f64; 4]) -> [f64; 4] {
        a.map(f64::abs)
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> [f64; 4] {
        [value; 4]
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> [f64; 4] {
        from_fn(|i| run[i])
    }

    #[inline(always)]
    fn load_wide(self, run: &[f32]) -> [f64; 4] {
        from_fn(|i| f64::from(run[i]))
    }

    #[inline(always)]
    fn store_doubles(self, lanes: [f64; 4], run: &mut [f64]) {
        run[..4].copy_from_slice(&lanes);
    }

    #[inline(always)]
    fn add_bits(self, a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
        from_fn(|i| f64::from_bits(a[i].to_bits().wrapping_add(b[i].to_bits())))
    }

    #[inline(always)]
    fn gather_differences(self, a: [f64; 4], b: [f64; 4], c: [f64; 4]) -> [f64; 4] {
        from_fn(|i| f64::from_bits(a[i].to_bits() | (b[i].to_bits() ^ c[i].to_bits())))
    }

    #[inline(always)]
    fn narrow(self, a: [f64; 4]) -> [f32; 4] {
        a.map(|value| value as f32)
    }
}
