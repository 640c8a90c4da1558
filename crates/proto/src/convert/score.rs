//! Scores, frame tables and stage times.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use types::{
    Column, Encoded, FrameTable, JobSpec, ModelScore, PooledScore, Provenance, ResultView,
    RunTimings, ScoreReport, Stage, StageTimings, Timestamp, Warning,
};

use super::{bounded, micros, optional, parsed, repeated, required};
use crate::controller as pb;
use crate::error::WireError;
use crate::limits::{COLUMNS_MAX, FRAMES_MAX, FRAMES_PER_CHUNK_MAX};

/// Models, warnings or decoders of one result, and stages or features of one timing.
const LIST_MAX: usize = 1_024;

fn stages_out(stages: Vec<(Stage, Duration)>) -> Vec<pb::StageTiming> {
    let stage = |(stage, wall): (Stage, Duration)| pb::StageTiming {
        stage: stage.as_str().to_owned(),
        wall_us: micros(wall),
    };
    stages.into_iter().map(stage).collect()
}

/// Features whose time a run tells.
const FEATURES_TIMED_MAX: usize = 128;
/// Bytes of a feature's name.
const FEATURE_NAME_BYTES_MAX: usize = 128;

fn features_out(features: Vec<(String, Duration)>) -> Vec<pb::FeatureTiming> {
    let feature = |(feature, cpu)| pb::FeatureTiming { feature, cpu_us: micros(cpu) };
    features.into_iter().map(feature).collect()
}

fn stages_in(stages: Vec<pb::StageTiming>) -> Result<Vec<(Stage, Duration)>, WireError> {
    bounded(stages.len(), "stages", LIST_MAX)?;
    let mut converted = StageTimings::default();
    for stage in stages {
        let name = parsed(&stage.stage, "stages.stage")?;
        converted.add(name, Duration::from_micros(stage.wall_us));
    }
    Ok(converted.stages)
}

fn features_in(features: Vec<pb::FeatureTiming>) -> Result<Vec<(String, Duration)>, WireError> {
    bounded(features.len(), "features", FEATURES_TIMED_MAX)?;
    let feature = |timing: pb::FeatureTiming| {
        bounded(timing.feature.len(), "features.feature", FEATURE_NAME_BYTES_MAX)?;
        Ok((timing.feature, Duration::from_micros(timing.cpu_us)))
    };
    features.into_iter().map(feature).collect()
}

impl From<RunTimings> for pb::RunTimings {
    fn from(run: RunTimings) -> Self {
        Self {
            distorted_index: run.distorted_index,
            began_after_us: micros(run.began_after),
            failed: run.failed,
            stages: stages_out(run.stages),
            features: features_out(run.features),
        }
    }
}

impl TryFrom<pb::RunTimings> for RunTimings {
    type Error = WireError;

    fn try_from(run: pb::RunTimings) -> Result<Self, WireError> {
        Ok(Self {
            distorted_index: run.distorted_index,
            began_after: Duration::from_micros(run.began_after_us),
            failed: run.failed,
            stages: stages_in(run.stages)?,
            features: features_in(run.features)?,
        })
    }
}

impl From<StageTimings> for pb::StageTimings {
    fn from(timings: StageTimings) -> Self {
        Self {
            wall_us: micros(timings.wall),
            stages: stages_out(timings.stages),
            features: features_out(timings.features),
            arrived_at_us: timings.arrived_at.map(Timestamp::unix_micros),
            runs: timings.runs.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::StageTimings> for StageTimings {
    type Error = WireError;

    fn try_from(timings: pb::StageTimings) -> Result<Self, WireError> {
        Ok(Self {
            wall: Duration::from_micros(timings.wall_us),
            stages: stages_in(timings.stages)?,
            features: features_in(timings.features)?,
            arrived_at: timings.arrived_at_us.map(Timestamp::from_unix_micros),
            runs: repeated(timings.runs, "runs", JobSpec::DISTORTED_MAX)?,
        })
    }
}

impl From<PooledScore> for pb::PooledScore {
    fn from(pooled: PooledScore) -> Self {
        let PooledScore {
            mean,
            harmonic_mean,
            min,
            max,
            standard_deviation,
            p1,
            p5,
            p10,
            p25,
            p50,
        } = pooled;
        Self { mean, harmonic_mean, min, max, standard_deviation, p1, p5, p10, p25, p50 }
    }
}

impl TryFrom<pb::PooledScore> for PooledScore {
    type Error = WireError;

    fn try_from(pooled: pb::PooledScore) -> Result<Self, WireError> {
        let pb::PooledScore {
            mean,
            harmonic_mean,
            min,
            max,
            standard_deviation,
            p1,
            p5,
            p10,
            p25,
            p50,
        } = pooled;
        Ok(Self { mean, harmonic_mean, min, max, standard_deviation, p1, p5, p10, p25, p50 })
    }
}

impl From<ModelScore> for pb::ModelScore {
    fn from(score: ModelScore) -> Self {
        Self {
            name: score.name,
            version: score.version,
            sha256: score.sha256,
            pooled: Some(score.pooled.into()),
        }
    }
}

impl TryFrom<pb::ModelScore> for ModelScore {
    type Error = WireError;

    fn try_from(score: pb::ModelScore) -> Result<Self, WireError> {
        Ok(Self {
            name: score.name,
            version: score.version,
            sha256: score.sha256,
            pooled: required(score.pooled, "pooled")?,
        })
    }
}

impl From<Warning> for pb::Warning {
    fn from(Warning { code, message }: Warning) -> Self {
        Self { code, message }
    }
}

impl From<pb::Warning> for Warning {
    fn from(pb::Warning { code, message }: pb::Warning) -> Self {
        Self { code, message }
    }
}

impl From<Provenance> for pb::Provenance {
    fn from(Provenance { engine_version, isa, decoders }: Provenance) -> Self {
        Self { engine_version, isa, decoders }
    }
}

impl TryFrom<pb::Provenance> for Provenance {
    type Error = WireError;

    fn try_from(provenance: pb::Provenance) -> Result<Self, WireError> {
        let pb::Provenance { engine_version, isa, decoders } = provenance;
        bounded(decoders.len(), "decoders", LIST_MAX)?;
        Ok(Self { engine_version, isa, decoders })
    }
}

/// Bytes of the text that names what encoded.
const ENCODER_VERSION_BYTES_MAX: usize = 512;

impl From<Encoded> for pb::Encoded {
    fn from(encoded: Encoded) -> Self {
        Self {
            bytes: encoded.bytes,
            frame_count: encoded.frame_count,
            frame_rate_numerator: encoded.frame_rate.0,
            frame_rate_denominator: encoded.frame_rate.1,
            encode_time_us: micros(encoded.encode_time),
            encoder_version: encoded.encoder_version,
        }
    }
}

impl TryFrom<pb::Encoded> for Encoded {
    type Error = WireError;

    fn try_from(encoded: pb::Encoded) -> Result<Self, WireError> {
        bounded(encoded.encoder_version.len(), "encoder_version", ENCODER_VERSION_BYTES_MAX)?;
        Ok(Self {
            bytes: encoded.bytes,
            frame_count: encoded.frame_count,
            frame_rate: (encoded.frame_rate_numerator, encoded.frame_rate_denominator),
            encode_time: Duration::from_micros(encoded.encode_time_us),
            encoder_version: encoded.encoder_version,
        })
    }
}

fn pooled_column((name, pooled): (String, PooledScore)) -> pb::PooledColumn {
    pb::PooledColumn { name, pooled: Some(pooled.into()) }
}

fn aggregate((name, value): (String, f64)) -> pb::Aggregate {
    pb::Aggregate { name, value }
}

impl From<ResultView> for pb::Result {
    fn from(result: ResultView) -> Self {
        Self {
            width: result.width,
            height: result.height,
            frame_count: result.frame_count,
            models: result.models.into_iter().map(Into::into).collect(),
            pooled: result.pooled.into_iter().map(pooled_column).collect(),
            aggregates: result.aggregates.into_iter().map(aggregate).collect(),
            warnings: result.warnings.into_iter().map(Into::into).collect(),
            provenance: Some(result.provenance.into()),
            digest: result.digest,
            encoded: result.encoded.map(Into::into),
        }
    }
}

impl TryFrom<pb::Result> for ResultView {
    type Error = WireError;

    fn try_from(result: pb::Result) -> Result<Self, WireError> {
        bounded(result.pooled.len(), "pooled", COLUMNS_MAX)?;
        bounded(result.aggregates.len(), "aggregates", LIST_MAX)?;
        bounded(result.warnings.len(), "warnings", LIST_MAX)?;
        let pooled = |column: pb::PooledColumn| {
            Ok((column.name, required::<_, PooledScore>(column.pooled, "pooled")?))
        };
        check_digest(&result.digest)?;
        Ok(Self {
            width: result.width,
            height: result.height,
            frame_count: result.frame_count,
            models: repeated(result.models, "models", LIST_MAX)?,
            pooled: result.pooled.into_iter().map(pooled).collect::<Result<_, WireError>>()?,
            aggregates: result.aggregates.into_iter().map(|it| (it.name, it.value)).collect(),
            warnings: result.warnings.into_iter().map(Into::into).collect(),
            provenance: required(result.provenance, "provenance")?,
            digest: result.digest,
            encoded: optional(result.encoded, "encoded")?,
        })
    }
}

/// A digest is 64 lower-case hex digits.
fn check_digest(digest: &str) -> Result<(), WireError> {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digest.len() == 64 && digest.bytes().all(hex) {
        return Ok(());
    }
    Err(WireError::new("digest", "is not the lower-case hex of a SHA-256"))
}

impl From<FrameTable> for pb::FrameTable {
    fn from(table: FrameTable) -> Self {
        let column = |Column { name, values }| pb::FrameColumn { name, values };
        Self {
            frame_indices: table.frame_indices,
            columns: table.columns.into_iter().map(column).collect(),
        }
    }
}

impl TryFrom<pb::FrameTable> for FrameTable {
    type Error = WireError;

    fn try_from(table: pb::FrameTable) -> Result<Self, WireError> {
        let mut builder = FrameTableBuilder::default();
        let pb::FrameTable { frame_indices, columns } = table;
        builder.push(pb::FrameChunk { frame_indices, columns })?;
        Ok(builder.finish())
    }
}

impl From<ScoreReport> for pb::ScoreReport {
    fn from(report: ScoreReport) -> Self {
        let result = ResultView {
            width: report.width,
            height: report.height,
            frame_count: report.frames.frame_count() as u64,
            models: report.models,
            pooled: report.pooled,
            aggregates: report.aggregates,
            warnings: report.warnings,
            provenance: report.provenance,
            digest: report.digest,
            encoded: report.encoded,
        };
        Self {
            result: Some(result.into()),
            frames: Some(report.frames.into()),
            timings: Some(report.timings.into()),
        }
    }
}

impl TryFrom<pb::ScoreReport> for ScoreReport {
    type Error = WireError;

    fn try_from(report: pb::ScoreReport) -> Result<Self, WireError> {
        let result: ResultView = required(report.result, "result")?;
        let frames: FrameTable = required(report.frames, "frames")?;
        if result.frame_count != frames.frame_count() as u64 {
            let problem = format!(
                "says {}, but the table has {} frames",
                result.frame_count,
                frames.frame_count()
            );
            return Err(WireError::new("result.frame_count", problem));
        }
        Ok(Self {
            width: result.width,
            height: result.height,
            models: result.models,
            pooled: result.pooled,
            aggregates: result.aggregates,
            frames,
            warnings: result.warnings,
            provenance: result.provenance,
            timings: required(report.timings, "timings")?,
            digest: result.digest,
            encoded: result.encoded,
        })
    }
}

/// Cuts the rows of a table whose frame index lies in `frames` into chunks of at most
/// [`FRAMES_PER_CHUNK_MAX`] rows, with only the named columns, or all where none is named.
///
/// A table without such rows gives one empty chunk, so that a reader still learns the columns.
///
/// # Errors
/// When a named column is not in the table.
pub fn frame_chunks<'a>(
    table: &'a FrameTable,
    frames: Range<u64>,
    columns: &[String],
) -> Result<impl Iterator<Item = pb::FrameChunk> + use<'a>, WireError> {
    let columns: Vec<&Column> = if columns.is_empty() {
        table.columns.iter().collect()
    } else {
        let find = |name: &String| {
            let unknown = || WireError::new("columns", format!("there is no column {name:?}"));
            table.column(name).ok_or_else(unknown)
        };
        columns.iter().map(find).collect::<Result<_, _>>()?
    };
    let indices = &table.frame_indices;
    let first = indices.partition_point(|index| *index < frames.start);
    let end = indices.partition_point(|index| *index < frames.end).max(first);
    let starts = (first..end.max(first + 1)).step_by(FRAMES_PER_CHUNK_MAX);
    Ok(starts.map(move |start| {
        let rows = start..end.min(start + FRAMES_PER_CHUNK_MAX);
        let column = |column: &&Column| pb::FrameColumn {
            name: column.name.clone(),
            values: column.values[rows.clone()].to_vec(),
        };
        pb::FrameChunk {
            frame_indices: indices[rows.clone()].to_vec(),
            columns: columns.iter().map(column).collect(),
        }
    }))
}

/// Puts a table together from its chunks, and checks that they fit.
#[derive(Debug, Default)]
pub struct FrameTableBuilder {
    table: Option<FrameTable>,
}

impl FrameTableBuilder {
    /// Adds the next rows.
    ///
    /// # Errors
    /// When a column's length is not the number of rows, when the rows do not follow the ones
    /// before, when the columns are others than before, or when a bound is broken.
    pub fn push(&mut self, chunk: pb::FrameChunk) -> Result<(), WireError> {
        bounded(chunk.columns.len(), "columns", COLUMNS_MAX)?;
        for column in &chunk.columns {
            if column.values.len() != chunk.frame_indices.len() {
                let (values, rows) = (column.values.len(), chunk.frame_indices.len());
                let problem = format!("{:?} has {values} values for {rows} frames", column.name);
                return Err(WireError::new("columns", problem));
            }
        }
        match &self.table {
            Some(table) => check_same_columns(table, &chunk)?,
            None => check_distinct(&chunk)?,
        }
        let table = self.table.get_or_insert_with(|| FrameTable {
            frame_indices: Vec::new(),
            columns: chunk
                .columns
                .iter()
                .map(|column| Column { name: column.name.clone(), values: Vec::new() })
                .collect(),
        });
        let rows = table.frame_indices.len() + chunk.frame_indices.len();
        bounded(rows, "frame_indices", FRAMES_MAX)?;
        let last = table.frame_indices.last().copied();
        let rises = chunk.frame_indices.windows(2).all(|pair| pair[0] < pair[1])
            && last.is_none_or(|last| chunk.frame_indices.first().is_none_or(|next| last < *next));
        if !rises {
            return Err(WireError::new("frame_indices", "do not rise strictly"));
        }
        table.frame_indices.extend(chunk.frame_indices);
        for (column, more) in table.columns.iter_mut().zip(chunk.columns) {
            column.values.extend(more.values);
        }
        Ok(())
    }

    /// The table of all rows so far.
    #[must_use]
    pub fn finish(self) -> FrameTable {
        self.table.unwrap_or_default()
    }
}

fn check_same_columns(table: &FrameTable, chunk: &pb::FrameChunk) -> Result<(), WireError> {
    let before = table.columns.iter().map(|column| &column.name);
    if before.eq(chunk.columns.iter().map(|column| &column.name)) {
        return Ok(());
    }
    Err(WireError::new("columns", "are others than in the chunk before"))
}

fn check_distinct(chunk: &pb::FrameChunk) -> Result<(), WireError> {
    let mut seen = HashSet::new();
    match chunk.columns.iter().find(|column| !seen.insert(column.name.as_str())) {
        None => Ok(()),
        Some(twice) => Err(WireError::new("columns", format!("{:?} is there twice", twice.name))),
    }
}
