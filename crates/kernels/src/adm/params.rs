//! Options of ADM, checked once and turned into the constants that the kernels use.

use std::fmt;

use super::csf::{self, BlendKind, Weights};
use super::geometry::SCALES;

/// The smallest product of view distance and display height: 3 heights of 1080 lines.
///
/// Below it the weights would leave the range that the 16-bit stage of scale 0 can hold.
const VIEW_PRODUCT_MIN: f64 = 3.0 * 1080.0;

/// How near to [`VIEW_PRODUCT_MIN`] the product must be for the fixed weights of scale 0.
const VIEW_PRODUCT_TOLERANCE: f64 = 1.0e-8;

/// Weights of scale 0 at [`VIEW_PRODUCT_MIN`]: 21 fractional bits, the diagonal 23.
const FIXED_FIRST_WEIGHTS: [u16; 3] = [36_453, 36_453, 49_417];

/// The options of ADM as feature options name them, unchecked.
///
/// The default is what the `v0.6.1` models use. [`AdmParams::new`] refuses what is out of range.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmOptions {
    /// `adm_enhn_gain_limit`: how much a restored coefficient may be amplified, 1 to 100.
    pub enhancement_gain_limit: f64,
    /// `adm_norm_view_dist`: viewing distance in heights of the display, 0.75 to 24.
    pub view_distance: f64,
    /// `adm_ref_display_height`: lines of the display, 1 to 4320.
    pub display_height: u32,
    /// `adm_csf_mode`: 0 is Watson's model, 1 Barten's, 2 a blend of both, 3 another blend.
    pub csf_mode: u32,
    /// `adm_csf_scale`: a factor of the straight bands' weights in mode 1, 0 to 50.
    pub csf_scale: f64,
    /// `adm_csf_diag_scale`: a factor of the diagonal band's weights in mode 1, 0 to 50.
    pub csf_diagonal_scale: f64,
    /// `adm_noise_weight`: share of the scored area added to every sum of cubes, 0 to 1500.
    pub noise_weight: f64,
    /// `adm_dlm_weight`: share of `adm2` in `adm3`, 0 to 1; the rest is `1 - aim`.
    pub dlm_weight: f64,
    /// `adm_min_val`: the least value of `adm3`, 0 to 1.
    pub min_value: f64,
    /// `adm_skip_scale0`: leave the finest scale out of all sums.
    pub skip_scale0: bool,
    /// `adm_skip_aim`: do not measure additive impairments; `aim` is then 0.
    pub skip_aim: bool,
}

impl Default for AdmOptions {
    fn default() -> Self {
        Self {
            enhancement_gain_limit: 100.0,
            view_distance: 3.0,
            display_height: 1080,
            csf_mode: 0,
            csf_scale: 1.0,
            csf_diagonal_scale: 1.0,
            noise_weight: 0.03125,
            dlm_weight: 0.5,
            min_value: 0.0,
            skip_scale0: false,
            skip_aim: false,
        }
    }
}

/// Checked options and the constants that follow from them.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmParams {
    options: AdmOptions,
    weights: [Weights; SCALES],
    first_weights: [u16; 3],
}

impl AdmParams {
    /// Checks `options` and works out the weights of all scales.
    ///
    /// # Errors
    /// [`AdmError`] names the first option that is out of range, or what does not go together.
    pub fn new(options: AdmOptions) -> Result<Self, AdmError> {
        check_ranges(&options)?;
        let AdmOptions { view_distance, display_height, .. } = options;
        let view_product = view_distance * f64::from(display_height);
        if view_product < VIEW_PRODUCT_MIN {
            return Err(AdmError::ViewTooNear { view_distance, display_height });
        }
        let blended = |kind| {
            csf::blend(kind, view_distance, display_height)
                .ok_or(AdmError::NoBlend { view_distance, display_height })
        };
        let weights = match options.csf_mode {
            0 => csf::watson(view_distance, display_height),
            1 => csf::barten(
                view_distance,
                display_height,
                [options.csf_scale, options.csf_diagonal_scale],
            ),
            2 => blended(BlendKind::First)?,
            3 => blended(BlendKind::MeanAbsoluteError)?,
            csf_mode => return Err(AdmError::CsfMode { csf_mode }),
        };
        let fixed = options.csf_mode == 0
            && (view_product - VIEW_PRODUCT_MIN).abs() < VIEW_PRODUCT_TOLERANCE;
        let first_weights = if fixed {
            FIXED_FIRST_WEIGHTS
        } else {
            let [horizontal, vertical, diagonal] = weights[0].per_band().map(f64::from);
            [
                low_half(horizontal * 2_097_152.0),
                low_half(vertical * 2_097_152.0),
                low_half(diagonal * 8_388_608.0),
            ]
        };
        Ok(Self { options, weights, first_weights })
    }

    /// The options, as checked.
    pub fn options(&self) -> &AdmOptions {
        &self.options
    }

    /// Weights of the bands of `scale`, horizontal, vertical, diagonal.
    pub(super) fn weights(&self, scale: usize) -> [f32; 3] {
        self.weights[scale].per_band()
    }

    /// Weights of scale 0 with 21, 21 and 23 fractional bits.
    pub(super) fn first_weights(&self) -> [i32; 3] {
        self.first_weights.map(i32::from)
    }

    /// Weights of a scale above 0 with 32 fractional bits.
    ///
    /// Watson's and blended ones are below 0.1. Of Barten's, which are not, the 32 fractional bits
    /// are kept and what stands before the point is lost, as in libvmaf.
    pub(super) fn deep_weights(&self, scale: usize) -> [u32; 3] {
        self.weights(scale).map(|weight| (f64::from(weight) * 4_294_967_296.0) as i64 as u32)
    }
}

/// The low 16 bits of the integer part; nothing where that does not fit 32 bits.
///
/// Only Barten's weights exceed 16 bits: libvmaf converts them so on x86 (in C it is undefined).
fn low_half(value: f64) -> u16 {
    if value < 2_147_483_648.0 { value as u32 as u16 } else { 0 }
}

impl Default for AdmParams {
    fn default() -> Self {
        Self::new(AdmOptions::default()).expect("the default options are in range")
    }
}

fn check_ranges(options: &AdmOptions) -> Result<(), AdmError> {
    let ranges = [
        ("adm_enhn_gain_limit", options.enhancement_gain_limit, 1.0, 100.0),
        ("adm_norm_view_dist", options.view_distance, 0.75, 24.0),
        ("adm_ref_display_height", f64::from(options.display_height), 1.0, 4320.0),
        ("adm_noise_weight", options.noise_weight, 0.0, 1500.0),
        ("adm_dlm_weight", options.dlm_weight, 0.0, 1.0),
        ("adm_min_val", options.min_value, 0.0, 1.0),
        ("adm_csf_scale", options.csf_scale, 0.0, 50.0),
        ("adm_csf_diag_scale", options.csf_diagonal_scale, 0.0, 50.0),
    ];
    for (option, value, min, max) in ranges {
        if !(min..=max).contains(&value) {
            return Err(AdmError::OutOfRange { option, value, min, max });
        }
    }
    Ok(())
}

/// Why options of ADM were refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AdmError {
    /// A value is out of its range.
    OutOfRange {
        /// Name of the option.
        option: &'static str,
        /// The value given.
        value: f64,
        /// The least value taken.
        min: f64,
        /// The greatest value taken.
        max: f64,
    },
    /// There is no such contrast sensitivity function.
    CsfMode {
        /// The mode given.
        csf_mode: u32,
    },
    /// The viewer is nearer than 3 heights of 1080 lines, which the integer stages cannot hold.
    ViewTooNear {
        /// Viewing distance in heights of the display.
        view_distance: f64,
        /// Lines of the display.
        display_height: u32,
    },
    /// There are no blended weights for this viewing condition.
    ///
    /// libvmaf takes its own error code for a weight here, and all its ratios become NaN.
    NoBlend {
        /// Viewing distance in heights of the display.
        view_distance: f64,
        /// Lines of the display.
        display_height: u32,
    },
}

impl fmt::Display for AdmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { option, value, min, max } => {
                write!(f, "{option} is {value}: expected {min} to {max}")
            }
            Self::CsfMode { csf_mode } => {
                write!(f, "adm_csf_mode is {csf_mode}: expected 0 to 3")
            }
            Self::ViewTooNear { view_distance, display_height } => write!(
                f,
                "adm_norm_view_dist {view_distance} with adm_ref_display_height {display_height} \
                 is nearer than 3 heights of 1080 lines"
            ),
            Self::NoBlend { view_distance, display_height } => write!(
                f,
                "adm_csf_mode 2 and 3 know no weights for adm_norm_view_dist {view_distance} with \
                 adm_ref_display_height {display_height}"
            ),
        }
    }
}

impl std::error::Error for AdmError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut AdmOptions)) -> Option<AdmError> {
        let mut options = AdmOptions::default();
        change(&mut options);
        AdmParams::new(options).err()
    }

    #[test]
    fn defaults_and_both_models_gain_limits_are_taken() {
        assert_eq!(refusal(|_| ()), None);
        assert_eq!(refusal(|o| o.enhancement_gain_limit = 1.0), None);
        assert_eq!(AdmParams::default().first_weights(), [36_453, 36_453, 49_417]);
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        type Change = fn(&mut AdmOptions);
        let out_of_range: [(&str, Change); 9] = [
            ("adm_enhn_gain_limit", |o| o.enhancement_gain_limit = 0.5),
            ("adm_enhn_gain_limit", |o| o.enhancement_gain_limit = f64::NAN),
            ("adm_norm_view_dist", |o| o.view_distance = 30.0),
            ("adm_ref_display_height", |o| o.display_height = 0),
            ("adm_noise_weight", |o| o.noise_weight = -1.0),
            ("adm_dlm_weight", |o| o.dlm_weight = 1.5),
            ("adm_min_val", |o| o.min_value = -0.1),
            ("adm_csf_scale", |o| o.csf_scale = 50.5),
            ("adm_csf_diag_scale", |o| o.csf_diagonal_scale = -0.1),
        ];
        for (name, change) in out_of_range {
            match refusal(change) {
                Some(AdmError::OutOfRange { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        assert_eq!(refusal(|o| o.csf_mode = 4), Some(AdmError::CsfMode { csf_mode: 4 }));
        assert_eq!(
            refusal(|o| o.view_distance = 2.5),
            Some(AdmError::ViewTooNear { view_distance: 2.5, display_height: 1080 })
        );
        for csf_mode in [2, 3] {
            assert_eq!(
                refusal(|o| {
                    o.csf_mode = csf_mode;
                    o.view_distance = 4.0;
                }),
                Some(AdmError::NoBlend { view_distance: 4.0, display_height: 1080 })
            );
        }
    }
}
