//! What is on its way, and when it arrives.

use std::collections::BTreeMap;
use std::time::Duration;

use control::{Answer, ConnectionId, NodeMessage, Random, Report};
use types::{Fence, Incarnation, NodeStatus, PartId, SessionId, Timestamp};

/// Names a node of the run.
pub(crate) type NodeIndex = usize;

/// One thing that happens at its time.
#[derive(Debug, Clone)]
pub(crate) enum Happening {
    /// A client submits; the number is its idempotency key.
    Submit { key: u64 },
    /// A client cancels one of the jobs it knows.
    Cancel,
    /// A client retries one of the jobs it knows.
    Retry,
    /// An operator drains a node or takes that back.
    Drain,
    /// A fault, drawn when its time comes.
    Fault,
    /// A node's request reaches the controller.
    Request { from: NodeIndex, incarnation: Incarnation, request: Request },
    /// The controller notices the end of a stream.
    StreamEnded { session: SessionId, connection: ConnectionId },
    /// An answer or a message reaches a node.
    ToNode { to: NodeIndex, incarnation: Incarnation, what: Arrival },
    /// A node looks at what it has to do.
    Tick { node: NodeIndex, incarnation: Incarnation },
    /// A node's process starts.
    Start { node: NodeIndex },
    /// A frozen node goes on.
    Resume { node: NodeIndex },
    /// The controller's own time has come.
    Wake,
}

/// What a node asks.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Register,
    Attach { session: SessionId, status: NodeStatus },
    Status { session: SessionId, connection: ConnectionId, status: NodeStatus },
    Heartbeat { session: SessionId, status: NodeStatus },
    Poll { session: SessionId, status: NodeStatus },
    Report { session: SessionId, report: Box<Report> },
}

/// What reaches a node.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Answer(Answer),
    /// An answer to the report of this part and fence.
    Reported {
        part: PartId,
        fence: Fence,
        answer: types::ReportAnswer,
    },
    Message {
        connection: ConnectionId,
        message: NodeMessage,
    },
    /// Its stream is gone.
    StreamLost {
        connection: Option<ConnectionId>,
    },
}

/// The agenda of a run. Equal times happen in the order they were put in.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BTreeMap<(Timestamp, u64), Happening>,
    count: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, at: Timestamp, what: Happening) {
        self.count += 1;
        self.entries.insert((at, self.count), what);
    }

    pub(crate) fn next(&mut self) -> Option<(Timestamp, Happening)> {
        self.entries.pop_first().map(|((at, _), what)| (at, what))
    }
}

/// A time between the two, in milliseconds.
pub(crate) fn between(random: &mut Random, low_ms: u64, high_ms: u64) -> Duration {
    Duration::from_micros(low_ms * 1_000 + random.below((high_ms - low_ms) * 1_000))
}

/// Whether something of this chance in a thousand happens.
pub(crate) fn chance(random: &mut Random, per_mille: u64) -> bool {
    random.below(1_000) < per_mille
}
