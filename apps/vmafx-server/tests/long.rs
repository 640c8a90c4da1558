//! A long stream, in a process of its own: its memory is what is measured.

mod common;

use common::stream;
use common::{Running, soon};
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use testkit::ClipSpec;
use types::{ChromaSubsampling, PixelFormat};

const FORMAT: PixelFormat = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth: 8 };

/// Bytes of memory that are resident.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stream_passes_and_leaves_one_row_a_frame() {
    // A quarter of an hour at 60 frames a second, as fast as it goes.
    const FRAMES: u64 = 54_000;
    let running = Running::start().await;
    let pair = ClipSpec::texture(8, 16, 16, 2).make();
    let mut client = running.grpc().await;
    let frames: Vec<_> = (0..2).map(|index| stream::frame(&pair, index)).collect();
    let config = Asked::Config(stream::start(16, 16, FORMAT).into());
    let messages = [config].into_iter().chain((0..FRAMES).map(move |frame_index| {
        let frame = frames[frame_index as usize % 2].clone();
        Asked::Frame(pb::StreamFrame { frame_index, ..frame })
    }));
    let messages = tokio_stream::iter(messages.map(stream::message));
    let before = resident_bytes();
    let mut answers = client.score_stream(messages).await.expect("it opens").into_inner();
    let (mut next, mut most, mut columns, mut counted) = (0, 0, 0, None);
    while let Some(answer) = soon("an answer", answers.message()).await.expect("scored") {
        match answer.message.expect("something") {
            Said::Started(started) => columns = started.columns.len() as u64,
            Said::Frame(frame) => {
                assert_eq!(frame.frame_index, next);
                next += 1;
                if next % 10_000 == 0 {
                    most = most.max(resident_bytes().saturating_sub(before));
                }
            }
            Said::Aggregate(aggregate) => counted = aggregate.result.map(|r| r.frame_count),
        }
    }
    assert_eq!((next, counted), (FRAMES, Some(FRAMES)));
    // Tables grow by doubling; beside them there is what every stream takes.
    let table = FRAMES * (columns + 1) * 8;
    println!("{} KiB more resident, a table of {} KiB", most >> 10, table >> 10);
    assert!(most < 2 * table + (48 << 20), "{} MiB", most >> 20);
}
