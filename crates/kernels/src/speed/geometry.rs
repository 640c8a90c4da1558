//! Sizes: of the scaled plane, of what is kept of it, and of the blocks in that.

use super::options::{SpeedError, SpeedParams};
use super::{BLOCK_SIDE, RATIO};

/// Sizes that follow from a plane's and from `prescale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Samples and rows of the plane.
    pub(super) plane: [usize; 2],
    /// Of the scaled plane.
    pub(super) scaled: [usize; 2],
    /// Of what is kept of the scaled plane.
    pub(super) kept: [usize; 2],
    /// Whole blocks across and down; at least 1 each.
    pub(super) blocks: [usize; 2],
}

impl Geometry {
    /// # Errors
    /// [`SpeedError::TooSmall`] when the scaled plane holds no block: a side below 80.
    pub(super) fn new(
        width: usize,
        height: usize,
        params: &SpeedParams,
    ) -> Result<Self, SpeedError> {
        let plane = [width, height];
        let scaled = match params.prescale() {
            None => plane,
            Some(factor) => plane.map(|side| (side as f64 * factor + 0.5) as usize),
        };
        let kept = scaled.map(|side| side / RATIO);
        let blocks = kept.map(|side| side / BLOCK_SIDE);
        if blocks.contains(&0) {
            let [scaled_width, scaled_height] = scaled;
            return Err(SpeedError::TooSmall { width, height, scaled_width, scaled_height });
        }
        Ok(Self { plane, scaled, kept, blocks })
    }

    /// Whether the scaled plane is another than the plane.
    pub(super) fn is_scaled(&self) -> bool {
        self.scaled != self.plane
    }

    pub(super) fn block_count(&self) -> usize {
        self.blocks[0] * self.blocks[1]
    }

    /// Places of a 5x5 window within the whole blocks, across and down.
    pub(super) fn windows(&self) -> [usize; 2] {
        self.blocks.map(|count| count * BLOCK_SIDE - (BLOCK_SIDE - 1))
    }
}
