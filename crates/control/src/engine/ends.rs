//! How attempts end, and what becomes of their parts.

use std::time::Duration;

use types::{
    AttemptOutcome, Failure, FailureKind, PartId, ReportWay, SessionId, StageTimings, State,
};

use super::submit::Siblings;
use super::{Control, Running, Turn};
use crate::command::{Ended, Event, Waiting};
use crate::config::Config;
use crate::retry::RetryVerdict;
use crate::timers::Timer;
use crate::transition::{AttemptEnd, Next, Transition};

/// The end of an attempt, decided.
pub(super) struct End {
    pub outcome: AttemptOutcome,
    pub failure: Option<Failure>,
    pub timings: Option<StageTimings>,
    pub settle: Option<Duration>,
    pub report: Option<ReportWay>,
    pub digest: Option<[u8; 32]>,
    pub lost_cause: Option<FailureKind>,
    pub next: Next,
}

/// Whether a vanished attempt counts against the part's budget of crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counted {
    Yes,
    /// The lease never reached its node, or the node handed it back: no fault of the part.
    No,
    /// Two living processes take each other's name: no fault of the part either.
    Replaced,
}

impl<T> Control<T> {
    /// What follows a failure of this kind.
    pub(super) fn after_failure(
        &self,
        running: &Running,
        kind: FailureKind,
        counted: Counted,
        turn: &mut Turn<'_, T>,
    ) -> Next {
        let tally = running.lease.tally;
        let verdict = if running.lease.fence.0 >= Config::LEASES_PER_PART_MAX {
            RetryVerdict::GiveUp
        } else if counted != Counted::Yes {
            RetryVerdict::Again { available_at: turn.now, tally }
        } else {
            self.config.retry.after(tally, kind, turn.now, turn.random)
        };
        match verdict {
            RetryVerdict::Again { available_at, tally } => Next::Queued { available_at, tally },
            RetryVerdict::GiveUp => Next::Done { state: State::Failed, result: None },
        }
    }

    /// Ends an attempt whose node is gone, or does not have it.
    pub(super) fn lose(
        &mut self,
        part: PartId,
        kind: FailureKind,
        counted: Counted,
        turn: &mut Turn<'_, T>,
    ) {
        let Some(running) = self.running.get(&part) else { return };
        let next = self.after_failure(running, kind, counted, turn);
        let node = self.grant_of(running).node;
        let text = match (kind, counted) {
            (_, Counted::No) => format!("the lease did not reach node {node}"),
            (_, Counted::Replaced) => {
                format!("another process goes by the name of node {node}, and took its place")
            }
            (FailureKind::LeaseExpired, _) => {
                format!("node {node} gave no sign of life until its lease ran out")
            }
            _ => format!("node {node} vanished while it ran this"),
        };
        let end = End {
            outcome: AttemptOutcome::Lost,
            failure: Some(Failure::new(kind, text)),
            timings: None,
            settle: None,
            report: None,
            digest: None,
            lost_cause: Some(kind),
            next,
        };
        self.end_attempt(part, end, turn);
    }

    /// Ends an attempt, moves its part on, and ends its job where that follows.
    pub(super) fn end_attempt(&mut self, part: PartId, end: End, turn: &mut Turn<'_, T>) {
        let Some((key, index, count)) =
            self.running.get(&part).map(|r| (r.key, r.part_index, r.part_count))
        else {
            return;
        };
        let done = match end.next {
            Next::Queued { .. } => None,
            Next::Done { state, .. } => Some(state),
        };
        // Its siblings stand in the same queue: hold its key until they are seen to.
        self.ready.again(key);
        self.end_attempt_only(part, end, turn);
        if let Some(state) = done {
            let siblings = Siblings { part, index, count };
            if state == State::Failed && count > 1 {
                self.fail_siblings(key, siblings, turn);
            }
            let last = count == 1 || !self.any_live(key, siblings);
            // The part that ends last decides: a failed or cancelled one takes the others with it.
            turn.event(if last { Event::Finished { part, state } } else { Event::Changed(part) });
        } else {
            turn.event(Event::Changed(part));
        }
        self.release_key(key);
    }

    /// Ends an attempt and moves its part on; its job is the caller's care.
    pub(super) fn end_attempt_only(&mut self, part: PartId, end: End, turn: &mut Turn<'_, T>) {
        let Some(running) = self.running.remove(&part) else { return };
        let grant = self.grant_of(&running);
        let Running { lease, key, part_index, part_count, .. } = running;
        if let Some(session) = self.fleet.sessions.get_mut(&lease.session) {
            session.leases.remove(&part);
        }
        self.fleet.line_up(lease.session, &self.config, turn.now);
        match &end.next {
            Next::Queued { available_at, tally } => {
                let (available_at, tally) = (*available_at, *tally);
                let (fence, attempt) = (lease.fence, lease.attempt);
                let waiting =
                    Waiting { available_at, fence, attempt, tally, part_index, part_count };
                self.ready.insert(key, part, waiting, turn.now);
                let cause = end.failure.as_ref().map(|failure| failure.kind);
                turn.event(Event::Requeued { part, cause, available_at });
            }
            Next::Done { .. } => self.release_key(key),
        }
        let End { outcome, failure, timings, settle, report, digest, lost_cause, next } = end;
        turn.event(Event::Ended(Box::new(Ended {
            grant,
            ended_at: turn.now,
            outcome,
            failure: failure.clone(),
            timings: timings.clone(),
            settle,
            report,
            lost_cause,
        })));
        let ended_at = turn.now;
        let end =
            AttemptEnd { lease, outcome, failure, timings, settle, report, digest, ended_at, next };
        turn.out.transitions.push(Transition::End(Box::new(end)));
    }

    /// Looks whether a session's leases have ended.
    pub(super) fn session_timer(&mut self, id: SessionId, turn: &mut Turn<'_, T>) {
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return };
        session.timer_at = None;
        let until = session.leases_until(&self.config);
        if until >= turn.now {
            return self.set_session_timer(id);
        }
        let vanished = session.detached_at.is_some();
        let kind = if vanished { FailureKind::NodeLost } else { FailureKind::LeaseExpired };
        self.lose_all(id, kind, Counted::Yes, turn);
    }

    pub(super) fn lose_all(
        &mut self,
        id: SessionId,
        kind: FailureKind,
        counted: Counted,
        turn: &mut Turn<'_, T>,
    ) {
        let Some(session) = self.fleet.sessions.get(&id) else { return };
        let leases: Vec<PartId> = session.leases.iter().copied().collect();
        for part in leases {
            self.lose(part, kind, counted, turn);
        }
    }

    /// Makes sure that somebody looks when the session's leases end.
    pub(super) fn set_session_timer(&mut self, id: SessionId) {
        let Some(session) = self.fleet.sessions.get_mut(&id) else { return };
        if session.leases.is_empty() {
            return;
        }
        let until = session.leases_until(&self.config);
        if session.timer_at.is_none_or(|at| until < at) {
            session.timer_at = Some(until);
            self.timers.set(until, Timer::Session(id));
        }
    }
}
