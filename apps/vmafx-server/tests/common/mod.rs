//! What the tests share: a server on loopback, clients, clips, and a client that feeds a stream by
//! hand.

#![allow(dead_code, reason = "each test program uses its own part of this")]

#[path = "../../../vmafx-controller/tests/common/http.rs"]
pub mod http;
#[path = "../../../vmafx-controller/tests/common/schema.rs"]
pub mod schema;
pub mod stream;

use std::future::Future;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use observability::Telemetry;
use proto::score::Score;
use proto::scoring as pb;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use testkit::{ClipPair, ClipSpec};
use tonic::transport::Channel;
use types::{JobSpec, MediaRef, PoolingMethod};
use vmafx_server::{Config, Server, ServerHandle};

/// How long a test waits for what must happen.
pub const SOON: Duration = Duration::from_secs(30);

/// How soon after a caller has left, or its time is over, its work has ended.
pub const STOPPED_WITHIN: Duration = Duration::from_millis(200);

/// Waits for something that must happen soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {SOON:?} in vain: {what}"),
    }
}

/// A server with a folder of videos that goes with it.
pub struct Running {
    pub handle: ServerHandle,
    pub dir: tempfile::TempDir,
    written: AtomicUsize,
}

impl Running {
    pub async fn start() -> Self {
        Self::with(|_| {}, Telemetry::disabled()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config), telemetry: Telemetry) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let any = ([127, 0, 0, 1], 0).into();
        let mut config = Config {
            grpc_listen: any,
            http_listen: any,
            slots: NonZeroUsize::new(2).expect("some"),
            source_roots: vec![dir.path().to_owned()],
            // What else the machine does is not measured here.
            niced: false,
            ..Config::default()
        };
        change(&mut config);
        let handle = Server::start(config, telemetry).await.expect("it starts");
        Self { handle, dir, written: AtomicUsize::new(0) }
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = format!("http://{}", self.handle.grpc_addr);
        let endpoint = tonic::transport::Endpoint::try_from(endpoint).expect("an address");
        soon("a gRPC connection", endpoint.connect()).await.expect("it connects")
    }

    /// A connection on which so many bytes of each call may be on their way to the caller. The window
    /// of the connection is wide: HTTP/2 libraries measure by it how many small messages a caller may
    /// leave unread before they close the connection themselves.
    pub async fn narrow_channel(&self, window_bytes: u32) -> Channel {
        const WIDE_BYTES: u32 = 8 << 20;
        let endpoint = format!("http://{}", self.handle.grpc_addr);
        let endpoint = tonic::transport::Endpoint::try_from(endpoint)
            .expect("an address")
            .initial_stream_window_size(window_bytes)
            .initial_connection_window_size(WIDE_BYTES);
        soon("a connection", endpoint.connect()).await.expect("it connects")
    }

    pub async fn grpc(&self) -> VmafxScoringClient<Channel> {
        VmafxScoringClient::new(self.channel().await)
            .max_decoding_message_size(proto::MESSAGE_BYTES_MAX)
    }

    pub fn http(&self) -> http::Http {
        http::Http::new(self.handle.http_addr)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a pair, each clip `repeats` times over, and names it: another pair of files each time.
    pub fn write(&self, pair: &ClipPair, repeats: usize) -> Score {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let media = |name: &str, clip: &testkit::Clip| {
            let mut bytes = clip.y4m_bytes();
            let header = bytes.iter().position(|byte| *byte == b'\n').expect("a header") + 1;
            let frames = bytes.split_off(header);
            for _ in 0..repeats {
                bytes.extend_from_slice(&frames);
            }
            let path = self.path(&format!("{number}-{name}"));
            std::fs::write(&path, bytes).expect("written");
            MediaRef::new(path.display().to_string())
        };
        let reference = media("reference.y4m", &pair.reference);
        let distorted = media("distorted.y4m", &pair.distorted);
        asked(JobSpec::pair(reference, distorted))
    }

    /// A pair that takes many seconds to score.
    pub fn write_long(&self) -> Score {
        self.write(&ClipSpec::texture(3, 640, 480, 2).make(), 300)
    }

    pub async fn health(&self) -> pb::HealthResponse {
        let answer = self.grpc().await.health(pb::HealthRequest {}).await;
        answer.expect("an answer").into_inner()
    }

    /// Waits until so many runs are under way, and says how long that took.
    pub async fn busy(&self, runs: u32) -> Duration {
        let mut grpc = self.grpc().await;
        let began = Instant::now();
        soon(&format!("{runs} runs"), async {
            loop {
                let health = grpc.health(pb::HealthRequest {}).await.expect("an answer");
                if health.into_inner().busy == runs {
                    return began.elapsed();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

/// A request with everything but the specification as it is by default.
pub fn asked(spec: JobSpec) -> Score {
    Score { spec, pooling: PoolingMethod::Mean, wants_frames: true, timeout: None }
}
