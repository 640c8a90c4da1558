//! What the node's tasks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::Client;
use observability::Telemetry;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use types::{Capabilities, Incarnation, NodeId, NodeStatus, Registered, Registration};
use vmafx_server::{Held, Slots};

use crate::clock::{Acknowledged, boot_time};
use crate::hands::Hands;
use crate::lane::ReportLane;
use crate::spool::Spool;
use crate::worker::Worker;

/// How long before the end of a lease the node no longer trusts it.
const FENCE_MARGIN: Duration = Duration::from_secs(2);

/// The margin of a short lease, as a part of it.
const FENCE_MARGIN_DIVISOR: u32 = 5;

/// How long a lease waits for a slot while streams of direct scoring hold all of them. Longer than it
/// takes to tell the controller that none is offered, which would send it here again.
const STREAMS_WAIT: Duration = Duration::from_secs(2);

/// What the node's tasks share. Owned by all of them; holds no task.
pub(crate) struct Shared {
    pub node_id: NodeId,
    pub incarnation: Incarnation,
    pub capabilities: Capabilities,
    pub client: Client,
    pub telemetry: Telemetry,
    pub worker: Arc<dyn Worker>,
    pub attempt_timeout: Duration,
    pub hands: Hands,
    /// One permit a slot, held while an attempt computes, or a run of direct scoring.
    pub slots: Arc<Semaphore>,
    /// The same, as direct scoring sees them.
    pub direct_slots: Slots,
    pub spool: Option<Arc<Spool>>,
    /// The present session; `None` until the controller has given one.
    pub session: watch::Sender<Option<Registered>>,
    pub acknowledged: Acknowledged,
    /// The way of small reports, while the work stream is open.
    pub lane: ReportLane,
    /// The work stream is open.
    pub connected: AtomicBool,
    /// The controller has asked the node to leave.
    pub asked_to_leave: CancellationToken,
    /// Ends every task: the node is leaving.
    pub leaving: CancellationToken,
    pub tasks: TaskTracker,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("node_id", &self.node_id)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub fn registration(&self) -> Registration {
        Registration {
            node: self.node_id.clone(),
            incarnation: self.incarnation,
            capabilities: self.capabilities.clone(),
        }
    }

    /// The node's sign of life.
    pub fn status(&self) -> NodeStatus {
        let status = self.hands.status();
        NodeStatus {
            slots_offered: offered(status.slots_offered, self.direct_slots.held_now()),
            ..status
        }
    }

    /// Waits until streams have held every slot for [`STREAMS_WAIT`]: who waits for a slot then does
    /// not know for how long. The controller has been told by then that none is offered.
    ///
    /// Cancel safe.
    pub async fn taken_by_streams(&self) {
        let (count, mut held) = (self.direct_slots.count(), self.direct_slots.held());
        loop {
            // The sender lives as long as `self`.
            let _ = held.wait_for(|held| held.streams >= count).await;
            let freed = held.wait_for(|held| held.streams < count);
            if tokio::time::timeout(STREAMS_WAIT, freed).await.is_err() {
                return;
            }
        }
    }

    /// The present session ended: whoever needs one waits for the next.
    pub fn lose_session(&self, lost: &Registered) {
        self.session.send_if_modified(|session| {
            let is_this = session.as_ref().is_some_and(|now| now.session == lost.session);
            if is_this {
                *session = None;
            }
            is_this
        });
    }

    /// Waits for a session.
    ///
    /// Cancel safe.
    pub async fn some_session(&self) -> Registered {
        let mut sessions = self.session.subscribe();
        loop {
            if let Some(session) = sessions.borrow_and_update().clone() {
                return session;
            }
            // The sender lives as long as `self`.
            let _ = sessions.changed().await;
        }
    }

    /// Whether the lease time may have run out unnoticed: nothing the node has sent lately was
    /// acknowledged, perhaps because the process was stopped or the machine slept.
    pub fn is_fenced(&self, lease: Duration) -> bool {
        self.is_fenced_after(lease, Duration::ZERO)
    }

    /// Whether it would be so, after a while without an answer.
    pub fn is_fenced_after(&self, lease: Duration, silence: Duration) -> bool {
        let margin = FENCE_MARGIN.min(lease / FENCE_MARGIN_DIVISOR);
        self.acknowledged.age(boot_time()) + silence >= lease.saturating_sub(margin)
    }

    /// Whether the node can be given work.
    pub fn is_ready(&self) -> bool {
        self.connected.load(Ordering::Relaxed) && !self.hands.is_draining()
    }
}

/// What is offered to the controller of `slots`, of which direct scoring holds some: the others. One
/// stays in the offer while a pair holds it, so that pairs can never keep all leases away: a lease that
/// comes waits for one of them at most, since only the first in direct scoring's line asks for a slot.
/// What streams hold is not offered, also where that is everything: nobody knows when they end.
fn offered(slots: u32, held: Held) -> u32 {
    let count = |held: usize| u32::try_from(held).unwrap_or(u32::MAX);
    let ending = slots.saturating_sub(count(held.streams));
    slots.saturating_sub(count(held.runs)).max(ending.min(1))
}

#[cfg(test)]
mod tests {
    use super::{Held, offered};

    #[test]
    fn pairs_leave_one_slot_in_the_offer_and_streams_none() {
        for (slots, runs, streams, expected) in [
            (4, 0, 0, 4),
            (4, 3, 0, 1),
            (4, 4, 0, 1),
            (4, 4, 3, 1),
            (4, 4, 4, 0),
            (4, 2, 2, 2),
            (1, 1, 0, 1),
            (1, 1, 1, 0),
            (0, 3, 3, 0),
        ] {
            let held = Held { runs, streams };
            assert_eq!(offered(slots, held), expected, "{held:?} of {slots}");
        }
    }
}
