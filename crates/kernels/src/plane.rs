//! A borrowed, checked view of one plane of samples.
//!
//! Invariant: every row of a [`PlaneRef`] lies within its samples, and its bit depth fits the
//! sample type. Sample *values* above `2^bit_depth - 1` are not refused: kernels must neither
//! panic nor misbehave on them, though their result then means nothing.

use std::fmt;

/// The largest width and height of a plane, in samples.
///
/// It keeps every integer accumulator of the kernels in range with room to spare.
pub const SIDE_MAX: usize = 16_384;

/// The samples of a plane in memory order.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// One byte a sample; bit depth 8 only.
    U8(&'a [u8]),
    /// Two bytes a sample, native-endian, the value in the low bits; bit depth 9 to 16.
    U16(&'a [u16]),
}

impl Samples<'_> {
    fn len(&self) -> usize {
        match self {
            Self::U8(samples) => samples.len(),
            Self::U16(samples) => samples.len(),
        }
    }
}

/// A view of one plane: `height` rows of `width` samples, `stride` samples from row to row.
#[derive(Clone, Copy, Debug)]
pub struct PlaneRef<'a> {
    samples: Samples<'a>,
    width: usize,
    height: usize,
    stride: usize,
    bit_depth: u32,
}

impl<'a> PlaneRef<'a> {
    /// A plane over `samples`, whose first sample is the top left one.
    ///
    /// `stride` counts samples. The last row may end right after its `width` samples. Bit depth 8
    /// wants [`Samples::U8`], 9 to 16 want [`Samples::U16`].
    ///
    /// # Errors
    /// [`PlaneError`] names what does not fit.
    pub fn new(
        samples: Samples<'a>,
        width: usize,
        height: usize,
        stride: usize,
        bit_depth: u32,
    ) -> Result<Self, PlaneError> {
        if !(1..=SIDE_MAX).contains(&width) || !(1..=SIDE_MAX).contains(&height) {
            return Err(PlaneError::Size { width, height });
        }
        if stride < width {
            return Err(PlaneError::Stride { stride, width });
        }
        let depth_fits = match samples {
            Samples::U8(_) => bit_depth == 8,
            Samples::U16(_) => (9..=16).contains(&bit_depth),
        };
        if !depth_fits {
            return Err(PlaneError::BitDepth { bit_depth });
        }
        let needed = stride
            .checked_mul(height - 1)
            .and_then(|above| above.checked_add(width))
            .ok_or(PlaneError::Stride { stride, width })?;
        if samples.len() < needed {
            return Err(PlaneError::TooFewSamples { needed, given: samples.len() });
        }
        Ok(Self { samples, width, height, stride, bit_depth })
    }

    /// The samples, row after row, `stride` apart.
    pub const fn samples(&self) -> Samples<'a> {
        self.samples
    }

    /// Samples in a row, 1 to [`SIDE_MAX`].
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows, 1 to [`SIDE_MAX`].
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Samples from the start of a row to the start of the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Bits that a sample uses, 8 to 16.
    pub const fn bit_depth(&self) -> u32 {
        self.bit_depth
    }

    /// Whether `other` has the same width, height and bit depth; strides may differ.
    pub const fn same_shape(&self, other: &PlaneRef<'_>) -> bool {
        self.width == other.width
            && self.height == other.height
            && self.bit_depth == other.bit_depth
    }

    pub(crate) fn expect_shape_of(&self, other: &PlaneRef<'_>) -> Result<(), ShapeMismatch> {
        if self.same_shape(other) { Ok(()) } else { Err(ShapeMismatch) }
    }
}

/// Two planes differ in width, height or bit depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapeMismatch;

impl fmt::Display for ShapeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the planes differ in width, height or bit depth")
    }
}

impl std::error::Error for ShapeMismatch {}

/// Why a plane could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaneError {
    /// Width or height is zero or above [`SIDE_MAX`].
    Size {
        /// Samples in a row, as given.
        width: usize,
        /// Rows, as given.
        height: usize,
    },
    /// Rows would overlap, or the plane would not fit in memory.
    Stride {
        /// Samples from row to row, as given.
        stride: usize,
        /// Samples in a row, as given.
        width: usize,
    },
    /// The bit depth does not go with the sample type.
    BitDepth {
        /// Bits a sample, as given.
        bit_depth: u32,
    },
    /// The slice ends before the last row does.
    TooFewSamples {
        /// Samples that the geometry asks for.
        needed: usize,
        /// Samples in the slice.
        given: usize,
    },
}

impl fmt::Display for PlaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { width, height } => {
                write!(f, "plane of {width}x{height} samples: each side must be 1 to {SIDE_MAX}")
            }
            Self::Stride { stride, width } => {
                write!(f, "stride of {stride} samples does not hold rows of {width}")
            }
            Self::BitDepth { bit_depth } => write!(
                f,
                "bit depth {bit_depth} does not fit the samples: bytes hold 8 bits, words 9 to 16"
            ),
            Self::TooFewSamples { needed, given } => {
                write!(f, "plane needs {needed} samples, {given} given")
            }
        }
    }
}

impl std::error::Error for PlaneError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_fit_exactly_are_taken() {
        let samples = [0_u8; 12];
        let plane = PlaneRef::new(Samples::U8(&samples), 2, 3, 5, 8).expect("5 + 5 + 2 samples");
        assert_eq!(
            (plane.width(), plane.height(), plane.stride(), plane.bit_depth()),
            (2, 3, 5, 8)
        );
    }

    #[test]
    fn planes_that_do_not_fit_are_refused_with_the_reason() {
        let bytes = [0_u8; 11];
        let words = [0_u16; 16];
        let new = |samples, width, height, stride, bit_depth| {
            PlaneRef::new(samples, width, height, stride, bit_depth).map(|_| ())
        };
        assert_eq!(
            new(Samples::U8(&bytes), 2, 3, 5, 8),
            Err(PlaneError::TooFewSamples { needed: 12, given: 11 })
        );
        assert_eq!(
            new(Samples::U8(&bytes), 0, 3, 5, 8),
            Err(PlaneError::Size { width: 0, height: 3 })
        );
        assert_eq!(
            new(Samples::U8(&bytes), 1, SIDE_MAX + 1, 5, 8),
            Err(PlaneError::Size { width: 1, height: SIDE_MAX + 1 })
        );
        assert_eq!(
            new(Samples::U8(&bytes), 6, 1, 5, 8),
            Err(PlaneError::Stride { stride: 5, width: 6 })
        );
        assert_eq!(
            new(Samples::U8(&bytes), 2, 3, usize::MAX, 8),
            Err(PlaneError::Stride { stride: usize::MAX, width: 2 })
        );
        for (samples, bit_depth) in
            [(Samples::U8(&bytes), 10), (Samples::U16(&words), 8), (Samples::U16(&words), 17)]
        {
            assert_eq!(new(samples, 2, 2, 4, bit_depth), Err(PlaneError::BitDepth { bit_depth }));
        }
    }
}
