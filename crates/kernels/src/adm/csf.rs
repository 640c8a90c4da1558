//! Contrast sensitivity: how strongly each subband of each scale counts.
//!
//! The weights follow Watson, Yang, Solomon and Villasenor, "Visibility of wavelet quantization
//! noise" (IEEE Trans. Image Processing 6(8), 1997): formula 1 gives the pixels per degree of
//! visual angle, formula 9 with the model parameters of table IV the smallest visible quantisation
//! step, table V the amplitudes of the basis functions. A weight is the reciprocal of that step.
//! The blended weights are published numbers for a handful of viewing conditions.
//!
//! Rounding: each intermediate is `f32` or `f64` as stated, and `log10` and `pow` come from the
//! platform's mathematical library (see the module documentation of [`super`]).

use super::geometry::SCALES;

/// Weights of one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Weights {
    /// For the horizontal and the vertical subband.
    pub(super) straight: f32,
    /// For the diagonal subband.
    pub(super) diagonal: f32,
}

impl Weights {
    /// The weights in the order horizontal, vertical, diagonal.
    pub(super) const fn per_band(self) -> [f32; 3] {
        [self.straight, self.straight, self.diagonal]
    }
}

/// Luma parameters of the threshold model, table IV.
const A: f32 = 0.495;
const K: f32 = 0.466;
const F0: f32 = 0.401;
const G_STRAIGHT: f32 = 1.0;
const G_DIAGONAL: f32 = 0.534;

/// Amplitudes of the straight and the diagonal basis functions of the four scales, table V.
const AMPLITUDES: [(f32, f32); SCALES] =
    [(0.67234, 0.72709), (0.41317, 0.49428), (0.22727, 0.28688), (0.11792, 0.15214)];

/// The weights of all scales by the threshold model.
pub(super) fn watson(view_distance: f64, display_height: u32) -> [Weights; SCALES] {
    let pixels_per_degree =
        (view_distance * f64::from(display_height) * std::f64::consts::PI / 180.0) as f32;
    std::array::from_fn(|scale| {
        let (straight, diagonal) = AMPLITUDES[scale];
        Weights {
            straight: 1.0 / quantisation_step(scale, G_STRAIGHT, straight, pixels_per_degree),
            diagonal: 1.0 / quantisation_step(scale, G_DIAGONAL, diagonal, pixels_per_degree),
        }
    })
}

fn quantisation_step(scale: usize, g: f32, amplitude: f32, pixels_per_degree: f32) -> f32 {
    let octave = f64::from(1_u32 << (scale + 1));
    let distance = (octave * f64::from(F0) * f64::from(g) / f64::from(pixels_per_degree)).log10();
    let distance = distance as f32;
    let exponent = f64::from(K * distance * distance);
    (2.0 * f64::from(A) * 10.0_f64.powf(exponent) / f64::from(amplitude)) as f32
}

/// One viewing condition and its blended weights.
struct Blend {
    display_height: u32,
    view_distance: f64,
    straight: [f32; SCALES],
    diagonal: [f32; SCALES],
}

/// Blends of Barten's and Watson's curves for the conditions at or above 1080 lines at 3 heights.
const BLENDS: [Blend; 6] = [
    Blend {
        display_height: 1080,
        view_distance: 3.0,
        straight: [0.01183, 0.025026, 0.04295, 0.058621],
        diagonal: [0.004302, 0.011778, 0.023918, 0.035901],
    },
    Blend {
        display_height: 1080,
        view_distance: 5.0,
        straight: [0.004212, 0.014809, 0.029642, 0.047464],
        diagonal: [0.000984, 0.005852, 0.0146, 0.027574],
    },
    // As many pixels per degree as 1080 lines at 3 heights.
    Blend {
        display_height: 2160,
        view_distance: 1.5,
        straight: [0.01183, 0.025026, 0.04295, 0.058621],
        diagonal: [0.004302, 0.011778, 0.023918, 0.035901],
    },
    Blend {
        display_height: 2160,
        view_distance: 3.0,
        straight: [0.00226, 0.01183, 0.025026, 0.04295],
        diagonal: [0.000479, 0.004302, 0.011778, 0.023918],
    },
    Blend {
        display_height: 2160,
        view_distance: 5.0,
        straight: [0.000092, 0.004212, 0.014809, 0.029642],
        diagonal: [0.000050, 0.000984, 0.005852, 0.0146],
    },
    Blend {
        display_height: 720,
        view_distance: 5.0,
        straight: [0.010144, 0.022561, 0.040309, 0.05672],
        diagonal: [0.003463, 0.010282, 0.021839, 0.034641],
    },
];

/// The blended weights of all scales, where they are published for this viewing condition.
pub(super) fn blend(view_distance: f64, display_height: u32) -> Option<[Weights; SCALES]> {
    let blend = BLENDS.iter().find(|blend| {
        blend.display_height == display_height && blend.view_distance == view_distance
    })?;
    Some(std::array::from_fn(|scale| Weights {
        straight: blend.straight[scale],
        diagonal: blend.diagonal[scale],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_at_three_heights_of_1080_lines_are_near_the_fixed_ones() {
        let [first, ..] = watson(3.0, 1080);
        // 21 and 23 fractional bits. The fixed constants were made with coarser parameters: they are
        // up to 3 units off, which is why they must stay constants.
        assert!((f64::from(first.straight) * 2_097_152.0 - 36_453.0).abs() < 3.0);
        assert!((f64::from(first.diagonal) * 8_388_608.0 - 49_417.0).abs() < 3.0);
    }

    #[test]
    fn a_viewing_condition_without_published_blend_is_none() {
        assert!(blend(3.0, 1080).is_some());
        assert!(blend(3.5, 1080).is_none());
        assert!(blend(3.0, 1081).is_none());
    }
}
