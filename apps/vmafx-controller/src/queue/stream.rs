//! A node's work stream, seen from the controller.

use control::{Command, ConnectionId};
use tokio::sync::mpsc;
use types::{NodeStatus, SessionId, ToNode};

use super::error::QueueError;
use super::handle::Sender;

/// What the controller sends one node, for as long as its stream lives. Detaches on drop.
#[derive(Debug)]
pub struct WorkStream {
    pub(super) session: SessionId,
    pub(super) connection: ConnectionId,
    pub(super) messages: mpsc::Receiver<ToNode>,
    pub(super) commands: Sender,
}

impl WorkStream {
    /// The next message; `None` when another stream of the session took this one's place, the
    /// session ended, or the queue shuts down.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<ToNode> {
        self.messages.recv().await
    }

    /// Takes the node's sign of life. Touches memory only.
    ///
    /// # Errors
    /// [`QueueError::Overloaded`] and [`QueueError::Shutdown`]. An overloaded controller may miss
    /// a sign of life: the next one makes up for it.
    pub fn status(&self, status: NodeStatus) -> Result<(), QueueError> {
        let (session, connection) = (self.session, self.connection);
        self.commands.tell(Command::Status { session, connection, status })
    }
}

impl Drop for WorkStream {
    fn drop(&mut self) {
        let (session, connection) = (self.session, self.connection);
        self.commands.tell_surely(Command::Detach { session, connection });
    }
}
