//! What the tests of the faces share: a controller on loopback, an HTTP client, a node by hand.

#![allow(dead_code, reason = "each test program uses its own part of this")]

pub mod http;
pub mod node;
pub mod schema;

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use observability::Telemetry;
use proto::controller::vmafx_controller_client::VmafxControllerClient;
use tonic::transport::Channel;
use types::{JobId, State};
use vmafx_controller::{Config, Controller, ControllerHandle};

/// How long a test waits for what must happen.
pub const SOON: Duration = Duration::from_secs(20);

/// Waits for something that must happen soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {SOON:?} in vain: {what}"),
    }
}

/// A controller with its store in a directory that goes with it.
pub struct Running {
    pub handle: ControllerHandle,
    pub dir: tempfile::TempDir,
}

/// A configuration on free ports and a new store in `dir`.
pub fn config(dir: &tempfile::TempDir) -> Config {
    let any = "127.0.0.1:0".parse().expect("an address");
    Config {
        grpc_listen: any,
        http_listen: any,
        db_path: dir.path().join("state").join("controller.db"),
        stream_grace: Duration::from_millis(50),
        backoff_base: Duration::from_millis(1),
        ..Config::default()
    }
}

impl Running {
    pub async fn start() -> Self {
        Self::with(|_| {}, Telemetry::disabled()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config), telemetry: Telemetry) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = config(&dir);
        change(&mut config);
        let handle = Controller::start(config, telemetry).await.expect("starts");
        Self { handle, dir }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = format!("http://{}", self.handle.grpc_addr);
        let endpoint = tonic::transport::Endpoint::try_from(endpoint).expect("an address");
        soon("a gRPC connection", endpoint.connect()).await.expect("connects")
    }

    pub async fn grpc(&self) -> VmafxControllerClient<Channel> {
        VmafxControllerClient::new(self.channel().await)
    }

    pub fn http(&self) -> http::Http {
        http::Http::new(self.handle.http_addr)
    }

    /// Waits until the job is in that state.
    pub async fn reached(&self, id: JobId, state: State) -> types::JobView {
        soon("the job's state", async {
            let mut watch = self
                .handle
                .queue()
                .watch(types::JobFilter::default(), Some(id))
                .await
                .expect("a job");
            loop {
                let job = self.handle.queue().job(id).await.expect("a job");
                if job.state == state {
                    return job;
                }
                assert!(watch.next().await.is_some(), "ended as {} instead of {state}", job.state);
            }
        })
        .await
    }

    pub fn token_file(dir: &tempfile::TempDir, token: &str) -> PathBuf {
        let path = dir.path().join("tokens");
        std::fs::write(&path, token).expect("written");
        path
    }
}
