//! The work stream and its unary twin.
//!
//! A work stream lives in the response's body: it takes in the node's signs of life and gives out
//! leases while the connection takes them. When the node leaves, in good order or not, the body is
//! dropped, and with it the queue's end of the stream, which detaches the node.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use observability::job_trace::ReportSpan;
use observability::{Tracer, new_span_id};
use prost::Message as _;
use proto::controller as pb;
use proto::rpc::{
    FromNode, REPORT_VALUES_MAX, STREAM_MESSAGE_BYTES_MAX, SignOfLife, StreamedReport,
};
use proto::{WireError, rpc};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};
use types::{AttemptReport, Fence, PartId, ReportAnswer, ReportWay, ToNode, TraceContext};

use super::{BoxStream, going_down, status};
use crate::app::{App, report_way};
use crate::queue::{QueueError, REPORTS_UNANSWERED_MAX, WorkStream};

/// How long a new stream may take to say whose it is.
pub const FIRST_MESSAGE_WAIT: Duration = Duration::from_secs(10);
/// Messages of a node that are taken before others get their turn.
const SIGNS_IN_A_ROW_MAX: u32 = 256;
/// How long a node that was asked to reconnect may keep the old stream.
pub const RECONNECT_GRACE: Duration = Duration::from_secs(10);
/// A poll answers this much before its caller's deadline.
const POLL_MARGIN: Duration = Duration::from_millis(100);

pub(super) async fn pull(
    app: &Arc<App>,
    request: Request<Streaming<pb::NodeMessage>>,
) -> Result<BoxStream<pb::ControllerMessage>, Status> {
    let peer = request.remote_addr();
    let mut signs = request.into_inner();
    let first = tokio::time::timeout(FIRST_MESSAGE_WAIT, signs.message()).await;
    let first =
        first.map_err(|_| Status::deadline_exceeded("the stream did not say whose it is"))?;
    let first = first?.ok_or_else(|| WireError::missing("the first message"))?;
    let SignOfLife { session, incarnation, status: node } = first.try_into()?;
    let work = app.queue.attach(session, incarnation, node).await.map_err(status)?;
    let mut stream = Stream {
        signs,
        work,
        reports: Reports { tracer: app.telemetry.tracer.clone(), peer, under_way: HashMap::new() },
        closing: app.closing.clone(),
        closed: Box::pin(app.closing.clone().cancelled_owned()),
        old: Box::pin(tokio::time::sleep(jittered(app.stream_age_max))),
        asked_to_reconnect: false,
    };
    Ok(Box::pin(async_stream::stream! {
        loop {
            match stream.next().await {
                Next::Send(message) => yield Ok(message.into()),
                Next::Last(message) => {
                    yield Ok(message.into());
                    break;
                }
                Next::Fail(status) => {
                    yield Err(status);
                    break;
                }
                Next::End => break,
            }
        }
    }))
}

/// One work stream: what comes in is taken here, what goes out is handed to the body.
struct Stream {
    signs: Streaming<pb::NodeMessage>,
    work: WorkStream,
    reports: Reports,
    closing: CancellationToken,
    /// Ends when the controller goes down. One for the stream's whole life: each such future stands in
    /// a list that all streams share, and would enter and leave it with every message.
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Ends when the stream is old, and again when its grace is over.
    old: Pin<Box<Sleep>>,
    asked_to_reconnect: bool,
}

/// What goes out next.
enum Next {
    Send(ToNode),
    Last(ToNode),
    Fail(Status),
    End,
}

impl Stream {
    async fn next(&mut self) -> Next {
        let mut taken = 0;
        loop {
            if taken == SIGNS_IN_A_ROW_MAX {
                taken = 0;
                if let Some(next) = self.others().await {
                    return next;
                }
            }
            tokio::select! {
                // What the node says goes first, all of it, so that reports share a commit; a node
                // that never pauses delays its own messages only.
                biased;
                sign = self.signs.message() => match sign {
                    Ok(Some(sign)) => match self.take(sign) {
                        Ok(()) => taken += 1,
                        Err(status) => return Next::Fail(status),
                    },
                    Ok(None) => return Next::End,
                    Err(status) => return Next::Fail(status),
                },
                message = self.work.next() => return match message {
                    Some(message) => self.send(message),
                    None if self.closing.is_cancelled() => Next::Last(ToNode::Reconnect),
                    // Another stream of the session took this one's place, or the session ended.
                    None => Next::End,
                },
                () = &mut self.old => return self.aged(),
                () = &mut self.closed => return Next::Last(ToNode::Reconnect),
            }
        }
    }

    /// What others have to say after many messages of the node; `None` when there is nothing.
    async fn others(&mut self) -> Option<Next> {
        tokio::task::yield_now().await;
        if self.closing.is_cancelled() {
            return Some(Next::Last(ToNode::Reconnect));
        }
        if Instant::now() >= self.old.deadline() {
            return Some(self.aged());
        }
        match self.work.try_next() {
            Some(Some(message)) => Some(self.send(message)),
            Some(None) => Some(Next::End),
            None => None,
        }
    }

    fn take(&mut self, said: pb::NodeMessage) -> Result<(), Status> {
        if said.encoded_len() > STREAM_MESSAGE_BYTES_MAX {
            let text = format!(
                "a message of over {STREAM_MESSAGE_BYTES_MAX} bytes came over a work stream"
            );
            return Err(Status::invalid_argument(text));
        }
        let taken = match FromNode::try_from(said)? {
            FromNode::Status { status, acknowledge } => self.work.status(status, acknowledge),
            FromNode::Report(StreamedReport { report, .. })
                if report.outcome.value_count() > REPORT_VALUES_MAX =>
            {
                let text = format!(
                    "a report of over {REPORT_VALUES_MAX} values came over a work stream; send \
                     it by ReportResult"
                );
                return Err(Status::invalid_argument(text));
            }
            FromNode::Report(StreamedReport { report, trace }) => {
                let way = trace.and_then(|sender| self.reports.arrived(&report, sender));
                self.work.report(*report, way.unwrap_or(ReportWay::STREAM))
            }
        };
        match taken {
            // A controller under load misses a sign of life; the next makes up for it.
            Ok(()) | Err(QueueError::Overloaded) => Ok(()),
            Err(error) => Err(status(error)),
        }
    }

    fn send(&mut self, message: ToNode) -> Next {
        if let ToNode::Reported { part, fence, answer } = &message {
            self.reports.answered((*part, *fence), *answer);
        }
        Next::Send(message)
    }

    fn aged(&mut self) -> Next {
        if self.asked_to_reconnect {
            return Next::End;
        }
        self.asked_to_reconnect = true;
        self.old.as_mut().reset(Instant::now() + RECONNECT_GRACE);
        Next::Send(ToNode::Reconnect)
    }
}

/// The spans of a stream's reports that are recorded and not answered yet.
struct Reports {
    tracer: Tracer,
    peer: Option<SocketAddr>,
    under_way: HashMap<(PartId, Fence), ReportSpan>,
}

impl Reports {
    /// A report has arrived with the position of who sent it. Gives its way, with its spans.
    fn arrived(&mut self, report: &AttemptReport, sender: TraceContext) -> Option<ReportWay> {
        // So many are not taken either.
        if self.under_way.len() >= REPORTS_UNANSWERED_MAX {
            return None;
        }
        let span = ReportSpan::arrived(&self.tracer, sender, self.peer);
        let way = span.call().map(|it| report_way(&it, ReportWay::STREAM));
        self.under_way.insert((report.part, report.fence), span);
        way
    }

    /// Its answer leaves.
    fn answered(&mut self, key: (PartId, Fence), answer: Option<ReportAnswer>) {
        if let Some(span) = self.under_way.remove(&key) {
            span.end(if answer.is_some() { Code::Ok } else { Code::ResourceExhausted });
        }
    }
}

/// A duration give or take a fifth, so that streams that began together do not end together.
fn jittered(duration: Duration) -> Duration {
    let random = u64::from_be_bytes(new_span_id().to_bytes()) >> 11;
    let fraction = random as f64 / (1_u64 << 53) as f64;
    duration.mul_f64(0.8 + 0.4 * fraction)
}

pub(super) async fn poll(
    app: &App,
    sign: SignOfLife,
    wait: Duration,
) -> Result<pb::PollWorkResponse, Status> {
    let SignOfLife { session, incarnation, status: node } = sign;
    tokio::select! {
        messages = app.queue.poll(session, incarnation, node, wait) => {
            let messages = rpc::to_wire(messages.map_err(status)?);
            Ok(pb::PollWorkResponse { messages })
        }
        () = app.closing.cancelled() => Err(going_down()),
    }
}

/// How long the caller waits, less what the answer needs to reach it; the longest wait where it
/// does not say.
pub(super) fn deadline(metadata: &MetadataMap) -> Duration {
    service::grpc::timeout(metadata).map_or(Duration::MAX, |t| t.saturating_sub(POLL_MARGIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_ends_before_its_caller_gives_up() {
        let mut metadata = MetadataMap::new();
        assert_eq!(deadline(&metadata), Duration::MAX);
        for (text, expected) in
            [("5S", Duration::from_millis(4_900)), ("50m", Duration::ZERO), ("5x", Duration::MAX)]
        {
            metadata.insert("grpc-timeout", text.parse().expect("ascii"));
            assert_eq!(deadline(&metadata), expected, "{text}");
        }
    }

    #[test]
    fn ages_differ_by_at_most_a_fifth() {
        let ages: Vec<_> = (0..200).map(|_| jittered(Duration::from_secs(100))).collect();
        let (min, max) = (ages.iter().min().expect("some"), ages.iter().max().expect("some"));
        assert!(*min >= Duration::from_secs(80) && *max <= Duration::from_secs(120));
        assert!(*max - *min > Duration::from_secs(10), "{min:?}..{max:?}");
    }
}
