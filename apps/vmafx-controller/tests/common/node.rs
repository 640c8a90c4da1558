//! A node by hand: it takes leases and answers them as it is told.

use std::time::Duration;

use proto::controller as pb;
use proto::controller::vmafx_controller_client::VmafxControllerClient;
use proto::rpc::{FromNode, SignOfLife, StreamedReport};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use types::{
    AttemptReport, Capabilities, Column, Failure, FailureKind, FrameTable, Incarnation, Lease,
    ModelScore, NodeId, NodeStatus, Outcome, PooledScore, Provenance, Registration, ReportAnswer,
    RunningPart, ScoreReport, SessionId, Stage, StageTimings, ToNode, TraceContext,
};

use super::soon;

pub const SLOTS: u32 = 2;

pub struct Node<T> {
    pub client: VmafxControllerClient<T>,
    pub session: SessionId,
    pub incarnation: Incarnation,
    signs: mpsc::Sender<pb::NodeMessage>,
    messages: Streaming<pb::ControllerMessage>,
}

pub fn registration(name: &str, incarnation: u64) -> Registration {
    Registration {
        node: NodeId::new(name).expect("a name"),
        incarnation: Incarnation(incarnation),
        capabilities: Capabilities {
            backends: vec!["cpu".to_owned()],
            codecs: vec!["y4m".to_owned(), "raw".to_owned(), "ffmpeg".to_owned()],
            encoders: Vec::new(),
            encoder_versions: Vec::new(),
            slots: SLOTS,
            isa: "baseline".to_owned(),
            version: "test".to_owned(),
        },
    }
}

impl<T> Node<T>
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = axum::body::Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    /// Registers, opens a work stream and offers all slots.
    pub async fn join(client: VmafxControllerClient<T>, name: &str) -> Self {
        Self::join_running(client, name, Vec::new()).await
    }

    /// The same, by a node that has something in hand.
    pub async fn join_running(
        mut client: VmafxControllerClient<T>,
        name: &str,
        running: Vec<RunningPart>,
    ) -> Self {
        let incarnation = Incarnation(u64::from(std::process::id()) << 32 | name.len() as u64);
        let registration = registration(name, incarnation.0);
        let registered =
            soon("registration", client.register_node(pb::RegisterNodeRequest::from(registration)));
        let registered = registered.await.expect("registers").into_inner();
        let session = SessionId(registered.session_id);
        let (signs, received) = mpsc::channel(16);
        let status = NodeStatus { slots_offered: SLOTS, running, draining: false };
        let sign = SignOfLife { session, incarnation, status };
        signs.send(sign.into()).await.expect("room");
        let pulled = soon("a work stream", client.pull_work(ReceiverStream::new(received)));
        let messages = pulled.await.expect("attaches").into_inner();
        Self { client, session, incarnation, signs, messages }
    }

    /// Says what it runs.
    pub async fn status(&self, running: Vec<RunningPart>) {
        let status = NodeStatus { slots_offered: SLOTS, running, draining: false };
        let sign = SignOfLife { session: self.session, incarnation: self.incarnation, status };
        self.signs.send(sign.into()).await.expect("an open stream");
    }

    /// The next message, `None` when the controller ended the stream.
    pub async fn message(&mut self) -> Option<ToNode> {
        self.next_message().await.expect("a whole stream")
    }

    /// The next message, or what the stream failed with.
    pub async fn next_message(&mut self) -> Result<Option<ToNode>, tonic::Status> {
        let message = soon("a message", self.messages.message()).await?;
        Ok(message.map(|message| ToNode::try_from(message).expect("a message we know")))
    }

    pub async fn lease(&mut self) -> Lease {
        match self.message().await {
            Some(ToNode::Lease(lease)) => *lease,
            other => panic!("not a lease: {other:?}"),
        }
    }

    pub async fn report_over_stream(&self, lease: &Lease, outcome: Outcome) {
        self.report_over_stream_from(lease, outcome, None).await;
    }

    pub async fn report_over_stream_from(
        &self,
        lease: &Lease,
        outcome: Outcome,
        trace: Option<TraceContext>,
    ) {
        let report = Box::new(report(lease, outcome));
        let said = FromNode::Report(StreamedReport { report, trace });
        self.signs.send(said.into()).await.expect("an open stream");
    }

    /// Over the stream, with this as the position of who sends it.
    pub async fn report_garbled(&self, lease: &Lease, outcome: Outcome, trace: pb::TraceContext) {
        let report = Box::new(report(lease, outcome));
        let said = FromNode::Report(StreamedReport { report, trace: None });
        let said = pb::NodeMessage { trace: Some(trace), ..said.into() };
        self.signs.send(said).await.expect("an open stream");
    }

    pub async fn report(&mut self, lease: &Lease, outcome: Outcome) -> ReportAnswer {
        let report = report(lease, outcome);
        let request = proto::report_request(self.session, self.incarnation, report);
        let answer = soon("a report's answer", self.client.report_result(request)).await;
        ReportAnswer::try_from(answer.expect("an answer").into_inner()).expect("one we know")
    }
}

fn report(lease: &Lease, outcome: Outcome) -> AttemptReport {
    AttemptReport {
        part: lease.part,
        fence: lease.fence,
        digest: [u8::try_from(lease.fence.0 % 251).expect("small"); 32],
        outcome,
        timings: timings(),
    }
}

pub fn timings() -> StageTimings {
    let mut timings = StageTimings::default();
    timings.add(Stage::Fetch, Duration::from_micros(20));
    timings.add(Stage::Score, Duration::from_micros(50));
    timings.wall = Duration::from_micros(70);
    timings.features = vec![("vif".to_owned(), Duration::from_micros(60))];
    timings
}

pub fn failed(kind: FailureKind) -> Outcome {
    Outcome::Failed(Failure::new(kind, "as told"))
}

/// A result of so many frames, whose score is the frame's index.
pub fn succeeded(frame_count: u64) -> Outcome {
    let values: Vec<f64> = (0..frame_count).map(|index| index as f64).collect();
    let pooled = PooledScore {
        mean: (frame_count.saturating_sub(1)) as f64 / 2.0,
        harmonic_mean: 1.0,
        min: 0.0,
        max: frame_count as f64 - 1.0,
        standard_deviation: 1.0,
        p1: 0.0,
        p5: 0.0,
        p10: 0.0,
        p25: 0.0,
        p50: 1.0,
    };
    let column = |name: &str| Column { name: name.to_owned(), values: values.clone() };
    Outcome::Succeeded(vec![ScoreReport {
        width: 64,
        height: 48,
        models: vec![ModelScore {
            name: "vmaf".to_owned(),
            version: "vmaf_v0.6.1".to_owned(),
            sha256: "0".repeat(64),
            pooled,
        }],
        pooled: vec![("integer_motion2".to_owned(), pooled), ("vmaf".to_owned(), pooled)],
        aggregates: Vec::new(),
        frames: FrameTable {
            frame_indices: (0..frame_count).collect(),
            columns: vec![column("integer_motion2"), column("vmaf")],
        },
        warnings: Vec::new(),
        provenance: Provenance {
            engine_version: "test".to_owned(),
            isa: "baseline".to_owned(),
            decoders: vec!["y4m".to_owned(), "y4m".to_owned()],
        },
        timings: timings(),
        digest: "1".repeat(64),
        encoded: None,
    }])
}
