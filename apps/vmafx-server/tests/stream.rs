//! `ScoreStream`: live, bounded, and clear about what it does not take.

mod common;

use std::time::{Duration, Instant};

use common::stream::{self, Feed};
use common::{Running, STOPPED_WITHIN, soon};
use observability::Telemetry;
use proto::ApiError;
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use testkit::{ClipPair, ClipSpec};
use tonic::{Code, Status};
use types::{ChromaSubsampling, FailureKind, PixelFormat};

const FORMAT: PixelFormat = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };

fn clip() -> ClipPair {
    ClipSpec::texture(8, 64, 48, 4).make()
}

async fn begun(running: &Running) -> Feed {
    let mut client = running.grpc().await;
    Feed::started(&mut client, stream::start(64, 48, FORMAT)).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frames_score_comes_before_the_third_frame_after_it_is_sent() {
    let running = Running::start().await;
    let (pair, mut feed) = (clip(), begun(&running).await);
    feed.send(stream::frame(&pair, 0)).await;
    for index in 1..50 {
        feed.send(stream::frame(&pair, index)).await;
        // The frames up to this one are sent, and no other before the score is here.
        let score = feed.frame().await;
        assert_eq!(score.frame_index, index as u64 - 1);
        assert!((0.0..=100.0).contains(&score.score), "{score:?}");
    }
    feed.end();
    let (last, aggregate) = feed.rest().await.expect("scored");
    assert_eq!(last.iter().map(|frame| frame.frame_index).collect::<Vec<_>>(), [49]);
    assert_eq!(aggregate.result.expect("a result").frame_count, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_before_all_is_sent_is_served_too() {
    let running = Running::start().await;
    let (pair, mut feed) = (clip(), begun(&running).await);
    // Their scores take more than what lies between the two ends of a connection.
    const FRAMES: usize = 3_000;
    for index in 0..FRAMES {
        feed.send(stream::frame(&pair, index)).await;
    }
    feed.end();
    let (frames, _) = feed.rest().await.expect("scored");
    assert_eq!(frames.len(), FRAMES);
    assert!(frames.iter().enumerate().all(|(index, frame)| frame.frame_index == index as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_may_come_in_pieces_of_any_size() {
    let running = Running::start().await;
    let (pair, mut whole) = (clip(), begun(&running).await);
    let mut cut = begun(&running).await;
    for index in 0..3 {
        let frame = stream::frame(&pair, index);
        whole.send(frame.clone()).await;
        let (reference, distorted) = (frame.reference.clone(), frame.distorted.clone());
        // All of one before the other, then a byte, then the rest.
        for (r, d, more) in [
            (0..reference.len(), 0..0, true),
            (0..0, 0..1, true),
            (0..0, 1..3_073, true),
            (0..0, 3_073..distorted.len(), false),
        ] {
            let piece = pb::StreamFrame {
                frame_index: index as u64,
                reference: reference.slice(r),
                distorted: distorted.slice(d),
                more,
            };
            cut.send(piece).await;
        }
    }
    whole.end();
    cut.end();
    let whole = whole.rest().await.expect("scored").1.result.expect("a result");
    let cut = cut.rest().await.expect("scored").1.result.expect("a result");
    assert_eq!(whole.digest, cut.digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_pictures_of_4k_pass() {
    let running = Running::start().await;
    let format = PixelFormat { chroma: ChromaSubsampling::C444, bit_depth: 16 };
    let mut client = running.grpc().await;
    let (mut feed, _) = Feed::started(&mut client, stream::start(3_840, 2_160, format)).await;
    let picture = bytes::Bytes::from(vec![0x40_u8; 3_840 * 2_160 * 3 * 2]);
    let pieces = picture.len().div_ceil(8 << 20);
    for frame_index in 0..2 {
        for piece in 0..pieces {
            let slice = piece * (8 << 20)..picture.len().min((piece + 1) * (8 << 20));
            let (reference, distorted) = (picture.slice(slice.clone()), picture.slice(slice));
            let more = piece + 1 < pieces;
            feed.send(pb::StreamFrame { frame_index, reference, distorted, more }).await;
        }
    }
    feed.end();
    let (frames, _) = feed.rest().await.expect("scored");
    assert_eq!(frames.len(), 2);
}

async fn refused(running: &Running, said: Vec<Asked>) -> Status {
    let said = tokio_stream::iter(said.into_iter().map(stream::message));
    let answers = soon("an answer", running.grpc().await.score_stream(said)).await;
    let mut answers = match answers {
        Ok(answers) => answers.into_inner(),
        Err(status) => return status,
    };
    loop {
        match soon("an answer", answers.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it was taken"),
            Err(status) => return status,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_with_what_would() {
    let running = Running::start().await;
    let pair = clip();
    let config = || Asked::Config(stream::start(64, 48, FORMAT).into());
    let frame = |index| Asked::Frame(stream::frame(&pair, index));
    let changed = |change: fn(&mut pb::StreamFrame)| {
        let mut frame = stream::frame(&pair, 0);
        change(&mut frame);
        Asked::Frame(frame)
    };
    let deep = || {
        let mut start = stream::start(64, 48, FORMAT);
        start.geometry.format.bit_depth = 10;
        Asked::Config(start.into())
    };
    let other = |change: fn(&mut pb::StreamConfig)| {
        let mut config = pb::StreamConfig::from(stream::start(64, 48, FORMAT));
        change(&mut config);
        Asked::Config(config)
    };
    for (what, said, says) in [
        ("a frame first", vec![frame(0)], "config: must come before the first frame"),
        ("nothing", vec![], "config: is missing"),
        ("two configurations", vec![config(), frame(0), config()], "config: came a second time"),
        ("no frame", vec![config()], "before its first frame"),
        ("a gap", vec![config(), frame(0), frame(2)], "is 2, where frame 1 is the next"),
        ("a frame twice", vec![config(), frame(0), frame(0)], "is 0, where frame 1 is the next"),
        (
            "a short picture",
            vec![config(), changed(|f| f.distorted.truncate(4_607))],
            "frame.distorted: frame 0 has 4607 bytes; a picture of 64x48 4:2:0 8-bit has 4608",
        ),
        (
            "a long picture",
            vec![config(), changed(|f| f.reference = vec![0; 4_609].into())],
            "4609",
        ),
        ("another depth", vec![deep(), frame(0)], "a picture of 64x48 4:2:0 10-bit has 9216"),
        (
            "an empty piece",
            vec![
                config(),
                changed(|f| {
                    (f.reference, f.distorted, f.more) = Default::default();
                    f.more = true;
                }),
            ],
            "is empty though more follow",
        ),
        ("half a frame", vec![config(), changed(|f| f.more = true)], "in the middle of frame 0"),
        (
            "an odd depth",
            vec![other(|c| c.geometry.as_mut().expect("some").bit_depth = 7)],
            "bit_depth",
        ),
        ("no geometry", vec![other(|c| c.geometry = None)], "config.geometry: is missing"),
        ("an unknown feature", vec![other(|c| c.features = vec!["ssim2000".into()])], "ssim2000"),
        (
            "too large",
            vec![other(|c| {
                let geometry = c.geometry.as_mut().expect("some");
                (geometry.width, geometry.height, geometry.bit_depth) = (16_384, 16_384, 16);
            })],
            "at most",
        ),
    ] {
        let status = refused(&running, said).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
        assert!(status.message().contains(says), "{what}: {}", status.message());
    }
    let none = ApiError::from_status(&refused(&running, vec![config()]).await);
    assert_eq!(none.failure, Some(FailureKind::ZeroFrames));
    assert!(running.busy(0).await < common::SOON, "every slot came back");
    let counted = |outcome, runs| {
        format!("direct_duration_seconds_count{{vmafx_attempt_outcome=\"{outcome}\"}} {runs}\n")
    };
    soon("every stream whose configuration was taken has failed, and none was left", async {
        loop {
            let page = running.http().get("/metrics").await;
            assert!(page.text().contains(&counted("cancelled", 0)), "{}", page.text());
            if page.text().contains(&counted("failed", 11)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_leaves_gives_its_slot_back_at_once() {
    let running = Running::start().await;
    let (pair, mut feed) = (clip(), begun(&running).await);
    for index in 0..3 {
        feed.send(stream::frame(&pair, index)).await;
    }
    feed.frame().await;
    running.busy(1).await;
    drop(feed);
    let took = running.busy(0).await;
    assert!(took < STOPPED_WITHIN, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_time_is_over_when_it_pauses_too_long_and_with_the_server() {
    let idle = Duration::from_millis(300);
    let running =
        Running::with(|config| config.stream_idle_max = idle, Telemetry::disabled()).await;
    let mut client = running.grpc().await;
    let mut start = stream::start(64, 48, FORMAT);
    start.timeout = Some(Duration::from_millis(150));
    let began = Instant::now();
    let (feed, _) = Feed::started(&mut client, start).await;
    let status = feed.rest().await.expect_err("its time is over");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(began.elapsed() < Duration::from_millis(150) + STOPPED_WITHIN, "{:?}", began.elapsed());

    let status = begun(&running).await.rest().await.expect_err("it pauses too long");
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert!(status.message().contains("no whole message came for 300ms"), "{}", status.message());

    let feed = begun(&running).await;
    let Running { handle, dir, .. } = running;
    let ending = tokio::spawn(service::program::Running::shutdown(handle));
    let status = feed.rest().await.expect_err("the server goes down");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    soon("the server ends", ending).await.expect("no panic");
    drop(dir);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_are_counted_while_the_stream_goes_on() {
    let running = Running::start().await;
    let (pair, mut feed) = (clip(), begun(&running).await);
    for index in 0..5 {
        feed.send(stream::frame(&pair, index)).await;
    }
    soon("five frames are counted", async {
        while !running.http().get("/metrics").await.text().contains("vmafx_direct_frames_total 5") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    feed.end();
    feed.rest().await.expect("scored");
}
