//! Nodes come, show that they live, say what they have in hand, and go.

use std::collections::{BTreeSet, VecDeque};

use types::{
    FailureKind, Fence, Incarnation, NodeId, NodeStatus, NodeView, PartId, Progress, Registered,
    Registration, RunningPart, SessionId, StopReason, Timestamp,
};

use super::ends::Counted;
use super::{Control, Turn};
use crate::command::{Answer, ConnectionId, Effect, Event, NodeMessage};
use crate::fleet::{Link, Parked, Session};
use crate::timers::Timer;
use crate::transition::{SessionOpened, Transition};

/// Attempts of one status that are looked at: far more than a node can have.
const LISTED_MAX: usize = 4_096;

/// How a status came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Through {
    /// It opened a stream: every lease sent before has arrived or is lost.
    NewStream,
    /// A lease may be on its way.
    Open,
}

impl<T> Control<T> {
    pub(super) fn register(&mut self, registration: Registration, to: T, turn: &mut Turn<'_, T>) {
        let Registration { node, incarnation, capabilities } = registration;
        let known = self.fleet.nodes.get(&node).and_then(|id| self.fleet.sessions.get_mut(id));
        let old = match known {
            Some(session) if session.incarnation == incarnation => {
                session.last_seen = Some(turn.now);
                let answer = Answer::Registered(self.registered(session_id(&self.fleet, &node)));
                return turn.answer(to, answer);
            }
            Some(session) => Some((session.id, session.incarnation)),
            None => None,
        };
        if let Some((old, replaced)) = old {
            // A process that was replaced and is back shows that both live: nobody died of a part.
            let counted = if self.fleet.was_replaced(&node, incarnation) {
                turn.event(Event::NameTaken(node.clone()));
                Counted::Replaced
            } else {
                Counted::Yes
            };
            self.fleet.remember_replaced(node.clone(), replaced);
            self.lose_all(old, FailureKind::NodeLost, counted, turn);
            self.end_session(old, turn);
        }
        for session in self.fleet.forgettable(turn.now) {
            self.fleet.remove(session);
            turn.out.transitions.push(Transition::CloseSession { session });
        }
        self.last_session = SessionId(self.last_session.0 + 1);
        let session = self.last_session;
        let opened =
            SessionOpened { session, node, incarnation, capabilities, registered_at: turn.now };
        self.add_session(opened.clone(), false, turn.now);
        if let Some(added) = self.fleet.sessions.get_mut(&session) {
            added.last_seen = Some(turn.now);
        }
        turn.out.transitions.push(Transition::OpenSession(Box::new(opened)));
        turn.answer(to, Answer::Registered(self.registered(session)));
    }

    fn registered(&self, session: SessionId) -> Registered {
        let Self { config, .. } = self;
        Registered { session, liveness_interval: config.liveness_interval, lease: config.lease }
    }

    pub(super) fn add_session(&mut self, opened: SessionOpened, draining: bool, now: Timestamp) {
        let SessionOpened { session, node, incarnation, capabilities, registered_at } = opened;
        let group = self.fleet.group(&capabilities);
        for class in self.ready.live_classes() {
            if let Some(requirements) = self.ready.requirements(class) {
                self.fleet.learn(group, class, requirements);
            }
        }
        self.fleet.nodes.insert(node.clone(), session);
        let added = Session {
            id: session,
            node,
            incarnation,
            capabilities,
            group,
            registered_at,
            last_seen: None,
            lease_from: now,
            link: Link::None,
            detached_at: None,
            slots_offered: 0,
            leaving: false,
            draining,
            leases: BTreeSet::new(),
            foreign: 0,
            answered: VecDeque::new(),
            in_line: false,
            timer_at: None,
        };
        self.fleet.sessions.insert(session, added);
    }

    /// Forgets a session that another process of its node has replaced.
    pub(super) fn end_session(&mut self, id: SessionId, turn: &mut Turn<'_, T>) {
        let Some(session) = self.fleet.remove(id) else { return };
        turn.out.transitions.push(Transition::CloseSession { session: id });
        match session.link {
            Link::None => {}
            Link::Stream(connection) => {
                let message = NodeMessage::Reregister;
                turn.out.effects.push(Effect::Deliver { session: id, connection, message });
                turn.out.effects.push(Effect::Close { session: id, connection });
            }
            Link::Poll(parked) => turn.answer(parked.to, Answer::UnknownSession),
        }
    }

    /// The session, if this process holds it.
    pub(super) fn session_of(
        &mut self,
        (session, incarnation): (SessionId, Incarnation),
    ) -> Option<&mut Session<T>> {
        self.fleet.sessions.get_mut(&session).filter(|found| found.incarnation == incarnation)
    }

    pub(super) fn attach(
        &mut self,
        who: (SessionId, Incarnation),
        status: &NodeStatus,
        to: T,
        turn: &mut Turn<'_, T>,
    ) {
        if self.session_of(who).is_none() {
            return turn.answer(to, Answer::UnknownSession);
        }
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        self.relink(who.0, Link::Stream(connection), turn);
        turn.answer(to, Answer::Attached(connection));
        for message in self.sign_of_life(who.0, status, Through::NewStream, turn) {
            self.deliver(who.0, message, turn);
        }
    }

    /// Gives a session a new link, and ends the old one.
    fn relink(&mut self, id: SessionId, link: Link<T>, turn: &mut Turn<'_, T>) {
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return };
        match std::mem::replace(&mut session.link, link) {
            Link::None => {}
            Link::Stream(connection) => {
                turn.out.effects.push(Effect::Close { session: id, connection });
            }
            Link::Poll(parked) => turn.answer(parked.to, Answer::Messages(parked.messages)),
        }
    }

    pub(super) fn stream_status(
        &mut self,
        id: SessionId,
        connection: ConnectionId,
        (status, acknowledge): (&NodeStatus, u64),
        turn: &mut Turn<'_, T>,
    ) {
        let link = self.fleet.sessions.get(&id).map(|session| &session.link);
        if !matches!(link, Some(Link::Stream(current)) if *current == connection) {
            return;
        }
        for message in self.sign_of_life(id, status, Through::Open, turn) {
            self.deliver(id, message, turn);
        }
        if acknowledge != 0 {
            self.deliver(id, NodeMessage::Acknowledged(acknowledge), turn);
        }
    }

    pub(super) fn detach(&mut self, id: SessionId, connection: ConnectionId, now: Timestamp) {
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return };
        if matches!(session.link, Link::Stream(current) if current == connection) {
            session.link = Link::None;
            session.detached_at = Some(now);
            self.set_session_timer(id);
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        who: (SessionId, Incarnation),
        status: &NodeStatus,
        to: T,
        turn: &mut Turn<'_, T>,
    ) {
        if self.session_of(who).is_none() {
            return turn.answer(to, Answer::UnknownSession);
        }
        let messages = self.sign_of_life(who.0, status, Through::Open, turn);
        turn.answer(to, Answer::Messages(messages));
    }

    pub(super) fn poll(
        &mut self,
        who: (SessionId, Incarnation),
        status: &NodeStatus,
        until: Timestamp,
        to: T,
        turn: &mut Turn<'_, T>,
    ) {
        if self.session_of(who).is_none() {
            return turn.answer(to, Answer::UnknownSession);
        }
        self.relink(who.0, Link::Poll(Parked { to, until, messages: Vec::new() }), turn);
        for message in self.sign_of_life(who.0, status, Through::Open, turn) {
            self.deliver(who.0, message, turn);
        }
        self.timers.set(until, Timer::Poll(who.0));
        if until <= turn.now {
            self.poll_answers.push(who.0);
        }
    }

    pub(super) fn poll_timer(&mut self, id: SessionId, now: Timestamp) {
        let link = self.fleet.sessions.get(&id).map(|session| &session.link);
        if matches!(link, Some(Link::Poll(parked)) if parked.until < now) {
            self.poll_answers.push(id);
        }
    }

    /// Answers the polls that have something to say, or have waited long enough.
    pub(super) fn answer_polls(&mut self, turn: &mut Turn<'_, T>) {
        for id in std::mem::take(&mut self.poll_answers) {
            let Some(session) = self.fleet.sessions.get_mut(&id) else { continue };
            match std::mem::replace(&mut session.link, Link::None) {
                Link::Poll(parked) => turn.answer(parked.to, Answer::Messages(parked.messages)),
                other => session.link = other,
            }
        }
    }

    /// Sends a node a message, where there is a way. Whatever is lost is said again at its next
    /// sign of life.
    pub(super) fn deliver(&mut self, id: SessionId, message: NodeMessage, turn: &mut Turn<'_, T>) {
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return };
        match &mut session.link {
            Link::None => {}
            Link::Stream(connection) => {
                let connection = *connection;
                turn.out.effects.push(Effect::Deliver { session: id, connection, message });
            }
            Link::Poll(parked) => {
                parked.messages.push(message);
                self.poll_answers.push(id);
            }
        }
    }

    /// Takes what a node says of itself, compares it with what it should have, and says what it
    /// must be told.
    fn sign_of_life(
        &mut self,
        id: SessionId,
        status: &NodeStatus,
        through: Through,
        turn: &mut Turn<'_, T>,
    ) -> Vec<NodeMessage> {
        let mut messages = Vec::new();
        let mut listed = BTreeSet::new();
        for named in status.running.iter().take(LISTED_MAX) {
            let RunningPart { part, fence, .. } = *named;
            if self.confirm(id, named, turn) {
                listed.insert(part);
            } else if !self.was_answered(id, part, fence) {
                let cancelled = self.cancelled.set.contains(&(part, fence));
                let reason = if cancelled { StopReason::Cancelled } else { StopReason::LeaseLost };
                messages.push(NodeMessage::Stop { part, fence, reason });
            }
        }
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return messages };
        session.last_seen = Some(turn.now);
        session.detached_at = None;
        session.slots_offered = status.slots_offered.min(types::Capabilities::SLOTS_MAX);
        session.leaving = status.draining;
        session.foreign = u32::try_from(messages.len()).unwrap_or(u32::MAX);
        if session.draining && !status.draining {
            messages.push(NodeMessage::Drain);
        }
        let missing: Vec<PartId> = session.leases.difference(&listed).copied().collect();
        for part in missing {
            self.reconcile_missing(part, through, turn);
        }
        self.fleet.line_up(id, &self.config, turn.now);
        messages
    }

    /// Whether what a node names is its lease; notes how far it is.
    fn confirm(&mut self, id: SessionId, named: &RunningPart, turn: &mut Turn<'_, T>) -> bool {
        let Some(running) = self.running.get_mut(&named.part) else { return false };
        if running.lease.fence != named.fence || running.lease.session != id {
            return false;
        }
        running.confirmed = true;
        let RunningPart { part, frames_done, frames_total, .. } = *named;
        let progress = Progress { frames_done, frames_total };
        if running.progress != progress {
            running.progress = progress;
            turn.event(Event::Progress { part, progress });
        }
        true
    }

    /// Whether the node's report of this attempt was accepted: the answer is on its way, or the node
    /// will ask for it again.
    fn was_answered(&self, id: SessionId, part: PartId, fence: Fence) -> bool {
        let session = self.fleet.sessions.get(&id);
        session.is_some_and(|session| session.answered.contains(&(part, fence)))
    }

    /// A lease that its node does not list: it never arrived, or its worker is gone.
    fn reconcile_missing(&mut self, part: PartId, through: Through, turn: &mut Turn<'_, T>) {
        let Some(running) = self.running.get(&part) else { return };
        let old = turn.now.since(running.lease.started_at) > self.config.unlisted_grace();
        if through == Through::NewStream || old {
            let counted = if running.confirmed { Counted::Yes } else { Counted::No };
            self.lose(part, FailureKind::NodeLost, counted, turn);
        }
    }

    /// Takes back leases that could not be handed over.
    pub(super) fn undelivered(&mut self, leases: &[(PartId, Fence)], turn: &mut Turn<'_, T>) {
        for (part, fence) in leases {
            let found = self.running.get(part);
            if found.is_some_and(|r| r.lease.fence == *fence && !r.confirmed) {
                self.lose(*part, FailureKind::NodeLost, Counted::No, turn);
            }
        }
    }

    pub(super) fn node_views(&self, now: Timestamp) -> Vec<NodeView> {
        let sessions = self.fleet.sessions.values();
        let mut views: Vec<_> = sessions.map(|session| session.view(&self.config, now)).collect();
        views.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        views
    }

    pub(super) fn drain(&mut self, node: &NodeId, undo: bool, to: T, turn: &mut Turn<'_, T>) {
        let found = self.fleet.nodes.get(node).and_then(|id| self.fleet.sessions.get_mut(id));
        let Some(session) = found else { return turn.answer(to, Answer::UnknownNode) };
        let (id, draining) = (session.id, !undo);
        let running = u32::try_from(session.leases.len()).unwrap_or(u32::MAX);
        if session.draining != draining {
            session.draining = draining;
            turn.out.transitions.push(Transition::Drain { session: id, draining });
            if draining {
                self.deliver(id, NodeMessage::Drain, turn);
            } else {
                self.fleet.line_up(id, &self.config, turn.now);
            }
        }
        turn.answer(to, Answer::Draining(running));
    }
}

fn session_id<T>(fleet: &crate::fleet::Fleet<T>, node: &NodeId) -> SessionId {
    fleet.nodes.get(node).copied().unwrap_or_default()
}
