//! What the filters read at a scale: bytes with exact 32-bit sums, or words with wider products.

use crate::plane::{PlaneRef, Samples};

/// Samples of one picture at one scale.
#[derive(Clone, Copy)]
pub(super) struct View<'a, S> {
    pub(super) samples: &'a [S],
    pub(super) stride: usize,
}

/// Where one picture's samples of a scale come from and where those of the next scale go.
pub(super) struct Pictures<'a, S> {
    pub(super) input: View<'a, S>,
    /// Nothing after the last scale.
    pub(super) next: Option<&'a mut [u16]>,
}

/// Samples of a scale and the arithmetic that goes with their width.
pub(super) trait Source {
    /// One sample.
    type Sample: Copy + Default + Into<u16>;

    /// Parts of a product that are filtered apart: the product, or its high and low half.
    const PARTS: usize;
    /// Whether samples fill 16 bits, so that their top bit is flipped to make them signed.
    const WIDE: bool;
    /// The bits by which sums are scaled down, where they do not depend on the bit depth.
    const SAMPLE_SHIFT: Option<u32>;

    /// The picture at `scale`, which is made of `plane` or was made on the way.
    fn pictures<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a mut [Vec<u16>],
        scale: usize,
    ) -> Pictures<'a, Self::Sample>;
}

/// Full size, 8 bits.
pub(super) struct Bytes;

/// Full size, 9 to 16 bits.
pub(super) struct Words;

/// The smaller sizes, 16 bits.
pub(super) struct Shrunk;

impl Source for Bytes {
    type Sample = u8;

    const PARTS: usize = 1;
    const WIDE: bool = false;
    const SAMPLE_SHIFT: Option<u32> = Some(8);

    fn pictures<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a mut [Vec<u16>],
        _scale: usize,
    ) -> Pictures<'a, u8> {
        let samples = match plane.samples() {
            Samples::U8(samples) => samples,
            Samples::U16(_) => &[],
        };
        let input = View { samples, stride: plane.stride() };
        Pictures { input, next: Some(shrunk[0].as_mut_slice()) }
    }
}

impl Source for Words {
    type Sample = u16;

    const PARTS: usize = 2;
    const WIDE: bool = true;
    const SAMPLE_SHIFT: Option<u32> = None;

    fn pictures<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a mut [Vec<u16>],
        _scale: usize,
    ) -> Pictures<'a, u16> {
        let samples = match plane.samples() {
            Samples::U16(samples) => samples,
            Samples::U8(_) => &[],
        };
        let input = View { samples, stride: plane.stride() };
        Pictures { input, next: Some(shrunk[0].as_mut_slice()) }
    }
}

impl Source for Shrunk {
    type Sample = u16;

    const PARTS: usize = 2;
    const WIDE: bool = true;
    const SAMPLE_SHIFT: Option<u32> = Some(16);

    fn pictures<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a mut [Vec<u16>],
        scale: usize,
    ) -> Pictures<'a, u16> {
        let (made, to_make) = shrunk.split_at_mut(scale);
        let input = View { samples: &made[scale - 1], stride: plane.width() >> scale };
        Pictures { input, next: to_make.first_mut().map(Vec::as_mut_slice) }
    }
}
