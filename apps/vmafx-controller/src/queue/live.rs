//! What only memory knows of jobs: progress, and which nodes there are. And the queue's clock.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use types::{Capabilities, JobId, JobSummary, JobView, PartId, Progress, State, Timestamp};

use super::handle::waiting_reason;

/// Reads the system's clock once, and counts on from there monotonically: a clock that is set an
/// hour forward ends no lease.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    start: Timestamp,
    started: Instant,
}

impl Clock {
    pub(super) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = Timestamp::EPOCH.after(since_epoch);
        Self { start, started: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.start.after(self.started.elapsed())
    }

    /// The instant at which this clock will read `at`.
    pub(super) fn instant_of(&self, at: Timestamp) -> Instant {
        self.started + at.since(self.start)
    }
}

/// Written by the writer thread after its commits, read by everybody.
#[derive(Debug, Default)]
pub(super) struct Live {
    progress: RwLock<HashMap<JobId, BTreeMap<PartId, Progress>>>,
    nodes: RwLock<Arc<Vec<Arc<Capabilities>>>>,
}

impl Live {
    pub(super) fn set_progress(&self, job: JobId, part: PartId, progress: Option<Progress>) {
        let mut all = self.progress.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = progress {
            all.entry(job).or_default().insert(part, progress);
        } else if let Some(parts) = all.get_mut(&job) {
            parts.remove(&part);
            if parts.is_empty() {
                all.remove(&job);
            }
        }
    }

    pub(super) fn set_nodes(&self, nodes: Vec<Arc<Capabilities>>) {
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(nodes);
    }

    /// The sum over the parts that run; the total only where every part knows its own.
    fn progress(&self, job: JobId) -> Option<Progress> {
        let all = self.progress.read().unwrap_or_else(PoisonError::into_inner);
        let parts = all.get(&job)?.values();
        Some(Progress {
            frames_done: parts.clone().map(|part| part.frames_done).sum(),
            frames_total: parts.map(|part| part.frames_total).sum(),
        })
    }

    pub(super) fn complete(&self, view: &mut JobView, now: Timestamp) {
        if view.state == State::Running {
            view.progress = self.progress(view.id);
        }
        let nodes = Arc::clone(&self.nodes.read().unwrap_or_else(PoisonError::into_inner));
        view.waiting_for = waiting_reason(view, &nodes, now);
    }

    pub(super) fn complete_summary(&self, job: &mut JobSummary) {
        if job.state == State::Running {
            job.progress = self.progress(job.id);
        }
    }
}
