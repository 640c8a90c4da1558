//! From the values of frames, in whatever order they come, to the table and scores of the clip.
//!
//! A [`Sequence`] collects raw values and computes nothing until all are there. That is what makes
//! a clip that was cut into ranges and analyzed in many places give the bits of a run in one piece:
//! a range reports a [`PartValues`] with the raw difference of each of its frames from the frame
//! before (so it needs one reference picture to its left, [`Plan::halo`]); motion2, motion3,
//! scores and pooled values, which look beyond a frame, are computed once, after the merge, in
//! frame order.
//!
//! Frames count from the first one of the clip that is scored: frame 0 has no predecessor.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use types::{
    Column, FrameTable, ModelScore, PooledScore, Provenance, ScoreReport, StageTimings, Warning,
};

use crate::analyze::FrameValues;
use crate::clip_error::ClipErrors;
use crate::digest::digest;
use crate::features::{ColumnSource, Plan};
use crate::motion::motion_column;
use crate::pool::pool;

/// Frames of one sequence at most: over nine hours at 60 frames a second.
pub const FRAMES_MAX: usize = 2_000_000;

/// Why values do not make a clip.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SequenceError {
    /// No frame at all.
    #[error("there is no frame to score")]
    Empty,
    /// A frame between others is not there.
    #[error("the values of frame {0} are missing")]
    Missing(u64),
    /// A frame came twice.
    #[error("the values of frame {0} came twice")]
    Duplicate(u64),
    /// Values do not have the form that the plan gives them.
    #[error("the values of frame {0} are not those of the plan")]
    Foreign(u64),
    /// A part was computed under another plan or for another picture size.
    #[error("the part was computed for other features, options or another picture size")]
    ForeignPart,
    /// More than [`FRAMES_MAX`] frames.
    #[error("a clip may have {FRAMES_MAX} frames at most")]
    TooLong,
}

/// The values of a range of frames, as a range reports them. Plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartValues {
    /// [`Plan::fingerprint`] of the plan they were computed under.
    pub plan: String,
    /// Luma width.
    pub width: u32,
    /// Luma height.
    pub height: u32,
    /// One entry a frame, rising by index.
    pub frames: Vec<FrameValues>,
}

/// Collects the values of frames.
#[derive(Debug, Clone)]
pub struct Sequence {
    plan: Arc<Plan>,
    width: u32,
    height: u32,
    frames: BTreeMap<u64, FrameValues>,
}

/// A clip's table and scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Luma width.
    pub width: u32,
    /// Luma height.
    pub height: u32,
    /// One entry a model, in the order asked for.
    pub models: Vec<ModelScore>,
    /// Every column pooled, in the table's order.
    pub pooled: Vec<(String, PooledScore)>,
    /// Values of the clip as a whole, by name; empty unless asked for.
    pub aggregates: Vec<(String, f64)>,
    /// Features, then scores, of every frame that was scored.
    pub frames: FrameTable,
}

impl Sequence {
    /// A sequence without frames, for pictures of this size.
    #[must_use]
    pub fn new(plan: Arc<Plan>, width: u32, height: u32) -> Self {
        Self { plan, width, height, frames: BTreeMap::new() }
    }

    /// How many frames have come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the values of one frame.
    ///
    /// # Errors
    /// [`SequenceError`] when the frame is there already, is one too many, or its values do not
    /// have the plan's form. The sequence is unchanged then.
    pub fn add(&mut self, values: FrameValues) -> Result<(), SequenceError> {
        let index = values.frame_index;
        if self.frames.contains_key(&index) {
            return Err(SequenceError::Duplicate(index));
        }
        if self.frames.len() == FRAMES_MAX {
            return Err(SequenceError::TooLong);
        }
        check_form(&self.plan, &values)?;
        self.frames.insert(index, values);
        Ok(())
    }

    /// Takes the values of a range that was analyzed elsewhere.
    ///
    /// # Errors
    /// [`SequenceError::ForeignPart`] when it belongs to another plan or picture size; otherwise as
    /// [`add`](Self::add), at the first frame that does not fit.
    pub fn add_part(&mut self, part: PartValues) -> Result<(), SequenceError> {
        let size_fits = (part.width, part.height) == (self.width, self.height);
        if !size_fits || part.plan != self.plan.fingerprint() {
            return Err(SequenceError::ForeignPart);
        }
        part.frames.into_iter().try_for_each(|frame| self.add(frame))
    }

    /// Hands out all values, to be merged with those of other ranges.
    #[must_use]
    pub fn into_part(self) -> PartValues {
        PartValues {
            plan: self.plan.fingerprint(),
            width: self.width,
            height: self.height,
            frames: self.frames.into_values().collect(),
        }
    }

    /// Computes what looks beyond a frame, predicts, and pools.
    ///
    /// # Errors
    /// [`SequenceError`] when there is no frame, one is missing, or one has another bit depth.
    pub fn finish(self) -> Result<Scores, SequenceError> {
        if self.frames.is_empty() {
            return Err(SequenceError::Empty);
        }
        if let Some((missing, _)) = (0..).zip(self.frames.keys()).find(|(at, index)| at != *index) {
            return Err(SequenceError::Missing(missing));
        }
        let mut errors = ClipErrors::default();
        self.frames.values().try_for_each(|frame| errors.add(frame))?;
        let mut frames = self.table();
        self.predict(&mut frames);
        Ok(Scores::of_table(&self.plan, (self.width, self.height), frames, &errors))
    }

    /// Feature columns over the frames that were scored.
    fn table(&self) -> FrameTable {
        let scored = || self.frames.values().filter(|values| values.spatial.is_some());
        let columns = self.plan.columns().iter();
        FrameTable {
            frame_indices: scored().map(|values| values.frame_index).collect(),
            columns: columns
                .map(|column| Column {
                    name: column.name.clone(),
                    values: self.values(column.source),
                })
                .collect(),
        }
    }

    /// The values of one source over the frames that were scored.
    fn values(&self, source: ColumnSource) -> Vec<f64> {
        match source {
            ColumnSource::Spatial(place) => {
                let spatial = self.frames.values().filter_map(|values| values.spatial.as_ref());
                spatial.map(|values| values[place]).collect()
            }
            ColumnSource::Motion(options, column) => {
                let raw = self.frames.values().map(|values| values.motion(&options).unwrap_or(0));
                let raw: Vec<u64> = raw.collect();
                let all = motion_column(&raw, (self.width, self.height), &options, column);
                let scored = self.frames.values().zip(all);
                scored
                    .filter(|(values, _)| values.spatial.is_some())
                    .map(|(_, value)| value)
                    .collect()
            }
        }
    }

    /// Adds a column of scores for each model, then those that collections have beside them.
    fn predict(&self, frames: &mut FrameTable) {
        let mut bootstrap = Vec::new();
        for planned in self.plan.planned_models() {
            let inputs: Vec<Vec<f64>> =
                planned.inputs.iter().map(|source| self.values(*source)).collect();
            let name = std::iter::once(planned.model.name().to_owned());
            let names = name.chain(planned.bootstrap_names.iter().cloned());
            let mut columns: Vec<Column> =
                names.map(|name| Column { name, values: Vec::new() }).collect();
            for row in 0..frames.frame_count() {
                let features: Vec<f64> = inputs.iter().map(|column| column[row]).collect();
                let values = planned.model.predict_all(&features);
                for (column, value) in columns.iter_mut().zip(values) {
                    column.values.push(value);
                }
            }
            let mut columns = columns.into_iter();
            frames.columns.extend(columns.next());
            bootstrap.extend(columns);
        }
        frames.columns.append(&mut bootstrap);
    }
}

/// Refuses values that do not have the form that the plan gives them.
pub(crate) fn check_form(plan: &Plan, values: &FrameValues) -> Result<(), SequenceError> {
    let index = values.frame_index;
    let spatial_count = values.spatial.as_ref().map(Vec::len);
    let expected = plan.needs_spatial(index).then_some(plan.spatial().len());
    let motions = [values.motion_sad, values.motion_sad_wide];
    let has_motions = (1..).zip(motions).zip(plan.motion_windows());
    let mut motion_fits =
        has_motions.map(|((back, motion), wanted)| motion.is_some() == (wanted && index >= back));
    let depth = values.squared_errors.as_ref().map(|errors| errors.bit_depth);
    let errors_fit = depth.is_some() == plan.clip_psnr().is_some()
        && depth.is_none_or(|depth| (8..=16).contains(&depth));
    if spatial_count != expected || !motion_fits.all(|fits| fits) || !errors_fit {
        return Err(SequenceError::Foreign(index));
    }
    Ok(())
}

impl Scores {
    /// Pools a clip's whole table, which has the plan's columns and frame 0 at least.
    pub(crate) fn of_table(
        plan: &Plan,
        (width, height): (u32, u32),
        frames: FrameTable,
        errors: &ClipErrors,
    ) -> Self {
        let pooled: Vec<(String, PooledScore)> = frames
            .columns
            .iter()
            .map(|column| {
                let pooled = pool(&column.values).expect("frame 0 is always scored");
                (column.name.clone(), pooled)
            })
            .collect();
        let first_model = plan.columns().len();
        let models = plan
            .models()
            .zip(&pooled[first_model..])
            .map(|(model, (name, pooled))| ModelScore {
                name: name.clone(),
                version: model.version().to_owned(),
                sha256: model.sha256().to_owned(),
                pooled: *pooled,
            })
            .collect();
        Self { width, height, models, pooled, aggregates: errors.aggregates(plan), frames }
    }

    /// The report of the run, with its digest.
    #[must_use]
    pub fn into_report(
        self,
        warnings: Vec<Warning>,
        provenance: Provenance,
        timings: StageTimings,
    ) -> ScoreReport {
        let mut report = ScoreReport {
            width: self.width,
            height: self.height,
            models: self.models,
            pooled: self.pooled,
            aggregates: self.aggregates,
            frames: self.frames,
            warnings,
            provenance,
            timings,
            digest: String::new(),
            encoded: None,
        };
        report.digest = digest(&report);
        report
    }
}
