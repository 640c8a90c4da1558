//! The scores of a clip that is still coming: each frame's values as soon as they are final.
//!
//! The counterpart of [`Sequence`](crate::Sequence) for whoever cannot wait for the end. A frame is
//! final when nothing that comes later can change it: at once where nothing temporal is computed,
//! else when the difference of the next reference picture is known (for the very first frame in
//! motion's five-frame window, of the one after that), or when no frame follows. The values, the scores, the pooled values and the digest are those of a `Sequence`, bit for bit.
//!
//! Memory: one table row a scored frame, 8 bytes a column, so that the pooled values are exact and
//! not estimates: 24 MB for an hour at 60 frames a second with the default model. The table grows
//! with the clip, up to [`TABLE_BYTES_MAX`] and [`FRAMES_MAX`] frames: [`LiveSequence::frames_max`]
//! says how many fit. Frames that come early wait, [`AHEAD_MAX`] at most.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use types::{Column, FrameTable};

use crate::analyze::FrameValues;
use crate::assemble::{FRAMES_MAX, Scores, SequenceError, check_form};
use crate::clip_error::ClipErrors;
use crate::features::{ColumnSource, MotionColumn, MotionOptions, Plan};
use crate::motion::{BEHIND_MAX, Differences, known_at, motion_value};

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
    /// The options of every motion whose values depend on later frames.
    temporal: Vec<MotionOptions>,
    /// Frames that came before one that is missing.
    early: BTreeMap<u64, FrameValues>,
    /// The frame that comes next in order.
    next: u64,
    /// The last frames in order: those that are not final, and as many before them as may bear on
    /// them.
    recent: VecDeque<FrameValues>,
    /// The first frame that is not final.
    open: u64,
    table: FrameTable,
    /// Of all frames that have come.
    errors: ClipErrors,
}

impl LiveSequence {
    /// A sequence without frames, for pictures of this size.
    #[must_use]
    pub fn new(plan: Arc<Plan>, width: u32, height: u32) -> Self {
        let column = |name: &str| Column { name: name.to_owned(), values: Vec::new() };
        let columns = plan.column_names().map(column).collect();
        let temporal = temporal(&plan);
        Self {
            plan,
            width,
            height,
            temporal,
            early: BTreeMap::new(),
            next: 0,
            recent: VecDeque::new(),
            open: 0,
            table: FrameTable { frame_indices: Vec::new(), columns },
            errors: ClipErrors::default(),
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
        self.errors.add(&values)?;
        let before = self.final_count();
        self.early.insert(index, values);
        while let Some(values) = self.early.remove(&self.next) {
            self.next += 1;
            self.recent.push_back(values);
            while self.open < self.next && self.final_with(self.open) < self.next {
                self.complete();
            }
        }
        Ok(before..self.final_count())
    }

    /// No frame follows: the last ones are final too. Gives their rows.
    pub fn end(&mut self) -> Range<usize> {
        let before = self.final_count();
        while self.open < self.next {
            self.complete();
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
        Ok(Scores::of_table(&self.plan, (self.width, self.height), self.table, &self.errors))
    }

    /// The frame with which all values of `frame` are known.
    fn final_with(&self, frame: u64) -> u64 {
        let known = self.temporal.iter().map(|options| known_at(frame as usize, options) as u64);
        known.max().unwrap_or(frame)
    }

    /// Makes the first frame that is not final so: adds its row, if it has one, and forgets what
    /// bears on no later frame.
    fn complete(&mut self) {
        let first = self.recent.front().map_or(self.open, |frame| frame.frame_index);
        self.add_row((self.open - first) as usize);
        self.open += 1;
        while self.recent.front().is_some_and(|f| f.frame_index + (BEHIND_MAX as u64) < self.open) {
            self.recent.pop_front();
        }
    }

    /// Adds the row of the recent frame at `place`.
    fn add_row(&mut self, place: usize) {
        let frame = &self.recent[place];
        let Some(spatial) = &frame.spatial else { return };
        let (size, index) = ((self.width, self.height), frame.frame_index);
        let value = |source: ColumnSource| match source {
            ColumnSource::Spatial(place) => spatial[place],
            ColumnSource::Motion(options, column) => {
                let recent = Recent { frames: &self.recent, options: &options };
                motion_value(index as usize, &recent, size, &options, column)
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
        self.table.frame_indices.push(index);
    }
}

/// The differences of the frames that are still there.
struct Recent<'a> {
    frames: &'a VecDeque<FrameValues>,
    options: &'a MotionOptions,
}

impl Differences for Recent<'_> {
    fn raw(&self, frame: usize) -> Option<u64> {
        let first = self.frames.front()?.frame_index as usize;
        let values = self.frames.get(frame.checked_sub(first)?)?;
        Some(values.motion(self.options).unwrap_or(0))
    }
}

/// The options of every motion whose values depend on later frames.
fn temporal(plan: &Plan) -> Vec<MotionOptions> {
    let inputs = plan.planned_models().iter().flat_map(|planned| &planned.inputs);
    let sources = plan.columns().iter().map(|column| &column.source).chain(inputs);
    let options = sources.filter_map(|source| match source {
        ColumnSource::Spatial(_) | ColumnSource::Motion(_, MotionColumn::Sad) => None,
        ColumnSource::Motion(options, MotionColumn::Motion2 | MotionColumn::Motion3) => {
            (!options.force_zero).then_some(*options)
        }
    });
    options.collect()
}
