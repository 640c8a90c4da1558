//! The sum of squared differences, a row at a time.
//!
//! Range: a row of 16384 bytes sums to at most 16384 * 255^2 < 2^31. The square of a difference of
//! words takes 32 bits; its halves are summed apart, and 16384 of them stay below 2^30.

/// Two planes of one shape.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, S> {
    pub(super) pictures: [&'a [S]; 2],
    pub(super) strides: [usize; 2],
    pub(super) width: usize,
    pub(super) height: usize,
}

impl<'a, S> Input<'a, S> {
    #[inline(always)]
    fn rows(&self, y: usize) -> [&'a [S]; 2] {
        [0, 1].map(|picture| &self.pictures[picture][y * self.strides[picture]..][..self.width])
    }
}

#[inline(always)]
pub(super) fn squared_error_of_bytes(input: &Input<'_, u8>) -> u64 {
    let mut sum = 0;
    for y in 0..input.height {
        let [reference, distorted] = input.rows(y);
        let mut row_sum = 0_i32;
        for x in 0..input.width {
            let difference = i16::from(reference[x]) - i16::from(distorted[x]);
            row_sum += i32::from(difference) * i32::from(difference);
        }
        sum += row_sum as u64;
    }
    sum
}

#[inline(always)]
pub(super) fn squared_error_of_words(input: &Input<'_, u16>) -> u64 {
    let mut sum = 0;
    for y in 0..input.height {
        let [reference, distorted] = input.rows(y);
        let (mut low, mut high) = (0_u32, 0_u32);
        for x in 0..input.width {
            let difference = i32::from(reference[x]) - i32::from(distorted[x]);
            // Modulo 2^32 the product of signed numbers is that of their magnitudes.
            let square = difference.wrapping_mul(difference) as u32;
            low += square & 0xffff;
            high += square >> 16;
        }
        sum += u64::from(low) + (u64::from(high) << 16);
    }
    sum
}
