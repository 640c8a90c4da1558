//! How calls end: answered, refused, repeated, given up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::{Client, ClientConfig, ClientError};
use proto::controller as pb;
use proto::controller::vmafx_controller_server::{VmafxController, VmafxControllerServer};
use proto::rpc::{JobEvent, Submit, WatchJobs};
use proto::{ApiError, ErrorKind, WireError};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};
use types::{JobId, JobSpec, MediaRef, NodeId, Timestamp};

/// What a call is answered with.
type Script = Result<(), Status>;

/// Answers by its script, then with success, and counts.
#[derive(Clone, Default)]
struct Face {
    script: Arc<Mutex<VecDeque<Script>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Face {
    fn answering(script: impl IntoIterator<Item = Script>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self { script, ..Self::default() }
    }

    fn calls(&self) -> usize {
        self.calls.lock().expect("not poisoned").len()
    }

    /// Notes the call with what it presents, and gives what the script says.
    fn take<T>(&self, request: &Request<T>) -> Script {
        let presented = request.metadata().get("authorization");
        let presented = presented.and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.calls.lock().expect("not poisoned").push(presented.to_owned());
        self.script.lock().expect("not poisoned").pop_front().unwrap_or(Ok(()))
    }
}

type Answer<T> = Result<Response<T>, Status>;
type Items<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

fn job_id() -> JobId {
    JobId::new(Timestamp::from_unix_micros(1_700_000_000_000_000), 1)
}

fn unused<T>() -> Answer<T> {
    Err(Status::unimplemented("not asked here"))
}

#[tonic::async_trait]
impl VmafxController for Face {
    async fn submit_job(
        &self,
        request: Request<pb::SubmitJobRequest>,
    ) -> Answer<pb::SubmitJobResponse> {
        self.take(&request)?;
        let trace_id = "4bf92f3577b34da6a3ce929d0e0e4736".to_owned();
        let job_id = job_id().to_string();
        Ok(Response::new(pb::SubmitJobResponse { job_id, existing: false, trace_id }))
    }

    async fn list_nodes(
        &self,
        request: Request<pb::ListNodesRequest>,
    ) -> Answer<pb::ListNodesResponse> {
        self.take(&request)?;
        Ok(Response::new(pb::ListNodesResponse::default()))
    }

    async fn get_job(&self, request: Request<pb::GetJobRequest>) -> Answer<pb::Job> {
        self.take(&request)?;
        // Not a job: it has no id.
        Ok(Response::new(pb::Job::default()))
    }

    type StreamJobsStream = Items<pb::JobEvent>;

    async fn stream_jobs(
        &self,
        request: Request<pb::StreamJobsRequest>,
    ) -> Answer<Self::StreamJobsStream> {
        self.take(&request)?;
        let events = vec![
            Ok(JobEvent::SnapshotEnd.into()),
            Err(ApiError::new(ErrorKind::Unavailable, "going down").into()),
        ];
        Ok(Response::new(tokio_stream::iter(events)))
    }

    async fn submit_jobs(
        &self,
        _: Request<pb::SubmitJobsRequest>,
    ) -> Answer<pb::SubmitJobsResponse> {
        unused()
    }
    async fn list_jobs(&self, _: Request<pb::ListJobsRequest>) -> Answer<pb::ListJobsResponse> {
        unused()
    }
    type GetFramesStream = Items<pb::FrameChunk>;
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
    async fn register_node(
        &self,
        _: Request<pb::RegisterNodeRequest>,
    ) -> Answer<pb::RegisterNodeResponse> {
        unused()
    }
    async fn heartbeat(&self, _: Request<pb::HeartbeatRequest>) -> Answer<pb::HeartbeatResponse> {
        unused()
    }
    type PullWorkStream = Items<pb::ControllerMessage>;
    async fn pull_work(
        &self,
        _: Request<Streaming<pb::NodeMessage>>,
    ) -> Answer<Self::PullWorkStream> {
        unused()
    }
    async fn poll_work(&self, _: Request<pb::PollWorkRequest>) -> Answer<pb::PollWorkResponse> {
        unused()
    }
    async fn report_result(
        &self,
        _: Request<pb::ReportResultRequest>,
    ) -> Answer<pb::ReportResultResponse> {
        unused()
    }
    async fn drain_node(
        &self,
        request: Request<pb::DrainNodeRequest>,
    ) -> Answer<pb::DrainNodeResponse> {
        self.take(&request)?;
        Ok(Response::new(pb::DrainNodeResponse { running: 3 }))
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

async fn serve(face: &Face) -> String {
    let (listener, address) = listener().await;
    let service = VmafxControllerServer::new(face.clone());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    address
}

async fn client_of(face: &Face) -> Client {
    Client::new(&ClientConfig::new(serve(face).await)).expect("a good address")
}

fn unavailable() -> Script {
    Err(ApiError::new(ErrorKind::Unavailable, "starting").into())
}

fn submit(key: Option<&str>) -> Submit {
    let spec = JobSpec::pair(MediaRef::new("/a"), MediaRef::new("/b"));
    Submit { spec, idempotency_key: key.map(str::to_owned) }
}

#[tokio::test]
async fn a_call_that_changes_nothing_is_repeated_until_it_is_answered() {
    let face = Face::answering([unavailable(), unavailable()]);
    let client = client_of(&face).await;
    assert_eq!(client.nodes().await.expect("answered"), []);
    assert_eq!(face.calls(), 3);
}

#[tokio::test]
async fn repeats_are_bounded_and_the_last_answer_is_told() {
    let face = Face::answering((0..10).map(|_| unavailable()));
    let client = client_of(&face).await;
    let error = client.nodes().await.expect_err("never answered");
    assert_eq!((error.kind(), face.calls()), (ErrorKind::Unavailable, 4));
    let text = error.to_string();
    assert!(text.contains("ListNodes") && text.contains(client.address()), "{text}");
    assert!(text.contains("starting"), "{text}");
}

#[tokio::test]
async fn a_submission_is_repeated_only_when_its_key_makes_that_harmless() {
    for (key, calls) in [(Some("k"), 2), (None, 1)] {
        let face = Face::answering([unavailable()]);
        let client = client_of(&face).await;
        let submitted = client.submit(submit(key)).await;
        assert_eq!(submitted.is_ok(), key.is_some(), "{key:?}: {submitted:?}");
        assert_eq!(face.calls(), calls, "{key:?}");
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_asked_again() {
    let broken = WireError::missing("spec.reference");
    let face = Face::answering([Err(broken.into())]);
    let client = client_of(&face).await;
    let error = client.submit(submit(Some("k"))).await.expect_err("refused");
    let ClientError::Refused { call, answer, .. } = error else { panic!("{error}") };
    assert_eq!((call, answer.kind), ("SubmitJob", ErrorKind::InvalidArgument));
    assert_eq!(answer.violations[0].field, "spec.reference");
    assert_eq!(face.calls(), 1);
}

#[tokio::test]
async fn the_wait_that_the_controller_asks_for_is_kept() {
    let overloaded = ApiError::new(ErrorKind::Overloaded, "full");
    let wait = Duration::from_millis(300);
    let face = Face::answering([Err(overloaded.retry_after(wait).into())]);
    let client = client_of(&face).await;
    let began = Instant::now();
    client.nodes().await.expect("answered");
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
}

#[tokio::test]
async fn where_nobody_listens_the_address_is_named() {
    let (listener, address) = listener().await;
    drop(listener);
    let client = Client::new(&ClientConfig::new(address.as_str())).expect("a good address");
    let error = client.submit(submit(None)).await.expect_err("nobody is there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("refused"), "{text}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_controller_that_never_answers_is_given_up_in_time() {
    let (listener, address) = listener().await;
    let config =
        ClientConfig { call_timeout: Duration::from_millis(300), ..ClientConfig::new(address) };
    let client = Client::new(&config).expect("a good address");
    let began = Instant::now();
    let error = client.nodes().await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    drop(listener);
}

#[tokio::test]
async fn a_connection_that_broke_is_opened_again() {
    let face = Face::default();
    let (first, address) = listener().await;
    let serve = |listener| {
        let service = VmafxControllerServer::new(face.clone());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
        };
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped);
        (tokio::spawn(server), stop)
    };
    let (server, stop) = serve(first);
    let client = Client::new(&ClientConfig::new(address.as_str())).expect("a good address");
    client.nodes().await.expect("answered");
    drop(stop);
    server.await.expect("it ends").expect("in good order");
    let again = TcpListener::bind(&address).await.expect("the same port");
    let (_server, _stop) = serve(again);
    client.nodes().await.expect("answered again");
    assert_eq!(face.calls(), 2);
}

#[tokio::test]
async fn an_answer_that_cannot_be_is_an_error_that_names_its_field() {
    let client = client_of(&Face::default()).await;
    let error = client.job(job_id()).await.expect_err("malformed");
    let ClientError::Malformed { call, problem, .. } = &error else { panic!("{error:?}") };
    assert_eq!((*call, problem.field()), ("GetJob", "id"));
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_is_over() {
    let client = client_of(&Face::default()).await;
    let mut events = client.watch(WatchJobs::default()).await.expect("opened");
    assert_eq!(events.next().await, Ok(Some(JobEvent::SnapshotEnd)));
    let error = events.next().await.expect_err("it breaks");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("StreamJobs"), "{error}");
    assert_eq!(events.next().await, Ok(None));
}

#[tokio::test]
async fn the_token_goes_with_every_call() {
    let face = Face::default();
    let config = ClientConfig {
        token: "secret-0123456789".parse().ok(),
        ..ClientConfig::new(serve(&face).await)
    };
    let client = Client::new(&config).expect("a good address");
    client.nodes().await.expect("answered");
    client.drain(&NodeId::new("n").expect("a name")).await.expect("answered");
    let calls = face.calls.lock().expect("not poisoned").clone();
    assert_eq!(calls, ["Bearer secret-0123456789", "Bearer secret-0123456789"]);
    assert!(!format!("{client:?}").contains("secret"), "a token is not printed");
}
