//! The calls that go on: watches, frames, and a node's work stream.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use proto::WireError;
use proto::controller as pb;
use proto::rpc::{JobEvent, SignOfLife};
use tokio::sync::watch;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::WatchStream;
use tonic::Streaming;
use types::ToNode;

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

/// A node's work stream: signs of life out, leases and stops in. Dropping it ends it.
#[derive(Debug)]
pub struct WorkStream {
    statuses: watch::Sender<SignOfLife>,
    messages: Answers<pb::ControllerMessage, ToNode>,
}

impl WorkStream {
    /// The sending half, and what it feeds. A sign that has not left when the next is given is
    /// replaced by it: each one is the whole truth, so that nothing piles up behind a slow
    /// connection.
    pub(crate) fn statuses(
        first: SignOfLife,
    ) -> (watch::Sender<SignOfLife>, impl Stream<Item = pb::NodeMessage> + Send + 'static) {
        let (sender, receiver) = watch::channel(first);
        (sender, WatchStream::new(receiver).map(pb::NodeMessage::from))
    }

    pub(crate) fn new(
        statuses: watch::Sender<SignOfLife>,
        messages: Streaming<pb::ControllerMessage>,
        address: &Arc<str>,
    ) -> Self {
        Self { statuses, messages: Answers::new(messages, address) }
    }

    /// Gives the next sign of life. Never waits.
    pub fn send(&self, sign: SignOfLife) {
        self.statuses.send_replace(sign);
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
