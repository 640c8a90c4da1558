//! Pictures: one frame's planes, cheap to share between threads, their memory recycled.
//!
//! A [`PictureMut`] is filled by one owner and then frozen into a [`Picture`], which is immutable
//! and cloned by reference count. When the last clone is dropped its memory goes back to the
//! [`PicturePool`] it came from, so that a run in its steady state allocates nothing. The pool
//! bounds how many pictures are alive at once; it never waits.
//!
//! Invariant: every plane holds exactly `stride * height` samples, `stride >= width`, and its
//! sample type is that of the bit depth. Sample values above the bit depth are not looked for.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kernels::{PlaneRef, Samples};
use thiserror::Error;
use types::PixelFormat;

/// The planes a run looks at. What is not wanted is neither read nor stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlanesWanted {
    /// Luma alone: all that VIF, ADM and motion need.
    Luma,
    /// Luma and, where the format has them, both chroma planes.
    All,
}

/// Size, format and planes of a picture: what two pictures must share to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureSpec {
    /// Luma width in samples, 1 to [`PictureSpec::SIDE_MAX`].
    pub width: u32,
    /// Luma height in samples, 1 to [`PictureSpec::SIDE_MAX`].
    pub height: u32,
    /// Chroma subsampling and bit depth, 8 to 16.
    pub format: PixelFormat,
    /// The planes that are stored.
    pub planes: PlanesWanted,
}

impl PictureSpec {
    /// The largest width and height, in samples.
    pub const SIDE_MAX: u32 = kernels::plane::SIDE_MAX as u32;

    /// From this side length on, in samples, libvmaf defines a result. Below it reads memory that
    /// nothing has written; what is computed then is the kernels' own definition.
    pub const DEFINED_SIDE_MIN: u32 = kernels::adm::DEFINED_SIDE_MIN as u32;

    /// Width and height of each stored plane in samples: luma, then Cb and Cr where they are.
    pub fn plane_sizes(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let chroma = match self.planes {
            PlanesWanted::Luma => (0, 0),
            PlanesWanted::All => self.format.chroma.chroma_size(self.width, self.height),
        };
        let stored = if chroma.0 == 0 { 1 } else { 3 };
        [(self.width, self.height), chroma, chroma].into_iter().take(stored)
    }

    /// How many planes are stored: 1 or 3.
    #[must_use]
    pub fn plane_count(&self) -> usize {
        self.plane_sizes().count()
    }

    /// Bytes that one picture of this kind takes in memory.
    #[must_use]
    pub fn picture_bytes(&self) -> u64 {
        let samples: u64 = self.plane_sizes().map(|(w, h)| u64::from(w) * u64::from(h)).sum();
        samples * self.format.bytes_per_sample() as u64
    }

    /// Whether pictures of this kind are taken.
    ///
    /// # Errors
    /// [`PictureError`] when size or bit depth is not supported.
    pub fn check(&self) -> Result<(), PictureError> {
        let side_fits = |side| (1..=Self::SIDE_MAX).contains(&side);
        if !side_fits(self.width) || !side_fits(self.height) {
            return Err(PictureError::Size { width: self.width, height: self.height });
        }
        if !(8..=16).contains(&self.format.bit_depth) {
            return Err(PictureError::BitDepth(self.format.bit_depth));
        }
        Ok(())
    }
}

/// Why a picture or a pool could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PictureError {
    /// A side is zero or above [`PictureSpec::SIDE_MAX`].
    #[error("pictures of {width}x{height} are not supported: each side must be 1 to {max}", max = PictureSpec::SIDE_MAX)]
    #[allow(missing_docs, reason = "the sides as given")]
    Size { width: u32, height: u32 },
    /// Samples must have 8 to 16 bits.
    #[error("a bit depth of {0} is not supported: samples must have 8 to 16 bits")]
    BitDepth(u8),
    /// The planes given are not as many as the format has.
    #[error("{given} planes given, {needed} needed")]
    #[allow(missing_docs, reason = "as given and as needed")]
    PlaneCount { given: usize, needed: usize },
    /// A plane's sample type or its number of samples is not what size, stride and depth ask for.
    #[error("plane {plane} does not hold {height} rows of {width} samples at a stride of {stride}")]
    #[allow(missing_docs, reason = "the plane and its geometry, in samples")]
    Plane { plane: usize, width: u32, height: u32, stride: usize },
}

/// The samples of one plane, row after row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaneData {
    /// Bit depth 8.
    U8(Vec<u8>),
    /// Bit depth 9 to 16, the value in the low bits, native-endian.
    U16(Vec<u16>),
}

impl PlaneData {
    fn zeroed(bytes_per_sample: usize, samples: usize) -> Self {
        if bytes_per_sample == 1 { Self::U8(vec![0; samples]) } else { Self::U16(vec![0; samples]) }
    }

    fn len(&self) -> usize {
        match self {
            Self::U8(samples) => samples.len(),
            Self::U16(samples) => samples.len(),
        }
    }
}

/// One plane with its geometry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    data: PlaneData,
    width: u32,
    height: u32,
    stride: usize,
}

impl Plane {
    /// Samples in a row.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Samples from the start of a row to the start of the next. Equal to the width in every
    /// picture that a pool made: its rows are contiguous.
    #[must_use]
    pub const fn stride_samples(&self) -> usize {
        self.stride
    }

    /// The samples, row after row.
    #[must_use]
    pub const fn data(&self) -> &PlaneData {
        &self.data
    }

    /// The samples for writing. Their number cannot be changed.
    pub fn data_mut(&mut self) -> PlaneDataMut<'_> {
        match &mut self.data {
            PlaneData::U8(samples) => PlaneDataMut::U8(samples),
            PlaneData::U16(samples) => PlaneDataMut::U16(samples),
        }
    }

    /// The plane's memory as bytes, to read a file's bytes into without a copy in between.
    /// Samples of two bytes are native-endian here; call
    /// [`swap_from_little_endian`](Self::swap_from_little_endian) after reading little-endian ones.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.data {
            PlaneData::U8(samples) => samples,
            PlaneData::U16(samples) => bytemuck::cast_slice_mut(samples),
        }
    }

    /// Turns samples whose bytes were read in little-endian order into native ones. Nothing to do
    /// on a little-endian machine or at 8 bits.
    pub fn swap_from_little_endian(&mut self) {
        if let PlaneData::U16(samples) = &mut self.data
            && cfg!(target_endian = "big")
        {
            samples.iter_mut().for_each(|sample| *sample = sample.swap_bytes());
        }
    }
}

/// The samples of one plane, for writing.
#[derive(Debug)]
pub enum PlaneDataMut<'a> {
    /// Bit depth 8.
    U8(&'a mut [u8]),
    /// Bit depth 9 to 16, the value in the low bits, native-endian.
    U16(&'a mut [u16]),
}

/// A picture that one owner fills.
#[derive(Debug)]
pub struct PictureMut {
    spec: PictureSpec,
    planes: Vec<Plane>,
    pool: Weak<PoolShared>,
}

impl PictureMut {
    /// Size, format and planes.
    #[must_use]
    pub const fn spec(&self) -> &PictureSpec {
        &self.spec
    }

    /// The stored planes: luma, then Cb and Cr where they are wanted and exist.
    pub fn planes_mut(&mut self) -> &mut [Plane] {
        &mut self.planes
    }

    /// Makes the picture immutable and shareable.
    #[must_use]
    pub fn freeze(self) -> Picture {
        Picture(Arc::new(self))
    }
}

impl Drop for PictureMut {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.planes));
        }
    }
}

/// An immutable picture. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Picture(Arc<PictureMut>);

impl Picture {
    /// A picture over planes that the caller made, each with its stride in samples. It belongs to
    /// no pool.
    ///
    /// # Errors
    /// [`PictureError`] names what does not fit `spec`.
    pub fn from_planes(
        spec: PictureSpec,
        planes: Vec<(PlaneData, usize)>,
    ) -> Result<Self, PictureError> {
        spec.check()?;
        let (given, needed) = (planes.len(), spec.plane_count());
        if given != needed {
            return Err(PictureError::PlaneCount { given, needed });
        }
        let planes = spec.plane_sizes().zip(planes).enumerate();
        let planes = planes
            .map(|(plane, ((width, height), (data, stride)))| {
                let type_fits =
                    matches!(data, PlaneData::U8(_)) == (spec.format.bytes_per_sample() == 1);
                let fits = stride >= width as usize
                    && stride.checked_mul(height as usize) == Some(data.len());
                if type_fits && fits {
                    Ok(Plane { data, width, height, stride })
                } else {
                    Err(PictureError::Plane { plane, width, height, stride })
                }
            })
            .collect::<Result<_, _>>()?;
        Ok(PictureMut { spec, planes, pool: Weak::new() }.freeze())
    }

    /// Size, format and planes.
    #[must_use]
    pub fn spec(&self) -> &PictureSpec {
        &self.0.spec
    }

    /// The stored planes: luma, then Cb and Cr where they are wanted and exist.
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.0.planes
    }

    /// Luma, as the kernels take it.
    pub(crate) fn luma(&self) -> PlaneRef<'_> {
        self.plane(0).expect("every picture has luma")
    }

    /// A plane as the kernels take it: luma, Cb, Cr; `None` where it is not stored.
    pub(crate) fn plane(&self, index: usize) -> Option<PlaneRef<'_>> {
        let plane = self.0.planes.get(index)?;
        let samples = match &plane.data {
            PlaneData::U8(samples) => Samples::U8(samples),
            PlaneData::U16(samples) => Samples::U16(samples),
        };
        let (width, height) = (plane.width as usize, plane.height as usize);
        let bit_depth = u32::from(self.0.spec.format.bit_depth);
        let plane = PlaneRef::new(samples, width, height, plane.stride, bit_depth);
        Some(plane.expect("planes are checked when a picture is made"))
    }
}

/// Makes pictures of one kind and takes their memory back.
///
/// Cloning shares the pool. Pictures may outlive it; their memory is then simply freed.
#[derive(Debug, Clone)]
pub struct PicturePool {
    shared: Arc<PoolShared>,
}

#[derive(Debug)]
struct PoolShared {
    spec: PictureSpec,
    capacity: usize,
    state: Mutex<PoolState>,
}

#[derive(Debug, Default)]
struct PoolState {
    alive: usize,
    idle: Vec<Vec<Plane>>,
}

impl PicturePool {
    /// A pool of at most `capacity` living pictures of one kind. Nothing is allocated yet.
    ///
    /// # Errors
    /// [`PictureError`] when size or bit depth is not supported.
    pub fn new(spec: PictureSpec, capacity: NonZeroUsize) -> Result<Self, PictureError> {
        spec.check()?;
        let state = Mutex::new(PoolState::default());
        Ok(Self { shared: Arc::new(PoolShared { spec, capacity: capacity.get(), state }) })
    }

    /// The kind of picture it makes.
    #[must_use]
    pub fn spec(&self) -> &PictureSpec {
        &self.shared.spec
    }

    /// A picture to fill, with contiguous rows and whatever samples its memory held before; `None`
    /// while as many pictures as the pool's capacity are alive.
    #[must_use]
    pub fn try_take(&self) -> Option<PictureMut> {
        let idle = {
            let mut state = self.shared.lock();
            if state.alive == self.shared.capacity {
                return None;
            }
            state.alive += 1;
            state.idle.pop()
        };
        let spec = self.shared.spec;
        let planes = idle.unwrap_or_else(|| {
            let bytes_per_sample = spec.format.bytes_per_sample();
            let plane = |(width, height)| {
                let stride = width as usize;
                let data = PlaneData::zeroed(bytes_per_sample, stride * height as usize);
                Plane { data, width, height, stride }
            };
            spec.plane_sizes().map(plane).collect()
        });
        Some(PictureMut { spec, planes, pool: Arc::downgrade(&self.shared) })
    }

    /// How many pictures are alive: taken and not yet dropped by their last holder.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.shared.lock().alive
    }
}

impl PoolShared {
    fn lock(&self) -> std::sync::MutexGuard<'_, PoolState> {
        // The state is two independent fields, each valid after every statement, so a panic of
        // another holder leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, planes: Vec<Plane>) {
        let mut state = self.lock();
        state.alive -= 1;
        state.idle.push(planes);
    }
}

#[cfg(test)]
mod tests {
    use types::ChromaSubsampling;

    use super::*;

    fn spec(width: u32, height: u32, bit_depth: u8, planes: PlanesWanted) -> PictureSpec {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth };
        PictureSpec { width, height, format, planes }
    }

    fn pool(capacity: usize) -> PicturePool {
        let capacity = NonZeroUsize::new(capacity).expect("tests ask for some");
        PicturePool::new(spec(5, 3, 10, PlanesWanted::All), capacity).expect("supported")
    }

    #[test]
    fn chroma_is_stored_only_where_it_is_wanted() {
        let sizes = |planes| spec(5, 3, 8, planes).plane_sizes().collect::<Vec<_>>();
        assert_eq!(sizes(PlanesWanted::Luma), [(5, 3)]);
        assert_eq!(sizes(PlanesWanted::All), [(5, 3), (3, 2), (3, 2)]);
        assert_eq!(spec(5, 3, 10, PlanesWanted::All).picture_bytes(), 2 * (15 + 6 + 6));
    }

    #[test]
    fn memory_comes_back_when_the_last_clone_is_dropped() {
        let pool = pool(1);
        let mut picture = pool.try_take().expect("none is alive");
        let PlaneDataMut::U16(samples) = picture.planes_mut()[0].data_mut() else {
            panic!("10 bits take words")
        };
        samples.fill(77);
        let address = samples.as_ptr();
        let first = picture.freeze();
        let second = first.clone();
        drop(first);
        assert!(pool.try_take().is_none(), "one clone is still alive");
        drop(second);
        let mut again = pool.try_take().expect("its memory came back");
        let PlaneDataMut::U16(samples) = again.planes_mut()[0].data_mut() else {
            panic!("10 bits take words")
        };
        assert_eq!((samples.as_ptr(), samples[0]), (address, 77), "the same memory");
    }

    #[test]
    fn pool_never_makes_more_pictures_than_its_capacity() {
        let pool = pool(3);
        let taken: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
        assert_eq!((taken.len(), pool.alive()), (3, 3));
        drop(taken);
        assert_eq!(pool.alive(), 0);
    }

    #[test]
    fn pictures_may_outlive_their_pool() {
        let pool = pool(1);
        let picture = pool.try_take().expect("none is alive").freeze();
        drop(pool);
        assert_eq!(picture.planes().len(), 3);
    }

    #[test]
    fn bytes_read_into_a_plane_are_its_samples() {
        let pool = pool(1);
        let mut picture = pool.try_take().expect("none is alive");
        let plane = &mut picture.planes_mut()[1];
        plane.bytes_mut()[..4].copy_from_slice(&[0x34, 0x12, 0xff, 0x03]);
        plane.swap_from_little_endian();
        let PlaneData::U16(samples) = plane.data() else { panic!("10 bits take words") };
        assert_eq!(samples[..2], [0x1234, 0x03ff]);
    }

    #[test]
    fn planes_that_do_not_fit_are_refused() {
        let spec = spec(4, 2, 8, PlanesWanted::Luma);
        let check = |data, stride| Picture::from_planes(spec, vec![(data, stride)]).err();
        assert_eq!(check(PlaneData::U8(vec![0; 12]), 6), None);
        let wrong = |stride| Some(PictureError::Plane { plane: 0, width: 4, height: 2, stride });
        assert_eq!(check(PlaneData::U8(vec![0; 11]), 6), wrong(6));
        assert_eq!(check(PlaneData::U8(vec![0; 6]), 3), wrong(3));
        assert_eq!(check(PlaneData::U16(vec![0; 8]), 4), wrong(4));
        let none = Picture::from_planes(spec, Vec::new()).err();
        assert_eq!(none, Some(PictureError::PlaneCount { given: 0, needed: 1 }));
    }

    #[test]
    fn unsupported_kinds_are_refused() {
        let one = NonZeroUsize::MIN;
        let make = |width, bit_depth| {
            PicturePool::new(spec(width, 3, bit_depth, PlanesWanted::Luma), one).err()
        };
        assert_eq!(make(0, 8), Some(PictureError::Size { width: 0, height: 3 }));
        assert_eq!(make(16_385, 8), Some(PictureError::Size { width: 16_385, height: 3 }));
        assert_eq!(make(5, 17), Some(PictureError::BitDepth(17)));
    }
}
