//! A node's work stream, seen from the controller.

use std::sync::Arc;

use control::{Command, ConnectionId};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use types::{
    AttemptReport, Fence, Incarnation, NodeStatus, PartId, ReportAnswer, ReportWay, SessionId,
    ToNode,
};

use super::error::QueueError;
use super::handle::{Reply, Sender};
use super::intake::encode_report;
use super::live::Clock;
use super::signs::QuietSigns;

/// Reports of one stream that may wait for their answers; further ones are to be sent by calls, so
/// that one node cannot fill the queue's line.
pub const REPORTS_UNANSWERED_MAX: usize = 1_024;

/// What the controller sends one node, for as long as its stream lives. Detaches on drop.
#[derive(Debug)]
pub struct WorkStream {
    pub(super) session: SessionId,
    pub(super) incarnation: Incarnation,
    pub(super) connection: ConnectionId,
    pub(super) messages: mpsc::Receiver<ToNode>,
    /// The way in for answers to reports. Weak: the stream ends when the queue lets go of it.
    pub(super) replies: mpsc::WeakSender<ToNode>,
    pub(super) commands: Sender,
    pub(super) clock: Clock,
    pub(super) quiet: Arc<QuietSigns>,
    /// What the node last said of itself.
    pub(super) told: NodeStatus,
    /// Reports taken whose answers have not left yet.
    pub(super) unanswered: usize,
}

impl WorkStream {
    /// The next message; `None` when another stream of the session took this one's place, the
    /// session ended, or the queue shuts down.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<ToNode> {
        let message = self.messages.recv().await;
        self.leaves(message.as_ref());
        message
    }

    /// The next message if there is one now; `Some(None)` where [`next`](Self::next) would end.
    pub fn try_next(&mut self) -> Option<Option<ToNode>> {
        let message = match self.messages.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => return None,
        };
        self.leaves(message.as_ref());
        Some(message)
    }

    fn leaves(&mut self, message: Option<&ToNode>) {
        if matches!(message, Some(ToNode::Reported { .. })) {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
    }

    /// Takes the node's sign of life. Touches memory only. Where `acknowledge` is not 0 it is sent
    /// back once the sign was taken. One that says nothing new, of a node with nothing in hand, is
    /// taken when the writer next looks.
    ///
    /// # Errors
    /// [`QueueError::Overloaded`] and [`QueueError::Shutdown`]. An overloaded controller may miss
    /// a sign of life: the next one makes up for it.
    pub fn status(&mut self, status: NodeStatus, acknowledge: u64) -> Result<(), QueueError> {
        let (session, connection) = (self.session, self.connection);
        if status.running.is_empty() && status == self.told {
            self.quiet.put((session, connection), status, acknowledge);
            return Ok(());
        }
        self.told.clone_from(&status);
        // The writer takes quiet signs first: one left there could undo what is told now.
        let acknowledge = acknowledge.max(self.quiet.forget(connection));
        self.commands.tell(Command::Status { session, connection, status, acknowledge })
    }

    /// Takes the end of one of the node's attempts, which came in this `way`. The answer comes among the
    /// messages, once it is durable; one that does not take the report says so there.
    ///
    /// # Errors
    /// [`QueueError::Shutdown`].
    pub fn report(&mut self, report: AttemptReport, way: ReportWay) -> Result<(), QueueError> {
        let (part, fence) = (report.part, report.fence);
        self.unanswered += 1;
        let (session, connection) = (self.session, self.connection);
        let to = || StreamReply { session, connection, replies: self.replies.clone(), part, fence };
        let has_room = self.unanswered <= REPORTS_UNANSWERED_MAX;
        let encode = || encode_report(report, self.clock.now(), way);
        let encoded = has_room.then(encode);
        let Some(report) = encoded.and_then(Result::ok).map(Box::new) else {
            to().send(None);
            return Ok(());
        };
        let incarnation = self.incarnation;
        let command = Command::Report { session, incarnation, report, to: Reply::Stream(to()) };
        match self.commands.tell(command) {
            Err(QueueError::Overloaded) => {
                to().send(None);
                Ok(())
            }
            told => told,
        }
    }
}

impl Drop for WorkStream {
    fn drop(&mut self) {
        let (session, connection) = (self.session, self.connection);
        self.quiet.forget(connection);
        self.commands.tell_surely(Command::Detach { session, connection });
    }
}

/// The answer to a report that came over a work stream goes back over it.
#[derive(Debug)]
pub(super) struct StreamReply {
    pub(super) session: SessionId,
    pub(super) connection: ConnectionId,
    replies: mpsc::WeakSender<ToNode>,
    part: PartId,
    fence: Fence,
}

impl StreamReply {
    /// The answer as the node gets it; `None` where the report was not taken.
    pub(super) fn message(&self, answer: Option<ReportAnswer>) -> ToNode {
        ToNode::Reported { part: self.part, fence: self.fence, answer }
    }

    /// Sends the answer at once, while the stream lives and has room: a node that gets none asks
    /// again.
    pub(super) fn send(self, answer: Option<ReportAnswer>) {
        if let Some(stream) = self.replies.upgrade() {
            let _ = stream.try_send(self.message(answer));
        }
    }
}
