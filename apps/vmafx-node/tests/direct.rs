//! Direct scoring on a node shares its slots with leased work: never more at once than there are,
//! and neither keeps the other away.

mod support;

use std::num::NonZeroU32;

use observability::Telemetry;
use proto::scoring as pb;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use support::{
    Begun, Controller, PATIENCE, ScriptedWorker, Stream, Times, answer, controller, lease, next,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use types::{NodeId, PartId, ReportAnswer};
use vmafx_node::{Config, Node, NodeHandle};

type Client = VmafxScoringClient<Channel>;
type Call = JoinHandle<Result<tonic::Response<pb::ScoreResponse>, tonic::Status>>;

struct Fixture {
    controller: Controller,
    stream: Stream,
    node: NodeHandle,
    begun: mpsc::Receiver<Begun>,
    dir: tempfile::TempDir,
}

async fn fixture(slots: u32) -> Fixture {
    let mut controller = controller(Times::default()).await;
    let (worker, begun) = ScriptedWorker::new();
    let dir = tempfile::tempdir().expect("a folder");
    let config = Config {
        slots: NonZeroU32::new(slots).expect("not zero"),
        grpc_listen: Some(([127, 0, 0, 1], 0).into()),
        source_roots: vec![dir.path().to_owned()],
        ..Config::new(controller.url(), NodeId::new("direct").expect("a name"))
    };
    let started = Node::start_with(config, Telemetry::disabled(), worker).await;
    let node = started.expect("started");
    let stream = controller.stream().await;
    Fixture { controller, stream, node, begun, dir }
}

impl Fixture {
    async fn client(&self) -> Client {
        let addr = self.node.grpc_addr().expect("served");
        let connected = VmafxScoringClient::connect(format!("http://{addr}")).await;
        connected.expect("it connects")
    }

    /// A pair whose frames come so often.
    fn pair(&self, repeats: usize) -> pb::ScoreRequest {
        let pair = testkit::ClipSpec::texture(3, 320, 240, 2).make();
        let media = |name: &str, clip: &testkit::Clip| {
            let path = self.dir.path().join(format!("{repeats}-{name}"));
            let mut bytes = clip.y4m_bytes();
            let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
            let frames = bytes.split_off(header);
            (0..repeats).for_each(|_| bytes.extend_from_slice(&frames));
            std::fs::write(&path, bytes).expect("written");
            let uri = path.display().to_string();
            Some(proto::controller::MediaRef { uri, raw: None })
        };
        pb::ScoreRequest {
            reference: media("a", &pair.reference),
            distorted: media("b", &pair.distorted),
            ..pb::ScoreRequest::default()
        }
    }

    async fn call(&self, request: pb::ScoreRequest) -> Call {
        let mut client = self.client().await;
        tokio::spawn(async move { client.score(request).await })
    }

    /// Waits until direct scoring is like that.
    async fn health(&self, what: &str, fits: impl Fn(&pb::HealthResponse) -> bool) {
        let mut client = self.client().await;
        let reached = async {
            while !fits(client.health(pb::HealthRequest {}).await.expect("an answer").get_ref()) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{what}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_run_waits_while_leased_work_has_the_slots() {
    let mut f = fixture(1).await;
    f.stream.send(lease(1)).await;
    let begun = next(&mut f.begun, "the leased work").await;
    let call = f.call(f.pair(1)).await;
    f.health("it waits", |health| health.waiting == 1 && health.busy == 0).await;
    begun.succeed();
    let scored = tokio::time::timeout(PATIENCE, call).await.expect("in time").expect("no panic");
    assert!(scored.expect("scored").into_inner().waited_us > 0);
    answer(f.controller.report().await, ReportAnswer::Accepted);
    f.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_waits_for_one_direct_run_at_most_and_slots_in_use_are_not_offered() {
    let mut f = fixture(2).await;
    f.stream.status("both slots", |status| status.slots_offered == 2).await;
    // Both slots are taken, and others wait in line.
    let (mut calls, long) = (Vec::new(), f.pair(2_000));
    for _ in 0..2 {
        calls.push(f.call(long.clone()).await);
    }
    f.health("both run", |health| health.busy == 2).await;
    for _ in 0..4 {
        calls.push(f.call(long.clone()).await);
    }
    f.health("four wait", |health| health.waiting == 4).await;
    // One is always offered: direct scoring cannot keep all leases away.
    f.stream.status("one slot", |status| status.slots_offered == 1).await;
    f.stream.send(lease(7)).await;
    f.stream.in_hand(7).await;
    assert!(f.begun.try_recv().is_err(), "no slot is free");
    // Two runs end. The first in line gets a slot, and then the lease, before the other three.
    calls.remove(0).abort();
    calls.remove(0).abort();
    let begun = next(&mut f.begun, "the leased work").await;
    assert_eq!(begun.assignment.lease.part, PartId(7));
    f.health("three still wait", |health| health.waiting == 3 && health.busy == 1).await;
    begun.succeed();
    answer(f.controller.report().await, ReportAnswer::Accepted);
    calls.iter().for_each(JoinHandle::abort);
    f.health("all is over", |health| health.waiting == 0 && health.busy == 0).await;
    f.stream.status("both slots again", |status| status.slots_offered == 2).await;
    f.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_a_stream_holds_is_not_offered_and_a_lease_that_comes_all_the_same_goes_back() {
    let mut f = fixture(1).await;
    f.stream.status("its slot", |status| status.slots_offered == 1).await;
    let geometry = proto::controller::RawGeometry {
        width: 64,
        height: 48,
        chroma: "420".to_owned(),
        bit_depth: 8,
    };
    let config = pb::StreamConfig { geometry: Some(geometry), ..pb::StreamConfig::default() };
    let message = Some(pb::score_stream_request::Message::Config(config));
    let (messages, queue) = mpsc::channel(1);
    messages.send(pb::ScoreStreamRequest { message }).await.expect("open");
    let queue = tokio_stream::wrappers::ReceiverStream::new(queue);
    let open = f.client().await.score_stream(queue).await.expect("it opens");
    f.stream.status("none", |status| status.slots_offered == 0).await;
    // A lease that was on its way.
    f.stream.send(lease(5)).await;
    let report = f.controller.report().await;
    assert!(f.begun.try_recv().is_err(), "no slot was free");
    assert!(
        matches!(report.report.outcome, types::Outcome::Released),
        "{:?}",
        report.report.outcome
    );
    answer(report, ReportAnswer::Accepted);
    // The stream ends, and leases are welcome again at once, and worked on.
    drop((open, messages));
    f.stream.status("its slot again", |status| status.slots_offered == 1).await;
    f.stream.send(lease(6)).await;
    next(&mut f.begun, "the leased work").await.succeed();
    answer(f.controller.report().await, ReportAnswer::Accepted);
    f.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_lets_nobody_in_and_finishes_what_runs() {
    let f = fixture(1).await;
    let call = f.call(f.pair(20)).await;
    f.health("it runs", |health| health.busy == 1).await;
    let mut late = f.client().await;
    let request = f.pair(1);
    let node = std::sync::Arc::new(f.node);
    let draining = tokio::spawn({
        let node = std::sync::Arc::clone(&node);
        async move { node.drain(PATIENCE).await }
    });
    let refused = async {
        loop {
            match late.score(request.clone()).await {
                Err(status) if status.code() == tonic::Code::Unavailable => break,
                other => drop(other),
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("nobody is let in");
    call.await.expect("no panic").expect("what ran is finished");
    draining.await.expect("no panic");
}
