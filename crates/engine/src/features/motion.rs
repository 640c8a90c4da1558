//! `motion`: how far each reference picture is from the one before. What follows from the
//! differences of a whole clip is in [`crate::motion`].

use super::options::{CheckedOptions, OptionSpec, flag, real};
use super::outputs::{Output, OutputSpec};

pub(super) const OPTIONS: &[OptionSpec] = &[
    flag("debug", None),
    real("motion_blend_factor", "mbf", 1.0, (0.0, 1.0)),
    real("motion_blend_offset", "mbo", 40.0, (0.0, 1000.0)),
    flag("motion_five_frame_window", Some("mffw")),
    flag("motion_force_zero", Some("force_0")),
    real("motion_fps_weight", "mfw", 1.0, (0.0, 5.0)),
    real("motion_max_val", "mmxv", 10_000.0, (0.0, 10_000.0)),
    flag("motion_moving_average", Some("mma")),
];

pub(super) const OUTPUTS: &[OutputSpec] = &[
    OutputSpec::plain("VMAF_integer_feature_motion_sad_score"),
    OutputSpec::debug("VMAF_integer_feature_motion_score").called("integer_motion"),
    OutputSpec::plain("VMAF_integer_feature_motion2_score").called("integer_motion2").at_end(),
    OutputSpec::plain("VMAF_integer_feature_motion3_score").called("integer_motion3").at_end(),
];

/// A value that needs the differences of neighbouring frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MotionColumn {
    Sad,
    Motion2,
    Motion3,
}

/// How motion2 and motion3 follow from the differences between reference pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionOptions {
    /// Every motion value is zero.
    pub force_zero: bool,
    /// The share of motion that counts in full in motion3; the rest counts up to `blend_offset`.
    pub blend_factor: f64,
    /// See `blend_factor`.
    pub blend_offset: f64,
    /// Multiplies every difference.
    pub fps_weight: f64,
    /// Differences and motion3 are cut to it.
    pub max_value: f64,
    /// Pictures are compared with the one two before them instead of the one before.
    pub five_frame_window: bool,
    /// motion3 is the mean of a frame's value and the one before.
    pub moving_average: bool,
}

impl MotionOptions {
    /// How many frames the two pictures of a difference are apart.
    #[must_use]
    pub const fn frames_apart(&self) -> usize {
        if self.five_frame_window { 2 } else { 1 }
    }
}

pub(super) fn settings(options: &CheckedOptions) -> MotionOptions {
    MotionOptions {
        force_zero: options.flag("motion_force_zero"),
        blend_factor: options.real("motion_blend_factor"),
        blend_offset: options.real("motion_blend_offset"),
        fps_weight: options.real("motion_fps_weight"),
        max_value: options.real("motion_max_val"),
        five_frame_window: options.flag("motion_five_frame_window"),
        moving_average: options.flag("motion_moving_average"),
    }
}

/// Which value a place in [`OUTPUTS`] stands for.
pub(super) fn column(output: Output) -> MotionColumn {
    match output.0 {
        2 => MotionColumn::Motion2,
        3 => MotionColumn::Motion3,
        _ => MotionColumn::Sad,
    }
}
