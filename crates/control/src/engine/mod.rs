//! The state machine: what it holds, and how it is told what happened.
//!
//! One module a subject: jobs (`submit`), nodes (`nodes`), reports (`report`), how attempts end
//! (`ends`), who gets what (`dispatch`), and how it comes back after a restart (`restore`).

mod dispatch;
mod ends;
mod nodes;
mod report;
mod restore;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use types::{Capabilities, Fence, JobId, NodeId, PartId, Progress, SessionId, Timestamp};

pub use report::judge_late;

use crate::command::{Command, Effect, Event, ExistingKey, Grant};
use crate::config::Config;
use crate::fleet::{Fleet, Link};
use crate::random::Random;
use crate::ready::{Key, Ready};
use crate::timers::{Timer, Timers};
use crate::transition::{LeaseGrant, Transition};

/// What a turn brought about: first the transitions are committed, then the effects leave.
#[derive(Debug)]
pub struct Output<T> {
    /// To be made durable together, in this order.
    pub transitions: Vec<Transition>,
    /// To be let go afterwards, in this order.
    pub effects: Vec<Effect<T>>,
}

impl<T> Default for Output<T> {
    fn default() -> Self {
        Self { transitions: Vec::new(), effects: Vec::new() }
    }
}

/// When a step happens, by which randomness, and where its outcome goes.
#[derive(Debug)]
pub struct Turn<'a, T> {
    /// The time.
    pub now: Timestamp,
    /// The randomness.
    pub random: &'a mut Random,
    /// The outcome.
    pub out: &'a mut Output<T>,
}

impl<T> Turn<'_, T> {
    fn event(&mut self, event: Event) {
        self.out.effects.push(Effect::Event(event));
    }

    fn answer(&mut self, to: T, answer: crate::command::Answer) {
        self.out.effects.push(Effect::Answer { to, answer });
    }
}

/// A leased part.
#[derive(Debug)]
struct Running {
    lease: LeaseGrant,
    key: Key,
    part_index: u16,
    part_count: u16,
    /// Its node has listed it: the lease arrived.
    confirmed: bool,
    progress: Progress,
}

/// Leases that a cancel ended, so that a node that still lists one is told the right reason.
#[derive(Debug, Default)]
struct CancelledLeases {
    set: HashSet<(PartId, Fence)>,
    order: VecDeque<(PartId, Fence)>,
}

impl CancelledLeases {
    fn remember(&mut self, part: PartId, fence: Fence) {
        if self.order.len() == Config::CANCELLED_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        if self.set.insert((part, fence)) {
            self.order.push_back((part, fence));
        }
    }
}

/// How the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Parts that wait, delayed ones included.
    pub queued: usize,
    /// Parts whose retry time has not come.
    pub delayed: usize,
    /// Parts that run.
    pub running: usize,
    /// Since when the oldest ready part has waited.
    pub oldest_ready_at: Option<Timestamp>,
    /// Nodes known.
    pub nodes: usize,
    /// Nodes with a fresh sign of life.
    pub nodes_alive: usize,
    /// The alive nodes' slots.
    pub slots: u64,
}

/// The queue's state and every decision about it. `T` reaches a caller; see
/// [`Command`](crate::Command).
#[derive(Debug)]
pub struct Control<T> {
    config: Config,
    ready: Ready,
    running: HashMap<PartId, Running>,
    fleet: Fleet<T>,
    timers: Timers,
    last_part: PartId,
    last_session: SessionId,
    last_job: Option<JobId>,
    last_connection: u64,
    /// Idempotency keys of the open batch, which the store does not know yet.
    batch_keys: HashMap<(Arc<str>, String), ExistingKey>,
    cancelled: CancelledLeases,
    /// Sessions whose parked poll has something to say.
    poll_answers: Vec<SessionId>,
    /// Sessions and leases seen while loading.
    loading: restore::Loading,
}

impl<T> Control<T> {
    /// An empty queue. [`load`](Self::load) and [`loaded`](Self::loaded) fill it from a store.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            ready: Ready::new(),
            running: HashMap::new(),
            fleet: Fleet::new(),
            timers: Timers::default(),
            last_part: PartId(0),
            last_session: SessionId(0),
            last_job: None,
            last_connection: 0,
            batch_keys: HashMap::new(),
            cancelled: CancelledLeases::default(),
            poll_answers: Vec::new(),
            loading: restore::Loading::default(),
        }
    }

    /// Takes one thing that happened. After a batch of these comes one
    /// [`close`](Self::close).
    pub fn step(&mut self, command: Command<T>, turn: &mut Turn<'_, T>) {
        match command {
            Command::Submit { drafts, to } => self.submit(drafts, to, turn),
            Command::Cancel { job, to } => self.cancel(&job, to, turn),
            Command::Retry { parts, to } => self.retry(&parts, to, turn),
            Command::Register { registration, to } => self.register(registration, to, turn),
            Command::Attach { session, incarnation, status, to } => {
                self.attach((session, incarnation), &status, to, turn);
            }
            Command::Status { session, connection, status, acknowledge } => {
                self.stream_status(session, connection, (&status, acknowledge), turn);
            }
            Command::Detach { session, connection } => self.detach(session, connection, turn.now),
            Command::Heartbeat { session, incarnation, status, to } => {
                self.heartbeat((session, incarnation), &status, to, turn);
            }
            Command::Poll { session, incarnation, status, until, to } => {
                self.poll((session, incarnation), &status, until, to, turn);
            }
            Command::Undelivered { leases } => self.undelivered(&leases, turn),
            Command::Report { session, incarnation, report, to } => {
                self.report((session, incarnation), *report, to, turn);
            }
            Command::Nodes { to } => {
                let nodes = self.node_views(turn.now);
                turn.answer(to, crate::command::Answer::Nodes(nodes));
            }
            Command::Drain { node, undo, to } => self.drain(&node, undo, to, turn),
        }
    }

    /// Closes a batch: what is due happens, and what waits is leased to who is free.
    pub fn close(&mut self, turn: &mut Turn<'_, T>) {
        self.fire_timers(turn);
        self.dispatch(turn);
        self.answer_polls(turn);
        self.batch_keys.clear();
    }

    /// When [`close`](Self::close) has something to do even if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        // Timers fire after their moment has passed: a lease holds through its last microsecond.
        let timer = self.timers.next().map(|at| at.after(std::time::Duration::from_micros(1)));
        [timer, self.ready.next_due()].into_iter().flatten().min()
    }

    /// How the queue stands.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> Counts {
        let alive = || self.fleet.sessions.values().filter(|s| s.is_fresh(&self.config, now));
        Counts {
            queued: self.ready.len(),
            delayed: self.ready.delayed_len(),
            running: self.running.len(),
            oldest_ready_at: self.ready.oldest(),
            nodes: self.fleet.sessions.len(),
            nodes_alive: alive().count(),
            slots: alive().map(|s| u64::from(s.capabilities.slots)).sum(),
        }
    }

    /// Whether any node has a work stream.
    pub fn has_streams(&self) -> bool {
        self.fleet.sessions.values().any(|session| matches!(session.link, Link::Stream(_)))
    }

    /// What the known nodes can do.
    pub fn capabilities(&self) -> impl Iterator<Item = &Capabilities> {
        self.fleet.sessions.values().map(|session| &session.capabilities)
    }

    /// The leases that hold: part, fence and session.
    pub fn leases(&self) -> impl Iterator<Item = (PartId, Fence, SessionId)> {
        self.running.values().map(|r| (r.lease.part, r.lease.fence, r.lease.session))
    }

    fn grant_of(&self, running: &Running) -> Grant {
        let lease = &running.lease;
        let node = self.fleet.sessions.get(&lease.session).map(|session| session.node.clone());
        Grant {
            part: lease.part,
            part_index: running.part_index,
            fence: lease.fence,
            attempt: lease.attempt,
            session: lease.session,
            node: node.unwrap_or_else(unknown_node),
            span_id: lease.span_id,
            trace_id: lease.trace_id,
            available_at: lease.available_at,
            started_at: lease.started_at,
        }
    }

    fn fire_timers(&mut self, turn: &mut Turn<'_, T>) {
        while let Some((_, timer)) = self.timers.pop_before(turn.now) {
            match timer {
                Timer::Session(session) => self.session_timer(session, turn),
                Timer::Poll(session) => self.poll_timer(session, turn.now),
            }
        }
    }
}

/// Stands for a session that the store lost; such a lease ends at once.
fn unknown_node() -> NodeId {
    NodeId::new("unknown").expect("a short printable word")
}
