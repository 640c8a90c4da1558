//! The scores of a clip that is still coming: each frame's values as soon as they are final.
//!
//! The counterpart of [`Sequence`](crate::Sequence) for whoever cannot wait for the end. A frame is
//! final when nothing that comes later can change it: at once where nothing temporal is computed,
//! else when the difference of the next reference picture is known, or when no frame follows. The
//! values, the scores, the pooled values and the digest are those of a `Sequence`, bit for bit.
//!
//! Memory: one table row a scored frame, 8 bytes a column, so that the pooled values are exact and
//! not estimates: 24 MB for an hour at 60 frames a second with the default model. The table grows
//! with the clip, up to [`TABLE_BYTES_MAX`] and [`FRAMES_MAX`] frames: [`LiveSequence::frames_max`]
//! says how many fit. Frames that come early wait, [`AHEAD_MAX`] at most.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use types::{Column, FrameTable};

use crate::analyze::FrameValues;
use crate::assemble::{FRAMES_MAX, Scores, SequenceError, check_form};
use crate::features::{ColumnSource, MotionColumn, Plan};
use crate::motion::motion_value;

/// How far a frame may come before the first one that is missing.
pub const AHEAD_MAX: u64 = 4_096;

/// Bytes of the table of a clip that is still coming: nine hours at 60 frames a second with the
/// default model, an hour and a half with a hundred columns. It grows by doubling, so that up to twice
/// as much may be set aside, and half as much again while it moves.
pub const TABLE_BYTES_MAX: usize = 256 << 20;

/// One scored frame whose values are final.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveFrame {
    /// 0-based.
    pub frame_index: u64,
    /// One value a column, in the order of [`Plan::column_names`].
    pub values: Vec<f64>,
}

/// Collects the values of frames and finishes each as early as can be.
#[derive(Debug, Clone)]
pub struct LiveSequence {
    plan: Arc<Plan>,
    width: u32,
    height: u32,
    looks_ahead: bool,
    /// Frames that came before one that is missing.
    early: BTreeMap<u64, FrameValues>,
    /// The frame that comes next in order.
    next: u64,
    /// The last frame in order, where it waits for the one after it.
    held: Option<FrameValues>,
    table: FrameTable,
}

impl LiveSequence {
    /// A sequence without frames, for pictures of this size.
    #[must_use]
    pub fn new(plan: Arc<Plan>, width: u32, height: u32) -> Self {
        let column = |name: &str| Column { name: name.to_owned(), values: Vec::new() };
        let columns = plan.column_names().map(column).collect();
        let looks_ahead = looks_ahead(&plan);
        Self {
            plan,
            width,
            height,
            looks_ahead,
            early: BTreeMap::new(),
            next: 0,
            held: None,
            table: FrameTable { frame_indices: Vec::new(), columns },
        }
    }

    /// How many frames a clip of this plan may have: as many as leave rows in [`TABLE_BYTES_MAX`],
    /// and no more than [`FRAMES_MAX`]. Whoever feeds the sequence stops there.
    #[must_use]
    pub fn frames_max(&self) -> u64 {
        let row_bytes = 8 * (self.table.columns.len() + 1);
        let rows = (TABLE_BYTES_MAX / row_bytes) as u64;
        let interval = u64::from(self.plan.subsample_interval().get());
        rows.saturating_mul(interval).min(FRAMES_MAX as u64)
    }

    /// How many scored frames are final. They are the rows of [`frame`](Self::frame).
    #[must_use]
    pub fn final_count(&self) -> usize {
        self.table.frame_count()
    }

    /// A frame that is final, by its row; `None` where there is none yet.
    #[must_use]
    pub fn frame(&self, row: usize) -> Option<LiveFrame> {
        let frame_index = *self.table.frame_indices.get(row)?;
        let values = self.table.columns.iter().map(|column| column.values[row]).collect();
        Some(LiveFrame { frame_index, values })
    }

    /// Takes the values of one frame, in whatever order frames come, and gives the rows that have
    /// become final with it.
    ///
    /// # Errors
    /// [`SequenceError`] when the frame was there already, comes more than [`AHEAD_MAX`] before one
    /// that is missing, is one too many, or does not have the plan's form. Nothing is changed then.
    pub fn add(&mut self, values: FrameValues) -> Result<Range<usize>, SequenceError> {
        let index = values.frame_index;
        if index < self.next || self.early.contains_key(&index) {
            return Err(SequenceError::Duplicate(index));
        }
        if index >= FRAMES_MAX as u64 {
            return Err(SequenceError::TooLong);
        }
        if index - self.next >= AHEAD_MAX {
            return Err(SequenceError::Missing(self.next));
        }
        check_form(&self.plan, &values)?;
        let before = self.final_count();
        self.early.insert(index, values);
        while let Some(values) = self.early.remove(&self.next) {
            self.next += 1;
            if let Some(held) = self.held.take() {
                self.complete(&held, Some(&values));
            }
            if self.looks_ahead {
                self.held = Some(values);
            } else {
                self.complete(&values, None);
            }
        }
        Ok(before..self.final_count())
    }

    /// No frame follows: the last one is final too. Gives its row.
    pub fn end(&mut self) -> Range<usize> {
        let before = self.final_count();
        if let Some(held) = self.held.take() {
            self.complete(&held, None);
        }
        before..self.final_count()
    }

    /// Pools what there is.
    ///
    /// # Errors
    /// [`SequenceError`] when there is no frame, or one before another is missing.
    pub fn finish(mut self) -> Result<Scores, SequenceError> {
        self.end();
        if !self.early.is_empty() {
            return Err(SequenceError::Missing(self.next));
        }
        if self.next == 0 {
            return Err(SequenceError::Empty);
        }
        Ok(Scores::of_table(&self.plan, (self.width, self.height), self.table))
    }

    /// Adds the row of a frame, given the frame after it, if there is one.
    fn complete(&mut self, frame: &FrameValues, next: Option<&FrameValues>) {
        let Some(spatial) = &frame.spatial else { return };
        let size = (self.width, self.height);
        let value = |source: ColumnSource| match source {
            ColumnSource::Spatial(place) => spatial[place],
            ColumnSource::Motion(options, column) => {
                let next = next.and_then(|next| next.motion(&options));
                motion_value(frame.motion(&options), next, size, &options, column)
            }
        };
        let features = self.plan.columns().iter().map(|column| value(column.source));
        let predicted: Vec<Vec<f64>> = self
            .plan
            .planned_models()
            .iter()
            .map(|planned| {
                let inputs: Vec<f64> = planned.inputs.iter().map(|source| value(*source)).collect();
                planned.model.predict_all(&inputs)
            })
            .collect();
        let scores = predicted.iter().map(|values| values[0]);
        let bootstrap = predicted.iter().flat_map(|values| values[1..].iter().copied());
        let row = features.chain(scores).chain(bootstrap);
        for (column, value) in self.table.columns.iter_mut().zip(row) {
            column.values.push(value);
        }
        self.table.frame_indices.push(frame.frame_index);
    }
}

/// Whether a value of a frame depends on the frame after it.
fn looks_ahead(plan: &Plan) -> bool {
    let temporal = |source: &ColumnSource| match source {
        ColumnSource::Spatial(_) | ColumnSource::Motion(_, MotionColumn::Sad) => false,
        ColumnSource::Motion(options, MotionColumn::Motion2 | MotionColumn::Motion3) => {
            !options.force_zero
        }
    };
    let inputs = plan.planned_models().iter().flat_map(|planned| &planned.inputs);
    plan.columns().iter().map(|column| &column.source).chain(inputs).any(temporal)
}
