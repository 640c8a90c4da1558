//! PSNR: the squared error of a plane, and what is made of it.
//!
//! Bit-exact with the `psnr` extractor of libvmaf 3.2. The error is an integer sum and so the same
//! in any order; all that follows are a handful of `f64` operations in libvmaf's order, with its
//! logarithm ([`crate::elementary`]).
//!
//! - `mse = sse / (width * height)`;
//! - `psnr = min(10 log10(peak^2 / max(mse, 1e-16)), limit)`;
//! - over a clip, `apsnr = min(10 (log10(peak^2) + log10(samples) - log10(sse)), limit)` with the
//!   sums of all frames.
//!
//! The limits keep equal pictures from being infinitely good: see [`PsnrScale`] and
//! [`ClipError::apsnr`]. Samples above the bit depth are measured as they are.

mod scalar;

use crate::elementary::log10;
use crate::isa::{Isa, per_isa};
use crate::plane::{PlaneRef, Samples, ShapeMismatch};

use self::scalar::Input;

/// Planes of a picture with chroma.
pub const PLANES: usize = 3;

/// The smallest mean squared error that enters a logarithm.
const MSE_MIN: f64 = 1e-16;

/// Options that bear on the scale.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PsnrParams {
    /// The peak is 255 times 2 to the bits above eight, as if 8-bit samples had been shifted up,
    /// instead of the largest value that the bits hold.
    pub reduced_peak: bool,
    /// Where above zero, a plane's PSNR is limited to what this squared error of a whole plane would
    /// give, rounded up to a whole decibel.
    pub sse_min: f64,
}

/// How errors become decibels for pictures of one size and depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PsnrScale {
    /// At most 65535^2, which fits.
    peak_square: u32,
    limits: [f64; PLANES],
}

impl PsnrScale {
    /// The scale for planes of these samples each; chroma planes that are not there may have none.
    pub fn new(params: &PsnrParams, bit_depth: u32, plane_samples: [usize; PLANES]) -> Self {
        let peak: u32 =
            if params.reduced_peak { 255 << (bit_depth - 8) } else { (1 << bit_depth) - 1 };
        let peak_square = peak * peak;
        let limits = plane_samples.map(|samples| {
            if params.sse_min == 0.0 {
                return f64::from(6 * bit_depth + 12);
            }
            let mse = params.sse_min / samples as f64;
            (10.0 * log10(f64::from(peak_square) / mse)).ceil()
        });
        Self { peak_square, limits }
    }

    /// The PSNR of plane `plane` (0 luma, 1 Cb, 2 Cr) with that mean squared error, in decibels.
    pub fn psnr(&self, plane: usize, mse: f64) -> f64 {
        let psnr = 10.0 * log10(f64::from(self.peak_square) / mse.max(MSE_MIN));
        lesser(psnr, self.limits[plane])
    }
}

/// The error of one plane over the frames of a clip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClipError {
    /// Sum of the squared errors.
    pub sse: u64,
    /// Samples compared.
    pub samples: u64,
}

impl ClipError {
    /// Adds a frame.
    pub fn add(&mut self, sse: u64, samples: u64) {
        self.sse = self.sse.wrapping_add(sse);
        self.samples = self.samples.wrapping_add(samples);
    }

    /// The PSNR of the whole clip, in decibels.
    ///
    /// It is limited to half a squared step in all, rounded up to a whole decibel. libvmaf computes
    /// that limit from `peak^2 * samples * 2` modulo 2^64, which at 16 bits and 1080 lines a thousand
    /// frames exceed; so do we. Minus infinity for a plane of which there were no samples.
    pub fn apsnr(&self, scale: &PsnrScale) -> f64 {
        let peak_square = f64::from(scale.peak_square);
        let apsnr =
            10.0 * (log10(peak_square) + log10(self.samples as f64) - log10(self.sse as f64));
        let most = u64::from(scale.peak_square).wrapping_mul(self.samples).wrapping_mul(2);
        lesser(apsnr, (10.0 * log10(most as f64)).ceil())
    }
}

/// The smaller number; `limit` where `value` is not a number.
fn lesser(value: f64, limit: f64) -> f64 {
    if value < limit { value } else { limit }
}

/// The sum of the squared differences of two planes.
///
/// Every instruction set gives the same number. It is below 2^60.
///
/// # Errors
/// [`ShapeMismatch`] when the planes differ in width, height or bit depth.
pub fn squared_error(
    isa: Isa,
    reference: &PlaneRef<'_>,
    distorted: &PlaneRef<'_>,
) -> Result<u64, ShapeMismatch> {
    reference.expect_shape_of(distorted)?;
    let (width, height) = (reference.width(), reference.height());
    let strides = [reference.stride(), distorted.stride()];
    match (reference.samples(), distorted.samples()) {
        (Samples::U8(reference), Samples::U8(distorted)) => {
            let pictures = [reference, distorted];
            Ok(error_of_bytes(isa, &Input { pictures, strides, width, height }))
        }
        (Samples::U16(reference), Samples::U16(distorted)) => {
            let pictures = [reference, distorted];
            Ok(error_of_words(isa, &Input { pictures, strides, width, height }))
        }
        _ => Err(ShapeMismatch),
    }
}

/// The mean of a sum of squared differences.
pub fn mean_squared_error(sse: u64, samples: usize) -> f64 {
    sse as f64 / samples as f64
}

per_isa! {
    fn error_of_bytes(input: &Input<'_, u8>) -> u64 = scalar::squared_error_of_bytes;
    fn error_of_words(input: &Input<'_, u16>) -> u64 = scalar::squared_error_of_words;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(params: PsnrParams, bit_depth: u32) -> PsnrScale {
        PsnrScale::new(&params, bit_depth, [64 * 64, 32 * 32, 32 * 32])
    }

    #[test]
    fn equal_pictures_reach_the_limit_and_no_more() {
        for (bit_depth, limit) in [(8, 60.0), (10, 72.0), (12, 84.0), (16, 108.0)] {
            assert_eq!(scale(PsnrParams::default(), bit_depth).psnr(0, 0.0), limit);
        }
    }

    #[test]
    fn a_least_error_sets_the_limit_by_the_size_of_the_plane() {
        let limited = scale(PsnrParams { sse_min: 0.5, ..PsnrParams::default() }, 8);
        assert_eq!([0, 1, 2].map(|plane| limited.psnr(plane, 0.0)), [88.0, 82.0, 82.0]);
    }

    #[test]
    fn the_reduced_peak_is_that_of_shifted_bytes() {
        let reduced = scale(PsnrParams { reduced_peak: true, ..PsnrParams::default() }, 10);
        assert_eq!(reduced.psnr(0, 1_040_400.0), 0.0);
        assert!(scale(PsnrParams::default(), 10).psnr(0, 1_040_400.0) > 0.0);
        let bytes = PsnrParams { reduced_peak: true, ..PsnrParams::default() };
        assert_eq!(scale(bytes, 8).psnr(0, 3.0), scale(PsnrParams::default(), 8).psnr(0, 3.0));
    }

    #[test]
    fn a_clip_without_error_reaches_its_limit_and_one_without_samples_is_minus_infinity() {
        let scale = scale(PsnrParams::default(), 8);
        let mut clip = ClipError::default();
        assert_eq!(clip.apsnr(&scale), f64::NEG_INFINITY);
        clip.add(0, 4096);
        assert_eq!(clip.apsnr(&scale), 88.0);
        clip.add(4096, 4096);
        assert!((clip.apsnr(&scale) - (48.130_803_6 + 3.010_299_9)).abs() < 1e-6);
    }
}
