//! Small luma pictures, by which frames are told apart: averages over boxes, so that coding noise
//! and a difference of size fall away and motion stays.

use engine::{Plane, PlaneData};

/// Samples of the longer side of a thumbnail.
const SIDE_MAX: u32 = 96;

/// The size of thumbnails that are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    width: usize,
    height: usize,
}

impl Grid {
    /// A grid in the shape of the reference that no video is smaller than.
    pub fn of(reference: (u32, u32), distorted: (u32, u32)) -> Self {
        let (width, height) = reference;
        let longer = width.max(height).max(1);
        let scaled = |side: u32| {
            let side = u64::from(side) * u64::from(SIDE_MAX.min(longer)) / u64::from(longer);
            usize::try_from(side).unwrap_or(1).max(1)
        };
        let bound = |a: u32, b: u32| usize::try_from(a.min(b)).unwrap_or(1).max(1);
        Self {
            width: scaled(width).min(bound(width, distorted.0)),
            height: scaled(height).min(bound(height, distorted.1)),
        }
    }

    pub const fn len(self) -> usize {
        self.width * self.height
    }
}

/// One frame's luma on a grid, in 256ths of an 8-bit step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Thumbnail {
    samples: Box<[u16]>,
    mean: f64,
}

impl Thumbnail {
    /// Averages a plane over the boxes of `grid`, which is no larger than the plane.
    pub fn of(plane: &Plane, bit_depth: u8, grid: Grid) -> Self {
        let shift = 16 - u32::from(bit_depth);
        let averages = match plane.data() {
            PlaneData::U8(samples) => boxes(samples, plane, grid, shift),
            PlaneData::U16(samples) => boxes(samples, plane, grid, shift),
        };
        Self::from_samples(averages)
    }

    pub fn from_samples(samples: Vec<u16>) -> Self {
        let sum: u64 = samples.iter().map(|sample| u64::from(*sample)).sum();
        let mean = sum as f64 / samples.len().max(1) as f64;
        Self { samples: samples.into_boxed_slice(), mean }
    }

    /// The mean squared difference, in squared 8-bit steps, once both have the same mean: a change
    /// of brightness is not taken for motion.
    pub fn distance(&self, other: &Self) -> f64 {
        let shift = other.mean - self.mean;
        let sum: f64 = self
            .samples
            .iter()
            .zip(&other.samples)
            .map(|(a, b)| {
                let difference = f64::from(*b) - f64::from(*a) - shift;
                difference * difference
            })
            .sum();
        sum / self.samples.len().max(1) as f64 / (256.0 * 256.0)
    }

    /// Samples in 8-bit steps.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.samples.iter().map(|sample| f64::from(*sample) / 256.0)
    }
}

/// The averages of each box, aligned to the top of 16 bits.
fn boxes<T: Copy + Into<u32>>(samples: &[T], plane: &Plane, grid: Grid, shift: u32) -> Vec<u16> {
    let (width, height) = (plane.width() as usize, plane.height() as usize);
    let stride = plane.stride_samples();
    let columns: Vec<(usize, usize)> =
        (0..grid.width).map(|x| (x * width / grid.width, (x + 1) * width / grid.width)).collect();
    let mut averages = Vec::with_capacity(grid.len());
    for y in 0..grid.height {
        let rows = y * height / grid.height..(y + 1) * height / grid.height;
        for (left, right) in &columns {
            // At most 2^15 rows and columns of 16-bit samples: 2^46 at most.
            let sum: u64 = rows
                .clone()
                .flat_map(|row| &samples[row * stride + left..row * stride + right])
                .map(|sample| u64::from((*sample).into()))
                .sum();
            let count = (rows.len() * (right - left)).max(1) as u64;
            let average = ((sum << shift) + count / 2) / count;
            averages.push(u16::try_from(average).unwrap_or(u16::MAX));
        }
    }
    averages
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Picture, PictureSpec, PlanesWanted};
    use types::{ChromaSubsampling, PixelFormat};

    fn plane(width: u32, height: u32, bit_depth: u8, value: impl Fn(u32, u32) -> u16) -> Picture {
        let format = PixelFormat { chroma: ChromaSubsampling::C400, bit_depth };
        let spec = PictureSpec { width, height, format, planes: PlanesWanted::Luma };
        let at = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let samples: Vec<u16> = at.map(|(x, y)| value(x, y)).collect();
        let data = if bit_depth == 8 {
            PlaneData::U8(samples.iter().map(|s| u8::try_from(*s).expect("8 bits")).collect())
        } else {
            PlaneData::U16(samples)
        };
        Picture::from_planes(spec, vec![(data, width as usize)]).expect("it fits")
    }

    #[test]
    fn the_same_picture_at_another_size_and_depth_is_the_same_thumbnail() {
        let grid = Grid::of((192, 96), (64, 32));
        assert_eq!(grid, Grid { width: 64, height: 32 });
        let small = plane(64, 32, 8, |x, y| u16::try_from(x + y).expect("small"));
        let large = plane(192, 96, 10, |x, y| u16::try_from((x / 3 + y / 3) * 4).expect("small"));
        let of = |picture: &Picture, depth| Thumbnail::of(&picture.planes()[0], depth, grid);
        assert_eq!(of(&small, 8), of(&large, 10));
        assert_eq!(of(&small, 8).distance(&of(&large, 10)), 0.0);
    }

    #[test]
    fn a_brighter_picture_is_no_other_picture_and_a_moved_one_is() {
        let grid = Grid::of((96, 96), (96, 96));
        let of = |f: fn(u32, u32) -> u16| Thumbnail::of(&plane(96, 96, 8, f).planes()[0], 8, grid);
        let base = of(|x, _| if x % 16 < 8 { 40 } else { 80 });
        let brighter = of(|x, _| if x % 16 < 8 { 50 } else { 90 });
        let moved = of(|x, _| if (x + 4) % 16 < 8 { 40 } else { 80 });
        assert!(base.distance(&brighter) < 1e-9);
        assert!(base.distance(&moved) > 100.0);
    }

    #[test]
    fn a_video_of_one_sample_has_a_grid() {
        assert_eq!(Grid::of((1, 1), (1, 1)).len(), 1);
        assert_eq!(Grid::of((4_096, 1), (1, 1)), Grid { width: 1, height: 1 });
    }
}
