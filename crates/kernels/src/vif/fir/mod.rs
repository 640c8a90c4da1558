//! The one filter loop of VIF: 16-bit samples in pairs, exact 32-bit sums.
//!
//! A sum of 16-bit values weighted by taps that sum to 65536 fits 32 unsigned bits. Unsigned
//! samples are stored with their top bit flipped, which subtracts 32768 and so makes them signed;
//! the sum then lacks 32768 * 65536 = 2^31, which [`UNBIAS`] restores modulo 2^32. Signed 16-bit
//! pairs times constants, added, is what instruction sets since SSE2 do in one step.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

use super::taps::{PAIRS_MAX, Taps};
use crate::isa::{Portable, Vector};

/// Two neighbouring samples.
pub(super) type Pair = [i16; 2];

/// Places that are filtered at a time, always all of them: loops of a fixed length leave no
/// remainder to run one by one. Lines are long enough for the last chunk to be whole.
pub(super) const CHUNK: usize = 64;

/// What a sum over flipped samples lacks, modulo 2^32; sums start from it.
pub(super) const UNBIAS: u32 = 1 << 31;

/// Sums of one chunk.
pub(super) type Sums = [u32; CHUNK];

/// Sums of one chunk's even places, then of its odd ones.
pub(super) type BothSums = [u32; 2 * CHUNK];

/// An unsigned 16-bit value as the signed value that the filters take.
#[inline(always)]
pub(super) fn flip(value: u32) -> i16 {
    (value as u16 ^ 0x8000) as i16
}

/// The windows' pairs: `.0[p][j]` is the p-th pair of place j.
pub(super) struct Windows<'a>([&'a [Pair; CHUNK]; PAIRS_MAX]);

impl<'a> Windows<'a> {
    /// Windows whose p-th pairs start at `run(p)`, which holds at least a chunk.
    #[inline(always)]
    pub(super) fn new<T: Taps>(run: impl Fn(usize) -> &'a [Pair]) -> Self {
        const EMPTY: [Pair; CHUNK] = [[0; 2]; CHUNK];
        let mut runs = [&EMPTY; PAIRS_MAX];
        for p in 0..T::PAIRS {
            runs[p] = run(p).first_chunk().expect("lines are whole chunks long");
        }
        Self(runs)
    }
}

/// The filters, in whatever way suits the instruction set. Sums count on from `start`.
pub(super) trait Fir: Vector {
    /// Filters the even and the odd place of each window.
    fn fir_both<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut BothSums);

    /// Filters the even place only.
    fn fir_even<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut Sums);
}

impl Fir for Portable {
    #[inline(always)]
    fn fir_both<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut BothSums) {
        scalar::fir_both::<T>(windows, start, sums);
    }

    #[inline(always)]
    fn fir_even<T: Taps>(self, windows: &Windows<'_>, start: u32, sums: &mut Sums) {
        scalar::fir_even::<T>(windows, start, sums);
    }
}

/// Two taps as one 32-bit lane, the first in the low half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
const fn packed(taps: [i32; 2]) -> i32 {
    (taps[0] & 0xFFFF) | (taps[1] << 16)
}

/// The first `N` values of a run that has them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lanes<T, const N: usize>(values: &[T]) -> &[T; N] {
    values.first_chunk().expect("chunks are whole vectors long")
}

/// As [`lanes`], for writing.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn lanes_mut<T, const N: usize>(values: &mut [T]) -> &mut [T; N] {
    values.first_chunk_mut().expect("chunks are whole vectors long")
}
