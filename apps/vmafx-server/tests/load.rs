//! Two hundred callers at once on a server with two slots: none hangs, none is lost, and memory does
//! not follow them.

mod common;

use std::time::Duration;

use common::stream::{self, Feed};
use common::{Running, soon};
use observability::Telemetry;
use proto::score::Scored;
use proto::scoring as pb;
use proto::{ApiError, ErrorKind};
use testkit::ClipSpec;
use tokio::task::JoinSet;
use types::{ChromaSubsampling, PixelFormat};

const CALLERS: usize = 200;

/// Bytes of memory that are resident.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}

/// The most that was resident at any time until now.
fn resident_peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}

/// How the server is asked, by the number of the caller.
enum Way {
    Grpc,
    Http,
    Stream,
}

/// Calls until there is an answer, and waits in between as long as it is told to. Gives the digest,
/// and how often it was sent away.
async fn insist(running: &Running, way: Way, asked: &pb::ScoreRequest) -> (String, u32) {
    for sent_away in 0.. {
        let wait = match try_once(running, &way, asked).await {
            Ok(digest) => return (digest, sent_away),
            Err(wait) => wait,
        };
        assert!(wait >= Duration::from_secs(1) && wait <= Duration::from_secs(60), "{wait:?}");
        tokio::time::sleep(wait).await;
    }
    unreachable!("it insists")
}

async fn try_once(
    running: &Running,
    way: &Way,
    asked: &pb::ScoreRequest,
) -> Result<String, Duration> {
    let refused = |status: tonic::Status| {
        let error = ApiError::from_status(&status);
        assert_eq!(error.kind, ErrorKind::Overloaded, "{status:?}");
        error.retry_after.expect("a time to wait")
    };
    match way {
        Way::Grpc => {
            let answer = running.grpc().await.score(asked.clone()).await.map_err(refused)?;
            Ok(Scored::try_from(answer.into_inner()).expect("well formed").report.digest)
        }
        Way::Http => {
            let body = serde_json::json!({
                "reference": asked.reference.as_ref().map(|media| media.uri.as_str()),
                "distorted": asked.distorted.as_ref().map(|media| media.uri.as_str()),
            });
            let answer = running.http().post("/v1/score", &body.to_string()).await;
            if answer.status == 429 {
                return Err(Duration::from_secs(answer.header("retry-after").parse().expect("s")));
            }
            assert_eq!(answer.status, 200, "{}", answer.text());
            Ok(answer.json()["digest"].as_str().expect("a digest").to_owned())
        }
        Way::Stream => {
            let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };
            let config = stream::start(160, 90, format);
            let first = vec![pb::score_stream_request::Message::Config(config.into())];
            let mut client = running.grpc().await;
            let mut feed = Feed::open(&mut client, first).await.map_err(refused)?;
            feed.next().await.expect("it starts");
            let pair = clip();
            for index in 0..pair.reference.frame_count() {
                feed.send(stream::frame(&pair, index)).await;
            }
            feed.end();
            let (_, aggregate) = feed.rest().await.expect("scored");
            Ok(aggregate.result.expect("a result").digest)
        }
    }
}

fn clip() -> testkit::ClipPair {
    ClipSpec::texture(4, 160, 90, 6).make()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_on_two_slots_all_get_their_score() {
    let running = Running::with(|config| config.waiting_max = 32, Telemetry::disabled()).await;
    let asked = pb::ScoreRequest::from(running.write(&clip(), 1));
    let asked = pb::ScoreRequest { frames: false, ..asked };
    let (digest, _) = insist(&running, Way::Grpc, &asked).await;
    let before = resident_bytes();
    let running = std::sync::Arc::new(running);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (running, asked) = (std::sync::Arc::clone(&running), asked.clone());
        let way = [Way::Grpc, Way::Http, Way::Stream].into_iter().nth(caller % 3);
        let way = way.expect("three ways");
        callers.spawn(async move { insist(&running, way, &asked).await });
    }
    let (mut served, mut sent_away) = (0, 0);
    let all = async {
        while let Some(caller) = callers.join_next().await {
            let (found, refusals) = caller.expect("no caller fails");
            assert_eq!(found, digest);
            served += 1;
            sent_away += refusals;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), all).await.expect("none hangs");
    assert_eq!(served, CALLERS);
    assert!(sent_away > 0, "the line was never full: this shows nothing");
    let health = running.health().await;
    assert_eq!((health.busy, health.waiting), (0, 0), "{health:?}");
    let grown = resident_peak_bytes().saturating_sub(before);
    // Two runs of small pictures, 34 requests, 200 connections: tens of megabytes at most.
    assert!(grown < 160 << 20, "{} MiB were taken", grown >> 20);
    println!("{served} served, {sent_away} times sent away, {} KiB more resident", grown >> 10);
    let busy_for = soon("a last call", insist(&running, Way::Http, &asked)).await;
    assert_eq!(busy_for.0, digest);
}
