//! A watch: a snapshot, then every change, and never a silent gap.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use types::JobSummary;

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
