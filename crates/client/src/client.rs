//! The calls.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::controller as pb;
use proto::controller::vmafx_controller_client::VmafxControllerClient;
use proto::limits::{KEEPALIVE_INTERVAL_CALLER, KEEPALIVE_TIMEOUT};
use proto::rpc::{
    self, CancelAnswer, ExportedTrace, GetFrames, ListJobs, RetryJobs, SignOfLife, Submit,
    Submitted, WatchJobs,
};
use proto::{FrameTableBuilder, MESSAGE_BYTES_MAX, WireError, report_request};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use types::{
    AttemptReport, FrameTable, Incarnation, JobId, JobPage, JobView, NodeId, NodeView, Registered,
    Registration, ReportAnswer, SessionId, ToNode,
};

use crate::backoff::Backoff;
use crate::config::{ClientConfig, Token};
use crate::error::ClientError;
use crate::stream::{FrameChunks, JobEvents, WorkStream};
use crate::transport::{Transport, transport};

/// Tries of one call that may be repeated safely.
const TRIES_MAX: u32 = 4;

/// The ceiling of the first wait between tries.
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(100);

/// The ceiling of every wait between tries.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Bounds a report, which may have [`MESSAGE_BYTES_MAX`] to carry.
const REPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Bounds the export of a trace, which waits for a collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bounds a sign of life: a late one is worth nothing.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(3);

/// How much longer than its wait a long poll may take.
const POLL_MARGIN: Duration = Duration::from_secs(10);

/// The flow-control window of a connection, so that a large report is not sent in small pieces.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

type Rpc = VmafxControllerClient<Transport>;

/// Whether a call that failed may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Any number of times: it changes nothing, or the same thing.
    Safe,
    /// Only when it surely was not sent.
    IfUnsent,
    /// The caller has its own way of trying again.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    name: &'static str,
    timeout: Duration,
    repeat: Repeat,
}

/// A controller, seen by its callers. Cheap to clone; clones share one connection, which opens
/// with the first call and opens again when it breaks.
#[derive(Debug, Clone)]
pub struct Client {
    rpc: Rpc,
    address: Arc<str>,
    target: (Arc<str>, u16),
    authorization: Option<AsciiMetadataValue>,
    call_timeout: Duration,
}

impl Client {
    /// Prepares to call a controller; nothing is sent yet. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let url = url(&config.address)?;
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|error| bad_address(&config.address, &error.to_string()))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL_CALLER)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let channel: Channel = endpoint.connect_lazy();
        let rpc = VmafxControllerClient::new(transport(channel, endpoint.uri(), config))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let authorization = config.token.as_ref().map(Token::authorization);
        let call_timeout = config.call_timeout;
        let uri = endpoint.uri();
        let target = (uri.host().unwrap_or_default().into(), uri.port_u16().unwrap_or_default());
        Ok(Self { rpc, address: url.into(), target, authorization, call_timeout })
    }

    /// The controller's address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its host and port.
    #[must_use]
    pub fn target(&self) -> (Arc<str>, u16) {
        self.target.clone()
    }

    /// Submits a job. With an idempotency key the call is repeated when its answer is lost.
    ///
    /// # Errors
    /// When the controller refuses the job or does not answer.
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, ClientError> {
        let repeat = if submit.idempotency_key.is_some() { Repeat::Safe } else { Repeat::IfUnsent };
        let call = Call { repeat, ..self.safe("SubmitJob") };
        let request = pb::SubmitJobRequest::from(submit);
        let send = |mut rpc: Rpc, request| async move { rpc.submit_job(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// Submits up to [`JOBS_PER_REQUEST_MAX`](proto::limits::JOBS_PER_REQUEST_MAX) jobs: all are
    /// accepted or none.
    ///
    /// # Errors
    /// When the controller refuses a job or does not answer.
    pub async fn submit_all(&self, submits: Vec<Submit>) -> Result<Vec<Submitted>, ClientError> {
        let keyed = submits.iter().all(|submit| submit.idempotency_key.is_some());
        let repeat = if keyed { Repeat::Safe } else { Repeat::IfUnsent };
        let call = Call { repeat, ..self.safe("SubmitJobs") };
        let expected = submits.len();
        let jobs = submits.into_iter().map(Into::into).collect();
        let send = |mut rpc: Rpc, request| async move { rpc.submit_jobs(request).await };
        let response = self.unary(&call, pb::SubmitJobsRequest { jobs }, send).await?;
        if response.jobs.len() != expected {
            let problem = format!("{} answers for {expected} jobs", response.jobs.len());
            return Err(self.malformed(&call, WireError::new("jobs", problem)));
        }
        response.jobs.into_iter().map(|job| self.read(&call, job)).collect()
    }

    /// The whole state of a job.
    ///
    /// # Errors
    /// When there is no such job, or no answer.
    pub async fn job(&self, job: JobId) -> Result<JobView, ClientError> {
        let call = self.safe("GetJob");
        let request = pb::GetJobRequest { job_id: job.to_string() };
        let send = |mut rpc: Rpc, request| async move { rpc.get_job(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// One page of jobs, newest first.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn jobs(&self, list: ListJobs) -> Result<JobPage, ClientError> {
        let call = self.safe("ListJobs");
        let request = pb::ListJobsRequest::from(list);
        let send = |mut rpc: Rpc, request| async move { rpc.list_jobs(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// Per-frame values of a finished job, in chunks as they come.
    ///
    /// # Errors
    /// When there is no such job or it has no result, or no answer.
    pub async fn frame_chunks(&self, get: GetFrames) -> Result<FrameChunks, ClientError> {
        let call = self.safe("GetFrames");
        let request = pb::GetFramesRequest::from(get);
        let send = |mut rpc: Rpc, request| async move { rpc.get_frames(request).await };
        let streaming = self.unary(&call, request, send).await?;
        Ok(FrameChunks::new(streaming, &self.address))
    }

    /// Per-frame values of a finished job, put together.
    ///
    /// # Errors
    /// As [`frame_chunks`](Self::frame_chunks), and when the chunks do not fit each other.
    pub async fn frames(&self, get: GetFrames) -> Result<FrameTable, ClientError> {
        let mut chunks = self.frame_chunks(get).await?;
        let mut table = FrameTableBuilder::default();
        while let Some(chunk) = chunks.next().await? {
            let call = self.safe("GetFrames");
            table.push(chunk).map_err(|problem| self.malformed(&call, problem))?;
        }
        Ok(table.finish())
    }

    /// Cancels a job; one that has ended already stays as it is.
    ///
    /// # Errors
    /// When there is no such job, or no answer.
    pub async fn cancel(&self, job: JobId) -> Result<CancelAnswer, ClientError> {
        let call = self.safe("CancelJob");
        let request = pb::CancelJobRequest { job_id: job.to_string() };
        let send = |mut rpc: Rpc, request| async move { rpc.cancel_job(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// Puts failed jobs back into the queue, and says how many.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn retry(&self, retry: RetryJobs) -> Result<u64, ClientError> {
        let call = Call { repeat: Repeat::IfUnsent, ..self.safe("RetryJobs") };
        let request = pb::RetryJobsRequest::from(retry);
        let send = |mut rpc: Rpc, request| async move { rpc.retry_jobs(request).await };
        Ok(self.unary(&call, request, send).await?.retried)
    }

    /// Has the controller rebuild the trace of a job that has ended and send it to its collector.
    ///
    /// # Errors
    /// When there is no such job, it has not ended, the controller has no collector or the
    /// collector did not take it, or no answer.
    pub async fn export_trace(&self, job: JobId) -> Result<ExportedTrace, ClientError> {
        let base = self.safe("ExportTrace");
        let timeout = base.timeout.max(EXPORT_TIMEOUT);
        let call = Call { repeat: Repeat::IfUnsent, timeout, ..base };
        let request = pb::ExportTraceRequest { job_id: job.to_string() };
        let send = |mut rpc: Rpc, request| async move { rpc.export_trace(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// A snapshot of jobs, then every change of them.
    ///
    /// # Errors
    /// When there is no answer, or no such job.
    pub async fn watch(&self, watch: WatchJobs) -> Result<JobEvents, ClientError> {
        let call = self.safe("StreamJobs");
        let request = pb::StreamJobsRequest::from(watch);
        let send = |mut rpc: Rpc, request| async move { rpc.stream_jobs(request).await };
        let streaming = self.unary(&call, request, send).await?;
        Ok(JobEvents::new(streaming, &self.address))
    }

    /// The fleet.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        let call = self.safe("ListNodes");
        let send = |mut rpc: Rpc, request| async move { rpc.list_nodes(request).await };
        let response = self.unary(&call, pb::ListNodesRequest {}, send).await?;
        response.nodes.into_iter().map(|node| self.read(&call, node)).collect()
    }

    /// Lets a node take no new work, and says how many attempts it still runs.
    ///
    /// # Errors
    /// When there is no such node, or no answer.
    pub async fn drain(&self, node: &NodeId) -> Result<u32, ClientError> {
        self.set_draining(node, false).await
    }

    /// Lets a drained node take work again, and says how many attempts it runs.
    ///
    /// # Errors
    /// When there is no such node, or no answer.
    pub async fn undo_drain(&self, node: &NodeId) -> Result<u32, ClientError> {
        self.set_draining(node, true).await
    }

    async fn set_draining(&self, node: &NodeId, undo: bool) -> Result<u32, ClientError> {
        let call = self.safe("DrainNode");
        let request = pb::DrainNodeRequest { node_id: node.to_string(), undo };
        let send = |mut rpc: Rpc, request| async move { rpc.drain_node(request).await };
        Ok(self.unary(&call, request, send).await?.running)
    }
}

/// The calls of a node.
impl Client {
    /// Introduces a node.
    ///
    /// # Errors
    /// When there is no answer. The node tries again by its own backoff.
    pub async fn register(&self, registration: Registration) -> Result<Registered, ClientError> {
        let call = Call { repeat: Repeat::Never, ..self.safe("RegisterNode") };
        let request = pb::RegisterNodeRequest::from(registration);
        let send = |mut rpc: Rpc, request| async move { rpc.register_node(request).await };
        let response = self.unary(&call, request, send).await?;
        self.read(&call, response)
    }

    /// Opens the work stream with a first sign of life.
    ///
    /// # Errors
    /// When there is no answer. The node tries again by its own backoff.
    pub async fn work(&self, sign: SignOfLife) -> Result<WorkStream, ClientError> {
        let call = Call { repeat: Repeat::Never, ..self.safe("PullWork") };
        let (sending, messages) = WorkStream::sending(sign);
        // A stream's request cannot be sent twice, so that it does not go through `unary`.
        let request = self.request(messages, None);
        let mut rpc = self.rpc.clone();
        let opened = tokio::time::timeout(call.timeout, rpc.pull_work(request)).await;
        match opened {
            Ok(Ok(response)) => Ok(WorkStream::new(sending, response.into_inner(), &self.address)),
            Ok(Err(status)) => Err(ClientError::of_status(call.name, &self.address, &status)),
            Err(_) => Err(ClientError::timed_out(call.name, &self.address)),
        }
    }

    /// Shows that the node lives, apart from the work stream. The answer acknowledges it.
    ///
    /// # Errors
    /// When there is no answer, or the session is unknown.
    pub async fn heartbeat(&self, sign: SignOfLife) -> Result<Vec<ToNode>, ClientError> {
        let call = Call { repeat: Repeat::Never, timeout: HEARTBEAT_TIMEOUT, name: "Heartbeat" };
        let request = pb::HeartbeatRequest::from(sign);
        let send = |mut rpc: Rpc, request| async move { rpc.heartbeat(request).await };
        let response = self.unary(&call, request, send).await?;
        rpc::from_wire(response.messages).map_err(|problem| self.malformed(&call, problem))
    }

    /// Asks for work where no stream gets through: answers as soon as there is something, or after
    /// `wait`.
    ///
    /// # Errors
    /// When there is no answer, or the session is unknown.
    pub async fn poll(&self, sign: SignOfLife, wait: Duration) -> Result<Vec<ToNode>, ClientError> {
        let timeout = wait.min(proto::limits::POLL_WAIT_MAX) + POLL_MARGIN;
        let call = Call { repeat: Repeat::Never, timeout, name: "PollWork" };
        let request = rpc::poll_request(sign, wait);
        let send = |mut rpc: Rpc, request| async move { rpc.poll_work(request).await };
        let response = self.unary(&call, request, send).await?;
        rpc::from_wire(response.messages).map_err(|problem| self.malformed(&call, problem))
    }

    /// Reports the end of an attempt. May be sent any number of times: the answer to a repeated
    /// one is `Duplicate`. The node keeps the report and tries again by itself.
    ///
    /// # Errors
    /// When there is no answer, or the report is malformed or too large.
    pub async fn report(
        &self,
        session: SessionId,
        incarnation: Incarnation,
        report: AttemptReport,
    ) -> Result<ReportAnswer, ClientError> {
        let call = Call { repeat: Repeat::Never, timeout: REPORT_TIMEOUT, name: "ReportResult" };
        let request =
            self.request(report_request(session, incarnation, report), Some(call.timeout));
        let send = |mut rpc: Rpc, request| async move { rpc.report_result(request).await };
        let response = self.once(&call, call.timeout, request, &send).await?;
        self.read(&call, response)
    }
}

impl Client {
    fn safe(&self, name: &'static str) -> Call {
        Call { name, timeout: self.call_timeout, repeat: Repeat::Safe }
    }

    /// Sends a request, again where that is safe, until an answer or the call's deadline.
    async fn unary<Req, Res, Fut>(
        &self,
        call: &Call,
        message: Req,
        send: impl Fn(Rpc, Request<Req>) -> Fut,
    ) -> Result<Res, ClientError>
    where
        Req: Clone,
        Fut: Future<Output = Result<Response<Res>, Status>>,
    {
        let started = Instant::now();
        let mut backoff = Backoff::new(RETRY_WAIT_FIRST, RETRY_WAIT_MAX);
        for attempt in 1.. {
            let left = call.timeout.saturating_sub(started.elapsed());
            let request = self.request(message.clone(), Some(left));
            let error = match self.once(call, left, request, &send).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let wait = retry_after(&error).unwrap_or_else(|| backoff.next_wait());
            let in_time = started.elapsed() + wait < call.timeout;
            if attempt >= TRIES_MAX || !in_time || !may_repeat(call.repeat, &error) {
                return Err(error);
            }
            tracing::debug!(call = call.name, %error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
        Err(ClientError::timed_out(call.name, &self.address))
    }

    async fn once<Req, Res, Fut>(
        &self,
        call: &Call,
        timeout: Duration,
        request: Request<Req>,
        send: &impl Fn(Rpc, Request<Req>) -> Fut,
    ) -> Result<Res, ClientError>
    where
        Fut: Future<Output = Result<Response<Res>, Status>>,
    {
        match tokio::time::timeout(timeout, send(self.rpc.clone(), request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(ClientError::of_status(call.name, &self.address, &status)),
            Err(_) => Err(ClientError::timed_out(call.name, &self.address)),
        }
    }

    fn request<T>(&self, message: T, timeout: Option<Duration>) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    fn read<M, T>(&self, call: &Call, message: M) -> Result<T, ClientError>
    where
        T: TryFrom<M, Error = WireError>,
    {
        T::try_from(message).map_err(|problem| self.malformed(call, problem))
    }

    fn malformed(&self, call: &Call, problem: WireError) -> ClientError {
        ClientError::Malformed { call: call.name, address: Arc::clone(&self.address), problem }
    }
}

fn may_repeat(repeat: Repeat, error: &ClientError) -> bool {
    match repeat {
        Repeat::Safe => error.is_retryable(),
        Repeat::IfUnsent => matches!(error, ClientError::Unreachable { .. }),
        Repeat::Never => false,
    }
}

fn retry_after(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused { answer, .. } => answer.retry_after,
        _ => None,
    }
}

/// Completes an address to a URL.
fn url(address: &str) -> Result<String, ClientError> {
    let url = match address.split_once("://") {
        Some(("http", _)) => address.to_owned(),
        Some((scheme, _)) => {
            let problem = format!("scheme {scheme:?} is not spoken here, only http");
            return Err(bad_address(address, &problem));
        }
        None => format!("http://{address}"),
    };
    let uri: http::Uri = url.parse().map_err(|_| bad_address(address, "it is not a URL"))?;
    match uri.authority() {
        Some(authority) if !authority.host().is_empty() && authority.port_u16().is_some() => {}
        _ => return Err(bad_address(address, "host or port is missing")),
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err(bad_address(address, "it has a path"));
    }
    Ok(url)
}

fn bad_address(address: &str, problem: &str) -> ClientError {
    ClientError::BadAddress { address: address.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_completed_or_refused_with_its_reason() {
        for (given, completed) in [
            ("127.0.0.1:50051", "http://127.0.0.1:50051"),
            ("http://controller:1/", "http://controller:1/"),
            ("[::1]:7", "http://[::1]:7"),
        ] {
            assert_eq!(url(given).as_deref(), Ok(completed));
        }
        for bad in ["", "https://a:1", "host", "http://:1", "http://a:1/path", "a b:1"] {
            assert!(matches!(url(bad), Err(ClientError::BadAddress { .. })), "{bad}");
        }
    }
}
