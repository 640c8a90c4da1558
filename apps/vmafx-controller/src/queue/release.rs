//! Letting go of what was decided, once it is durable: answers, leases, events.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use control::{
    Answer, AttemptSpan, Command, ConnectionId, Effect, Ended, Event, Grant, JobHead, LateReport,
    NodeMessage, Read, StoreError, judge_late,
};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use types::{AttemptView, Fence, Lease, PartId, ReportAnswer, SessionId, State, Timestamp, ToNode};

use super::config::QueueConfig;
use super::error::QueueError;
use super::event::{FinishedJob, QueueEvent, QueueObserver};
use super::follower::Note;
use super::handle::{Reply, Response, Shared, without_lease};

/// What a batch's effects leave behind for the next batch.
type Again = Vec<Command<Reply>>;

/// Messages by stream, in the order in which they came up.
#[derive(Debug, Default)]
struct Outbox {
    messages: HashMap<ConnectionId, (SessionId, Vec<ToNode>)>,
    order: Vec<ConnectionId>,
}

impl Outbox {
    fn push(&mut self, session: SessionId, connection: ConnectionId, message: ToNode) {
        let (_, messages) = self.messages.entry(connection).or_insert_with(|| {
            self.order.push(connection);
            // Most often an answer and a lease.
            (session, Vec::with_capacity(2))
        });
        messages.push(message);
    }
}

pub(super) struct Release {
    shared: Arc<Shared>,
    observer: Arc<dyn QueueObserver>,
    streams: HashMap<ConnectionId, mpsc::Sender<ToNode>>,
    /// What this batch has to say on each stream. It goes all at once, so that an answer and the
    /// lease that follows it wake their node once.
    outbox: Outbox,
    /// Jobs of parts that were submitted lately, oldest first in `order`.
    recent: HashMap<PartId, Arc<JobHead>>,
    order: VecDeque<PartId>,
    /// Jobs of parts that run.
    running: HashMap<PartId, Arc<JobHead>>,
    /// The job of the attempt that ended last.
    ended: Option<(PartId, Arc<JobHead>)>,
    /// Leases of this batch on their way to a stream or a poll.
    leases: HashMap<PartId, Box<Lease>>,
    pub(super) commits_at_gauges: u64,
}

impl Release {
    pub(super) fn new(shared: Arc<Shared>, observer: Arc<dyn QueueObserver>) -> Self {
        Self {
            shared,
            observer,
            streams: HashMap::new(),
            outbox: Outbox::default(),
            recent: HashMap::new(),
            order: VecDeque::new(),
            running: HashMap::new(),
            ended: None,
            leases: HashMap::new(),
            commits_at_gauges: 0,
        }
    }

    /// Forgets a stream that its node has ended. What this batch still has for it comes back.
    pub(super) fn stream_ended(&mut self, connection: ConnectionId) {
        self.streams.remove(&connection);
    }

    /// Refuses everybody whose batch could not be committed.
    pub(super) fn refuse(&mut self, effects: Vec<Effect<Reply>>, error: &StoreError) {
        for effect in effects {
            match effect {
                Effect::Answer { to, .. }
                | Effect::AnswerState { to, .. }
                | Effect::AnswerLate { to, .. } => {
                    let _ = to.send(Err(QueueError::Store(error.clone())));
                }
                Effect::Close { connection, .. } => drop(self.streams.remove(&connection)),
                // The lease was not made durable; the event did not happen.
                Effect::Deliver { .. } | Effect::Event(_) => {}
            }
        }
    }

    /// Lets everything leave, in order.
    pub(super) fn let_go(
        &mut self,
        effects: Vec<Effect<Reply>>,
        reader: &mut dyn Read,
        now: Timestamp,
        again: &mut Again,
    ) {
        self.fetch_heads(&effects, reader);
        for effect in effects {
            match effect {
                Effect::Answer { to, answer } => self.answer(to, answer, again),
                Effect::AnswerState { to, job } => {
                    let answer = match reader.state(job) {
                        Ok(Some(state)) => {
                            let cancelled = control::Cancelled { state, changed: false };
                            Ok(Response::Answer(Answer::Cancelled(cancelled)))
                        }
                        Ok(None) => Err(QueueError::NotFound),
                        Err(error) => Err(error.into()),
                    };
                    let _ = to.send(answer);
                }
                Effect::AnswerLate { to, report } => self.answer_late(to, &report, reader),
                Effect::Deliver { session, connection, message } => {
                    if let Some(message) = self.ready(message) {
                        self.outbox.push(session, connection, message);
                    }
                }
                Effect::Close { connection, .. } => {
                    self.send(connection, again);
                    self.streams.remove(&connection);
                }
                Effect::Event(event) => self.event(event, reader, now, again),
            }
        }
        for connection in std::mem::take(&mut self.outbox.order) {
            self.send(connection, again);
        }
        self.leases.clear();
        self.ended = None;
    }

    fn answer(&mut self, to: Reply, answer: Answer, again: &mut Again) {
        match answer {
            Answer::Attached(connection) => {
                let (stream, messages) = mpsc::channel(QueueConfig::STREAM_MESSAGES_MAX);
                let replies = stream.downgrade();
                self.streams.insert(connection, stream);
                let _ = to.send(Ok(Response::Attached { connection, messages, replies }));
            }
            Answer::Messages(messages) => {
                let ready = messages.into_iter().filter_map(|message| self.ready(message));
                let response = Response::ToNode(ready.collect());
                // A poll that nobody waits for any more must not swallow its leases.
                if let Err(Ok(Response::ToNode(messages))) = to.send(Ok(response)) {
                    give_back(messages, again);
                }
            }
            Answer::UnknownSession => drop(to.send(Err(QueueError::UnknownSession))),
            Answer::UnknownNode => drop(to.send(Err(QueueError::UnknownNode))),
            Answer::Reported(answer) => self.reported(to, answer),
            answer => drop(to.send(Ok(Response::Answer(answer)))),
        }
    }

    fn reported(&mut self, to: Reply, answer: ReportAnswer) {
        match to {
            Reply::Stream(to) => {
                let (session, connection) = (to.session, to.connection);
                self.outbox.push(session, connection, to.message(Some(answer)));
            }
            to @ Reply::Call(_) => {
                let _ = to.send(Ok(Response::Answer(Answer::Reported(answer))));
            }
        }
    }

    fn answer_late(&mut self, to: Reply, report: &LateReport, reader: &mut dyn Read) {
        let mut judge = || {
            let attempt = reader.attempt(report.part, report.fence)?;
            let results = match report.score_digests {
                Some(_) => reader.results(report.part)?,
                None => None,
            };
            Ok::<_, StoreError>(judge_late(report, attempt.as_ref(), results.as_deref()))
        };
        match judge() {
            Ok((answer, differs)) => {
                if let Some([stored, late]) = &differs {
                    tracing::error!(part = %report.part, stored, late, "two results of one part differ");
                    let digests = [stored.as_str(), late.as_str()];
                    self.observer
                        .observe(&QueueEvent::Nondeterminism { part: report.part, digests });
                }
                self.observer.observe(&QueueEvent::Reported { answer });
                self.reported(to, answer);
            }
            Err(error) => drop(to.send(Err(error.into()))),
        }
    }

    /// The message as the node gets it; a lease is there when its event came before.
    fn ready(&mut self, message: NodeMessage) -> Option<ToNode> {
        match message {
            NodeMessage::Lease(grant) => self.leases.remove(&grant.part).map(ToNode::Lease),
            other => without_lease(&other),
        }
    }

    /// Sends what the outbox has for a stream.
    fn send(&mut self, connection: ConnectionId, again: &mut Again) {
        let Some((session, messages)) = self.outbox.messages.remove(&connection) else { return };
        let stream = self.streams.get(&connection);
        let mut unsent = Vec::new();
        for message in messages {
            let sent = match stream {
                Some(stream) if unsent.is_empty() => {
                    stream.try_send(message).map_err(|error| match error {
                        TrySendError::Full(message) | TrySendError::Closed(message) => message,
                    })
                }
                _ => Err(message),
            };
            unsent.extend(sent.err());
        }
        if !unsent.is_empty() {
            // Gone, or it does not read: end it; its node attaches again or is lost.
            self.streams.remove(&connection);
            again.push(Command::Detach { session, connection });
            give_back(unsent, again);
        }
    }

    /// Reads the jobs of all leases of this batch that are not in memory, at once. Where that
    /// fails, or one is not there, its lease asks again for itself and says so.
    fn fetch_heads(&mut self, effects: &[Effect<Reply>], reader: &mut dyn Read) {
        let leased = effects.iter().filter_map(|effect| match effect {
            Effect::Event(Event::Leased(grant)) => Some(grant.part),
            _ => None,
        });
        let in_memory =
            |part: &PartId| self.running.contains_key(part) || self.recent.contains_key(part);
        let missing: Vec<PartId> = leased.filter(|part| !in_memory(part)).collect();
        if missing.is_empty() {
            return;
        }
        let heads = reader.heads(&missing).unwrap_or_default();
        let found = missing.into_iter().zip(heads);
        self.running.extend(found.filter_map(|(part, head)| Some((part, Arc::new(head?)))));
    }

    /// What is known of a part's job, from memory where it is there.
    pub(super) fn head(&self, part: PartId, reader: &mut dyn Read) -> Option<Arc<JobHead>> {
        if let Some((ended, head)) = &self.ended
            && *ended == part
        {
            return Some(Arc::clone(head));
        }
        if let Some(head) = self.running.get(&part).or_else(|| self.recent.get(&part)) {
            return Some(Arc::clone(head));
        }
        match reader.head(part) {
            Ok(found) => found.map(Arc::new),
            Err(error) => {
                tracing::error!(%error, %part, "a part's job cannot be read");
                None
            }
        }
    }

    fn remember(&mut self, part: PartId, head: Arc<JobHead>) {
        while self.order.len() >= QueueConfig::HEADS_CACHED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.recent.remove(&oldest);
            }
        }
        self.order.push_back(part);
        self.recent.insert(part, head);
    }

    fn event(&mut self, event: Event, reader: &mut dyn Read, now: Timestamp, again: &mut Again) {
        match event {
            Event::Submitted(job) => {
                let head = Arc::new(JobHead {
                    job: job.id,
                    spec: Arc::clone(&job.spec),
                    trace: job.trace.clone(),
                    root_span_id: job.root_span_id,
                    submitted_at: job.submitted_at,
                });
                self.observer.observe(&QueueEvent::Submitted {
                    job: job.id,
                    trace: &job.trace,
                    root_span_id: job.root_span_id,
                    at: job.submitted_at,
                });
                for (_, part) in job.part_ids() {
                    self.remember(part, Arc::clone(&head));
                }
                self.changed(Note::Job(job.id));
            }
            Event::Leased(grant) => self.leased(&grant, reader, again),
            Event::Ended(ended) => self.attempt_ended(*ended, reader),
            Event::Requeued { part, cause, available_at } => {
                self.observer.observe(&QueueEvent::Retried { part, cause, available_at });
            }
            Event::Reported(answer) => {
                debug_assert!(matches!(
                    answer,
                    ReportAnswer::Accepted | ReportAnswer::UnknownSession
                ));
                self.observer.observe(&QueueEvent::Reported { answer });
            }
            Event::Progress { part, progress } => {
                if let Some(head) = self.head(part, reader) {
                    self.shared.live.set_progress(head.job, part, Some(progress));
                    self.running.entry(part).or_insert_with(|| Arc::clone(&head));
                    self.changed(Note::Job(head.job));
                }
            }
            Event::Changed(part) => {
                if self.shared.watchers.load(Ordering::Relaxed) > 0
                    && let Some(head) = self.head(part, reader)
                {
                    self.changed(Note::Job(head.job));
                }
            }
            Event::NameTaken(node) => {
                tracing::warn!(
                    %node,
                    "two processes go by the name of this node and take each other's work; give \
                     each node a name of its own (VMAFX_NODE_ID)"
                );
            }
            Event::Finished { part, state } => self.finished(part, state, now, reader),
        }
    }

    fn leased(&mut self, grant: &Grant, reader: &mut dyn Read, again: &mut Again) {
        let Some(head) = self.head(grant.part, reader) else {
            again.push(Command::Undelivered { leases: vec![(grant.part, grant.fence)] });
            return;
        };
        let previous = previous_attempt(grant, reader);
        let lease = Box::new(Lease {
            job: head.job,
            part: grant.part,
            part_index: u32::from(grant.part_index),
            fence: grant.fence,
            attempt: grant.attempt,
            spec: Arc::clone(&head.spec),
            trace: head.trace.of_attempt(grant.trace_id, grant.span_id),
            parent: head.trace.with_span(head.root_span_id),
            creation: head.trace.span_id,
            previous_attempt: previous.map(|before| before.span_id),
            previous_trace: previous.and_then(|before| before.trace_id),
            queue_wait: grant.started_at.since(grant.available_at),
        });
        self.recent.remove(&grant.part);
        self.running.insert(grant.part, head);
        self.observer.observe(&QueueEvent::Leased {
            lease: &lease,
            node: &grant.node,
            available_at: grant.available_at,
            started_at: grant.started_at,
        });
        self.leases.insert(grant.part, lease);
    }

    fn attempt_ended(&mut self, ended: Ended, reader: &mut dyn Read) {
        let Ended { grant, ended_at, outcome, failure, timings, settle, report, lost_cause } =
            ended;
        let part = grant.part;
        let Some(head) = self.head(part, reader) else { return };
        self.running.remove(&part);
        self.shared.live.set_progress(head.job, part, None);
        let attempt = AttemptView {
            part,
            part_index: u32::from(grant.part_index),
            attempt: grant.attempt,
            fence: grant.fence,
            node: grant.node,
            span_id: grant.span_id,
            trace_id: grant.trace_id,
            available_at: grant.available_at,
            started_at: grant.started_at,
            ended_at: Some(ended_at),
            outcome: Some(outcome),
            failure,
            timings,
            settle,
            report,
            leased_by: None,
            ended_by: None,
        };
        self.observer.observe(&QueueEvent::AttemptEnded {
            job: head.job,
            trace: &head.trace,
            root_span_id: head.root_span_id,
            attempt: &attempt,
            lost_cause,
        });
        self.ended = Some((part, head));
    }

    fn finished(&mut self, part: PartId, state: State, now: Timestamp, reader: &mut dyn Read) {
        let Some(head) = self.head(part, reader) else { return };
        self.recent.remove(&part);
        self.changed(Note::Job(head.job));
        let took = now.since(head.submitted_at);
        let finished = FinishedJob { job: head.job, state, trace: &head.trace, took };
        if self.observer.wants_finished(&finished)
            && self.shared.follower.try_send(Note::Finished(head.job)).is_err()
        {
            self.shared.gauges.finished_unobserved.fetch_add(1, Ordering::Relaxed);
            self.observer.observe(&QueueEvent::Unobserved { job: head.job });
        }
    }

    /// Lets somebody know, behind all that has been released, that it has reached the observer.
    pub(super) fn hand_over(&self, to: Reply) {
        if let Err(refused) = self.shared.follower.try_send(Note::HandOver(to))
            && let Note::HandOver(to) = refused.into_inner()
        {
            let _ = to.send(Err(QueueError::Overloaded));
        }
    }

    /// Tells the follower, where anybody watches.
    fn changed(&self, note: Note) {
        if self.shared.watchers.load(Ordering::Relaxed) > 0
            && self.shared.follower.try_send(note).is_err()
        {
            self.shared.follower_lagged.store(true, Ordering::Relaxed);
        }
    }
}

fn give_back(messages: Vec<ToNode>, again: &mut Again) {
    let leases = messages.into_iter().filter_map(|message| match message {
        ToNode::Lease(lease) => Some((lease.part, lease.fence)),
        _ => None,
    });
    let leases: Vec<_> = leases.collect();
    if !leases.is_empty() {
        again.push(Command::Undelivered { leases });
    }
}

/// The span of the attempt before this one. Only a retry costs a look into the store, of one row;
/// where that fails the retry goes without its link.
fn previous_attempt(grant: &Grant, reader: &mut dyn Read) -> Option<AttemptSpan> {
    if grant.fence <= Fence(1) {
        return None;
    }
    reader.attempt_before(grant.part, grant.fence).ok().flatten()
}
