//! `score` and `submit_job`: a pair, or several, handed over to be scored.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proto::rpc::Submit;
use rmcp::model::CallToolResult;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use types::{JobSpec, JobView, Priority};

use super::args::{self, RawArgs};
use super::view::{self, JobOut};
use super::{Answer, Effect, Tool, result};
use crate::error::ToolError;
use crate::platform::{CANCEL_WAIT_MAX, Call};

/// How long a waiting call holds its client unless told otherwise: shorter than the shortest
/// timeout that hosts are known to have for tools that report progress.
pub(super) const WAIT_DEFAULT: Duration = Duration::from_secs(20);
/// The longest that a call waits.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(120);

/// When a waiting call gives its client the handle instead.
pub(super) fn until(wait_seconds: Option<u32>, default: Duration) -> Instant {
    let wait = wait_seconds.map_or(default, |seconds| Duration::from_secs(seconds.into()));
    Instant::now() + wait.min(WAIT_MAX)
}

/// `score`
pub(crate) struct Score;

/// What `score` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScoreIn {
    /// The undegraded video: an absolute path as the machine that scores sees it, or an https URL
    /// of an allowed host.
    pub reference: String,
    /// The degraded video, of the same size, chroma subsampling and bit depth.
    pub distorted: String,
    /// A built-in model such as vmaf_v0.6.1 (the default; see recommend_model), or path=FILE; then
    /// any of :disable_clip, :enable_transform and :EXTRACTOR.OPTION=VALUE.
    #[serde(default)]
    pub model: Option<String>,
    /// Score every Nth frame only; 1, the default, scores all.
    #[serde(default)]
    pub subsample: Option<NonZeroU32>,
    /// The first frame that counts, from 0, in both videos.
    #[serde(default)]
    pub first_frame: u64,
    /// How many frames count at most; without it, to the end of the shorter video.
    #[serde(default)]
    pub frame_count: Option<u64>,
    /// The geometry of both files, where they are headerless YUV.
    #[serde(default)]
    pub raw: Option<RawArgs>,
    /// How long to wait for the result before the job's handle is given instead, 0 to 120; 20
    /// unless given.
    #[serde(default)]
    pub wait_seconds: Option<u32>,
    /// Record the trace of this job whatever the sampling ratio.
    #[serde(default)]
    pub trace: bool,
}

impl ScoreIn {
    fn spec(&self) -> Result<JobSpec, ToolError> {
        let reference = args::media(&self.reference, self.raw);
        let distorted = args::media(&self.distorted, self.raw);
        Ok(JobSpec {
            model: args::model(self.model.as_deref())?,
            subsample_interval: args::interval(self.subsample),
            first_frame_index: self.first_frame,
            frame_count_max: self.frame_count,
            force_trace: self.trace,
            ..JobSpec::pair(reference, distorted)
        })
    }
}

impl Tool for Score {
    const NAME: &'static str = "score";
    const TITLE: &'static str = "Score a pair";
    const DESCRIPTION: &'static str = "Scores how much worse a distorted video looks than its reference (VMAF, 0 to 100; 95 and \
         above is hardly told from the reference, below 70 is plainly worse). Waits up to \
         wait_seconds for the result; a longer job goes on, and its handle comes back for get_job. \
         Run check_pair first where the two videos may not begin at the same frame: a score of \
         pictures that do not belong together means nothing.";
    const EFFECT: Effect = Effect::Starts;
    type Input = ScoreIn;
    type Output = JobOut;

    async fn run(call: Call, input: ScoreIn) -> Result<Answer<JobOut>, ToolError> {
        let until = until(input.wait_seconds, WAIT_DEFAULT);
        submit_and_wait(call, &input, until).await?.answer()
    }
}

/// A job that was accepted, after it was waited for.
pub(super) struct Waited {
    pub job: JobView,
    /// Why it could not be asked how far the job is; `job` is then as it was submitted.
    pub trouble: Option<ToolError>,
}

impl Waited {
    fn answer(&self) -> Result<Answer<JobOut>, ToolError> {
        let mut answer = answer(&self.job)?;
        answer.value.note = self.trouble.as_ref().map(|trouble| {
            format!(
                "The job was accepted and goes on, but how far it is could not be asked ({}: {}): \
                 the state shown is that of its submission.",
                trouble.kind, trouble.message
            )
        });
        Ok(answer)
    }
}

/// Submits the pair and waits for its end as long as that is wanted. From its acceptance on the
/// caller is given the job's handle whatever happens. A call that is cancelled meanwhile cancels its
/// job: nobody would ever ask for its result.
pub(super) async fn submit_and_wait(
    mut call: Call,
    input: &ScoreIn,
    until: Instant,
) -> Result<Waited, ToolError> {
    let spec = input.spec()?;
    let submit = Submit { spec: spec.clone(), idempotency_key: None };
    let accepted = call.platform.jobs.submit(submit).await?;
    let jobs = &call.platform.jobs;
    let waited = jobs.wait(accepted.job, until, &call.stop, &mut call.reporter).await;
    if !call.stop.is_cancelled() {
        return match waited {
            Ok(job) => Ok(Waited { job, trouble: None }),
            // Its message names the job.
            Err(error) if error.kind == "JOB_NOT_FOUND" => Err(error),
            Err(error) => {
                tracing::warn!(job = %accepted.job, "not asked how far it is: {}", error.message);
                Ok(Waited { job: accepted.view(spec), trouble: Some(error) })
            }
        };
    }
    let cancel = jobs.cancel(accepted.job);
    match tokio::time::timeout(CANCEL_WAIT_MAX, cancel).await {
        Ok(Ok(_)) => tracing::info!(job = %accepted.job, "cancelled with the call that waited"),
        Ok(Err(error)) => tracing::warn!(job = %accepted.job, "not cancelled: {}", error.message),
        Err(_) => tracing::warn!(job = %accepted.job, "not cancelled: no answer in time"),
    }
    Err(ToolError::cancelled())
}

/// What `score` answers of a job that has ended.
pub(crate) fn result_of(job: &JobView) -> Result<CallToolResult, ToolError> {
    result(answer(job)?)
}

/// A job as a tool's answer; one that failed is an error, so that no agent takes it for a score.
pub(super) fn answer(job: &JobView) -> Result<Answer<JobOut>, ToolError> {
    if let Some(failure) = job.failure.clone() {
        let error = ToolError::from(failure);
        let message = format!("job {} failed: {}", job.id, error.message);
        return Err(ToolError { message, ..error });
    }
    Ok(Answer { value: job.into(), more: view::links(job) })
}

/// `submit_job`
pub(crate) struct SubmitJob;

/// What `submit_job` takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubmitIn {
    /// The undegraded video: an absolute path as the machine that scores sees it, or an https URL
    /// of an allowed host.
    pub reference: String,
    /// The degraded videos, 1 to 64, each scored against the reference.
    pub distorted: Vec<String>,
    /// A built-in model such as vmaf_v0.6.1 (the default), or path=FILE.
    #[serde(default)]
    pub model: Option<String>,
    /// Feature extractors to compute beside the model's: vif, adm, motion.
    #[serde(default)]
    pub features: Vec<String>,
    /// Score every Nth frame only.
    #[serde(default)]
    pub subsample: Option<NonZeroU32>,
    /// The first frame that counts, from 0, in all videos.
    #[serde(default)]
    pub first_frame: u64,
    /// How many frames count at most.
    #[serde(default)]
    pub frame_count: Option<u64>,
    /// The geometry of all files, where they are headerless YUV.
    #[serde(default)]
    pub raw: Option<RawArgs>,
    /// Who is served first: 0 (last) to 9 (first); 5 unless given.
    #[serde(default)]
    pub priority: Option<u8>,
    /// Labels to find the job by with list_jobs.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The same key with the same arguments gives the same job, so that a call whose answer was
    /// lost can be repeated.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// Record the trace of this job whatever the sampling ratio.
    #[serde(default)]
    pub trace: bool,
}

impl SubmitIn {
    fn spec(&self) -> Result<JobSpec, ToolError> {
        let mut videos = self.distorted.iter().map(|uri| args::media(uri, self.raw));
        let first = videos
            .next()
            .ok_or_else(|| ToolError::argument("distorted names no video", "Name at least one."))?;
        let mut spec = JobSpec::pair(args::media(&self.reference, self.raw), first);
        spec.distorted.extend(videos);
        spec.model = args::model(self.model.as_deref())?;
        spec.features.clone_from(&self.features);
        spec.subsample_interval = args::interval(self.subsample);
        spec.first_frame_index = self.first_frame;
        spec.frame_count_max = self.frame_count;
        spec.labels.clone_from(&self.labels);
        spec.force_trace = self.trace;
        if let Some(priority) = self.priority {
            spec.priority = Priority::new(priority).map_err(|error| {
                ToolError::argument(error.to_string(), "Give a priority from 0 to 9.")
            })?;
        }
        Ok(spec)
    }
}

/// What became of a submission.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SubmitOut {
    /// The job's handle.
    pub job_id: String,
    /// The idempotency key named a job that was there already.
    pub existing: bool,
    /// What to do next.
    pub next: String,
    /// The trace that the job belongs to.
    pub trace_id: String,
    /// The job as a resource.
    pub uri: String,
}

impl Tool for SubmitJob {
    const NAME: &'static str = "submit_job";
    const TITLE: &'static str = "Submit a job";
    const DESCRIPTION: &'static str = "Hands over a scoring job, one reference and up to 64 distorted videos, and returns its \
         handle at once. For long videos, for several renditions of one title, and for work that \
         is to go on while you do something else. Ask for the result with get_job.";
    const EFFECT: Effect = Effect::Starts;
    type Input = SubmitIn;
    type Output = SubmitOut;

    async fn run(call: Call, input: SubmitIn) -> Result<Answer<SubmitOut>, ToolError> {
        let spec = input.spec()?;
        let submit = Submit { spec, idempotency_key: input.idempotency_key };
        let accepted = call.platform.jobs.submit(submit).await?;
        let id = accepted.job;
        let next = format!("Call get_job with job_id {id} and wait_seconds 30.");
        Ok(SubmitOut {
            job_id: id.to_string(),
            existing: accepted.existing,
            next,
            trace_id: accepted.trace_id.to_string(),
            uri: view::job_uri(id),
        }
        .into())
    }
}
