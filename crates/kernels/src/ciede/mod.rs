//! CIEDE2000: the mean colour difference of two pictures, as people see it.
//!
//! Bit-exact with the `ciede` extractor of libvmaf 3.2 built against glibc. Each pixel is taken as
//! BT.709 in studio range, made linear, then CIELAB; its difference is that of CIE 142-2001 with
//! `k_L = 0.65`, `k_C = 1`, `k_H = 4`. The score is `45 - 20 log10(mean difference)`, infinite for
//! equal pictures.
//!
//! libvmaf computes with `f64` functions of the C library and rounds to `f32` after every step, some
//! thirty times a pixel. [`exact`] is that definition, with functions of our own that are right to
//! the last place. It is slow. [`fast`] does the same in lanes with polynomials that err by less
//! than 2^-44, and says where such an error could have changed a rounding: there, once in some thirty
//! thousand pixels, the exact way is taken. So both give the same bits on every instruction set.
//! They are libvmaf's, too, unless the last place of one of glibc's own functions, which are not
//! always right to it, decides a rounding to `f32`: about once in 10^9 roundings, and then one
//! pixel's difference moves by some 10^-7 of itself.
//!
//! Chroma is repeated, not interpolated: see [`ChromaLayout`].

mod dd;
mod exact;
mod fast;
mod functions;
mod fused;
mod lanes;
mod power7;
mod rows;

use crate::elementary::log10;
use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, ShapeMismatch};

use self::exact::Memory;
use self::fast::{CHUNK, Run};
use self::lanes::Lanes;
use self::rows::{Picture, Rows};

/// How the chroma planes lie to luma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChromaLayout {
    /// 4:4:4, a sample a pixel.
    Full,
    /// 4:2:2, half as wide as luma; libvmaf reads it as if it were half as high. We do as it does:
    /// see [`ciede_sum`].
    HalfWidth,
    /// 4:2:0, half as wide and half as high; each sample serves four pixels.
    Quarter,
}

impl ChromaLayout {
    /// The size of a chroma plane to a luma plane of that size; odd sides are rounded up.
    pub const fn chroma_size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Full => (width, height),
            Self::HalfWidth => (width.div_ceil(2), height),
            Self::Quarter => (width.div_ceil(2), height.div_ceil(2)),
        }
    }
}

/// Buffers of CIEDE2000; they grow to the widest picture seen and are then reused.
#[derive(Debug, Default)]
pub struct CiedeScratch {
    rows: Rows,
    run: Box<Run>,
}

impl CiedeScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The sum of the colour differences of all pixels, row after row in `f64`.
///
/// Each picture is luma, Cb and Cr. Every instruction set gives the same bits. Samples above the
/// bit depth are taken as the colours that they would be.
///
/// Of [`ChromaLayout::HalfWidth`] libvmaf takes the chroma of pixel `x` in row `y` from place `x` of
/// the memory that begins with chroma row `y / 2`: the left half of the picture gets chroma for its
/// whole width, the right half that of the next row, and 32-sample alignment leaves zeros between.
/// That is a mistake, but a defined one; this gives the same. Where it would leave the plane, at a
/// height of 1, zeros are taken.
///
/// # Errors
/// [`ShapeMismatch`] when the pictures differ in shape, or chroma planes do not fit the layout.
pub fn ciede_sum(
    isa: Isa,
    layout: ChromaLayout,
    reference: &[PlaneRef<'_>; 3],
    distorted: &[PlaneRef<'_>; 3],
    scratch: &mut CiedeScratch,
) -> Result<f64, ShapeMismatch> {
    let (width, height) = (reference[0].width(), reference[0].height());
    for (plane, other) in reference.iter().zip(distorted) {
        plane.expect_shape_of(other)?;
    }
    for chroma in &reference[1..] {
        let fits = (chroma.width(), chroma.height()) == layout.chroma_size(width, height)
            && chroma.bit_depth() == reference[0].bit_depth();
        if !fits {
            return Err(ShapeMismatch);
        }
    }
    let pictures = [reference, distorted].map(|planes| Picture { planes: *planes, layout });
    let CiedeScratch { rows, run } = scratch;
    rows.reserve(width);
    let mut sum = 0.0;
    let mut memory = Memory::default();
    for y in 0..height {
        rows.fill(&pictures, y);
        sum = add_row(isa, &rows.view(width), reference[0].bit_depth(), run, &mut memory, sum);
    }
    Ok(sum)
}

/// The score for a sum of differences of `pixels` pixels; infinite for none.
pub fn ciede2000(sum: f64, pixels: usize) -> f64 {
    45.0 - 20.0 * log10(sum / pixels as f64)
}

/// Luma, Cb and Cr of one row of each picture.
type RowPair<'a> = [[&'a [u16]; 3]; 2];

per_isa! {
    fn add_row(
        row: &RowPair<'_>,
        bit_depth: u32,
        run: &mut Run,
        memory: &mut Memory,
        sum: f64,
    ) -> f64 = add_row_body, with vector;
}

/// Adds the differences of a row's pixels to `sum`, from left to right.
#[inline(always)]
fn add_row_body<V: Lanes>(
    vector: V,
    row: &RowPair<'_>,
    bit_depth: u32,
    run: &mut Run,
    memory: &mut Memory,
    mut sum: f64,
) -> f64 {
    let width = row[0][0].len();
    for start in (0..width).step_by(CHUNK) {
        let end = width.min(start + CHUNK);
        let pixels = row.map(|planes| planes.map(|plane| &plane[start..end]));
        if pixels[0] == pixels[1] {
            continue;
        }
        run.differences(vector, &pixels, bit_depth);
        if run.any_doubt(end - start) {
            for at in run.doubtful(end - start) {
                let colours = pixels.map(|planes| planes.map(|plane| plane[at]));
                run.set_difference(at, memory.difference(colours, bit_depth));
            }
        }
        for difference in run.all(end - start) {
            sum += f64::from(*difference);
        }
    }
    sum
}

#[cfg(test)]
mod tests;
