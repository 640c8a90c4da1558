//! The two blurs: normalised Gaussians in `f32`, with an odd number of taps.
//!
//! With `n` taps the standard deviation is `n / 5`, doubled for the blur before decimation. A tap
//! is `e^(-x^2 / (2 s^2)) / (1 / (s sqrt(2 pi)))`, then all are divided by their sum. Exponent and
//! square root are `f64`, each result becomes `f32`.

/// Taps at most: kernel scale 360 / 97 of nine, rounded up to an odd number.
pub(super) const TAPS_MAX: usize = 35;

/// `sqrt(2 pi)`.
const SQRT_TAU: f64 = f64::from_bits(0x4004_0d93_1ff6_2705);

/// A symmetric filter. The taps sum to about 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Filter {
    taps: [f32; TAPS_MAX],
    len: usize,
}

impl Filter {
    /// The blur before decimation: nine taps at kernel scale 1.
    pub(super) fn antialias(kernel_scale: f32) -> Self {
        let len = tap_count(9.0 * kernel_scale);
        // Twice the deviation that its length would give: the root of four, for four octaves.
        Self::gaussian(len, (2.0 * len as f64 / 5.0) as f32)
    }

    /// The blur that tells the local mean of what was kept: three taps at kernel scale 1.
    pub(super) fn local_mean(kernel_scale: f32) -> Self {
        let len = tap_count(2.0 * kernel_scale);
        Self::gaussian(len, len as f32 / 5.0)
    }

    fn gaussian(len: usize, deviation: f32) -> Self {
        let mut taps = [0.0; TAPS_MAX];
        let mut sum = 0.0_f32;
        for (place, tap) in taps[..len].iter_mut().enumerate() {
            let x = place as f64 - (len / 2) as f64;
            let deviation = f64::from(deviation);
            let height = exp_of_negative(0.5 * x / deviation * x / deviation) as f32;
            let scale = (1.0 / (deviation * SQRT_TAU)) as f32;
            *tap = height / scale;
            sum += *tap;
        }
        for tap in &mut taps[..len] {
            *tap /= sum;
        }
        Self { taps, len }
    }

    pub(super) fn taps(&self) -> &[f32] {
        &self.taps[..self.len]
    }

    /// The taps times a power of two, which rounds nothing.
    pub(super) fn scaled(&self, power_of_two: f32) -> [f32; TAPS_MAX] {
        self.taps.map(|tap| tap * power_of_two)
    }

    /// Taps on either side of the middle one.
    pub(super) fn reach(&self) -> usize {
        self.len / 2
    }
}

/// The odd number not below `taps`, at least 3.
fn tap_count(taps: f32) -> usize {
    let count = taps.ceil() as usize;
    (count + usize::from(count.is_multiple_of(2))).max(3)
}

/// `e^-x` for `x` from 0 to 4, to a few units in the last place of an `f64`.
///
/// That is enough for the bits of the `f32` it becomes: all taps of all filters there can be were
/// compared with those of the C library.
fn exp_of_negative(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..48 {
        term *= x / f64::from(n);
        sum += term;
    }
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::super::KERNEL_SCALES;
    use super::*;

    #[test]
    fn lengths_are_odd_and_within_bounds_for_every_kernel_scale() {
        for scale in KERNEL_SCALES {
            for scale in [scale - 0.001, scale, scale + 0.001] {
                let (wide, narrow) = (Filter::antialias(scale), Filter::local_mean(scale));
                assert!((3..=TAPS_MAX).contains(&wide.len) && wide.len % 2 == 1, "{scale}");
                assert!((3..=9).contains(&narrow.len) && narrow.len % 2 == 1, "{scale}");
            }
        }
        assert_eq!(Filter::antialias(1.0).len, 9);
        assert_eq!(Filter::local_mean(1.0).len, 3);
        assert_eq!(Filter::antialias(360.0 / 97.0).len, TAPS_MAX);
    }
}
