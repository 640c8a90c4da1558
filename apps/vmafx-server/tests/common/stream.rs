//! A caller that feeds a stream frame by frame.

use proto::score::StreamStart;
use proto::scoring as pb;
use proto::scoring::score_stream_request::Message as Asked;
use proto::scoring::score_stream_response::Message as Said;
use proto::scoring::vmafx_scoring_client::VmafxScoringClient;
use testkit::ClipPair;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use types::{JobSpec, MediaRef, PixelFormat, PoolingMethod, RawGeometry};

use super::soon;

/// Messages that wait to be sent.
const WAITING: usize = 4;

/// A stream's caller.
pub struct Feed {
    to: Option<mpsc::Sender<pb::ScoreStreamRequest>>,
    pub from: Streaming<pb::ScoreStreamResponse>,
}

/// A stream of pictures of this kind, scored as it is by default.
pub fn start(width: u32, height: u32, format: PixelFormat) -> StreamStart {
    let name = || MediaRef::new("stream");
    StreamStart {
        geometry: RawGeometry { width, height, format },
        spec: JobSpec::pair(name(), name()),
        pooling: PoolingMethod::Mean,
        timeout: None,
    }
}

/// Both pictures of a frame.
pub fn frame(pair: &ClipPair, index: usize) -> pb::StreamFrame {
    let place = index % pair.reference.frame_count();
    pb::StreamFrame {
        frame_index: index as u64,
        reference: pair.reference.frame_bytes(place).into(),
        distorted: pair.distorted.frame_bytes(place).into(),
        more: false,
    }
}

pub fn message(asked: Asked) -> pb::ScoreStreamRequest {
    pb::ScoreStreamRequest { message: Some(asked) }
}

impl Feed {
    /// Opens a stream with these first messages.
    pub async fn open(
        client: &mut VmafxScoringClient<Channel>,
        first: Vec<Asked>,
    ) -> Result<Self, Status> {
        let (to, queue) = mpsc::channel(WAITING.max(first.len()));
        for asked in first {
            to.send(message(asked)).await.expect("open");
        }
        let answer = client.score_stream(ReceiverStream::new(queue));
        let from = soon("the stream opens", answer).await?.into_inner();
        Ok(Self { to: Some(to), from })
    }

    /// Opens a stream and reads what its columns are.
    pub async fn started(
        client: &mut VmafxScoringClient<Channel>,
        start: StreamStart,
    ) -> (Self, pb::StreamStarted) {
        let opened = Self::open(client, vec![Asked::Config(start.into())]).await;
        let mut feed = opened.expect("it opens");
        match feed.next().await.expect("it starts") {
            Said::Started(started) => (feed, started),
            other => panic!("{other:?} came first"),
        }
    }

    pub async fn send(&self, frame: pb::StreamFrame) {
        self.say(Asked::Frame(frame)).await;
    }

    pub async fn say(&self, asked: Asked) {
        let to = self.to.as_ref().expect("not ended");
        soon("a message is taken", to.send(message(asked))).await.expect("the stream is open");
    }

    /// Sends no more.
    pub fn end(&mut self) {
        self.to = None;
    }

    /// The next answer.
    pub async fn next(&mut self) -> Result<Said, Status> {
        let next = soon("an answer", self.from.message()).await?;
        let next = next.unwrap_or_else(|| panic!("the stream ended before its aggregate"));
        Ok(next.message.expect("an answer holds something"))
    }

    /// The next answer, which must be a frame's.
    pub async fn frame(&mut self) -> pb::FrameScore {
        match self.next().await.expect("a frame") {
            Said::Frame(frame) => frame,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// All frames that are left, and the aggregate.
    pub async fn rest(mut self) -> Result<(Vec<pb::FrameScore>, pb::ScoreResponse), Status> {
        let mut frames = Vec::new();
        loop {
            match self.next().await? {
                Said::Frame(frame) => frames.push(frame),
                Said::Aggregate(aggregate) => {
                    assert!(soon("the end", self.from.message()).await?.is_none());
                    return Ok((frames, aggregate));
                }
                Said::Started(started) => panic!("{started:?} came again"),
            }
        }
    }
}
