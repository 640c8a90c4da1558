//! The gRPC face: `VmafxController`, health and reflection.
//!
//! Requests are checked in `proto`'s conversions, decisions are made in the queue; here is only
//! the way between them, and the streams.

mod jobs;
mod work;

use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use observability::layers::{GrpcMethods, ServerSpan, Visibility};
use proto::controller as pb;
use proto::controller::vmafx_controller_server::{VmafxController, VmafxControllerServer};
use proto::{ApiError, rpc};
use service::grpc::DoorLayer;
use tonic::{Request, Response, Status, Streaming};
use types::{AttemptReport, Incarnation, Registration, SessionId, SubmitMethod};

use crate::app::App;
use crate::error::{StartError, api_error};

/// Calls that come thousands of times a second.
const FREQUENT: &[&str] = &["/Heartbeat", "/PollWork", "/ReportResult", "/SubmitJob"];

type Answer<T> = Result<Response<T>, Status>;
type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send + 'static>>;

/// The service. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Face {
    app: Arc<App>,
}

impl Face {
    /// The service with its message bounds.
    pub(crate) fn service(app: Arc<App>) -> VmafxControllerServer<Self> {
        VmafxControllerServer::new(Self { app })
            .max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(proto::MESSAGE_BYTES_MAX)
    }
}

/// Every method, and what of it is shown: registrations, signs of life and streams that live for
/// hours make no spans, and neither do they at the client.
pub(crate) fn methods() -> Result<GrpcMethods, StartError> {
    let methods = GrpcMethods::from_descriptors(proto::DESCRIPTORS);
    let methods = methods.map_err(|error| StartError::Face(error.to_string()))?;
    let quiet = ["RegisterNode", "Heartbeat", "PullWork", "PollWork", "StreamJobs"];
    Ok(quiet.iter().fold(methods, |all, name| all.with(name, Visibility::DurationOnly)))
}

/// The door before every service.
pub(crate) fn door(app: &App) -> DoorLayer {
    DoorLayer { name: "controller", tokens: app.tokens.clone(), frequent: FREQUENT }
}

/// The queue's error as a status.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn status(error: crate::queue::QueueError) -> Status {
    api_error(&error).into()
}

/// What a stream ends with when the controller goes down.
fn going_down() -> Status {
    let text = "the controller is shutting down; call again in a moment";
    ApiError::new(proto::ErrorKind::Unavailable, text).into()
}

#[tonic::async_trait]
impl VmafxController for Face {
    async fn submit_job(
        &self,
        request: Request<pb::SubmitJobRequest>,
    ) -> Answer<pb::SubmitJobResponse> {
        let span = ServerSpan::current();
        let job = request.into_inner().try_into()?;
        let method = SubmitMethod::SubmitJob;
        let submitted = jobs::submit(&self.app, method, vec![job], span.as_ref()).await?;
        let submitted = submitted.into_iter().next();
        submitted.map(Response::new).ok_or_else(|| Status::internal("no answer for the one job"))
    }

    async fn submit_jobs(
        &self,
        request: Request<pb::SubmitJobsRequest>,
    ) -> Answer<pb::SubmitJobsResponse> {
        let span = ServerSpan::current();
        let jobs = rpc::submits(request.into_inner())?;
        let method = SubmitMethod::SubmitJobs;
        let jobs = jobs::submit(&self.app, method, jobs, span.as_ref()).await?;
        Ok(Response::new(pb::SubmitJobsResponse { jobs }))
    }

    async fn get_job(&self, request: Request<pb::GetJobRequest>) -> Answer<pb::Job> {
        let id = rpc::job_id(&request.into_inner().job_id)?;
        let job = self.app.queue.job(id).await.map_err(status)?;
        Ok(Response::new(job.into()))
    }

    async fn list_jobs(
        &self,
        request: Request<pb::ListJobsRequest>,
    ) -> Answer<pb::ListJobsResponse> {
        let list = rpc::ListJobs::try_from(request.into_inner())?;
        let limit = list.limit();
        let page = self.app.queue.jobs(list.filter, list.after, limit).await.map_err(status)?;
        Ok(Response::new(page.into()))
    }

    type GetFramesStream = BoxStream<pb::FrameChunk>;

    async fn get_frames(
        &self,
        request: Request<pb::GetFramesRequest>,
    ) -> Answer<Self::GetFramesStream> {
        let get = rpc::GetFrames::try_from(request.into_inner())?;
        jobs::frames(&self.app, get).await.map(Response::new)
    }

    async fn cancel_job(
        &self,
        request: Request<pb::CancelJobRequest>,
    ) -> Answer<pb::CancelJobResponse> {
        let id = rpc::job_id(&request.into_inner().job_id)?;
        let cancelled = self.app.queue.cancel(id).await.map_err(status)?;
        let answer = rpc::CancelAnswer { state: cancelled.state, changed: cancelled.changed };
        Ok(Response::new(answer.into()))
    }

    async fn retry_jobs(
        &self,
        request: Request<pb::RetryJobsRequest>,
    ) -> Answer<pb::RetryJobsResponse> {
        let which = rpc::RetryJobs::try_from(request.into_inner())?;
        let retried = self.app.retry(which).await?;
        Ok(Response::new(pb::RetryJobsResponse { retried }))
    }

    async fn export_trace(
        &self,
        request: Request<pb::ExportTraceRequest>,
    ) -> Answer<pb::ExportTraceResponse> {
        let id = rpc::job_id(&request.into_inner().job_id)?;
        let exported = self.app.export_trace(id).await?;
        Ok(Response::new(exported.into()))
    }

    type StreamJobsStream = BoxStream<pb::JobEvent>;

    async fn stream_jobs(
        &self,
        request: Request<pb::StreamJobsRequest>,
    ) -> Answer<Self::StreamJobsStream> {
        let watch = rpc::WatchJobs::try_from(request.into_inner())?;
        jobs::watch(&self.app, watch).await.map(Response::new)
    }

    async fn register_node(
        &self,
        request: Request<pb::RegisterNodeRequest>,
    ) -> Answer<pb::RegisterNodeResponse> {
        let registration = Registration::try_from(request.into_inner())?;
        let (node, slots) = (registration.node.clone(), registration.capabilities.slots);
        let registered = self.app.queue.register(registration).await.map_err(status)?;
        tracing::info!(%node, session = registered.session.0, slots, "node registered");
        Ok(Response::new(registered.into()))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Answer<pb::HeartbeatResponse> {
        let sign = rpc::SignOfLife::try_from(request.into_inner())?;
        let messages = self.app.queue.heartbeat(sign.session, sign.incarnation, sign.status).await;
        let messages = rpc::to_wire(messages.map_err(status)?);
        Ok(Response::new(pb::HeartbeatResponse { messages }))
    }

    type PullWorkStream = BoxStream<pb::ControllerMessage>;

    async fn pull_work(
        &self,
        request: Request<Streaming<pb::NodeMessage>>,
    ) -> Answer<Self::PullWorkStream> {
        work::pull(&self.app, request).await.map(Response::new)
    }

    async fn poll_work(
        &self,
        request: Request<pb::PollWorkRequest>,
    ) -> Answer<pb::PollWorkResponse> {
        let deadline = work::deadline(request.metadata());
        let (sign, wait) = rpc::poll(request.into_inner())?;
        work::poll(&self.app, sign, wait.min(deadline)).await.map(Response::new)
    }

    async fn report_result(
        &self,
        request: Request<pb::ReportResultRequest>,
    ) -> Answer<pb::ReportResultResponse> {
        let request = request.into_inner();
        let session = SessionId(request.session_id);
        let incarnation = Incarnation(request.incarnation);
        let report = AttemptReport::try_from(request)?;
        let answer = self.app.report(session, incarnation, report).await?;
        Ok(Response::new(answer.into()))
    }

    async fn list_nodes(
        &self,
        _request: Request<pb::ListNodesRequest>,
    ) -> Answer<pb::ListNodesResponse> {
        let nodes = self.app.queue.nodes().await.map_err(status)?;
        let nodes = nodes.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListNodesResponse { nodes }))
    }

    async fn drain_node(
        &self,
        request: Request<pb::DrainNodeRequest>,
    ) -> Answer<pb::DrainNodeResponse> {
        let pb::DrainNodeRequest { node_id, undo } = request.into_inner();
        let node = rpc::node_id(node_id)?;
        let running = self.app.queue.drain(node.clone(), undo).await.map_err(status)?;
        tracing::debug!(%node, undo, running, "node drain asked for");
        Ok(Response::new(pb::DrainNodeResponse { running }))
    }
}
