//! A controller whose every answer the test decides, and work that the test ends.

#![allow(dead_code, reason = "each test file uses its part of this")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use proto::controller as pb;
use proto::controller::vmafx_controller_server::{VmafxController, VmafxControllerServer};
use proto::rpc::{FromNode, SignOfLife, StreamedReport};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use types::{
    AttemptReport, Failure, Fence, FrameTable, Incarnation, JobId, JobSpec, Lease, MediaRef,
    NodeStatus, PartId, Provenance, Registered, Registration, ReportAnswer, ScoreReport, SessionId,
    StageTimings, Timestamp, ToNode, TraceContext,
};
use vmafx_node::{Assignment, Done, Worked, Worker};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for the next of something, or fails the test with what was waited for.
pub async fn next<T>(receiver: &mut mpsc::Receiver<T>, what: &str) -> T {
    match tokio::time::timeout(PATIENCE, receiver.recv()).await {
        Ok(Some(value)) => value,
        Ok(None) => panic!("{what}: the sender has gone"),
        Err(_) => panic!("{what}: nothing came"),
    }
}

/// Waits until something holds, or fails the test with what was waited for.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: it never was so");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A work stream that a node has opened.
pub struct Stream {
    pub session: SessionId,
    pub incarnation: Incarnation,
    pub statuses: mpsc::Receiver<NodeStatus>,
    /// The numbers of the statuses that asked to be acknowledged; they were.
    pub asked: mpsc::Receiver<u64>,
    pub messages: mpsc::Sender<Result<pb::ControllerMessage, Status>>,
}

impl Stream {
    pub async fn send(&self, message: ToNode) {
        self.messages.send(Ok(message.into())).await.expect("the node listens");
    }

    /// Waits for a status that names the part.
    pub async fn in_hand(&mut self, part: u64) {
        let names = |s: &NodeStatus| s.running.iter().any(|running| running.part.0 == part);
        self.status("the part in hand", names).await;
    }

    /// Waits for a status that names nothing. Statuses from before a lease do, too: wait for the
    /// part [in hand](Self::in_hand) first.
    pub async fn put_down(&mut self) {
        self.status("nothing in hand", |s| s.running.is_empty()).await;
    }

    /// Waits for a status that fits.
    pub async fn status(&mut self, what: &str, fits: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        loop {
            let status = next(&mut self.statuses, what).await;
            if fits(&status) {
                return status;
            }
        }
    }
}

/// Which way a report came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Call,
    Stream,
}

/// A report as it arrived, in whose name, and how to answer it.
pub struct Reported {
    pub session: SessionId,
    pub incarnation: Incarnation,
    pub report: AttemptReport,
    /// The sender's position, where one came with the message.
    pub trace: Option<TraceContext>,
    pub over: Over,
    pub answer: tokio::sync::oneshot::Sender<Result<ReportAnswer, Status>>,
}

/// Answers a report.
pub fn answer(reported: Reported, answer: ReportAnswer) {
    assert!(reported.answer.send(Ok(answer)).is_ok(), "the node waits for its answer");
}

/// Does not take a report.
pub fn refuse(reported: Reported) {
    let refused = reported.answer.send(Err(Status::unavailable("not now")));
    assert!(refused.is_ok(), "the node waits for its answer");
}

/// What the scripted controller has seen.
pub struct Controller {
    pub addr: SocketAddr,
    pub registrations: mpsc::Receiver<Registration>,
    pub streams: mpsc::Receiver<Stream>,
    pub reports: mpsc::Receiver<Reported>,
}

/// What registrations are answered with.
#[derive(Clone, Copy)]
pub struct Times {
    pub liveness_interval: Duration,
    pub lease: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { liveness_interval: Duration::from_millis(100), lease: Duration::from_secs(10) }
    }
}

struct Face {
    times: Times,
    sessions: Mutex<VecDeque<SessionId>>,
    registrations: mpsc::Sender<Registration>,
    streams: mpsc::Sender<Stream>,
    reports: mpsc::Sender<Reported>,
}

/// Serves a controller that gives out sessions 1, 2, 3 and so on.
pub async fn controller(times: Times) -> Controller {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("bound");
    let (registered, registrations) = mpsc::channel(64);
    let (opened, streams) = mpsc::channel(64);
    let (reported, reports) = mpsc::channel(64);
    let face = Face {
        times,
        sessions: Mutex::new((1..100).map(SessionId).collect()),
        registrations: registered,
        streams: opened,
        reports: reported,
    };
    let service = VmafxControllerServer::new(face)
        .max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(proto::MESSAGE_BYTES_MAX);
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    Controller { addr, registrations, streams, reports }
}

impl Controller {
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub async fn stream(&mut self) -> Stream {
        next(&mut self.streams, "a work stream").await
    }

    pub async fn report(&mut self) -> Reported {
        next(&mut self.reports, "a report").await
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Unused<T> = tokio_stream::Empty<Result<T, Status>>;

fn unused<T>() -> Answer<T> {
    Err(Status::unimplemented("nodes do not ask this"))
}

#[tonic::async_trait]
impl VmafxController for Face {
    async fn register_node(
        &self,
        request: Request<pb::RegisterNodeRequest>,
    ) -> Answer<pb::RegisterNodeResponse> {
        let registration = Registration::try_from(request.into_inner())?;
        let session = self.sessions.lock().expect("not poisoned").pop_front();
        let Times { liveness_interval, lease } = self.times;
        let session = session.expect("enough sessions");
        self.registrations.send(registration).await.expect("the test listens");
        Ok(Response::new(Registered { session, liveness_interval, lease }.into()))
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Answer<pb::HeartbeatResponse> {
        drop(request);
        unused()
    }

    type PullWorkStream = ReceiverStream<Result<pb::ControllerMessage, Status>>;

    async fn pull_work(
        &self,
        request: Request<Streaming<pb::NodeMessage>>,
    ) -> Answer<Self::PullWorkStream> {
        let mut signs = request.into_inner();
        let first = signs.message().await?.ok_or_else(|| Status::cancelled("no word"))?;
        let SignOfLife { session, incarnation, status } = first.try_into()?;
        let (seen, statuses) = mpsc::channel(1_024);
        let (messages, outgoing) = mpsc::channel(64);
        seen.send(status).await.expect("room");
        let (ask, asked) = mpsc::channel(1_024);
        let (reports, answers) = (self.reports.clone(), messages.clone());
        tokio::spawn(async move {
            while let Some(Ok(message)) = signs.next().await {
                let said = FromNode::try_from(message).expect("a valid message");
                let (status, acknowledge) = match said {
                    FromNode::Status { status, acknowledge } => (status, acknowledge),
                    FromNode::Report(StreamedReport { report, trace }) => {
                        let (answer, answered) = tokio::sync::oneshot::channel();
                        let (part, fence) = (report.part, report.fence);
                        let over = Over::Stream;
                        let reported =
                            Reported { session, incarnation, report: *report, trace, over, answer };
                        let _ = reports.send(reported).await;
                        // An answer that is still owed does not keep the stream open.
                        let answers = answers.downgrade();
                        tokio::spawn(async move {
                            let answer = answered.await.ok().and_then(Result::ok);
                            let message = ToNode::Reported { part, fence, answer };
                            if let Some(answers) = answers.upgrade() {
                                let _ = answers.send(Ok(message.into())).await;
                            }
                        });
                        continue;
                    }
                };
                if acknowledge != 0 {
                    // A test that does not look at them is not kept from going on.
                    let _ = ask.try_send(acknowledge);
                    let _ = answers.send(Ok(ToNode::Acknowledged(acknowledge).into())).await;
                }
                if seen.send(status).await.is_err() {
                    break;
                }
            }
        });
        let stream = Stream { session, incarnation, statuses, asked, messages };
        self.streams.send(stream).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn report_result(
        &self,
        request: Request<pb::ReportResultRequest>,
    ) -> Answer<pb::ReportResultResponse> {
        let request = request.into_inner();
        let session = SessionId(request.session_id);
        let incarnation = Incarnation(request.incarnation);
        let report = AttemptReport::try_from(request)?;
        let (answer, answered) = tokio::sync::oneshot::channel();
        let (trace, over) = (None, Over::Call);
        let reported = Reported { session, incarnation, report, trace, over, answer };
        self.reports.send(reported).await.map_err(|_| Status::unavailable("the test is over"))?;
        let answer = answered.await.map_err(|_| Status::unavailable("no answer"))??;
        Ok(Response::new(answer.into()))
    }

    async fn poll_work(&self, _: Request<pb::PollWorkRequest>) -> Answer<pb::PollWorkResponse> {
        unused()
    }
    async fn submit_job(&self, _: Request<pb::SubmitJobRequest>) -> Answer<pb::SubmitJobResponse> {
        unused()
    }
    async fn submit_jobs(
        &self,
        _: Request<pb::SubmitJobsRequest>,
    ) -> Answer<pb::SubmitJobsResponse> {
        unused()
    }
    async fn get_job(&self, _: Request<pb::GetJobRequest>) -> Answer<pb::Job> {
        unused()
    }
    async fn list_jobs(&self, _: Request<pb::ListJobsRequest>) -> Answer<pb::ListJobsResponse> {
        unused()
    }
    type GetFramesStream = Unused<pb::FrameChunk>;
    async fn get_frames(&self, _: Request<pb::GetFramesRequest>) -> Answer<Self::GetFramesStream> {
        unused()
    }
    async fn cancel_job(&self, _: Request<pb::CancelJobRequest>) -> Answer<pb::CancelJobResponse> {
        unused()
    }
    async fn export_trace(
        &self,
        _: Request<pb::ExportTraceRequest>,
    ) -> Answer<pb::ExportTraceResponse> {
        unused()
    }
    async fn retry_jobs(&self, _: Request<pb::RetryJobsRequest>) -> Answer<pb::RetryJobsResponse> {
        unused()
    }
    type StreamJobsStream = Unused<pb::JobEvent>;
    async fn stream_jobs(
        &self,
        _: Request<pb::StreamJobsRequest>,
    ) -> Answer<Self::StreamJobsStream> {
        unused()
    }
    async fn list_nodes(&self, _: Request<pb::ListNodesRequest>) -> Answer<pb::ListNodesResponse> {
        unused()
    }
    async fn drain_node(&self, _: Request<pb::DrainNodeRequest>) -> Answer<pb::DrainNodeResponse> {
        unused()
    }
}

/// Work that the test has in hand.
pub struct Begun {
    pub assignment: Assignment,
    pub done: Done,
}

impl Begun {
    pub fn end(self, outcome: Result<Vec<ScoreReport>, Failure>) {
        let now = Instant::now();
        let run_began_at = SystemTime::now();
        self.done.send(Worked { began: now, ended: now, run_began_at, outcome });
    }

    pub fn succeed(self) {
        self.end(Ok(vec![score_report()]));
    }
}

/// Hands every assignment to the test.
pub struct ScriptedWorker(mpsc::Sender<Begun>);

impl ScriptedWorker {
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Begun>) {
        let (sender, receiver) = mpsc::channel(64);
        (Arc::new(Self(sender)), receiver)
    }
}

impl Worker for ScriptedWorker {
    fn start(&self, assignment: Assignment, done: Done) {
        // Dropped when the test does not listen any more.
        let _ = self.0.try_send(Begun { assignment, done });
    }
}

/// The smallest report that is valid.
pub fn score_report() -> ScoreReport {
    ScoreReport {
        width: 64,
        height: 64,
        models: Vec::new(),
        pooled: Vec::new(),
        aggregates: Vec::new(),
        frames: FrameTable::default(),
        warnings: Vec::new(),
        provenance: Provenance::default(),
        timings: StageTimings::default(),
        digest: "00".repeat(32),
        encoded: None,
    }
}

/// A lease of the numbered part with its first fence.
pub fn lease(part: u64) -> ToNode {
    lease_of(part, JobSpec::pair(MediaRef::new("/a.y4m"), MediaRef::new("/b.y4m")))
}

pub fn lease_of(part: u64, spec: JobSpec) -> ToNode {
    let trace = |span: u64| {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span:016x}-01");
        TraceContext::parse(&text, "").expect("a trace context")
    };
    ToNode::Lease(Box::new(Lease {
        job: JobId::new(Timestamp::from_unix_micros(1_700_000_000_000_000), u128::from(part)),
        part: PartId(part),
        part_index: 0,
        fence: Fence(1),
        attempt: 1,
        spec: spec.into(),
        trace: trace(0x1000 + part),
        parent: trace(0x2000),
        creation: observability::new_span_id(),
        previous_attempt: None,
        previous_trace: None,
        queue_wait: Duration::from_millis(5),
    }))
}
