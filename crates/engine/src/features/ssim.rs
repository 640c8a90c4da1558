//! What `float_ssim` and `float_ms_ssim` have in common: options, and scores in decibels.

use kernels::elementary::log10;

use super::options::CheckedOptions;
use crate::picture::PictureSpec;

/// Whether and how a score is given in decibels: `-10 log10(1 - score)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decibels {
    enabled: bool,
    clipped: bool,
}

impl Decibels {
    pub(super) fn new(options: &CheckedOptions) -> Self {
        Self { enabled: options.flag("enable_db"), clipped: options.flag("clip_db") }
    }

    /// The score as it is reported.
    ///
    /// As in libvmaf, a score that is NaN or above 1 counts as the largest: its logarithm is none.
    pub(super) fn apply(self, score: f64, spec: &PictureSpec) -> f64 {
        if !self.enabled {
            return score;
        }
        let max = if self.clipped { limit(spec) } else { f64::INFINITY };
        let decibels = -10.0 * log10(1.0 - score);
        if decibels < max { decibels } else { max }
    }
}

/// The decibels of half a step's square error in one sample of the picture, rounded up.
fn limit(spec: &PictureSpec) -> f64 {
    let peak = (1_u32 << spec.format.bit_depth) - 1;
    // libvmaf multiplies both in 32 bits.
    let samples = spec.width.wrapping_mul(spec.height);
    let error = 0.5 / f64::from(samples);
    (10.0 * log10(f64::from(peak.wrapping_mul(peak)) / error)).ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::PlanesWanted;
    use types::{ChromaSubsampling, PixelFormat};

    fn spec(width: u32, height: u32, bit_depth: u8) -> PictureSpec {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth };
        PictureSpec { width, height, format, planes: PlanesWanted::Luma }
    }

    #[test]
    fn scores_without_a_logarithm_count_as_the_largest() {
        let plain = Decibels { enabled: false, clipped: true };
        let open = Decibels { enabled: true, clipped: false };
        let clipped = Decibels { enabled: true, clipped: true };
        let spec = spec(1920, 1080, 8);
        assert_eq!(plain.apply(1.0, &spec), 1.0);
        assert_eq!(open.apply(0.9, &spec), -10.0 * log10(1.0 - 0.9));
        for score in [1.0, 1.000_000_1, f64::NAN] {
            assert_eq!(open.apply(score, &spec), f64::INFINITY, "{score}");
            assert_eq!(clipped.apply(score, &spec), 115.0, "{score}");
        }
    }

    #[test]
    fn the_limit_follows_size_and_depth() {
        for (spec, expected) in
            [(spec(1920, 1080, 8), 115.0), (spec(64, 64, 10), 100.0), (spec(176, 144, 16), 144.0)]
        {
            assert_eq!(limit(&spec), expected, "{spec:?}");
        }
    }
}
