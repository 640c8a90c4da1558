//! What the filters read at a scale: bytes with exact 32-bit sums, or words with wider products.

use super::stream::{self, whole};
use crate::plane::{PlaneRef, Samples};

/// Samples of one picture at one scale.
#[derive(Clone, Copy)]
pub(super) struct View<'a, S> {
    pub(super) samples: &'a [S],
    pub(super) stride: usize,
    /// The row that comes first in `samples`.
    pub(super) first_row: usize,
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

    /// The picture at `scale`: `plane`, or what was made of it on the way.
    fn view<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a [stream::Shrunk],
        scale: usize,
    ) -> View<'a, Self::Sample>;
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

    fn view<'a>(
        plane: &'a PlaneRef<'_>,
        _shrunk: &'a [stream::Shrunk],
        _scale: usize,
    ) -> View<'a, u8> {
        match plane.samples() {
            Samples::U8(samples) => whole(plane, samples),
            Samples::U16(_) => whole(plane, &[]),
        }
    }
}

impl Source for Words {
    type Sample = u16;

    const PARTS: usize = 2;
    const WIDE: bool = true;
    const SAMPLE_SHIFT: Option<u32> = None;

    fn view<'a>(
        plane: &'a PlaneRef<'_>,
        _shrunk: &'a [stream::Shrunk],
        _scale: usize,
    ) -> View<'a, u16> {
        match plane.samples() {
            Samples::U16(samples) => whole(plane, samples),
            Samples::U8(_) => whole(plane, &[]),
        }
    }
}

impl Source for Shrunk {
    type Sample = u16;

    const PARTS: usize = 2;
    const WIDE: bool = true;
    const SAMPLE_SHIFT: Option<u32> = Some(16);

    fn view<'a>(
        plane: &'a PlaneRef<'_>,
        shrunk: &'a [stream::Shrunk],
        scale: usize,
    ) -> View<'a, u16> {
        shrunk[scale - 1].view(plane.width() >> scale)
    }
}
