//! What is sent and not read holds up nobody else and is not kept for ever: answers that a caller does
//! not take, and frames of streams that wait for a slot.

mod common;

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use common::stream::{self, Feed};
use common::{Running, soon};
use observability::Telemetry;
use proto::score::StreamStart;
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use serde_json::json;
use testkit::ClipSpec;
use tonic::{Code, Status};
use types::{ChromaSubsampling, PixelFormat};

const FORMAT: PixelFormat = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };

/// Bytes that may be on their way to the caller.
const WINDOW_BYTES: u32 = 65_535;

/// Sends a whole stream of very small pictures, whose scores are far more than what may be on its
/// way to the caller. Nothing is read.
async fn unread(running: &Running, timeout: Option<Duration>) -> Feed {
    const FRAMES: usize = 8_000;
    let channel = running.narrow_channel(WINDOW_BYTES).await;
    let pair = ClipSpec::texture(8, 16, 16, 2).make();
    let frames: Vec<_> = (0..2).map(|index| stream::frame(&pair, index)).collect();
    let start = StreamStart { timeout, ..stream::start(16, 16, FORMAT) };
    let mut client = VmafxScoringClient::new(channel);
    let opened = Feed::open(&mut client, vec![Asked::Config(start.into())]).await;
    let mut feed = opened.expect("it opens");
    for index in 0..FRAMES {
        let frame = pb::StreamFrame { frame_index: index as u64, ..frames[index % 2].clone() };
        feed.send(frame).await;
    }
    feed.end();
    feed
}

/// What a caller finds that reads at last.
async fn found(mut feed: Feed) -> Status {
    assert!(matches!(feed.next().await, Ok(Said::Started(_))));
    feed.rest().await.expect_err("the scores are gone")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_reads_is_given_up_when_the_run_has_ended() {
    let idle = Duration::from_millis(500);
    let running =
        Running::with(|config| config.stream_idle_max = idle, Telemetry::disabled()).await;
    let feed = unread(&running, None).await;
    running.busy(0).await;
    tokio::time::sleep(idle * 2).await;
    let status = found(feed).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("nothing was read for 500ms"), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_ends_a_stream_that_nobody_reads() {
    let running = Running::start().await;
    let (began, time) = (Instant::now(), Duration::from_secs(15));
    let feed = unread(&running, Some(time)).await;
    running.busy(0).await;
    tokio::time::sleep_until((began + time).into()).await;
    let status = found(feed).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("the time was over"), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_nobody_reads_leave_no_room_for_more_and_free_it_when_they_are_read() {
    // 5,000 frames of fourteen values: 560 kB over gRPC, 1.8 MB as JSON.
    const BUDGET: NonZeroUsize = NonZeroUsize::new(2_000_000).unwrap();
    let few = |config: &mut vmafx_server::Config| config.unread_bytes_max = BUDGET;
    let running = Running::with(few, Telemetry::disabled()).await;
    let asked = running.write(&ClipSpec::texture(8, 16, 16, 2).make(), 2_500);
    let request = || pb::ScoreRequest::from(asked.clone());
    let mut slow = tonic::client::Grpc::new(running.narrow_channel(WINDOW_BYTES).await);
    slow.ready().await.expect("connected");
    // A call whose answer is left where it is once it begins.
    let path = "/vmafx.v1.VmafxScoring/Score".parse().expect("a path");
    let codec = tonic_prost::ProstCodec::<pb::ScoreRequest, pb::ScoreResponse>::default();
    let call = slow.server_streaming(tonic::Request::new(request()), path, codec);
    let mut unread = soon("it begins", call).await.expect("scored").into_inner();

    let body = json!({
        "reference": asked.spec.reference.uri,
        "distorted": asked.spec.distorted[0].uri,
        "frames": true,
    })
    .to_string();
    let http = running.http();
    let post = || async {
        let answer = http.post("/v1/score", &body).await.json();
        let warnings = answer["warnings"].as_array().cloned().unwrap_or_default();
        let is_left_out = warnings.iter().any(|warning| warning["code"] == "frames_left_out");
        assert_eq!(is_left_out, answer["frames"].is_null(), "{}", answer["warnings"]);
        (is_left_out, answer["score"].as_f64().expect("a score"))
    };
    let (is_left_out, score) = post().await;
    assert!(is_left_out, "there is no room beside the first");

    let first = soon("the first is whole", unread.message()).await.expect("read").expect("one");
    let frames = first.frames.expect("it had room");
    assert_eq!((frames.frame_indices.len(), first.score.to_bits()), (5_000, score.to_bits()));
    drop(unread);
    soon("there is room again", async { while post().await.0 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_wait_for_a_slot_do_not_hold_up_those_that_have_one() {
    // One connection, two slots, and more unread bytes than a few streams' windows.
    const STREAMS: usize = 20;
    const FRAMES: usize = 60;
    let format = PixelFormat { chroma: ChromaSubsampling::C444, bit_depth: 16 };
    let picture = bytes::Bytes::from(vec![0x20_u8; 64 * 48 * 3 * 2]);
    let running = Running::start().await;
    let client = running.grpc().await;
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..STREAMS {
        let (mut client, picture) = (client.clone(), picture.clone());
        streams.spawn(async move {
            let mut said = vec![Asked::Config(stream::start(64, 48, format).into())];
            said.extend((0..FRAMES as u64).map(|frame_index| {
                let (reference, distorted) = (picture.clone(), picture.clone());
                Asked::Frame(pb::StreamFrame { frame_index, reference, distorted, more: false })
            }));
            let mut feed = Feed::open(&mut client, said).await.expect("it opens");
            feed.end();
            assert!(matches!(feed.next().await, Ok(Said::Started(_))));
            feed.rest().await.expect("scored").0.len()
        });
    }
    for frames in streams.join_all().await {
        assert_eq!(frames, FRAMES);
    }
}
