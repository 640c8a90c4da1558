//! The calls that go on: watches, frames, and a node's work stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use proto::WireError;
use proto::controller as pb;
use proto::rpc::{FromNode, JobEvent, REPORT_VALUES_MAX, SignOfLife, StreamedReport};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{ReceiverStream, WatchStream};
use tonic::Streaming;
use types::{AttemptReport, NodeStatus, ToNode};

use crate::error::ClientError;

/// A checked stream of what the controller sends. Ends after the first error.
#[derive(Debug)]
pub struct Answers<M, T> {
    messages: Option<Streaming<M>>,
    call: &'static str,
    address: Arc<str>,
    item: PhantomData<fn() -> T>,
}

/// The events of a watch.
pub type JobEvents = Answers<pb::JobEvent, JobEvent>;

/// The rows of a frame table, chunk by chunk.
pub type FrameChunks = Answers<pb::FrameChunk, pb::FrameChunk>;

/// What a message of a stream turns into.
pub trait Item<M>: Sized {
    /// The call's name in errors.
    const CALL: &'static str;

    /// Checks a message.
    ///
    /// # Errors
    /// When it breaks what its type promises.
    fn read(message: M) -> Result<Self, WireError>;
}

impl Item<pb::JobEvent> for JobEvent {
    const CALL: &'static str = "StreamJobs";

    fn read(message: pb::JobEvent) -> Result<Self, WireError> {
        message.try_into()
    }
}

impl Item<pb::FrameChunk> for pb::FrameChunk {
    const CALL: &'static str = "GetFrames";

    /// Checked by whoever puts the table together.
    fn read(message: pb::FrameChunk) -> Result<Self, WireError> {
        Ok(message)
    }
}

impl Item<pb::ControllerMessage> for ToNode {
    const CALL: &'static str = "PullWork";

    fn read(message: pb::ControllerMessage) -> Result<Self, WireError> {
        message.try_into()
    }
}

impl<M, T: Item<M>> Answers<M, T> {
    pub(crate) fn new(messages: Streaming<M>, address: &Arc<str>) -> Self {
        let address = Arc::clone(address);
        Self { messages: Some(messages), call: T::CALL, address, item: PhantomData }
    }

    /// The next one; `None` when the controller has ended the stream in good order.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// When the connection broke, or what came is malformed. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await.transpose()
    }
}

impl<M, T> Unpin for Answers<M, T> {}

impl<M, T: Item<M>> Stream for Answers<M, T> {
    type Item = Result<T, ClientError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(messages) = &mut this.messages else { return Poll::Ready(None) };
        let item = match ready!(Pin::new(messages).poll_next(cx)) {
            None => None,
            Some(Err(status)) => {
                Some(Err(ClientError::of_status(this.call, &this.address, &status)))
            }
            Some(Ok(message)) => Some(T::read(message).map_err(|problem| {
                let address = Arc::clone(&this.address);
                ClientError::Malformed { call: this.call, address, problem }
            })),
        };
        if !matches!(item, Some(Ok(_))) {
            this.messages = None;
        }
        Poll::Ready(item)
    }
}

/// Reports that may wait for their turn on a work stream.
const REPORTS_WAITING_MAX: usize = 1_024;

/// A node's work stream: signs of life and small reports out, leases, stops and answers in.
/// Dropping it ends it.
#[derive(Debug)]
pub struct WorkStream {
    statuses: watch::Sender<Status>,
    reports: mpsc::Sender<StreamedReport>,
    messages: Answers<pb::ControllerMessage, ToNode>,
}

/// A sign of life, and the number to acknowledge it with.
type Status = (NodeStatus, u64);

/// The way of small reports onto a work stream. It does not keep the stream open, and takes nothing
/// once that is over.
#[derive(Debug, Clone)]
pub struct Reporter(mpsc::WeakSender<StreamedReport>);

impl Reporter {
    /// Whether the report is small enough to go this way.
    #[must_use]
    pub fn suits(report: &AttemptReport) -> bool {
        report.outcome.value_count() <= REPORT_VALUES_MAX
    }

    /// Room for a report on the stream; `None` when it is over or has none. Never waits.
    #[must_use]
    pub fn room(&self) -> Option<ReportRoom> {
        self.0.upgrade()?.try_reserve_owned().ok().map(ReportRoom)
    }
}

/// Room for one report on a work stream.
#[derive(Debug)]
pub struct ReportRoom(mpsc::OwnedPermit<StreamedReport>);

impl ReportRoom {
    /// Puts the report there. That does not mean that it arrives: only its answer, a
    /// [`ToNode::Reported`], does.
    pub fn put(self, report: StreamedReport) {
        self.0.send(report);
    }
}

/// The sending half of a work stream before it is open.
#[derive(Debug)]
pub(crate) struct Sending {
    statuses: watch::Sender<Status>,
    reports: mpsc::Sender<StreamedReport>,
}

impl WorkStream {
    /// The sending half, and what it feeds. A sign that has not left when the next is given is
    /// replaced by it: each one is the whole truth, so that nothing piles up behind a slow
    /// connection.
    pub(crate) fn sending(
        first: SignOfLife,
    ) -> (Sending, impl Stream<Item = pb::NodeMessage> + Send + 'static) {
        let (statuses, changes) = watch::channel((first.status.clone(), 0));
        let (reports, waiting) = mpsc::channel(REPORTS_WAITING_MAX);
        let changes = WatchStream::from_changes(changes)
            .map(|(status, acknowledge)| FromNode::Status { status, acknowledge });
        let said = ReceiverStream::new(waiting).map(FromNode::Report).merge(changes);
        let first = tokio_stream::once(pb::NodeMessage::from(first));
        let sending = Sending { statuses, reports };
        (sending, first.chain(said.map(pb::NodeMessage::from)))
    }

    pub(crate) fn new(
        sending: Sending,
        messages: Streaming<pb::ControllerMessage>,
        address: &Arc<str>,
    ) -> Self {
        let Sending { statuses, reports } = sending;
        Self { statuses, reports, messages: Answers::new(messages, address) }
    }

    /// Gives the next sign of life. Never waits. Where `acknowledge` is not 0, a
    /// [`ToNode::Acknowledged`] brings it back once the sign was taken.
    pub fn send(&self, status: NodeStatus, acknowledge: u64) {
        self.statuses.send_replace((status, acknowledge));
    }

    /// The way for small reports.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        Reporter(self.reports.downgrade())
    }

    /// The controller's next message; `None` when it has closed the stream in good order.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// When the connection broke, or a message is malformed. The stream is over then.
    pub async fn next(&mut self) -> Result<Option<ToNode>, ClientError> {
        self.messages.next().await
    }
}
