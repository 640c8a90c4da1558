//! Who gets what: parts that wait meet nodes that are free.

use types::{PartId, Progress, SessionId};

use super::{Control, Running, Turn};
use crate::command::{Event, NodeMessage, Waiting};
use crate::ready::Key;
use crate::transition::{LeaseGrant, Transition};

impl<T> Control<T> {
    /// Leases until nothing waits that a free node can run.
    ///
    /// The groups of nodes take turns, and in a group its nodes: one lease a turn, so that work
    /// spreads over nodes before it fills one.
    pub(super) fn dispatch(&mut self, turn: &mut Turn<'_, T>) {
        self.ready.promote(turn.now);
        let mut open: Vec<u32> =
            (0..self.fleet.group_count()).filter(|group| self.fleet.has_idle(*group)).collect();
        while !open.is_empty() {
            open.retain(|group| self.lease_one(*group, turn));
        }
    }

    /// Leases one part to one node of the group. Whether there may be more to lease.
    fn lease_one(&mut self, group: u32, turn: &mut Turn<'_, T>) -> bool {
        let Self { fleet, ready, config, .. } = self;
        if !ready.serves(|class| fleet.can_run(group, class)) {
            return false;
        }
        let Some(session) = fleet.next_idle(group, config, turn.now) else { return false };
        match ready.pick(|class| fleet.can_run(group, class)) {
            Some((key, part, waiting)) => {
                self.lease(session, key, part, waiting, turn);
                self.fleet.line_up(session, &self.config, turn.now);
                true
            }
            None => {
                self.fleet.line_up(session, &self.config, turn.now);
                false
            }
        }
    }

    fn lease(
        &mut self,
        session: SessionId,
        key: Key,
        part: PartId,
        waiting: Waiting,
        turn: &mut Turn<'_, T>,
    ) {
        let waited = turn.now.since(waiting.available_at);
        let cut_over = self.config.trace_cut_over.is_some_and(|limit| waited > limit);
        let lease = LeaseGrant {
            part,
            fence: waiting.fence.next(),
            attempt: waiting.attempt.saturating_add(1),
            session,
            span_id: turn.random.span_id(),
            trace_id: cut_over.then(|| turn.random.trace_id()),
            available_at: waiting.available_at,
            started_at: turn.now,
            tally: waiting.tally,
        };
        turn.out.transitions.push(Transition::Lease(lease.clone()));
        let Waiting { part_index, part_count, .. } = waiting;
        let progress = Progress::default();
        let running = Running { lease, key, part_index, part_count, confirmed: false, progress };
        let grant = self.grant_of(&running);
        self.running.insert(part, running);
        if let Some(found) = self.fleet.sessions.get_mut(&session) {
            found.leases.insert(part);
        }
        self.set_session_timer(session);
        turn.event(Event::Leased(grant.clone()));
        turn.event(Event::Changed(part));
        self.deliver(session, NodeMessage::Lease(grant), turn);
    }
}
