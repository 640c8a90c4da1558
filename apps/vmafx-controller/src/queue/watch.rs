//! A watch: a snapshot, then every change, and never a silent gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use types::JobSummary;

use super::config::QueueConfig;
use super::handle::Shared;

/// What a watch tells.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every event is a job; a box would cost each")]
pub enum WatchEvent {
    /// A job: part of the snapshot, or changed since.
    Job(JobSummary),
    /// The snapshot is complete; what follows are changes. Comes again after each fresh snapshot.
    SnapshotEnd,
}

/// Events of one watch. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    pub(super) events: mpsc::Receiver<Vec<WatchEvent>>,
    pub(super) waiting: VecDeque<WatchEvent>,
    pub(super) _seat: Seat,
}

/// One of the watches that there may be at once, for as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Seat(Arc<Shared>);

impl Seat {
    /// Takes a seat, if there is one.
    pub(super) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let seat = Self(Arc::clone(shared));
        let before = shared.watchers.fetch_add(1, Ordering::Relaxed);
        (before < QueueConfig::WATCHERS_MAX).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watch {
    /// The next event; `None` when the one job watched has ended, or the queue shuts down.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            self.waiting = self.events.recv().await?.into();
        }
    }
}
