//! Contrast sensitivity: how strongly each subband of each scale counts.
//!
//! The weights follow Watson, Yang, Solomon and Villasenor, "Visibility of wavelet quantization
//! noise" (IEEE Trans. Image Processing 6(8), 1997): formula 1 gives the pixels per degree of
//! visual angle, formula 9 with the model parameters of table IV the smallest visible quantisation
//! step, table V the amplitudes of the basis functions. A weight is the reciprocal of that step.
//! The blended weights are published numbers for a handful of viewing conditions.
//!
//! Rounding: each intermediate is `f32` or `f64` as stated; `log10`, `pow` and `exp` are those of
//! [`crate::elementary`].

use crate::elementary::{exp, log10, pow};

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
    let distance = log10(octave * f64::from(F0) * f64::from(g) / f64::from(pixels_per_degree));
    let distance = distance as f32;
    let exponent = f64::from(K * distance * distance);
    (2.0 * f64::from(A) * pow(10.0, exponent) / f64::from(amplitude)) as f32
}

/// Barten's contrast sensitivity in the simplified form of HDR-VDP-2 (Mantiuk, Kim, Rempel and
/// Heidrich, "HDR-VDP-2: a calibrated visual metric for visibility and quality predictions in all
/// luminance conditions", ACM Trans. Graphics 30(4), 2011), at [`BARTEN_LUMINANCE`].
///
/// `straight_scale` and `diagonal_scale` multiply the weights; without them all bands weigh alike.
pub(super) fn barten(
    view_distance: f64,
    display_height: u32,
    [straight_scale, diagonal_scale]: [f64; 2],
) -> [Weights; SCALES] {
    let pixels_per_degree =
        (view_distance * f64::from(display_height) * std::f64::consts::PI / 180.0) as f32;
    std::array::from_fn(|scale| {
        let octave = f64::from(1_u32 << (scale + 1));
        let sensitivity =
            f64::from(barten_sensitivity((f64::from(pixels_per_degree) / octave) as f32));
        Weights {
            straight: (sensitivity * straight_scale) as f32,
            diagonal: (sensitivity * diagonal_scale) as f32,
        }
    })
}

/// The luminance that Barten's curve is taken at, in candela a square metre.
const BARTEN_LUMINANCE: f32 = 100.0;

/// Fitted parameters of the neural sensitivity at 20 and at 150 candela a square metre.
const NEURAL_LUMINANCES: [f32; 2] = [20.0, 150.0];
const NEURAL_PARAMETERS: [[f32; 4]; 2] =
    [[0.334278, 3.79542, 1.07327, 6.4635], [0.394533, 2.7755, 1.16577, 7.45665]];

/// Gain, luminance of the drop, and both slopes of the sensitivity of rods and cones.
const ROD_CONE: [f32; 4] = [30.162, 4.0627, 1.6596, 0.2712];

/// The optical transfer of the eye: a sum of exponentials, amplitude and decay of each.
const TRANSFER: [(f32, f32); 4] =
    [(0.424_838_6, 0.028), (0.572_435_1, 0.37), (0.000_167_576_23, 37.0), (0.002_558_723_5, 360.0)];

/// Sensitivity to a grating of `frequency` cycles per degree: neural, optical and by luminance.
fn barten_sensitivity(frequency: f32) -> f32 {
    let [from, to, at] = [NEURAL_LUMINANCES[0], NEURAL_LUMINANCES[1], BARTEN_LUMINANCE]
        .map(|l| log10(f64::from(l)) as f32);
    let [low, high] = NEURAL_PARAMETERS;
    let [p0, p1, p2, p3]: [f32; 4] =
        std::array::from_fn(|p| low[p] + (high[p] - low[p]) / (to - from) * (at - from));
    let rising = (1.0 + pow(f64::from(p0 * frequency), f64::from(p1))) as f32;
    let seventh = f64::from(frequency / 7.0);
    let dip = 1.0 - exp(-(seventh * seventh));
    let falling = (1.0 / pow(dip, f64::from(p2))) as f32;
    let neural = (f64::from(p3) / f64::from(rising * falling).sqrt()) as f32;
    let optical = TRANSFER.iter().fold(0.0_f32, |sum, (amplitude, decay)| {
        (f64::from(sum) + f64::from(*amplitude) * exp(f64::from(-decay * frequency))) as f32
    });
    let [gain, drop, steep, flat] = ROD_CONE;
    let relative = pow(f64::from(drop / BARTEN_LUMINANCE), f64::from(steep)) + 1.0;
    let luminance = (f64::from(gain) * pow(relative, f64::from(-flat))) as f32;
    neural * optical * luminance
}

/// Which published blend of Barten's and Watson's curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlendKind {
    /// Of the `v1.0.16` models.
    First,
    /// Fitted to the mean absolute error, for later models.
    MeanAbsoluteError,
}

/// One viewing condition and its blended weights, straight and diagonal, of either kind.
struct Blend {
    display_height: u32,
    view_distance: f64,
    first: [[f32; SCALES]; 2],
    mean_absolute_error: [[f32; SCALES]; 2],
}

/// The conditions at or above 1080 lines at 3 heights; others are refused before they are looked up.
const BLENDS: [Blend; 6] = [
    Blend { display_height: 1080, view_distance: 3.0, ..AT_1080_3 },
    Blend {
        display_height: 1080,
        view_distance: 5.0,
        first: [[0.004212, 0.014809, 0.029642, 0.047464], [0.000984, 0.005852, 0.0146, 0.027574]],
        mean_absolute_error: [
            [0.004052, 0.013939, 0.026298, 0.038833],
            [0.000927, 0.005544, 0.013415, 0.024515],
        ],
    },
    // As many pixels per degree as 1080 lines at 3 heights.
    Blend { display_height: 2160, view_distance: 1.5, ..AT_1080_3 },
    Blend {
        display_height: 2160,
        view_distance: 3.0,
        first: [[0.00226, 0.01183, 0.025026, 0.04295], [0.000479, 0.004302, 0.011778, 0.023918]],
        mean_absolute_error: [
            [0.002166, 0.011249, 0.022606, 0.035930],
            [0.000447, 0.004097, 0.010921, 0.021430],
        ],
    },
    Blend {
        display_height: 2160,
        view_distance: 5.0,
        first: [[0.000092, 0.004212, 0.014809, 0.029642], [0.000050, 0.000984, 0.005852, 0.0146]],
        mean_absolute_error: [
            [0.000077, 0.004052, 0.013939, 0.026298],
            [0.000045, 0.000927, 0.005544, 0.013415],
        ],
    },
    Blend {
        display_height: 720,
        view_distance: 5.0,
        first: [[0.010144, 0.022561, 0.040309, 0.05672], [0.003463, 0.010282, 0.021839, 0.034641]],
        mean_absolute_error: [
            [0.009689, 0.020577, 0.034162, 0.044523],
            [0.003302, 0.009579, 0.019661, 0.030318],
        ],
    },
];

const AT_1080_3: Blend = Blend {
    display_height: 1080,
    view_distance: 3.0,
    first: [[0.01183, 0.025026, 0.04295, 0.058621], [0.004302, 0.011778, 0.023918, 0.035901]],
    mean_absolute_error: [
        [0.011249, 0.022606, 0.035930, 0.045673],
        [0.004097, 0.010921, 0.021430, 0.031313],
    ],
};

/// The blended weights of all scales, where they are published for this viewing condition.
pub(super) fn blend(
    kind: BlendKind,
    view_distance: f64,
    display_height: u32,
) -> Option<[Weights; SCALES]> {
    let blend = BLENDS.iter().find(|blend| {
        blend.display_height == display_height && blend.view_distance == view_distance
    })?;
    let [straight, diagonal] = match kind {
        BlendKind::First => blend.first,
        BlendKind::MeanAbsoluteError => blend.mean_absolute_error,
    };
    Some(std::array::from_fn(|scale| Weights {
        straight: straight[scale],
        diagonal: diagonal[scale],
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
        for kind in [BlendKind::First, BlendKind::MeanAbsoluteError] {
            assert!(blend(kind, 3.0, 1080).is_some());
            assert!(blend(kind, 3.5, 1080).is_none());
            assert!(blend(kind, 3.0, 1081).is_none());
        }
    }

    #[test]
    fn bartens_weights_grow_with_their_factors_and_peak_at_middle_frequencies() {
        let weights = barten(3.0, 1080, [1.0, 0.5]);
        for scale in weights {
            assert_eq!(scale.straight * 0.5, scale.diagonal);
        }
        // 28, 14, 7 and 3.5 cycles per degree: the eye is most sensitive at a few.
        assert!(weights[0].straight < weights[1].straight);
        assert!(weights[1].straight < weights[2].straight);
        assert!(weights[2].straight < weights[3].straight);
    }
}
