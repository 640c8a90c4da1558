//! The tools before a controller's queue: what they keep when it goes, and when they go themselves.

mod support;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use client::{Client, ClientConfig};
use observability::Telemetry;
use proto::rpc::ListJobs;
use rmcp::model::CallToolRequestParams;
use serde_json::json;
use support::{Agent, PATIENCE, Told, Videos, config};
use types::State;
use vmafx_controller::{Config, Controller, ControllerHandle};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A controller without nodes: what is submitted waits.
async fn controller(videos: &Videos) -> ControllerHandle {
    let config = Config {
        grpc_listen: ANY_PORT,
        http_listen: ANY_PORT,
        db_path: videos.path().join("controller.db"),
        shutdown_grace: Duration::from_secs(2),
        ..Config::default()
    };
    Controller::start(config, Telemetry::disabled()).await.expect("started")
}

#[tokio::test]
async fn a_score_whose_controller_goes_gives_the_handle_of_its_job() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(3);
    let controller = controller(&videos).await;
    let address = format!("http://{}", controller.grpc_addr);
    let config = config(&videos, &["--controller", &address]);
    let agent = Agent::connect(&config, &Telemetry::disabled(), Told::default()).await;
    let arguments = json!({"reference": reference, "distorted": distorted, "wait_seconds": 3});
    let goes = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        controller.shutdown().await;
    };
    let (job, ()) = tokio::join!(agent.call("score", arguments), goes);
    assert_eq!(job["job_id"].as_str().map(str::len), Some(36), "{job}");
    assert!(job["note"].as_str().is_some_and(|note| note.contains("was accepted")), "{job}");
}

#[tokio::test]
async fn the_end_waits_until_jobs_that_nobody_waits_for_are_cancelled() {
    let videos = Videos::new();
    let (reference, distorted) = videos.pair(3);
    let controller = controller(&videos).await;
    let address = format!("http://{}", controller.grpc_addr);
    let client = Client::new(&ClientConfig::new(address.clone())).expect("a good address");
    let config = config(&videos, &["--controller", &address]);
    let arguments = json!({"reference": reference, "distorted": distorted, "wait_seconds": 100});
    let arguments = arguments.as_object().cloned().expect("an object");
    // The server has a runtime of its own, which goes as soon as the end is over, as in `main`.
    let server = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let telemetry = Telemetry::disabled();
            let platform = vmafx_mcp::platform(&config, &telemetry).expect("a good configuration");
            let agent = Agent::of(platform.clone(), &telemetry, Told::default()).await;
            let peer = agent.client.peer().clone();
            let call = CallToolRequestParams::new("score").with_arguments(arguments);
            tokio::spawn(async move { peer.call_tool(call).await });
            let looks = Client::new(&ClientConfig::new(address)).expect("a good address");
            let began = std::time::Instant::now();
            while looks.jobs(ListJobs::default()).await.expect("a list").jobs.is_empty() {
                assert!(began.elapsed() < PATIENCE, "nothing is submitted");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            platform.shut_down().await;
        });
        runtime.shutdown_background();
    });
    server.await.expect("no panic");
    let jobs = client.jobs(ListJobs::default()).await.expect("a list").jobs;
    assert_eq!(jobs[0].state, State::Cancelled);
    controller.shutdown().await;
}
