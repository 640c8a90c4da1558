//! One row of a picture with chroma for every pixel.

use super::{ChromaLayout, RowPair};
use crate::plane::{PlaneRef, Samples};

/// Samples to which libvmaf aligns the rows of a plane; what is between is zero.
const ALIGNMENT: usize = 32;

/// Luma, Cb and Cr of one picture.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) planes: [PlaneRef<'a>; 3],
    pub(super) layout: ChromaLayout,
}

/// One row of both pictures, all planes as wide as luma.
#[derive(Debug, Default)]
pub(super) struct Rows([[Vec<u16>; 3]; 2]);

impl Rows {
    pub(super) fn reserve(&mut self, width: usize) {
        for plane in self.0.iter_mut().flatten() {
            if plane.len() < width {
                plane.resize(width, 0);
            }
        }
    }

    /// Takes row `y` of both pictures.
    pub(super) fn fill(&mut self, pictures: &[Picture<'_>; 2], y: usize) {
        for (rows, picture) in self.0.iter_mut().zip(pictures) {
            let width = picture.planes[0].width();
            for (at, (row, plane)) in rows.iter_mut().zip(&picture.planes).enumerate() {
                let row = &mut row[..width];
                match (at, picture.layout) {
                    (0, _) | (_, ChromaLayout::Full) => copy(plane, y, row),
                    // Two rows of luma share one of chroma; the second need not fetch it again.
                    (_, ChromaLayout::Quarter) if y.is_multiple_of(2) => double(plane, y / 2, row),
                    (_, ChromaLayout::HalfWidth) if y.is_multiple_of(2) => {
                        run_on(plane, y / 2, row)
                    }
                    _ => {}
                }
            }
        }
    }

    /// The rows as they were filled.
    pub(super) fn view(&self, width: usize) -> RowPair<'_> {
        self.0.each_ref().map(|planes| planes.each_ref().map(|plane| &plane[..width]))
    }
}

/// Sample `x` of row `y`.
#[inline(always)]
fn write(plane: &PlaneRef<'_>, y: usize, row: &mut [u16], place: impl Fn(usize) -> usize) {
    let start = y * plane.stride();
    match plane.samples() {
        Samples::U8(samples) => {
            let samples = &samples[start..][..plane.width()];
            row.iter_mut().enumerate().for_each(|(x, to)| *to = u16::from(samples[place(x)]));
        }
        Samples::U16(samples) => {
            let samples = &samples[start..][..plane.width()];
            row.iter_mut().enumerate().for_each(|(x, to)| *to = samples[place(x)]);
        }
    }
}

fn copy(plane: &PlaneRef<'_>, y: usize, row: &mut [u16]) {
    write(plane, y, row, |x| x);
}

/// Every sample twice, the last once where the row is odd.
fn double(plane: &PlaneRef<'_>, y: usize, row: &mut [u16]) {
    let start = y * plane.stride();
    match plane.samples() {
        Samples::U8(samples) => spread(&samples[start..][..plane.width()], row),
        Samples::U16(samples) => spread(&samples[start..][..plane.width()], row),
    }
}

#[inline(always)]
fn spread<T: Copy + Into<u16>>(samples: &[T], row: &mut [u16]) {
    let (pairs, last) = row.as_chunks_mut();
    for (pair, sample) in pairs.iter_mut().zip(samples) {
        *pair = [(*sample).into(); 2];
    }
    if let ([last], Some(sample)) = (last, samples.last()) {
        *last = (*sample).into();
    }
}

/// The memory that begins with chroma row `y`, as libvmaf lays it out.
fn run_on(plane: &PlaneRef<'_>, y: usize, row: &mut [u16]) {
    // Where the luma width is odd, libvmaf has no chroma for its last pixel.
    let width = row.len() / 2;
    let stride = width.next_multiple_of(ALIGNMENT);
    row.fill(0);
    for (below, part) in row.chunks_mut(stride.max(1)).enumerate() {
        if y + below < plane.height() {
            let part_width = part.len().min(width);
            copy(plane, y + below, &mut part[..part_width]);
        }
    }
}
