//! What the node has in hand: every attempt from its lease to the answer to its report.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use media::CancelToken;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use types::{Fence, NodeStatus, PartId, RunningPart};

use crate::worker::PartProgress;

/// Which attempt, as every message about it names it.
pub(crate) type Key = (PartId, Fence);

/// Why an attempt is to end before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody cancelled the job.
    Cancelled,
    /// The lease is no longer this node's.
    LeaseLost,
    /// The node hands it back.
    Released,
}

/// One attempt in hand.
#[derive(Debug)]
pub(crate) struct InHand {
    pub key: Key,
    pub progress: PartProgress,
    /// Ends the computation.
    pub cancel: CancelToken,
    /// Wakes whoever waits for a slot.
    pub stopped: CancellationToken,
    cause: OnceLock<Cause>,
}

impl InHand {
    fn new(key: Key) -> Self {
        Self {
            key,
            progress: PartProgress::default(),
            cancel: CancelToken::new(),
            stopped: CancellationToken::new(),
            cause: OnceLock::new(),
        }
    }

    /// Ends the attempt. The first cause counts; twice is harmless.
    pub fn stop(&self, cause: Cause) {
        let _ = self.cause.set(cause);
        self.cancel.cancel();
        self.stopped.cancel();
    }

    /// Why it was to end, if it was.
    pub fn cause(&self) -> Option<Cause> {
        self.cause.get().copied()
    }
}

/// Whether the node takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Welcome {
    Work,
    Draining,
}

/// All attempts in hand. Locks are held for the length of a map operation.
#[derive(Debug)]
pub(crate) struct Hands {
    slots: u32,
    attempts: Mutex<BTreeMap<Key, Arc<InHand>>>,
    welcome: watch::Sender<Welcome>,
    count: watch::Sender<usize>,
}

/// What becomes of a lease that has arrived.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is in hand.
    New(Arc<InHand>),
    /// It was already.
    Known,
}

impl Hands {
    /// Attempts that may wait for a slot, for each slot: the next lease may arrive before the
    /// answer to the last report.
    pub const WAITING_PER_SLOT_MAX: usize = 2;

    pub fn new(slots: u32) -> Self {
        Self {
            slots,
            attempts: Mutex::default(),
            welcome: watch::Sender::new(Welcome::Work),
            count: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<InHand>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lease in hand. Beyond what may wait, it is taken to be handed back.
    pub fn take(&self, key: Key) -> Taken {
        let mut attempts = self.lock();
        if attempts.contains_key(&key) {
            return Taken::Known;
        }
        let in_hand = Arc::new(InHand::new(key));
        let room = self.slots as usize * (1 + Self::WAITING_PER_SLOT_MAX);
        if self.is_draining() || attempts.len() >= room {
            in_hand.stop(Cause::Released);
        }
        attempts.insert(key, Arc::clone(&in_hand));
        self.count.send_replace(attempts.len());
        Taken::New(in_hand)
    }

    /// The attempt is answered for.
    pub fn put_down(&self, key: Key) {
        let mut attempts = self.lock();
        attempts.remove(&key);
        self.count.send_replace(attempts.len());
    }

    /// Ends one attempt, if it is in hand.
    pub fn stop(&self, key: Key, cause: Cause) {
        let in_hand = self.lock().get(&key).cloned();
        if let Some(in_hand) = in_hand {
            in_hand.stop(cause);
        }
    }

    /// Ends all attempts.
    pub fn stop_all(&self, cause: Cause) {
        for in_hand in self.lock().values() {
            in_hand.stop(cause);
        }
    }

    /// Takes no new work from now on; what waits for a slot is handed back.
    pub fn drain(&self) {
        self.welcome.send_replace(Welcome::Draining);
    }

    pub fn is_draining(&self) -> bool {
        *self.welcome.borrow() == Welcome::Draining
    }

    /// Waits until the node drains.
    pub async fn draining(&self) {
        // The sender lives as long as `self`.
        let _ = self.welcome.subscribe().wait_for(|welcome| *welcome == Welcome::Draining).await;
    }

    pub fn is_empty(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// Waits until nothing is in hand.
    pub async fn empty(&self) {
        // The sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// The node's sign of life.
    pub fn status(&self) -> NodeStatus {
        let draining = self.is_draining();
        let attempts = self.lock();
        let running = attempts.values().map(|in_hand| RunningPart {
            part: in_hand.key.0,
            fence: in_hand.key.1,
            frames_done: in_hand.progress.frames_done(),
            frames_total: in_hand.progress.frames_total(),
        });
        NodeStatus {
            slots_offered: if draining { 0 } else { self.slots },
            running: running.take(proto::limits::RUNNING_PARTS_MAX).collect(),
            draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(part: u64) -> Key {
        (PartId(part), Fence(1))
    }

    fn taken(hands: &Hands, part: u64) -> Arc<InHand> {
        match hands.take(key(part)) {
            Taken::New(in_hand) => in_hand,
            Taken::Known => panic!("{part} is new"),
        }
    }

    #[test]
    fn a_lease_that_arrives_twice_is_taken_once() {
        let hands = Hands::new(1);
        taken(&hands, 1);
        assert!(matches!(hands.take(key(1)), Taken::Known));
        assert_eq!(hands.status().running.len(), 1);
    }

    #[test]
    fn the_first_cause_counts_and_ends_the_computation() {
        let hands = Hands::new(1);
        let in_hand = taken(&hands, 1);
        hands.stop(key(2), Cause::Cancelled);
        assert_eq!(in_hand.cause(), None);
        hands.stop(key(1), Cause::LeaseLost);
        hands.stop_all(Cause::Released);
        assert_eq!(in_hand.cause(), Some(Cause::LeaseLost));
        assert!(in_hand.cancel.is_cancelled() && in_hand.stopped.is_cancelled());
    }

    #[test]
    fn what_is_beyond_the_room_or_comes_during_a_drain_is_handed_back() {
        let hands = Hands::new(1);
        for part in 0..3 {
            assert_eq!(taken(&hands, part).cause(), None);
        }
        assert_eq!(taken(&hands, 3).cause(), Some(Cause::Released));
        for part in 0..4 {
            hands.put_down(key(part));
        }
        assert!(hands.is_empty());
        hands.drain();
        assert_eq!(taken(&hands, 9).cause(), Some(Cause::Released));
        let status = hands.status();
        assert_eq!((status.slots_offered, status.draining), (0, true));
        assert_eq!(status.running.len(), 1);
    }
}
