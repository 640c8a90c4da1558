//! Coming back: the scheduler's index is rebuilt from what the store holds.
//!
//! After a restart every lease gets one lease time for its node to come back to it. After a failed
//! commit, when memory is ahead of the store, the same way leads back to the truth; who is
//! connected is then kept.

use std::collections::{BTreeSet, HashSet};

use types::{FailureKind, PartId, Progress, SessionId, Timestamp};

use super::ends::Counted;
use super::{Control, Running, Turn};
use crate::command::Waiting;
use crate::fleet::Link;
use crate::random::Random;
use crate::ready::{Key, Ready, TooManyClasses};
use crate::store::{Stored, StoredLease, StoredPart};
use crate::transition::LeaseGrant;

/// What a load has seen so far.
#[derive(Debug, Default)]
pub(super) struct Loading {
    sessions: HashSet<SessionId>,
    /// Leases whose session the store does not know: they end at once.
    orphans: Vec<PartId>,
}

impl<T> Control<T> {
    /// Forgets all parts and leases, to be loaded again; keeps who is connected.
    pub fn unload(&mut self) {
        self.ready = Ready::new();
        self.running.clear();
        self.batch_keys.clear();
        self.loading = Loading::default();
        for session in self.fleet.sessions.values_mut() {
            session.leases.clear();
            session.answered.clear();
            session.draining = false;
        }
        self.fleet.forget_classes();
    }

    /// Takes one thing that the store holds.
    pub fn load(&mut self, stored: Stored<'_>, now: Timestamp) {
        match stored {
            Stored::Marks { part, session, job } => {
                self.last_part = self.last_part.max(part);
                self.last_session = self.last_session.max(session);
                self.last_job = self.last_job.max(job);
            }
            Stored::Session(session) => {
                let id = session.opened.session;
                self.loading.sessions.insert(id);
                match self.fleet.sessions.get_mut(&id) {
                    Some(known) => known.draining = session.draining,
                    None => self.add_session(session.opened.clone(), session.draining, now),
                }
            }
            Stored::Ready(part) => self.load_ready(&part, now),
            Stored::Lease(lease) => self.load_lease(&lease),
        }
    }

    fn load_key(&mut self, part: &StoredPart<'_>) -> Key {
        let key = match self.ready.key(part.tenant, part.priority, part.requirements) {
            Ok(key) => key,
            // More distinct requirements than are admitted can only come from an older version
            // with larger bounds: load them all the same.
            Err(TooManyClasses) => {
                self.ready.key_unbounded(part.tenant, part.priority, part.requirements)
            }
        };
        self.learn_class(key.class);
        key
    }

    fn load_ready(&mut self, part: &StoredPart<'_>, now: Timestamp) {
        let key = self.load_key(part);
        // A retry time further away than any that is given comes from a clock that was set back.
        let latest = now.after(self.config.retry.cap);
        let waiting = Waiting {
            available_at: part.available_at.min(latest),
            fence: part.fence,
            attempt: part.attempt,
            tally: part.tally,
            part_index: part.part_index,
            part_count: part.part_count,
        };
        self.ready.insert(key, part.part, waiting, now);
    }

    fn load_lease(&mut self, stored: &StoredLease<'_>) {
        let StoredLease { part, session, span_id, trace_id, started_at } = *stored;
        let key = self.load_key(&part);
        let lease = LeaseGrant {
            part: part.part,
            fence: part.fence,
            attempt: part.attempt,
            session,
            span_id,
            trace_id,
            available_at: part.available_at,
            started_at,
            tally: part.tally,
        };
        let (part_index, part_count) = (part.part_index, part.part_count);
        let progress = Progress::default();
        let running = Running { lease, key, part_index, part_count, confirmed: false, progress };
        self.running.insert(part.part, running);
        match self.fleet.sessions.get_mut(&session) {
            Some(found) => {
                found.leases.insert(part.part);
            }
            None => self.loading.orphans.push(part.part),
        }
    }

    /// Ends a load: every lease holds for one lease time from now, sessions that the store does
    /// not know are forgotten.
    pub fn loaded(&mut self, turn: &mut Turn<'_, T>) {
        if self.last_part == PartId(0) {
            self.last_part = part_base(turn.random);
        }
        let Loading { sessions, orphans } = std::mem::take(&mut self.loading);
        let known: BTreeSet<SessionId> = self.fleet.sessions.keys().copied().collect();
        for id in known {
            if !sessions.contains(&id) {
                self.end_session(id, turn);
                continue;
            }
            if let Some(session) = self.fleet.sessions.get_mut(&id) {
                session.lease_from = turn.now;
                // A stream that was lost while nothing could be written could not be opened again.
                session.detached_at = None;
                if !matches!(session.link, Link::None) {
                    session.last_seen = Some(turn.now);
                }
            }
            self.set_session_timer(id);
            self.fleet.line_up(id, &self.config, turn.now);
        }
        for part in orphans {
            self.lose(part, FailureKind::NodeLost, Counted::No, turn);
        }
    }
}

/// Where the parts of a store that never had one begin.
///
/// A node may still hold a report about a store that was lost or replaced. Were its parts to count
/// from 1 like everybody's, that report could count for another job of the new store. The base
/// leaves room below 2^53, the largest number that every JSON reader takes exactly.
fn part_base(random: &mut Random) -> PartId {
    const STORES: u64 = 1 << 36;
    const PARTS_BETWEEN: u64 = 1 << 16;
    PartId((1 + random.below(STORES - 1)) * PARTS_BETWEEN)
}
