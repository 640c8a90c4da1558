//! Per-frame scores over HTTP: as JSON, as CSV, or in the shape of libvmaf's logs.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::{LogFormat, LogOptions, Precision};
use proto::{ApiError, ErrorKind};
use service::http::{Parameters, Problem};
use types::{FrameTable, JobId, JobView, ScoreReport, StageTimings};

use super::query::job_id;
use super::view::FramesOut;
use crate::app::App;

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Ours: columns at full precision.
    Json,
    /// One of libvmaf's logs.
    Log(LogFormat),
}

impl Format {
    const NAMES: &'static str = "json, csv, libvmaf-json, libvmaf-xml or libvmaf-csv";

    fn named(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" | "libvmaf-csv" => Some(Self::Log(LogFormat::Csv)),
            "libvmaf-json" => Some(Self::Log(LogFormat::Json)),
            "libvmaf-xml" | "xml" => Some(Self::Log(LogFormat::Xml)),
            _ => None,
        }
    }

    /// The best of what an `Accept` header asks for; JSON where it asks for nothing we have.
    fn accepted(accept: &str) -> Self {
        let mut best = (0.0, Self::Json);
        for range in accept.split(',').take(32) {
            let mut fields = range.split(';').map(str::trim);
            let format = match fields.next().unwrap_or_default() {
                "application/json" | "*/*" | "application/*" => Self::Json,
                "text/csv" | "text/*" => Self::Log(LogFormat::Csv),
                "application/xml" | "text/xml" => Self::Log(LogFormat::Xml),
                _ => continue,
            };
            let quality = fields.find_map(|field| field.strip_prefix("q=")?.parse().ok());
            let quality: f64 = quality.unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Log(LogFormat::Json) => "application/json",
            Self::Log(LogFormat::Csv) => "text/csv; charset=utf-8",
            Self::Log(LogFormat::Xml) => "application/xml",
            Self::Log(LogFormat::Sub) => "text/plain; charset=utf-8",
        }
    }
}

/// What is asked for.
#[derive(Debug)]
struct Wanted {
    format: Format,
    distorted_index: usize,
    first_frame_index: Option<u64>,
    frame_count_max: Option<u64>,
    columns: Vec<String>,
    precision: Precision,
}

impl Wanted {
    fn read(parameters: &mut Parameters, headers: &HeaderMap) -> Result<Self, Problem> {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let format = match parameters.one("format")? {
            None => Format::accepted(accept.unwrap_or_default()),
            Some(name) => Format::named(&name)
                .ok_or_else(|| Problem::invalid(format!("format: use {}", Format::NAMES)))?,
        };
        let wanted = Self {
            format,
            distorted_index: parameters.parsed("distorted_index")?.unwrap_or(0),
            first_frame_index: parameters.parsed("first_frame_index")?,
            frame_count_max: parameters.parsed("frame_count_max")?,
            columns: parameters.all("column"),
            precision: parameters.parsed("precision")?.unwrap_or_default(),
        };
        let pooled = matches!(format, Format::Log(LogFormat::Json | LogFormat::Xml));
        if pooled && wanted.is_partial() {
            let detail = "libvmaf's logs hold the whole clip, pooled: leave out \
                          first_frame_index, frame_count_max and column, or take json or csv";
            return Err(Problem::invalid(detail));
        }
        Ok(wanted)
    }

    fn is_partial(&self) -> bool {
        self.first_frame_index.is_some()
            || self.frame_count_max.is_some()
            || !self.columns.is_empty()
    }

    /// Cuts the table to the frames and columns asked for.
    fn cut(&self, table: FrameTable) -> Result<FrameTable, Problem> {
        if !self.is_partial() {
            return Ok(table);
        }
        let FrameTable { mut frame_indices, mut columns } = table;
        for name in &self.columns {
            if !columns.iter().any(|column| column.name == *name) {
                let name: String = name.chars().take(64).collect();
                return Err(Problem::invalid(format!("column: there is no column {name:?}")));
            }
        }
        if !self.columns.is_empty() {
            columns.retain(|column| self.columns.contains(&column.name));
        }
        let first = self.first_frame_index.unwrap_or(0);
        let end = self.frame_count_max.map_or(u64::MAX, |count| first.saturating_add(count));
        let from = frame_indices.partition_point(|index| *index < first);
        let until = frame_indices.partition_point(|index| *index < end).max(from);
        frame_indices = frame_indices[from..until].to_vec();
        for column in &mut columns {
            column.values = column.values[from..until].to_vec();
        }
        Ok(FrameTable { frame_indices, columns })
    }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&mut parameters, &headers)?;
    parameters.finish()?;
    let id = job_id(&id)?;
    let table = app.queue.frames(id, wanted.distorted_index).await?;
    let job = match wanted.format {
        Format::Json => None,
        Format::Log(_) => Some(app.queue.job(id).await?),
    };
    let content_type = HeaderValue::from_static(wanted.format.content_type());
    // A long film's table takes a while to write: not on a thread that others wait for.
    let body = tokio::task::spawn_blocking(move || render(id, &wanted, table, job)).await;
    let body = body.map_err(|_| ApiError::new(ErrorKind::Internal, "the table was not written"))?;
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, content_type)], body?).into_response())
}

fn render(
    id: JobId,
    wanted: &Wanted,
    table: FrameTable,
    job: Option<JobView>,
) -> Result<Vec<u8>, Problem> {
    let table = wanted.cut(table)?;
    let failed = |_| ApiError::new(ErrorKind::Internal, "the table was not written");
    let (Format::Log(format), Some(job)) = (wanted.format, job) else {
        let out = FramesOut::new(id, wanted.distorted_index, table);
        return serde_json::to_vec(&out).map_err(|_| failed(std::fmt::Error).into());
    };
    let fps = frames_per_second(&job, table.frame_count());
    let report = report(job, wanted.distorted_index, table)?;
    let precision = wanted.precision;
    let options = LogOptions { version: engine::LIBVMAF_VERSION, fps, precision, notes: &[] };
    let mut text = String::new();
    engine::write_log(&mut text, &report, format, &options).map_err(failed)?;
    Ok(text.into_bytes())
}

/// Frames by the wall time of the attempt that gave them; NaN where nobody measured.
fn frames_per_second(job: &JobView, frame_count: usize) -> f64 {
    let measured = job.attempts.iter().rev().find_map(|attempt| attempt.timings.as_ref());
    match measured {
        Some(timings) if !timings.wall.is_zero() => frame_count as f64 / timings.wall.as_secs_f64(),
        _ => f64::NAN,
    }
}

/// The stored result and its frames, put back together.
fn report(
    mut job: JobView,
    distorted_index: usize,
    frames: FrameTable,
) -> Result<ScoreReport, Problem> {
    if distorted_index >= job.results.len() || frames.columns.is_empty() {
        let kind = ErrorKind::NotReady;
        return Err(ApiError::new(kind, "the job has no result of that video").into());
    }
    let result = job.results.swap_remove(distorted_index);
    Ok(ScoreReport {
        width: result.width,
        height: result.height,
        models: result.models,
        pooled: result.pooled,
        aggregates: result.aggregates,
        frames,
        warnings: result.warnings,
        provenance: result.provenance,
        timings: StageTimings::default(),
        digest: result.digest,
        encoded: result.encoded,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_acceptable_format_is_taken() {
        for (accept, expected) in [
            ("", Format::Json),
            ("*/*", Format::Json),
            ("text/csv", Format::Log(LogFormat::Csv)),
            ("application/json;q=0.5, application/xml", Format::Log(LogFormat::Xml)),
            ("text/csv;q=0.1, application/json;q=0.9", Format::Json),
            ("image/png", Format::Json),
        ] {
            assert_eq!(Format::accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn a_table_is_cut_to_frames_and_columns() {
        let column =
            |name: &str| types::Column { name: name.to_owned(), values: vec![1.0, 2.0, 3.0] };
        let table =
            FrameTable { frame_indices: vec![0, 5, 10], columns: vec![column("a"), column("b")] };
        let mut wanted = Wanted {
            format: Format::Json,
            distorted_index: 0,
            first_frame_index: Some(1),
            frame_count_max: Some(5),
            columns: vec!["b".to_owned()],
            precision: Precision::default(),
        };
        let cut = wanted.cut(table.clone()).expect("a column that is there");
        assert_eq!(cut.frame_indices, [5]);
        assert_eq!(cut.columns.len(), 1);
        assert_eq!(cut.columns[0].values, [2.0]);
        wanted.columns = vec!["c".to_owned()];
        assert!(wanted.cut(table).is_err());
    }
}
