//! Jobs and results as agents see them: small enough to read, with links to what is not.

use std::collections::BTreeMap;

use rmcp::model::{ContentBlock, Resource};
use schemars::JsonSchema;
use serde::Serialize;
use types::{Failure, JobId, JobSummary, JobView, PooledScore, ResultView, State};

use super::tune::TuneOut;
use crate::clock::now;
use crate::tunes::TuneView;

/// Features of a result that are shown; there are more only where somebody asked for many.
const FEATURES_SHOWN_MAX: usize = 24;
/// Warnings of a result that are shown.
const WARNINGS_SHOWN_MAX: usize = 8;

/// Where a job stands.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct JobOut {
    /// The job's handle: give it to get_job, cancel_job, worst_frames and compare_results.
    pub job_id: String,
    /// queued, running, succeeded, failed or cancelled.
    pub state: StateOut,
    /// What to do next.
    pub next: String,
    /// The headline: the first model's mean over all frames of the first distorted video, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// One entry a distorted video, once the job has succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ResultOut>,
    /// How far it is, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressOut>,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureOut>,
    /// Why nothing runs it although it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// When it was submitted, RFC 3339.
    pub submitted_at: String,
    /// When it ended, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Tries so far, and on which nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptOut>,
    /// The trace that tells where its time went, in the operator's tracing backend.
    pub trace_id: String,
    /// The job as a resource.
    pub uri: String,
    /// What happened last, of a run of tune.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What a run of tune found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tune: Option<TuneOut>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateOut {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl From<State> for StateOut {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Running => Self::Running,
            State::Succeeded => Self::Succeeded,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

impl From<StateOut> for State {
    fn from(state: StateOut) -> Self {
        match state {
            StateOut::Queued => Self::Queued,
            StateOut::Running => Self::Running,
            StateOut::Succeeded => Self::Succeeded,
            StateOut::Failed => Self::Failed,
            StateOut::Cancelled => Self::Cancelled,
        }
    }
}

/// Frames done and, where it can be told, in all.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ProgressOut {
    /// Frames scored.
    pub frames_done: u64,
    /// Frames there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_total: Option<u64>,
    /// How long it will take at the pace so far, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<f64>,
}

/// Why a job failed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FailureOut {
    /// What to branch on, such as size_mismatch.
    pub kind: String,
    /// What was wrong, with what.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl From<&Failure> for FailureOut {
    fn from(failure: &Failure) -> Self {
        Self {
            kind: failure.kind.to_string(),
            message: failure.message.clone(),
            hint: crate::error::hint(failure.kind).to_owned(),
        }
    }
}

/// One try at a job.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct AttemptOut {
    /// Who ran it.
    pub node: String,
    /// How it ended; running while it does.
    pub outcome: String,
}

/// The scores of one distorted video.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ResultOut {
    /// Its place in the job, from 0.
    pub distorted_index: usize,
    /// Its path or URL.
    pub distorted: String,
    /// Luma width of both videos.
    pub width: u32,
    /// Luma height of both videos.
    pub height: u32,
    /// Frames scored.
    pub frame_count: u64,
    /// One entry a model.
    pub models: Vec<ModelOut>,
    /// The mean of each feature.
    pub feature_means: BTreeMap<String, f64>,
    /// Values of the whole clip that are no mean of its frames' values, such as apsnr_y.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub aggregates: BTreeMap<String, f64>,
    /// What to know before trusting the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<WarningOut>,
    /// What made it: engine, instruction set, decoders.
    pub provenance: ProvenanceOut,
    /// SHA-256 of everything that must be equal wherever the pair is scored.
    pub digest: String,
    /// The first page of per-frame values, as a resource.
    pub frames_uri: String,
}

/// What one model says.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ModelOut {
    /// The name of its column, such as vmaf.
    pub name: String,
    /// The model.
    pub version: String,
    /// SHA-256 of its file: scores of other models are not comparable.
    pub sha256: String,
    /// Over all frames.
    pub pooled: PooledOut,
}

/// A column pooled over the frames that were scored.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[allow(missing_docs, reason = "the fields say what they are")]
pub(crate) struct PooledOut {
    pub mean: f64,
    pub harmonic_mean: f64,
    pub min: f64,
    pub p1: f64,
    pub p5: f64,
    pub p10: f64,
    pub p25: f64,
    pub p50: f64,
    pub max: f64,
    pub standard_deviation: f64,
}

impl From<&PooledScore> for PooledOut {
    fn from(pooled: &PooledScore) -> Self {
        Self {
            mean: pooled.mean,
            harmonic_mean: pooled.harmonic_mean,
            min: pooled.min,
            p1: pooled.p1,
            p5: pooled.p5,
            p10: pooled.p10,
            p25: pooled.p25,
            p50: pooled.p50,
            max: pooled.max,
            standard_deviation: pooled.standard_deviation,
        }
    }
}

/// Something to know although there is a score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct WarningOut {
    /// What to branch on.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// What made a score.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct ProvenanceOut {
    /// The engine's version.
    pub engine_version: String,
    /// The instruction set it ran on; scores do not depend on it.
    pub isa: String,
    /// How reference and distorted were decoded.
    pub decoders: Vec<String>,
}

/// The template of [`job_uri`].
pub(crate) const JOB_TEMPLATE: &str = "vmafx://jobs/{job_id}";
/// The template of [`frames_uri`].
pub(crate) const FRAMES_TEMPLATE: &str =
    "vmafx://jobs/{job_id}/frames{?distorted_index,from,count,columns}";

/// The job as a resource.
pub(crate) fn job_uri(id: JobId) -> String {
    format!("vmafx://jobs/{id}")
}

/// The first page of a result's frames as a resource.
pub(crate) fn frames_uri(id: JobId, distorted_index: usize, from: u64) -> String {
    format!("vmafx://jobs/{id}/frames?distorted_index={distorted_index}&from={from}")
}

impl ResultOut {
    pub fn new(job: &JobView, index: usize, result: &ResultView) -> Self {
        let is_model = |name: &str| result.models.iter().any(|model| model.name == name);
        let features = result.pooled.iter().filter(|(name, _)| !is_model(name));
        let aggregates = result.aggregates.iter().filter(|(_, value)| value.is_finite());
        Self {
            distorted_index: index,
            distorted: job.spec.distorted.get(index).map(|m| m.uri.clone()).unwrap_or_default(),
            width: result.width,
            height: result.height,
            frame_count: result.frame_count,
            models: result
                .models
                .iter()
                .map(|model| ModelOut {
                    name: model.name.clone(),
                    version: model.version.clone(),
                    sha256: model.sha256.clone(),
                    pooled: (&model.pooled).into(),
                })
                .collect(),
            // A NaN, which JSON cannot carry, is left out.
            feature_means: features
                .filter(|(_, pooled)| pooled.mean.is_finite())
                .take(FEATURES_SHOWN_MAX)
                .map(|(name, pooled)| (name.clone(), pooled.mean))
                .collect(),
            aggregates: aggregates.take(FEATURES_SHOWN_MAX).cloned().collect(),
            warnings: result
                .warnings
                .iter()
                .take(WARNINGS_SHOWN_MAX)
                .map(|w| WarningOut { code: w.code.clone(), message: w.message.clone() })
                .collect(),
            provenance: ProvenanceOut {
                engine_version: result.provenance.engine_version.clone(),
                isa: result.provenance.isa.clone(),
                decoders: result.provenance.decoders.clone(),
            },
            digest: result.digest.clone(),
            frames_uri: frames_uri(job.id, index, 0),
        }
    }
}

impl From<&JobView> for JobOut {
    fn from(job: &JobView) -> Self {
        let headline = job.results.first().and_then(|result| result.models.first());
        let results = job.results.iter().enumerate();
        Self {
            job_id: job.id.to_string(),
            state: job.state.into(),
            next: next_step(job),
            score: headline.map(|model| model.pooled.mean),
            results: results.map(|(index, result)| ResultOut::new(job, index, result)).collect(),
            progress: job.progress.map(|progress| progress_out(job, progress)),
            failure: job.failure.as_ref().map(Into::into),
            waiting_for: job.waiting_for.clone(),
            submitted_at: job.submitted_at.to_string(),
            finished_at: job.finished_at.map(|at| at.to_string()),
            attempts: job
                .attempts
                .iter()
                .map(|attempt| AttemptOut {
                    node: attempt.node.to_string(),
                    outcome: attempt.outcome.map_or("running", |o| o.as_str()).to_owned(),
                })
                .collect(),
            trace_id: job.trace.trace_id.to_string(),
            uri: job_uri(job.id),
            note: None,
            tune: None,
        }
    }
}

fn next_step(job: &JobView) -> String {
    let id = job.id;
    match job.state {
        State::Queued | State::Running => format!(
            "Call get_job with job_id {id} and wait_seconds 30 until it has ended; cancel_job if it \
             is not wanted any more."
        ),
        State::Succeeded => {
            "Done. worst_frames shows the worst moments; the frames_uri of a result \
                             holds per-frame values; compare_results compares it with another job."
                .to_owned()
        }
        State::Failed => "It failed: follow the failure's hint, then submit it anew.".to_owned(),
        State::Cancelled => "It was cancelled: submit it anew if it is still wanted.".to_owned(),
    }
}

fn progress_out(job: &JobView, progress: types::Progress) -> ProgressOut {
    let took = job.started_at.map(|at| now().since(at)).unwrap_or_default();
    let left = progress.frames_total.filter(|_| progress.frames_done > 0).map(|total| {
        let left = total.saturating_sub(progress.frames_done) as f64;
        (took.as_secs_f64() / progress.frames_done as f64 * left).round()
    });
    ProgressOut {
        frames_done: progress.frames_done,
        frames_total: progress.frames_total,
        seconds_left: left,
    }
}

/// The links that follow a job: its per-frame values, which are never inlined.
pub(crate) fn links(job: &JobView) -> Vec<ContentBlock> {
    let results = job.results.iter().enumerate();
    results
        .map(|(index, result)| {
            let resource =
                Resource::new(frames_uri(job.id, index, 0), format!("frames of {index}"))
                    .with_title("Per-frame values")
                    .with_description(format!(
                        "Scores and features of {} frames, a page at a time",
                        result.frame_count
                    ))
                    .with_mime_type("application/json");
            ContentBlock::resource_link(resource)
        })
        .collect()
}

/// One line of a list.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct JobLine {
    /// The job's handle.
    pub job_id: String,
    /// Where it stands.
    pub state: StateOut,
    /// The headline score, once it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// When it was submitted, RFC 3339.
    pub submitted_at: String,
    /// When it ended, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Frames done, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames_done: Option<u64>,
    /// What a run of tune did last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl From<&TuneView> for JobLine {
    fn from(run: &TuneView) -> Self {
        let pooled = run.outcome.as_ref().and_then(|outcome| outcome.pooled().copied());
        Self {
            job_id: run.id.to_string(),
            state: run.state.into(),
            score: pooled.map(|pooled| pooled.mean),
            failure_kind: run.failure.as_ref().map(|failure| failure.kind.to_string()),
            labels: BTreeMap::new(),
            submitted_at: run.submitted_at.to_string(),
            finished_at: run.finished_at.map(|at| at.to_string()),
            frames_done: None,
            note: Some(run.note.clone()),
        }
    }
}

impl From<&JobSummary> for JobLine {
    fn from(job: &JobSummary) -> Self {
        Self {
            job_id: job.id.to_string(),
            state: job.state.into(),
            score: job.score,
            failure_kind: job.failure.as_ref().map(|failure| failure.kind.to_string()),
            labels: job.labels.clone(),
            submitted_at: job.submitted_at.to_string(),
            finished_at: job.finished_at.map(|at| at.to_string()),
            frames_done: job.progress.map(|progress| progress.frames_done),
            note: None,
        }
    }
}
