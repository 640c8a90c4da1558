//! What the first filter reads: bytes with exact 32-bit sums, or words with wider products.

use super::fir::{UNBIAS, flip};

/// Samples of a scale and the arithmetic that goes with their width.
pub(super) trait Source: Copy {
    /// Parts of a product that are filtered apart.
    const PARTS: usize;
    /// Pair lines that hold one pair of rows: two of samples, and the products.
    const LINES: usize = 2 + 3 * Self::PARTS;
    /// What a sum over samples starts from.
    const SAMPLE_START: u32;

    /// The sample as the filters take it.
    fn sample(self) -> i16;

    /// The parts of a product that the filters take: only the first, or the high and low half.
    fn product(self, other: Self) -> [i16; 2];

    /// The 32-bit value that the second filter reads, from the sums over the product's parts. The
    /// low one started with half of `1 << shift`.
    fn product_sum(high: u32, low: u32, shift: u32) -> u32;
}

impl Source for u8 {
    const PARTS: usize = 1;
    const SAMPLE_START: u32 = 0;

    #[inline(always)]
    fn sample(self) -> i16 {
        i16::from(self)
    }

    #[inline(always)]
    fn product(self, other: Self) -> [i16; 2] {
        [flip(u32::from(self) * u32::from(other)), 0]
    }

    #[inline(always)]
    fn product_sum(high: u32, _low: u32, _shift: u32) -> u32 {
        high
    }
}

impl Source for u16 {
    const PARTS: usize = 2;
    const SAMPLE_START: u32 = UNBIAS;

    #[inline(always)]
    fn sample(self) -> i16 {
        flip(u32::from(self))
    }

    #[inline(always)]
    fn product(self, other: Self) -> [i16; 2] {
        let product = u32::from(self) * u32::from(other);
        [flip(product >> 16), flip(product)]
    }

    /// `(sum + half) >> shift` of the whole product, exactly: the high part is a multiple of 2^16
    /// and `shift` is 2 to 16. The low sum cannot overflow: without half it is at most
    /// 65535 * 65536.
    #[inline(always)]
    fn product_sum(high: u32, low: u32, shift: u32) -> u32 {
        (high << (16 - shift)).wrapping_add(low >> shift)
    }
}
