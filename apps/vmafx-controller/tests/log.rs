//! What the controller logs of requests. Alone in its program: whether a line is logged is cached
//! for the whole process, and other tests log nowhere.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::Running;
use proto::controller as pb;
use tracing_subscriber::fmt::MakeWriter;

const PAIR: &str = r#"{"reference":"/ref.y4m","distorted":"/dis.y4m"}"#;
const NOBODY: &str = "018bcfe5-687b-7fff-bfff-ffffffffffff";

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_request_is_one_line_in_the_log() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    // This test's runtime has one thread: what the controller logs is logged here.
    let guard = tracing::subscriber::set_default(subscriber);
    let running = Running::start().await;
    let http = running.http();
    http.post("/v1/jobs", PAIR).await;
    http.get("/nothing").await;
    http.get("/healthz").await;
    http.get("/metrics").await;
    let mut grpc = running.grpc().await;
    grpc.list_nodes(pb::ListNodesRequest {}).await.expect("an answer");
    grpc.get_job(pb::GetJobRequest { job_id: NOBODY.to_owned() }).await.expect_err("nobody");
    running.handle.shutdown().await;
    drop(guard);
    let log = String::from_utf8(lines.0.lock().expect("no panic").clone()).expect("text");
    let count = |words: &[&str]| {
        log.lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    };
    assert_eq!(count(&["http request"]), 2, "{log}");
    assert_eq!(count(&["http request", "POST", "/v1/jobs", "status=202"]), 1, "{log}");
    assert_eq!(count(&["http request", "/nothing", "status=404"]), 1, "{log}");
    assert_eq!(count(&["grpc call"]), 2, "{log}");
    assert_eq!(count(&["grpc call", "/ListNodes", "Ok"]), 1, "{log}");
    assert_eq!(count(&["grpc call", "/GetJob", "NotFound"]), 1, "{log}");
    assert_eq!(count(&["controller ready"]), 1, "{log}");
}
