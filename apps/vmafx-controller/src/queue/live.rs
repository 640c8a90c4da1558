//! What only memory knows of jobs: progress, which nodes there are, and how the last commits went.
//! And the queue's clock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use types::{
    Capabilities, Commit, CommitNote, JobId, JobSummary, JobView, PartId, Progress, State,
    Timestamp,
};

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
    /// The newest last.
    commits: Mutex<VecDeque<CommitNote>>,
}

/// Commits that are remembered. The store knows each once the next is made; a few may be made while
/// somebody reads.
const COMMITS_REMEMBERED_MAX: usize = 16;

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

    /// A commit was made that the store cannot know of yet.
    pub(super) fn committed(&self, note: CommitNote) {
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if commits.len() == COMMITS_REMEMBERED_MAX {
            commits.pop_front();
        }
        commits.push_back(note);
    }

    /// Adds the commits that the store did not know of when the job was read.
    fn complete_commits(&self, view: &mut JobView) {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = |known: &mut Option<Commit>, at: Timestamp| {
            if known.is_none() {
                *known = commits.iter().find(|note| note.holds(at)).map(|note| note.commit);
            }
        };
        complete(&mut view.submitted_by, view.submitted_at);
        for attempt in &mut view.attempts {
            complete(&mut attempt.leased_by, attempt.started_at);
            if let Some(ended_at) = attempt.ended_at {
                complete(&mut attempt.ended_by, ended_at);
            }
        }
    }

    pub(super) fn complete(&self, view: &mut JobView, now: Timestamp) {
        self.complete_commits(view);
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
