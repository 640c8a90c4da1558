//! Options of SpEED, checked once and turned into the constants that the kernels use.

use std::fmt;
use std::str::FromStr;

use super::filter::Filter;
use super::geometry::Geometry;

/// The greatest score that libvmaf lets through unless told otherwise.
pub const SCORE_MAX_DEFAULT: f64 = 1000.0;

/// The kernel scales that exist; others are refused, unless they are within 0.001 of one.
pub const KERNEL_SCALES: [f32; 21] = [
    1.0,
    1.0 / 2.0,
    3.0 / 2.0,
    2.0,
    2.0 / 3.0,
    24.0 / 10.0,
    360.0 / 97.0,
    4.0 / 3.0,
    3.5 / 3.0,
    3.75 / 3.0,
    4.25 / 3.0,
    5.0 / 3.0,
    3.0,
    1.0 / 2.25,
    1.4746,
    1.54,
    1.6,
    1.06667,
    0.711111,
    0.740740,
    1.111111,
];

/// How near a value must be to stand for another.
const TOLERANCE: f64 = 1.0e-3;

/// How a plane is scaled where `prescale` is not 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrescaleMethod {
    /// The sample above and to the left.
    #[default]
    Nearest,
    /// Two by two samples.
    Bilinear,
    /// Four by four samples.
    Bicubic,
    /// Nine by nine samples under a sinc windowed by a sinc four times as wide.
    Lanczos4,
}

impl PrescaleMethod {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::Nearest, Self::Bilinear, Self::Bicubic, Self::Lanczos4];

    /// The name in options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos4 => "lanczos4",
        }
    }
}

impl FromStr for PrescaleMethod {
    type Err = SpeedError;

    fn from_str(name: &str) -> Result<Self, SpeedError> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or(SpeedError::PrescaleMethod)
    }
}

/// The options of SpEED as feature options name them, unchecked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeedOptions {
    /// `speed_kernelscale`: factor for the width of both blurs; one of [`KERNEL_SCALES`].
    pub kernel_scale: f64,
    /// `speed_prescale`: factor for both sides of the plane, 0.1 to 4.
    pub prescale: f64,
    /// `speed_prescale_method`.
    pub prescale_method: PrescaleMethod,
    /// `speed_sigma_nn`: the neural noise, 0.1 to 2.
    pub sigma_nn: f64,
    /// `speed_nn_floor`: how far above the noise alone an entropy must be to count, 0 to 1.
    pub nn_floor: f64,
    /// `speed_weight_var_mode`: whose energies weight the entropies, 0 to 6. With the energies `r`
    /// of the reference's block and `d` of the distorted's, the weights of their entropies are
    /// `log2(1 + a)` and `log2(1 + b)`:
    ///
    /// | mode | a | b |
    /// |---|---|---|
    /// | 0 | r | d |
    /// | 1 | r | r |
    /// | 2 | d | d |
    /// | 3 | (r + d) / 2 | (r + d) / 2 |
    /// | 4 | r | (r + d) / 2 |
    /// | 5 | r | 0.75 r + 0.25 d |
    /// | 6 | r | 0.25 r + 0.75 d |
    pub weight_var_mode: u32,
}

impl Default for SpeedOptions {
    fn default() -> Self {
        Self {
            kernel_scale: 1.0,
            prescale: 1.0,
            prescale_method: PrescaleMethod::Nearest,
            sigma_nn: 0.29,
            nn_floor: 0.0,
            weight_var_mode: 0,
        }
    }
}

/// Checked options and the filters that follow from them.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeedParams {
    options: SpeedOptions,
    antialias: Filter,
    local_mean: Filter,
}

impl SpeedParams {
    /// Checks `options` and works out the filters.
    ///
    /// # Errors
    /// [`SpeedError`] names the first option that is out of range.
    pub fn new(options: SpeedOptions) -> Result<Self, SpeedError> {
        check_ranges(&options)?;
        let kernel_scale = options.kernel_scale as f32;
        let exists = KERNEL_SCALES
            .into_iter()
            .any(|scale| f64::from((kernel_scale - scale).abs()) < TOLERANCE);
        if !exists {
            return Err(SpeedError::KernelScale { value: options.kernel_scale });
        }
        let (antialias, local_mean) =
            (Filter::antialias(kernel_scale), Filter::local_mean(kernel_scale));
        Ok(Self { options, antialias, local_mean })
    }

    /// The options as given.
    pub fn options(&self) -> &SpeedOptions {
        &self.options
    }

    /// Checks that a plane of this size, scaled, holds at least one block of 5x5 kept samples.
    ///
    /// # Errors
    /// [`SpeedError::TooSmall`] when it does not.
    pub fn check_size(&self, width: usize, height: usize) -> Result<(), SpeedError> {
        Geometry::new(width, height, self).map(|_| ())
    }

    /// The factor by which planes are scaled, if they are.
    pub(super) fn prescale(&self) -> Option<f64> {
        let factor = self.options.prescale;
        ((factor - 1.0).abs() >= TOLERANCE).then_some(factor)
    }

    pub(super) fn antialias(&self) -> &Filter {
        &self.antialias
    }

    pub(super) fn local_mean(&self) -> &Filter {
        &self.local_mean
    }
}

impl Default for SpeedParams {
    fn default() -> Self {
        Self::new(SpeedOptions::default()).expect("the default options are in range")
    }
}

fn check_ranges(options: &SpeedOptions) -> Result<(), SpeedError> {
    let ranges = [
        ("speed_kernelscale", options.kernel_scale, 0.1, 4.0),
        ("speed_prescale", options.prescale, 0.1, 4.0),
        ("speed_sigma_nn", options.sigma_nn, 0.1, 2.0),
        ("speed_nn_floor", options.nn_floor, 0.0, 1.0),
        ("speed_weight_var_mode", f64::from(options.weight_var_mode), 0.0, 6.0),
    ];
    for (option, value, min, max) in ranges {
        if !(min..=max).contains(&value) {
            return Err(SpeedError::OutOfRange { option, value, min, max });
        }
    }
    Ok(())
}

/// Why SpEED cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SpeedError {
    /// The value of an option is out of its range.
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
    /// `speed_kernelscale` is none of [`KERNEL_SCALES`].
    KernelScale {
        /// The value given.
        value: f64,
    },
    /// No method of scaling has this name.
    PrescaleMethod,
    /// The plane, scaled, holds no block: a side is below 80 samples.
    TooSmall {
        /// Samples in a row of the plane.
        width: usize,
        /// Rows of the plane.
        height: usize,
        /// Samples in a row after scaling.
        scaled_width: usize,
        /// Rows after scaling.
        scaled_height: usize,
    },
    /// Planes that are compared differ in width, height or bit depth.
    Shape,
}

impl fmt::Display for SpeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { option, value, min, max } => {
                write!(f, "{option} is {value}: expected {min} to {max}")
            }
            Self::KernelScale { value } => {
                write!(f, "speed_kernelscale is {value}: expected one of")?;
                for (place, scale) in KERNEL_SCALES.iter().enumerate() {
                    write!(f, "{} {scale}", if place == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::PrescaleMethod => {
                f.write_str("speed_prescale_method is none of nearest, bilinear, bicubic, lanczos4")
            }
            Self::TooSmall { width, height, scaled_width, scaled_height } => write!(
                f,
                "planes of {width}x{height} are too small for SpEED: {scaled_width}x{scaled_height} \
                 after scaling, at least 80x80 are needed"
            ),
            Self::Shape => f.write_str("the planes differ in width, height or bit depth"),
        }
    }
}

impl std::error::Error for SpeedError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut SpeedOptions)) -> Option<SpeedError> {
        let mut options = SpeedOptions::default();
        change(&mut options);
        SpeedParams::new(options).err()
    }

    #[test]
    fn defaults_and_the_models_options_are_taken() {
        assert_eq!(refusal(|_| ()), None);
        let models = |options: &mut SpeedOptions| {
            *options = SpeedOptions {
                prescale: 0.6,
                prescale_method: PrescaleMethod::Bilinear,
                sigma_nn: 0.19,
                nn_floor: 0.1,
                weight_var_mode: 5,
                ..*options
            };
        };
        assert_eq!(refusal(models), None);
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        type Change = fn(&mut SpeedOptions);
        let out_of_range: [(&str, Change); 7] = [
            ("speed_kernelscale", |o| o.kernel_scale = 4.5),
            ("speed_kernelscale", |o| o.kernel_scale = f64::NAN),
            ("speed_prescale", |o| o.prescale = 0.05),
            ("speed_sigma_nn", |o| o.sigma_nn = 0.0),
            ("speed_sigma_nn", |o| o.sigma_nn = 2.5),
            ("speed_nn_floor", |o| o.nn_floor = -0.1),
            ("speed_weight_var_mode", |o| o.weight_var_mode = 7),
        ];
        for (name, change) in out_of_range {
            match refusal(change) {
                Some(SpeedError::OutOfRange { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn kernel_scales_are_those_of_the_list_and_what_is_near_them() {
        for scale in KERNEL_SCALES {
            assert_eq!(refusal(|o| o.kernel_scale = f64::from(scale)), None, "{scale}");
            assert_eq!(refusal(|o| o.kernel_scale = f64::from(scale) + 0.0009), None, "{scale}");
        }
        for value in [0.9, 1.0011, 3.5] {
            let expected = Some(SpeedError::KernelScale { value });
            assert_eq!(refusal(|o| o.kernel_scale = value), expected);
        }
    }

    #[test]
    fn methods_are_known_by_name() {
        for method in PrescaleMethod::ALL {
            assert_eq!(method.name().parse(), Ok(method));
        }
        assert_eq!("area".parse::<PrescaleMethod>(), Err(SpeedError::PrescaleMethod));
    }
}
