//! The follower thread: tells watchers of changes, and the observer of finished jobs.
//!
//! It reads from a connection of its own, so that neither costs the writer time. Changes of a job
//! that wait together are told once. Whoever cannot be told everything is told so by a fresh
//! snapshot.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use control::{Read, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use store::SqliteReader;
use tokio::sync::mpsc;
use types::{JobFilter, JobId, JobSummary};

use super::config::QueueConfig;
use super::error::QueueError;
use super::event::{QueueEvent, QueueObserver};
use super::handle::{Reply, Response, Shared};
use super::watch::{Seat, Watch, WatchEvent};

/// Changes that are told together at most.
const CHANGES_AT_ONCE: usize = 256;
/// Finished jobs that are read in one transaction at most: views of jobs are held meanwhile, and each
/// question has its time.
const READ_AT_ONCE: usize = 32;
/// How soon a watcher that lagged is looked at again.
const LAGGING_LOOK_EVERY: Duration = Duration::from_millis(100);
/// Pages that a snapshot is put together from. A filter that takes few of many jobs gives short ones.
const SNAPSHOT_PAGES_MAX: usize = 256;
/// Bundles of events that may wait in a watch.
const BUNDLES_MAX: usize = QueueConfig::WATCH_EVENTS_MAX / CHANGES_AT_ONCE;

/// What the follower is told.
#[derive(Debug)]
pub(super) enum Note {
    Job(JobId),
    Finished(JobId),
    /// Answered once everything before it has been told.
    HandOver(Reply),
    Subscribe(Subscriber),
    Shutdown,
}

#[derive(Debug)]
pub(super) struct Subscriber {
    filter: JobFilter,
    only: Option<JobId>,
    events: mpsc::Sender<Vec<WatchEvent>>,
    /// It has missed something, or has not had its snapshot.
    lagging: bool,
    /// The one job watched has ended, and that was told.
    over: bool,
}

pub(super) async fn subscribe(
    shared: &Arc<Shared>,
    filter: JobFilter,
    only: Option<JobId>,
) -> Result<Watch, QueueError> {
    let (events, receiver) = mpsc::channel(BUNDLES_MAX);
    let seat = Seat::take(shared).ok_or(QueueError::Overloaded)?;
    let subscriber = Subscriber { filter, only, events, lagging: true, over: false };
    let subscribed = shared.follower.try_send(Note::Subscribe(subscriber));
    subscribed.map_err(|_| QueueError::Overloaded)?;
    let mut watch = Watch { events: receiver, waiting: VecDeque::new(), _seat: seat };
    // The snapshot of one job is empty only when there is no such job.
    match watch.next().await {
        Some(WatchEvent::SnapshotEnd) if only.is_some() => Err(QueueError::NotFound),
        Some(first) => {
            watch.waiting.push_front(first);
            Ok(watch)
        }
        None => Err(QueueError::Shutdown),
    }
}

pub(super) struct Follower {
    reader: SqliteReader,
    notes: Receiver<Note>,
    shared: Arc<Shared>,
    observer: Arc<dyn QueueObserver>,
    subscribers: Vec<Subscriber>,
}

impl Follower {
    pub(super) fn new(
        reader: SqliteReader,
        notes: Receiver<Note>,
        shared: Arc<Shared>,
        observer: Arc<dyn QueueObserver>,
    ) -> Self {
        Self { reader, notes, shared, observer, subscribers: Vec::new() }
    }

    pub(super) fn run(mut self) {
        loop {
            let first = if self.subscribers.iter().any(|s| s.lagging) {
                self.notes.recv_timeout(LAGGING_LOOK_EVERY)
            } else {
                self.notes.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let mut next = match first {
                Ok(note) => Some(note),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut changed, mut finished) = (BTreeSet::new(), Vec::new());
            for _ in 0..CHANGES_AT_ONCE {
                let Some(note) = next.take().or_else(|| self.notes.try_recv().ok()) else { break };
                match note {
                    Note::Job(job) => drop(changed.insert(job)),
                    Note::Finished(job) => finished.push(job),
                    Note::HandOver(to) => {
                        self.observe(&mut finished);
                        drop(to.send(Ok(Response::Done)));
                    }
                    Note::Subscribe(subscriber) => {
                        self.forget_gone();
                        self.subscribers.push(subscriber);
                    }
                    Note::Shutdown => return self.observe(&mut finished),
                }
            }
            self.observe(&mut finished);
            self.tell(&changed);
        }
    }

    /// Tells the observer of finished jobs, and forgets them.
    fn observe(&mut self, finished: &mut Vec<JobId>) {
        for jobs in finished.chunks(READ_AT_ONCE) {
            match self.reader.jobs(jobs) {
                Ok(views) => {
                    let seen = views.iter().flatten();
                    seen.for_each(|job| self.observer.observe(&QueueEvent::JobFinished { job }));
                }
                // Which of them it is shows when each is asked for alone.
                Err(_) => jobs.iter().for_each(|job| self.observe_one(*job)),
            }
        }
        finished.clear();
    }

    fn observe_one(&mut self, job: JobId) {
        match self.reader.job(job) {
            Ok(Some(view)) => self.observer.observe(&QueueEvent::JobFinished { job: &view }),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, %job, "a finished job cannot be read");
                self.observer.observe(&QueueEvent::Unobserved { job });
            }
        }
    }

    fn tell(&mut self, changed: &BTreeSet<JobId>) {
        if self.shared.follower_lagged.swap(false, Ordering::Relaxed) {
            self.subscribers.iter_mut().for_each(|subscriber| subscriber.lagging = true);
        }
        if self.subscribers.is_empty() {
            return;
        }
        let mut summaries = Vec::with_capacity(changed.len());
        for job in changed {
            match self.reader.summary(*job) {
                Ok(Some(mut summary)) => {
                    self.shared.live.complete_summary(&mut summary);
                    summaries.push(summary);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, %job, "a changed job cannot be read");
                    self.subscribers.iter_mut().for_each(|subscriber| subscriber.lagging = true);
                }
            }
        }
        let Self { reader, shared, subscribers, .. } = self;
        for subscriber in subscribers.iter_mut() {
            let told = if subscriber.lagging {
                subscriber.send_snapshot(reader, shared)
            } else {
                subscriber.send_changes(&summaries);
                Ok(())
            };
            if let Err(error) = told {
                tracing::warn!(%error, "a watch's snapshot cannot be read");
            }
        }
        self.forget_gone();
    }

    fn forget_gone(&mut self) {
        self.subscribers.retain(|subscriber| !subscriber.over && !subscriber.events.is_closed());
    }
}

impl Subscriber {
    fn send(&mut self, events: Vec<WatchEvent>) {
        let ended = events.iter().any(|event| match event {
            WatchEvent::Job(job) => self.only == Some(job.id) && job.state.is_terminal(),
            WatchEvent::SnapshotEnd => false,
        });
        match self.events.try_send(events) {
            Ok(()) => self.over = ended,
            Err(_) => self.lagging = true,
        }
    }

    fn send_changes(&mut self, summaries: &[JobSummary]) {
        let wanted = |job: &&JobSummary| {
            self.only.is_none_or(|only| only == job.id) && self.filter.takes(job)
        };
        let events: Vec<_> =
            summaries.iter().filter(wanted).cloned().map(WatchEvent::Job).collect();
        if !events.is_empty() {
            self.send(events);
        }
    }

    fn send_snapshot(
        &mut self,
        reader: &mut SqliteReader,
        shared: &Shared,
    ) -> Result<(), StoreError> {
        if self.events.capacity() == 0 {
            return Ok(());
        }
        let mut jobs: Vec<JobSummary> = match self.only {
            Some(job) => reader.summary(job)?.into_iter().collect(),
            None => {
                let mut newest = newest(reader, &self.filter)?;
                newest.reverse();
                newest
            }
        };
        jobs.iter_mut().for_each(|job| shared.live.complete_summary(job));
        let mut events: Vec<_> = jobs.into_iter().map(WatchEvent::Job).collect();
        events.push(WatchEvent::SnapshotEnd);
        self.lagging = false;
        self.send(events);
        Ok(())
    }
}

/// The newest jobs that pass, newest first: as many as a snapshot has.
fn newest(reader: &mut SqliteReader, filter: &JobFilter) -> Result<Vec<JobSummary>, StoreError> {
    let (mut jobs, mut after) = (Vec::new(), None);
    for _ in 0..SNAPSHOT_PAGES_MAX {
        let room = QueueConfig::SNAPSHOT_JOBS_MAX - jobs.len();
        let page = reader.page(filter, after, room)?;
        jobs.extend(page.jobs);
        after = page.next;
        if after.is_none() || jobs.len() == QueueConfig::SNAPSHOT_JOBS_MAX {
            return Ok(jobs);
        }
    }
    tracing::warn!(jobs = jobs.len(), "a watch's snapshot leaves out what lies further back");
    Ok(jobs)
}
