//! The error of a whole clip, out of those of its frames.
//!
//! The PSNR of a clip (`apsnr_y` and its like) is made of the squared errors of all frames together,
//! also of those that subsampling leaves out of the table, as in libvmaf. Each frame carries its
//! own as whole numbers; their sums are the same in whatever order and in however many parts frames
//! come.

use kernels::psnr::{ClipError, PLANES};
use serde::{Deserialize, Serialize};

use crate::analyze::FrameValues;
use crate::assemble::SequenceError;
use crate::features::Plan;

/// The squared errors of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SquaredErrors {
    /// Bits a sample, which the peak depends on.
    pub(crate) bit_depth: u8,
    /// Luma, Cb, Cr; all zero where a plane is not compared.
    pub(crate) planes: [PlaneError; PLANES],
}

/// The squared error of one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PlaneError {
    pub(crate) sse: u64,
    pub(crate) samples: u64,
}

/// Adds up the errors of frames.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClipErrors {
    bit_depth: Option<u8>,
    planes: [ClipError; PLANES],
}

impl ClipErrors {
    /// Adds those of a frame, if it carries any.
    ///
    /// # Errors
    /// [`SequenceError::Foreign`] when the frame has another bit depth than those before.
    pub(crate) fn add(&mut self, frame: &FrameValues) -> Result<(), SequenceError> {
        let Some(errors) = frame.squared_errors.as_deref() else { return Ok(()) };
        if *self.bit_depth.get_or_insert(errors.bit_depth) != errors.bit_depth {
            return Err(SequenceError::Foreign(frame.frame_index));
        }
        for (clip, plane) in self.planes.iter_mut().zip(errors.planes) {
            clip.add(plane.sse, plane.samples);
        }
        Ok(())
    }

    /// The values of the clip by name, in libvmaf's order; none where the plan asks for none.
    pub(crate) fn aggregates(&self, plan: &Plan) -> Vec<(String, f64)> {
        let (Some(options), Some(bit_depth)) = (plan.clip_psnr(), self.bit_depth) else {
            return Vec::new();
        };
        options.of_clip(bit_depth, &self.planes)
    }
}
