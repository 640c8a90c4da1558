//! SSIM and MS-SSIM of the luma plane, in floating point.
//!
//! Bit-exact with `float_ssim` and `float_ms_ssim` of libvmaf 3.2, up to the means that both make
//! their scores of; the powers and logarithms that follow are not a matter of pixels, and the
//! caller's. Samples count in steps of 8 bits whatever their depth.
//!
//! Both look through a Gaussian window at every place where it lies within the picture: at means,
//! variances and the covariance of the two pictures, and from these at luminance, contrast and
//! structure (`measure`). SSIM is the mean of their product, over pictures that were first shrunk
//! to about 256 rows (`source`). MS-SSIM takes the means of each over five scales, each half the
//! size of the one before (`halve`).
//!
//! Nothing is kept but the rows that a window covers: what the next scale needs of a row goes on to
//! that scale at once, and as soon as some rows wait, they are filtered across, filtered down and
//! measured, a block of columns at a time. Sums are libvmaf's, place after place (`sum`), so that
//! every instruction set gives one result.
//!
//! Pictures on which the window does not fit are refused; libvmaf scores SSIM of such as 0 or NaN.

mod block;
mod compare;
mod halve;
mod lanes;
mod lowpass;
mod measure;
mod range;
mod rows;
mod source;
mod sum;
mod window;

use std::fmt;

use self::compare::{Comparison, Means, Shared, Want};
use self::halve::{Halver, half};
use self::rows::Rows;
use self::source::{Source, shrunk};
use crate::isa::Isa;
use crate::plane::{PlaneRef, ShapeMismatch};

/// Scales of MS-SSIM, full size first.
pub const SCALES: usize = 5;

/// The largest factor by which pictures are shrunk.
pub const SHRINK_MAX: usize = 10;

/// The least length of a side of pictures that are compared; shrunk ones, where they are shrunk.
pub const SSIM_SIDE_MIN: usize = window::WINDOW;

/// The least length of a side for MS-SSIM: halved four times, it still holds a window.
pub const MS_SSIM_SIDE_MIN: usize = window::WINDOW << (SCALES - 1);

/// Options of [`float_ssim`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SsimParams {
    /// The factor by which pictures are shrunk first, 1 to [`SHRINK_MAX`]. With 0 it is the shorter
    /// side by 256, rounded, and at least 1.
    pub shrink: usize,
    /// Which means are wanted.
    pub means: SsimMeans,
}

/// Which means are computed; those that are not are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SsimMeans {
    /// What the score is made of.
    #[default]
    ForScore,
    /// Luminance, contrast and structure too, at all scales.
    All,
}

/// SSIM of one pair of pictures: means over all places of the window, `f32` values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SsimScores {
    /// Of the product of the three.
    pub ssim: f64,
    /// How alike the means are, 0 to 1.
    pub luminance: f64,
    /// How alike the deviations are, 0 to 1.
    pub contrast: f64,
    /// How well the pictures correlate, -1 to 1.
    pub structure: f64,
}

/// What MS-SSIM of one pair of pictures is made of: means at each scale, `f32` values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MsSsimScores {
    /// As in [`SsimScores`]. The score is made of the last one only.
    pub luminance: [f64; SCALES],
    /// As in [`SsimScores`].
    pub contrast: [f64; SCALES],
    /// As in [`SsimScores`].
    pub structure: [f64; SCALES],
}

/// Why two pictures cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SsimError {
    /// They are not of one kind.
    Shape(ShapeMismatch),
    /// A factor above [`SHRINK_MAX`].
    Shrink {
        /// The factor as given.
        factor: usize,
    },
    /// A side is too short for the window.
    TooSmall {
        /// Columns, after shrinking.
        width: usize,
        /// Rows, after shrinking.
        height: usize,
        /// What both must be at least.
        side_min: usize,
    },
}

impl fmt::Display for SsimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(mismatch) => mismatch.fmt(f),
            Self::Shrink { factor } => {
                write!(f, "pictures are shrunk by 1 to {SHRINK_MAX}, not by {factor}")
            }
            Self::TooSmall { width, height, side_min } => write!(
                f,
                "a picture of {width}x{height} samples is too small: each side needs {side_min}"
            ),
        }
    }
}

impl std::error::Error for SsimError {}

impl From<ShapeMismatch> for SsimError {
    fn from(mismatch: ShapeMismatch) -> Self {
        Self::Shape(mismatch)
    }
}

impl SsimParams {
    /// The size of pictures of `width` by `height` when they are compared.
    ///
    /// # Errors
    /// [`SsimError::Shrink`] and [`SsimError::TooSmall`].
    pub fn compared_size(&self, width: usize, height: usize) -> Result<[usize; 2], SsimError> {
        if self.shrink > SHRINK_MAX {
            return Err(SsimError::Shrink { factor: self.shrink });
        }
        let factor = self.factor(width, height);
        let [width, height] = [width, height].map(|side| shrunk(side, factor));
        let side_min = SSIM_SIDE_MIN;
        if width.min(height) < side_min {
            return Err(SsimError::TooSmall { width, height, side_min });
        }
        Ok([width, height])
    }

    fn factor(&self, width: usize, height: usize) -> usize {
        const ROWS_AIMED_AT: usize = 256;
        match self.shrink {
            0 => ((width.min(height) + ROWS_AIMED_AT / 2) / ROWS_AIMED_AT).max(1),
            factor => factor,
        }
    }
}

/// Buffers of SSIM and MS-SSIM; they grow to the widest picture seen and are then reused.
#[derive(Debug, Default)]
pub struct SsimScratch {
    levels: [Level; SCALES],
    shared: Shared,
    /// Sums of the samples that shrink to one row.
    column_sums: Vec<f64>,
}

impl SsimScratch {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// One scale.
#[derive(Debug, Default)]
struct Level {
    comparison: Comparison,
    halver: Halver,
    rows: Rows,
    /// How many of the rows that came are not compared yet.
    waiting: usize,
}

impl Level {
    fn start(&mut self, width: usize, want: Want, shared: &mut Shared) {
        self.comparison.start(width, want, shared);
        self.rows.start(width);
        self.waiting = 0;
    }

    /// Reads row `y`.
    fn read(&mut self, isa: Isa, sources: &[Source<'_>; 2], y: usize, column_sums: &mut Vec<f64>) {
        for (source, row) in sources.iter().zip(self.rows.at_hand()) {
            source.read_row(isa, y, column_sums, row);
        }
    }

    /// Takes the row at hand, and compares it with others before it as soon as they are enough.
    fn compare(&mut self, isa: Isa, shared: &mut Shared) {
        self.rows.take();
        self.waiting += 1;
        if self.waiting == self.comparison.batch() {
            self.compare_waiting(isa, shared);
        }
    }

    fn compare_waiting(&mut self, isa: Isa, shared: &mut Shared) {
        self.comparison.push(isa, self.rows.last(self.waiting), shared);
        self.waiting = 0;
    }

    /// Compares the row at hand, of which the next scale is made too.
    fn compare_and_halve(&mut self, isa: Isa, shared: &mut Shared) {
        let y = self.rows.count();
        self.halver.look_at(isa, y, self.rows.at_hand().map(|row| &*row));
        self.compare(isa, shared);
    }

    /// Compares the rows that are left and gives the means.
    fn finish(&mut self, isa: Isa, shared: &mut Shared) -> Means {
        if self.waiting > 0 {
            self.compare_waiting(isa, shared);
        }
        self.comparison.finish()
    }

    /// Makes the next row of the scale below this one, if the rows for it have come.
    fn pull(&mut self, isa: Isa, below: &mut Self) -> bool {
        self.halver.pull(isa, &self.rows, below.rows.at_hand())
    }
}

/// SSIM of a distorted picture. Every instruction set gives the same bits.
///
/// # Errors
/// [`SsimError`] when the pictures are not of one kind, or too small once they are shrunk.
pub fn float_ssim(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    params: &SsimParams,
    scratch: &mut SsimScratch,
) -> Result<SsimScores, SsimError> {
    reference.expect_shape_of(distorted)?;
    let [width, height] = params.compared_size(reference.width(), reference.height())?;
    let factor = params.factor(reference.width(), reference.height());
    let sources = [*reference, *distorted].map(|plane| Source { plane, factor });
    let SsimScratch { levels: [level, ..], shared, column_sums } = scratch;
    let want = match params.means {
        SsimMeans::ForScore => Want::Whole,
        SsimMeans::All => Want::Everything,
    };
    level.start(width, want, shared);
    for y in 0..height {
        level.read(isa, &sources, y, column_sums);
        level.compare(isa, shared);
    }
    let Means { whole, luminance, contrast, structure } = level.finish(isa, shared);
    Ok(SsimScores { ssim: whole, luminance, contrast, structure })
}

/// What MS-SSIM of a distorted picture is made of. Every instruction set gives the same bits.
///
/// # Errors
/// [`SsimError`] when the pictures are not of one kind, or a side is below [`MS_SSIM_SIDE_MIN`].
pub fn float_ms_ssim(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
    means: SsimMeans,
    scratch: &mut SsimScratch,
) -> Result<MsSsimScores, SsimError> {
    reference.expect_shape_of(distorted)?;
    let (width, height) = (reference.width(), reference.height());
    if width.min(height) < MS_SSIM_SIDE_MIN {
        return Err(SsimError::TooSmall { width, height, side_min: MS_SSIM_SIDE_MIN });
    }
    let mut size = [width, height];
    for (scale, level) in scratch.levels.iter_mut().enumerate() {
        let last = scale == SCALES - 1;
        let want = if last || means == SsimMeans::All { Want::Parts } else { Want::Detail };
        level.start(size[0], want, &mut scratch.shared);
        if !last {
            level.halver.start(size);
        }
        size = size.map(half);
    }
    let sources = [*reference, *distorted].map(|plane| Source { plane, factor: 1 });
    for y in 0..height {
        scratch.levels[0].read(isa, &sources, y, &mut scratch.column_sums);
        scratch.levels[0].compare_and_halve(isa, &mut scratch.shared);
        pass_down(isa, &mut scratch.levels, &mut scratch.shared);
    }
    let mut scores = MsSsimScores::default();
    for (scale, level) in scratch.levels.iter_mut().enumerate() {
        let means = level.finish(isa, &mut scratch.shared);
        scores.luminance[scale] = means.luminance;
        scores.contrast[scale] = means.contrast;
        scores.structure[scale] = means.structure;
    }
    Ok(scores)
}

/// Gives every scale the rows that the one above can make, each as soon as it can be.
fn pass_down(isa: Isa, levels: &mut [Level], shared: &mut Shared) {
    let Some((above, below)) = levels.split_first_mut() else { return };
    let last = below.len() == 1;
    while let Some(next) = below.first_mut()
        && above.pull(isa, next)
    {
        if last {
            next.compare(isa, shared);
        } else {
            next.compare_and_halve(isa, shared);
        }
        pass_down(isa, below, shared);
    }
}
