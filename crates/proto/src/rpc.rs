//! Requests and answers that have no type in [`types`], checked like everything that arrives.

use std::time::Duration;

use types::{
    AttemptReport, Incarnation, JobFilter, JobId, JobPage, JobSpec, JobSummary, NodeId, NodeStatus,
    SessionId, State, ToNode, TraceContext, TraceId,
};

use crate::controller as pb;
use crate::convert::{
    bounded, convert, micros, optional, parsed, repeated, report_request, required, state,
};
use crate::error::WireError;
use crate::limits::{
    COLUMNS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, JOBS_PER_REQUEST_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX,
    POLL_WAIT_MAX, RETRY_IDS_MAX,
};

/// Messages that one unary answer brings a node.
const MESSAGES_MAX: usize = 4_096;

/// Frame values of a report that may come over a work stream; a larger one would hold up what
/// comes behind it.
pub const REPORT_VALUES_MAX: usize = 4_096;

/// Bytes of a message over a work stream, whatever it carries.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A job to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// What is asked.
    pub spec: JobSpec,
    /// The same key with the same specification gives the same job; 1 to
    /// [`IDEMPOTENCY_KEY_BYTES_MAX`] bytes.
    pub idempotency_key: Option<String>,
}

impl From<Submit> for pb::SubmitJobRequest {
    fn from(submit: Submit) -> Self {
        Self {
            spec: Some(submit.spec.into()),
            idempotency_key: submit.idempotency_key.unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::SubmitJobRequest> for Submit {
    type Error = WireError;

    fn try_from(request: pb::SubmitJobRequest) -> Result<Self, WireError> {
        bounded(request.idempotency_key.len(), "idempotency_key", IDEMPOTENCY_KEY_BYTES_MAX)?;
        Ok(Self {
            spec: required(request.spec, "spec")?,
            idempotency_key: Some(request.idempotency_key).filter(|key| !key.is_empty()),
        })
    }
}

/// Reads a request that submits many jobs.
///
/// # Errors
/// When it holds none or more than [`JOBS_PER_REQUEST_MAX`], or when one of them is malformed.
pub fn submits(request: pb::SubmitJobsRequest) -> Result<Vec<Submit>, WireError> {
    if request.jobs.is_empty() {
        return Err(WireError::missing("jobs"));
    }
    repeated(request.jobs, "jobs", JOBS_PER_REQUEST_MAX)
}

/// What became of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub job: JobId,
    /// The idempotency key named a job that was there already.
    pub existing: bool,
    /// The trace that the job belongs to.
    pub trace_id: TraceId,
}

impl From<Submitted> for pb::SubmitJobResponse {
    fn from(submitted: Submitted) -> Self {
        Self {
            job_id: submitted.job.to_string(),
            existing: submitted.existing,
            trace_id: submitted.trace_id.to_string(),
        }
    }
}

impl TryFrom<pb::SubmitJobResponse> for Submitted {
    type Error = WireError;

    fn try_from(response: pb::SubmitJobResponse) -> Result<Self, WireError> {
        let trace_id = trace_id(&response.trace_id)?;
        Ok(Self { job: parsed(&response.job_id, "job_id")?, existing: response.existing, trace_id })
    }
}

/// A page of jobs to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListJobs {
    /// Which jobs.
    pub filter: JobFilter,
    /// How many at most, 1 to [`PAGE_SIZE_MAX`]; `None` takes [`PAGE_SIZE_DEFAULT`].
    pub page_size: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<JobId>,
}

impl ListJobs {
    /// How many jobs the page holds at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.page_size.unwrap_or(PAGE_SIZE_DEFAULT)
    }
}

impl From<ListJobs> for pb::ListJobsRequest {
    fn from(list: ListJobs) -> Self {
        let page_size = list.page_size.unwrap_or(0).min(PAGE_SIZE_MAX);
        Self {
            filter: Some(list.filter.into()),
            page_size: u32::try_from(page_size).unwrap_or(0),
            page_token: list.after.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::ListJobsRequest> for ListJobs {
    type Error = WireError;

    fn try_from(request: pb::ListJobsRequest) -> Result<Self, WireError> {
        let page_size = request.page_size as usize;
        bounded(page_size, "page_size", PAGE_SIZE_MAX)?;
        Ok(Self {
            filter: optional(request.filter, "filter")?.unwrap_or_default(),
            page_size: Some(page_size).filter(|size| *size > 0),
            after: optional_id(&request.page_token, "page_token")?,
        })
    }
}

fn optional_id(text: &str, field: &str) -> Result<Option<JobId>, WireError> {
    if text.is_empty() { Ok(None) } else { parsed(text, field).map(Some) }
}

/// Reads the id of the job that a request is about.
///
/// # Errors
/// When the text is not a job id.
pub fn job_id(text: &str) -> Result<JobId, WireError> {
    parsed(text, "job_id")
}

/// Reads the name of the node that a request is about.
///
/// # Errors
/// When the text is not a node's name.
pub fn node_id(text: String) -> Result<NodeId, WireError> {
    NodeId::new(text).map_err(|error| WireError::new("node_id", error.to_string()))
}

/// What was sent of a job's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExportedTrace {
    /// The trace.
    pub trace_id: TraceId,
    /// Spans that the collector took.
    pub spans: u32,
}

impl From<ExportedTrace> for pb::ExportTraceResponse {
    fn from(exported: ExportedTrace) -> Self {
        Self { trace_id: exported.trace_id.to_string(), spans: exported.spans }
    }
}

impl TryFrom<pb::ExportTraceResponse> for ExportedTrace {
    type Error = WireError;

    fn try_from(response: pb::ExportTraceResponse) -> Result<Self, WireError> {
        Ok(Self { trace_id: trace_id(&response.trace_id)?, spans: response.spans })
    }
}

fn trace_id(text: &str) -> Result<TraceId, WireError> {
    TraceId::parse(text).ok_or_else(|| WireError::new("trace_id", "is not a trace id"))
}

impl From<JobPage> for pb::ListJobsResponse {
    fn from(page: JobPage) -> Self {
        Self {
            jobs: page.jobs.into_iter().map(Into::into).collect(),
            next_page_token: page.next.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::ListJobsResponse> for JobPage {
    type Error = WireError;

    fn try_from(response: pb::ListJobsResponse) -> Result<Self, WireError> {
        Ok(Self {
            jobs: repeated(response.jobs, "jobs", PAGE_SIZE_MAX)?,
            next: optional_id(&response.next_page_token, "next_page_token")?,
        })
    }
}

/// Frames to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetFrames {
    /// Of which job.
    pub job: JobId,
    /// Of which of its distorted videos, from 0.
    pub distorted_index: usize,
    /// The first frame.
    pub first_frame_index: u64,
    /// How many frame indices at most; `None` goes to the end.
    pub frame_count_max: Option<u64>,
    /// Only these columns; empty takes all.
    pub columns: Vec<String>,
}

impl GetFrames {
    /// All frames and columns of a job's first distorted video.
    #[must_use]
    pub const fn all(job: JobId) -> Self {
        Self {
            job,
            distorted_index: 0,
            first_frame_index: 0,
            frame_count_max: None,
            columns: Vec::new(),
        }
    }

    /// The frame indices asked for.
    #[must_use]
    pub fn frames(&self) -> std::ops::Range<u64> {
        let end = self
            .frame_count_max
            .map_or(u64::MAX, |count| self.first_frame_index.saturating_add(count));
        self.first_frame_index..end
    }
}

impl From<GetFrames> for pb::GetFramesRequest {
    fn from(get: GetFrames) -> Self {
        Self {
            job_id: get.job.to_string(),
            distorted_index: u32::try_from(get.distorted_index).unwrap_or(u32::MAX),
            first_frame_index: get.first_frame_index,
            frame_count_max: get.frame_count_max,
            columns: get.columns,
        }
    }
}

impl TryFrom<pb::GetFramesRequest> for GetFrames {
    type Error = WireError;

    fn try_from(request: pb::GetFramesRequest) -> Result<Self, WireError> {
        bounded(request.columns.len(), "columns", COLUMNS_MAX)?;
        Ok(Self {
            job: job_id(&request.job_id)?,
            distorted_index: request.distorted_index as usize,
            first_frame_index: request.first_frame_index,
            frame_count_max: request.frame_count_max,
            columns: request.columns,
        })
    }
}

/// What a cancel did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelAnswer {
    /// Where the job stands now.
    pub state: State,
    /// Whether this call moved it there.
    pub changed: bool,
}

impl From<CancelAnswer> for pb::CancelJobResponse {
    fn from(answer: CancelAnswer) -> Self {
        Self { state: pb::JobState::from(answer.state).into(), changed: answer.changed }
    }
}

impl TryFrom<pb::CancelJobResponse> for CancelAnswer {
    type Error = WireError;

    fn try_from(response: pb::CancelJobResponse) -> Result<Self, WireError> {
        Ok(Self { state: state(response.state, "state")?, changed: response.changed })
    }
}

/// Failed jobs to put back into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryJobs {
    /// These, 1 to [`RETRY_IDS_MAX`].
    Ids(Vec<JobId>),
    /// All that pass.
    Filter(JobFilter),
}

impl From<RetryJobs> for pb::RetryJobsRequest {
    fn from(retry: RetryJobs) -> Self {
        match retry {
            RetryJobs::Ids(ids) => {
                Self { job_ids: ids.into_iter().map(|id| id.to_string()).collect(), filter: None }
            }
            RetryJobs::Filter(filter) => Self { job_ids: Vec::new(), filter: Some(filter.into()) },
        }
    }
}

impl TryFrom<pb::RetryJobsRequest> for RetryJobs {
    type Error = WireError;

    /// A request with neither ids nor a filter is refused: nobody retries everything by accident.
    fn try_from(request: pb::RetryJobsRequest) -> Result<Self, WireError> {
        bounded(request.job_ids.len(), "job_ids", RETRY_IDS_MAX)?;
        match (request.job_ids.is_empty(), request.filter) {
            (false, None) => {
                let ids = request.job_ids.iter().map(|id| parsed(id, "job_ids"));
                ids.collect::<Result<_, _>>().map(Self::Ids)
            }
            (true, Some(filter)) => convert(filter, "filter").map(Self::Filter),
            (true, None) => Err(WireError::missing("job_ids or filter")),
            (false, Some(_)) => {
                Err(WireError::new("filter", "cannot be given together with job_ids"))
            }
        }
    }
}

/// Jobs to watch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WatchJobs {
    /// Which jobs.
    pub filter: JobFilter,
    /// Only this one; the stream then ends when it does.
    pub only: Option<JobId>,
}

impl From<WatchJobs> for pb::StreamJobsRequest {
    fn from(watch: WatchJobs) -> Self {
        Self {
            filter: Some(watch.filter.into()),
            job_id: watch.only.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl TryFrom<pb::StreamJobsRequest> for WatchJobs {
    type Error = WireError;

    fn try_from(request: pb::StreamJobsRequest) -> Result<Self, WireError> {
        Ok(Self {
            filter: optional(request.filter, "filter")?.unwrap_or_default(),
            only: optional_id(&request.job_id, "job_id")?,
        })
    }
}

/// One event of a watch.
#[derive(Debug, Clone, PartialEq)]
pub enum JobEvent {
    /// A job of the snapshot, or a change of one.
    Job(Box<JobSummary>),
    /// The snapshot is complete: what follows are changes.
    SnapshotEnd,
}

impl From<JobEvent> for pb::JobEvent {
    fn from(event: JobEvent) -> Self {
        let event = match event {
            JobEvent::Job(job) => pb::job_event::Event::Job((*job).into()),
            JobEvent::SnapshotEnd => pb::job_event::Event::SnapshotEnd(true),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<pb::JobEvent> for JobEvent {
    type Error = WireError;

    fn try_from(event: pb::JobEvent) -> Result<Self, WireError> {
        match event.event.ok_or_else(|| WireError::missing("event"))? {
            pb::job_event::Event::Job(job) => Ok(Self::Job(Box::new(convert(job, "job")?))),
            pb::job_event::Event::SnapshotEnd(_) => Ok(Self::SnapshotEnd),
        }
    }
}

/// A node's sign of life, and whose it is: the messages of the work stream and its unary twins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignOfLife {
    /// The node's session.
    pub session: SessionId,
    /// The process that holds it.
    pub incarnation: Incarnation,
    /// What it has in hand.
    pub status: NodeStatus,
}

impl From<SignOfLife> for pb::HeartbeatRequest {
    fn from(sign: SignOfLife) -> Self {
        Self {
            session_id: sign.session.0,
            incarnation: sign.incarnation.0,
            status: Some(sign.status.into()),
        }
    }
}

impl From<SignOfLife> for pb::NodeMessage {
    fn from(sign: SignOfLife) -> Self {
        Self {
            session_id: sign.session.0,
            incarnation: sign.incarnation.0,
            status: Some(sign.status.into()),
            ..Self::default()
        }
    }
}

macro_rules! sign_of_life {
    ($($message:ident),+) => {$(
        impl TryFrom<pb::$message> for SignOfLife {
            type Error = WireError;

            fn try_from(message: pb::$message) -> Result<Self, WireError> {
                Ok(Self {
                    session: SessionId(message.session_id),
                    incarnation: Incarnation(message.incarnation),
                    status: required(message.status, "status")?,
                })
            }
        }
    )+};
}

sign_of_life!(NodeMessage, HeartbeatRequest);

/// A report as it goes over a work stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamedReport {
    /// What is reported.
    pub report: Box<AttemptReport>,
    /// The position of who sends it, where the job is recorded.
    pub trace: Option<TraceContext>,
}

/// What a node says on its work stream after the first sign of life.
#[derive(Debug, Clone, PartialEq)]
pub enum FromNode {
    /// It lives.
    Status {
        /// What it has in hand.
        status: NodeStatus,
        /// Where not 0: to be echoed once the status was taken.
        acknowledge: u64,
    },
    /// An attempt has ended.
    Report(StreamedReport),
}

impl From<FromNode> for pb::NodeMessage {
    /// Whose the stream is, its first message has said.
    fn from(said: FromNode) -> Self {
        match said {
            FromNode::Status { status, acknowledge } => {
                Self { status: Some(status.into()), acknowledge, ..Self::default() }
            }
            FromNode::Report(StreamedReport { report, trace }) => {
                let report = report_request(SessionId(0), Incarnation(0), *report);
                Self { report: Some(report), trace: trace.map(Into::into), ..Self::default() }
            }
        }
    }
}

impl TryFrom<pb::NodeMessage> for FromNode {
    type Error = WireError;

    fn try_from(message: pb::NodeMessage) -> Result<Self, WireError> {
        match message.report {
            Some(report) => {
                let report = Box::new(convert(report, "report")?);
                // A position that cannot be read costs a span, and no report.
                let trace = message.trace.and_then(|trace| trace.try_into().ok());
                Ok(Self::Report(StreamedReport { report, trace }))
            }
            None => Ok(Self::Status {
                status: required(message.status, "status")?,
                acknowledge: message.acknowledge,
            }),
        }
    }
}

/// The request that asks for work by long poll. `wait` is held at [`POLL_WAIT_MAX`].
#[must_use]
pub fn poll_request(sign: SignOfLife, wait: Duration) -> pb::PollWorkRequest {
    pb::PollWorkRequest {
        session_id: sign.session.0,
        incarnation: sign.incarnation.0,
        status: Some(sign.status.into()),
        wait_us: micros(wait.min(POLL_WAIT_MAX)),
    }
}

/// Reads a request that asks for work by long poll. The wait is held at [`POLL_WAIT_MAX`].
///
/// # Errors
/// When the status is missing or malformed.
pub fn poll(request: pb::PollWorkRequest) -> Result<(SignOfLife, Duration), WireError> {
    let sign = SignOfLife {
        session: SessionId(request.session_id),
        incarnation: Incarnation(request.incarnation),
        status: required(request.status, "status")?,
    };
    Ok((sign, Duration::from_micros(request.wait_us).min(POLL_WAIT_MAX)))
}

/// Messages to a node, as a unary answer carries them.
#[must_use]
pub fn to_wire(messages: Vec<ToNode>) -> Vec<pb::ControllerMessage> {
    messages.into_iter().map(Into::into).collect()
}

/// Reads the messages of a unary answer.
///
/// # Errors
/// When one of them is malformed.
pub fn from_wire(messages: Vec<pb::ControllerMessage>) -> Result<Vec<ToNode>, WireError> {
    repeated(messages, "messages", MESSAGES_MAX)
}
