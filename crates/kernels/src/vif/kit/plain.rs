//! What each operation does, in plain code.
#![cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "there only for the tests"))]

use std::array::from_fn;

use super::{Kit, WHOLE};

/// The definition of every operation.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub(in crate::vif) struct Plain;

/// The definition of every operation: what runs on targets without a kit of their own.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::vif) use crate::isa::Portable as Plain;

type Words = [u32; 4];
type Doubles = [f64; 2];
type Floats = [f32; 4];
type Mask = [bool; 4];

#[inline(always)]
fn halves(word: u32) -> [u16; 2] {
    [word as u16, (word >> 16) as u16]
}

#[inline(always)]
fn joined(low: u16, high: u16) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

#[inline(always)]
fn by_words(a: Words, b: Words, value: impl Fn(u16, u16) -> u16) -> Words {
    from_fn(|i| {
        let (a, b) = (halves(a[i]), halves(b[i]));
        joined(value(a[0], b[0]), value(a[1], b[1]))
    })
}

impl Kit for Plain {
    type Words = Words;
    type Doubles = Doubles;
    type Floats = Floats;
    type Mask = Mask;

    const LANES: usize = 4;
    const PICKS: usize = 0;

    #[inline(always)]
    fn load(self, run: &[u32]) -> Words {
        from_fn(|i| run[i])
    }

    #[inline(always)]
    fn load_pairs(self, run: &[u16]) -> Words {
        from_fn(|i| joined(run[2 * i], run[2 * i + 1]))
    }

    #[inline(always)]
    fn store(self, lanes: Words, run: &mut [u32]) {
        run[..4].copy_from_slice(&lanes);
    }

    #[inline(always)]
    fn store_high(self, lanes: Words, run: &mut [u16]) {
        run[..4].copy_from_slice(&lanes.map(|lane| (lane >> 16) as u16));
    }

    #[inline(always)]
    fn splat(self, value: u32) -> Words {
        [value; 4]
    }

    #[inline(always)]
    fn add(self, a: Words, b: Words) -> Words {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn sub(self, a: Words, b: Words) -> Words {
        from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn and(self, a: Words, b: Words) -> Words {
        from_fn(|i| a[i] & b[i])
    }

    #[inline(always)]
    fn or(self, a: Words, b: Words) -> Words {
        from_fn(|i| a[i] | b[i])
    }

    #[inline(always)]
    fn xor(self, a: Words, b: Words) -> Words {
        from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    fn max(self, a: Words, b: Words) -> Words {
        from_fn(|i| (a[i] as i32).max(b[i] as i32) as u32)
    }

    #[inline(always)]
    fn shr<const COUNT: u32>(self, a: Words) -> Words {
        a.map(|lane| lane >> COUNT)
    }

    #[inline(always)]
    fn shl_by(self, a: Words, count: u32) -> Words {
        a.map(|lane| lane << count)
    }

    #[inline(always)]
    fn shr_by(self, a: Words, count: u32) -> Words {
        a.map(|lane| lane >> count)
    }

    #[inline(always)]
    fn dot(self, sum: Words, pairs: Words, taps: Words) -> Words {
        let product = |a: u16, b: u16| (i32::from(a as i16) * i32::from(b as i16)) as u32;
        from_fn(|i| {
            let (a, b) = (halves(pairs[i]), halves(taps[i]));
            sum[i].wrapping_add(product(a[0], b[0])).wrapping_add(product(a[1], b[1]))
        })
    }

    #[inline(always)]
    fn mul_low(self, a: Words, b: Words) -> Words {
        by_words(a, b, u16::wrapping_mul)
    }

    #[inline(always)]
    fn mul_high(self, a: Words, b: Words) -> Words {
        by_words(a, b, |a, b| ((u32::from(a) * u32::from(b)) >> 16) as u16)
    }

    #[inline(always)]
    fn mul_top(self, a: Words, b: Words) -> Words {
        from_fn(|i| ((u64::from(a[i]) * u64::from(b[i]) + (1 << 31)) >> 32) as u32)
    }

    #[inline(always)]
    fn low_words(self, a: Words, b: Words) -> Words {
        from_fn(|i| joined(halves(a[i])[0], halves(b[i])[0]))
    }

    #[inline(always)]
    fn high_words(self, a: Words, b: Words) -> Words {
        from_fn(|i| joined(halves(a[i])[1], halves(b[i])[1]))
    }

    #[inline(always)]
    fn total(self, a: Words) -> u64 {
        a.into_iter().map(u64::from).sum()
    }

    #[inline(always)]
    fn between(self, from: usize, to: usize) -> Mask {
        from_fn(|i| (from..to).contains(&i))
    }

    #[inline(always)]
    fn greater(self, a: Words, b: Words) -> Mask {
        from_fn(|i| a[i] as i32 > b[i] as i32)
    }

    #[inline(always)]
    fn both(self, a: Mask, b: Mask) -> Mask {
        from_fn(|i| a[i] && b[i])
    }

    #[inline(always)]
    fn without(self, a: Mask, b: Mask) -> Mask {
        from_fn(|i| a[i] && !b[i])
    }

    #[inline(always)]
    fn any(self, mask: Mask) -> bool {
        mask.contains(&true)
    }

    #[inline(always)]
    fn count(self, mask: Mask) -> u32 {
        mask.into_iter().map(u32::from).sum()
    }

    #[inline(always)]
    fn keep(self, mask: Mask, a: Words) -> Words {
        from_fn(|i| if mask[i] { a[i] } else { 0 })
    }

    #[inline(always)]
    fn to_doubles(self, a: Words) -> [Doubles; 2] {
        from_fn(|half| from_fn(|i| f64::from(a[2 * half + i] as i32)))
    }

    #[inline(always)]
    fn truncate(self, a: [Doubles; 2]) -> Words {
        from_fn(|i| a[i / 2][i % 2] as i32 as u32)
    }

    #[inline(always)]
    fn to_doubles_by_turns(self, a: Words) -> [Doubles; 2] {
        from_fn(|parity| from_fn(|i| f64::from(a[2 * i + parity])))
    }

    #[inline(always)]
    fn whole_product(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| (a[i] * b[i]).floor() + WHOLE)
    }

    #[inline(always)]
    fn whole_by_turns(self, a: [Doubles; 2]) -> Words {
        from_fn(|i| a[i % 2][i / 2].to_bits() as u32)
    }

    #[inline(always)]
    fn any_differs(self, a: [Doubles; 2], b: [Doubles; 2]) -> bool {
        a.map(|a| a.map(f64::to_bits)) != b.map(|b| b.map(f64::to_bits))
    }

    #[inline(always)]
    fn load_doubles(self, run: &[f64]) -> Doubles {
        from_fn(|i| run[i])
    }

    #[inline(always)]
    fn store_doubles(self, lanes: Doubles, run: &mut [f64]) {
        run[..2].copy_from_slice(&lanes);
    }

    #[inline(always)]
    fn splat_double(self, value: f64) -> Doubles {
        [value; 2]
    }

    #[inline(always)]
    fn add_doubles(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub_doubles(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul_doubles(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div_doubles(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn min_doubles(self, a: Doubles, b: Doubles) -> Doubles {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn leading_bits(self, a: Words) -> Words {
        a.map(|lane| ((lane & !(lane >> 17)) as i32 as f32).to_bits())
    }

    #[inline(always)]
    fn splat_float(self, value: f32) -> Floats {
        [value; 4]
    }

    #[inline(always)]
    fn floats(self, bits: Words) -> Floats {
        bits.map(f32::from_bits)
    }

    #[inline(always)]
    fn float_bits(self, a: Floats) -> Words {
        a.map(f32::to_bits)
    }

    #[inline(always)]
    fn add_floats(self, a: Floats, b: Floats) -> Floats {
        from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn pick<const COUNT: usize>(self, from: &[f32; COUNT], which: Words) -> Floats {
        from_fn(|i| from[which[i] as usize % COUNT])
    }

    #[inline(always)]
    fn mul_add_floats(self, a: Floats, b: Floats, c: Floats) -> Floats {
        from_fn(|i| a[i] * b[i] + c[i])
    }
}
