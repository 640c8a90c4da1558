//! Direct scoring gives `vmafx score`'s numbers to the last digit: over gRPC, over HTTP, and frame by
//! frame over a stream, from a server and from a node.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};

use proto::controller::{MediaRef, RawGeometry};
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use serde_json::Value;
use support::{DEADLINE, Fleet, demo_pair, free_port, is_listening, wait_for};
use tonic::transport::Channel;

/// The score of every frame, and the pooled mean.
#[derive(Debug, PartialEq)]
struct Scores {
    frames: Vec<f64>,
    mean: f64,
}

/// What `vmafx score` writes, with every digit.
fn on_the_command_line(fleet: &Fleet) -> Scores {
    let (reference, distorted) = demo_pair();
    let log = fleet.folder().join("scores.json");
    let log = log.to_str().expect("a UTF-8 path");
    let arguments =
        ["score", "-r", &reference, "-d", &distorted, "--json", "-o", log, "--precision", "max"];
    let ran = fleet.vmafx(&arguments);
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let log: Value = serde_json::from_slice(&std::fs::read(log).expect("written")).expect("JSON");
    let frames = log["frames"].as_array().expect("frames").iter();
    Scores {
        frames: frames.map(|frame| frame["metrics"]["vmaf"].as_f64().expect("a score")).collect(),
        mean: log["pooled_metrics"]["vmaf"]["mean"].as_f64().expect("a mean"),
    }
}

fn score_request() -> pb::ScoreRequest {
    let (reference, distorted) = demo_pair();
    let media = |uri| Some(MediaRef { uri, raw: None });
    pb::ScoreRequest {
        reference: media(reference),
        distorted: media(distorted),
        frames: true,
        ..pb::ScoreRequest::default()
    }
}

async fn client(port: u16) -> VmafxScoringClient<Channel> {
    let url = format!("http://127.0.0.1:{port}");
    VmafxScoringClient::connect(url).await.expect("it listens")
}

async fn over_grpc(port: u16) -> Scores {
    let answer = client(port).await.score(score_request()).await.expect("scored").into_inner();
    let columns = answer.frames.expect("asked for").columns.into_iter();
    let frames = columns.filter(|column| column.name == "vmaf").flat_map(|column| column.values);
    Scores { frames: frames.collect(), mean: answer.score }
}

fn over_http(port: u16) -> Scores {
    let (reference, distorted) = demo_pair();
    let body = serde_json::json!({"reference": reference, "distorted": distorted, "frames": true});
    let body = body.to_string();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    let head = format!(
        "POST /v1/score HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()))
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    assert!(head.contains(" 200 "), "{answer}");
    let answer: Value = serde_json::from_str(body).expect("JSON");
    let columns = answer["frames"]["columns"].as_array().expect("columns").iter();
    let values = columns.filter(|column| column["name"] == "vmaf");
    let frames = values.flat_map(|column| column["values"].as_array().expect("values"));
    Scores {
        frames: frames.map(|value| value.as_f64().expect("a score")).collect(),
        mean: answer["score"].as_f64().expect("a score"),
    }
}

/// The frames of a y4m file and the size of its pictures, 4:2:0 in 8 bits.
fn frames_of(path: &str) -> (u32, u32, Vec<Vec<u8>>) {
    let clip = std::fs::read(path).expect("the demonstration's clip");
    let end = clip.iter().position(|byte| *byte == b'\n').expect("a header");
    let header = std::str::from_utf8(&clip[..end]).expect("text");
    let number = |tag: char| -> u32 {
        let field = header.split(' ').find_map(|field| field.strip_prefix(tag));
        field.and_then(|text| text.parse().ok()).expect("a size")
    };
    let (width, height) = (number('W'), number('H'));
    let picture_bytes = (width * height + 2 * width.div_ceil(2) * height.div_ceil(2)) as usize;
    let frames = clip[end + 1..].chunks_exact("FRAME\n".len() + picture_bytes);
    (width, height, frames.map(|frame| frame["FRAME\n".len()..].to_vec()).collect())
}

async fn over_a_stream(port: u16) -> Scores {
    let (reference, distorted) = demo_pair();
    let ((width, height, reference), (_, _, distorted)) =
        (frames_of(&reference), frames_of(&distorted));
    let geometry = RawGeometry { width, height, chroma: "420".to_owned(), bit_depth: 8 };
    let config = pb::StreamConfig { geometry: Some(geometry), ..pb::StreamConfig::default() };
    let frames = (0_u64..).zip(reference.into_iter().zip(distorted)).map(|(frame_index, pair)| {
        let (reference, distorted) = (pair.0.into(), pair.1.into());
        Asked::Frame(pb::StreamFrame { frame_index, reference, distorted, more: false })
    });
    let messages: Vec<_> = [Asked::Config(config)]
        .into_iter()
        .chain(frames)
        .map(|message| pb::ScoreStreamRequest { message: Some(message) })
        .collect();
    let answer = client(port).await.score_stream(tokio_stream::iter(messages)).await;
    let mut answers = answer.expect("it opens").into_inner();
    let (mut frames, mut mean) = (Vec::new(), None);
    while let Some(answer) = answers.message().await.expect("scored") {
        match answer.message.expect("something") {
            Said::Started(started) => assert!(started.columns.contains(&"vmaf".to_owned())),
            Said::Frame(frame) => frames.push(frame.score),
            Said::Aggregate(aggregate) => mean = Some(aggregate.score),
        }
    }
    Scores { frames, mean: mean.expect("an aggregate") }
}

#[test]
fn every_face_gives_the_numbers_of_vmafx_score() {
    let fleet = Fleet::new();
    let (server, grpc, http) = fleet.start_server_with(&[]);
    let expected = on_the_command_line(&fleet);
    assert!(expected.frames.len() > 10, "{expected:?}");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    assert_eq!(runtime.block_on(over_grpc(grpc)), expected);
    assert_eq!(over_http(http), expected);
    assert_eq!(runtime.block_on(over_a_stream(grpc)), expected);
    assert_eq!(server.terminate(), Some(0));

    // A node serves the same on its own port, with or without a controller.
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let node = fleet.start_node_with("direct", &[("VMAFX_NODE_GRPC_LISTEN", &listen)]);
    wait_for("the node listens", DEADLINE, || is_listening(port).then_some(()));
    assert_eq!(runtime.block_on(over_grpc(port)), expected);
    assert_eq!(runtime.block_on(over_a_stream(port)), expected);
    assert_eq!(node.terminate(), Some(0));
}
