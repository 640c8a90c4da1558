//! The nodes: who they are, what they can do, what they hold, and when they were last heard.

use std::collections::{BTreeSet, HashMap, VecDeque};

use types::{
    Capabilities, Fence, Incarnation, Liveness, NodeId, NodeView, PartId, Requirements, SessionId,
    Timestamp,
};

use crate::command::{ConnectionId, NodeMessage};
use crate::config::Config;
use crate::intern::Interner;

/// Whether a node can run what has these requirements.
///
/// A backend must be named. A codec must be named, or be one that `ffmpeg` reads where the node
/// has that: anything but `y4m` and `raw`, which are decoders of our own. An encoder must be named.
#[must_use]
pub fn satisfies(node: &Capabilities, requirements: &Requirements) -> bool {
    able(&node.backends, &node.codecs, &node.encoders, requirements)
}

fn able(
    backends: &[String],
    codecs: &[String],
    encoders: &[String],
    requirements: &Requirements,
) -> bool {
    let has = |codec: &String| {
        codecs.contains(codec)
            || (codec != "y4m" && codec != "raw" && codecs.iter().any(|own| own == "ffmpeg"))
    };
    requirements.backend.as_ref().is_none_or(|backend| backends.contains(backend))
        && requirements.codecs.iter().all(has)
        && requirements.encoders.iter().all(|encoder| encoders.contains(encoder))
}

/// A poll that waits for something to say.
#[derive(Debug)]
pub(crate) struct Parked<T> {
    pub to: T,
    pub until: Timestamp,
    pub messages: Vec<NodeMessage>,
}

/// How a session can be reached.
#[derive(Debug)]
pub(crate) enum Link<T> {
    None,
    Stream(ConnectionId),
    Poll(Parked<T>),
}

#[derive(Debug)]
pub(crate) struct Session<T> {
    pub id: SessionId,
    pub node: NodeId,
    pub incarnation: Incarnation,
    pub capabilities: Capabilities,
    pub group: u32,
    pub registered_at: Timestamp,
    /// The last sign of life; `None` since the controller started.
    pub last_seen: Option<Timestamp>,
    /// From when a lease's time counts when there was no sign since: the last load of the store.
    pub lease_from: Timestamp,
    pub link: Link<T>,
    /// When its stream was lost, until it shows up again.
    pub detached_at: Option<Timestamp>,
    pub slots_offered: u32,
    /// The node itself says that it leaves.
    pub leaving: bool,
    /// An operator drains it.
    pub draining: bool,
    pub leases: BTreeSet<PartId>,
    /// Attempts it lists that are not its own any more, and must be stopped.
    pub foreign: u32,
    /// Its attempts whose reports were accepted last: a status that was sent before the answer came
    /// still lists them.
    pub answered: VecDeque<(PartId, Fence)>,
    /// It stands in its group's idle line.
    pub in_line: bool,
    /// The earliest timer set for its leases.
    pub timer_at: Option<Timestamp>,
}

impl<T> Session<T> {
    /// Accepted reports that are remembered at least, and for each slot.
    const ANSWERED_MIN: usize = 16;

    /// Remembers that the attempt's report was accepted.
    pub(crate) fn answered(&mut self, part: PartId, fence: Fence) {
        let max = Self::ANSWERED_MIN.max(2 * self.capabilities.slots as usize);
        if self.answered.len() >= max {
            self.answered.pop_front();
        }
        self.answered.push_back((part, fence));
    }

    /// Until when its leases hold; they end after that moment.
    pub(crate) fn leases_until(&self, config: &Config) -> Timestamp {
        let counts_from = self.last_seen.map_or(self.lease_from, |at| at.max(self.lease_from));
        let silent = counts_from.after(config.lease);
        match self.detached_at {
            Some(at) => at.after(config.stream_grace).min(silent),
            None => silent,
        }
    }

    /// How many more attempts it takes.
    pub(crate) fn credit(&self) -> u32 {
        if self.draining || self.leaving {
            return 0;
        }
        let held = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        self.slots_offered.saturating_sub(held.saturating_add(self.foreign))
    }

    pub(crate) fn is_fresh(&self, config: &Config, now: Timestamp) -> bool {
        self.last_seen.is_some_and(|at| now.since(at) < config.alive_for())
    }

    /// Whether it can be given work now.
    pub(crate) fn is_open(&self, config: &Config, now: Timestamp) -> bool {
        !matches!(self.link, Link::None) && self.credit() > 0 && self.is_fresh(config, now)
    }

    pub(crate) fn liveness(&self, config: &Config, now: Timestamp) -> Liveness {
        match self.last_seen.map(|at| now.since(at)) {
            Some(age) if age < config.alive_for() => Liveness::Alive,
            Some(age) if age < config.lease => Liveness::Stale,
            Some(_) | None => Liveness::Unknown,
        }
    }

    pub(crate) fn view(&self, config: &Config, now: Timestamp) -> NodeView {
        NodeView {
            node: self.node.clone(),
            session: self.id,
            liveness: self.liveness(config, now),
            draining: self.draining || self.leaving,
            capabilities: self.capabilities.clone(),
            slots_busy: u32::try_from(self.leases.len()).unwrap_or(u32::MAX),
            registered_at: self.registered_at,
            last_seen_at: self.last_seen.unwrap_or(self.registered_at),
        }
    }
}

/// What a group of nodes can do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Abilities {
    backends: Vec<String>,
    codecs: Vec<String>,
    encoders: Vec<String>,
}

/// Nodes of equal abilities, and which of them wait for work.
#[derive(Debug, Default)]
struct Group {
    /// Whether it can run a class, where that was asked before.
    can_run: Vec<Option<bool>>,
    /// Sessions that may be open, whose turn is next first.
    idle: VecDeque<SessionId>,
}

/// All sessions, by node and by ability.
#[derive(Debug)]
pub(crate) struct Fleet<T> {
    pub sessions: HashMap<SessionId, Session<T>>,
    pub nodes: HashMap<NodeId, SessionId>,
    abilities: Interner<Abilities>,
    groups: Vec<Group>,
}

impl<T> Fleet<T> {
    pub(crate) fn new() -> Self {
        Self {
            sessions: HashMap::new(),
            nodes: HashMap::new(),
            abilities: Interner::new(),
            groups: Vec::new(),
        }
    }

    /// Takes the group of such nodes.
    pub(crate) fn group(&mut self, node: &Capabilities) -> u32 {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.dedup();
            names
        };
        let abilities = Abilities {
            backends: sorted(&node.backends),
            codecs: sorted(&node.codecs),
            encoders: sorted(&node.encoders),
        };
        let number = self.abilities.take_with(&abilities, || abilities.clone().into());
        let needed = number as usize + 1;
        if self.groups.len() < needed {
            self.groups.resize_with(needed, Group::default);
        }
        number
    }

    pub(crate) fn release_group(&mut self, group: u32) {
        if self.abilities.release(group) {
            self.groups[group as usize] = Group::default();
        }
    }

    /// Whether nodes of this group can run parts of this class.
    pub(crate) fn learn(&mut self, group: u32, class: u32, requirements: &Requirements) -> bool {
        let Some(abilities) = self.abilities.get(group) else { return false };
        let known = &mut self.groups[group as usize].can_run;
        if known.len() <= class as usize {
            known.resize(class as usize + 1, None);
        }
        *known[class as usize].get_or_insert_with(|| {
            let Abilities { backends, codecs, encoders } = &**abilities;
            able(backends, codecs, encoders, requirements)
        })
    }

    /// What [`learn`](Self::learn) found, false where it was not asked.
    pub(crate) fn can_run(&self, group: u32, class: u32) -> bool {
        self.groups[group as usize].can_run.get(class as usize).copied().flatten().unwrap_or(false)
    }

    /// Forgets a class whose number will name another.
    pub(crate) fn forget_class(&mut self, class: u32) {
        for group in &mut self.groups {
            if let Some(known) = group.can_run.get_mut(class as usize) {
                *known = None;
            }
        }
    }

    pub(crate) fn forget_classes(&mut self) {
        for group in &mut self.groups {
            group.can_run.clear();
        }
    }

    pub(crate) fn group_count(&self) -> u32 {
        u32::try_from(self.groups.len()).unwrap_or(u32::MAX)
    }

    /// Puts a session that is open into its group's line, once.
    pub(crate) fn line_up(&mut self, session: SessionId, config: &Config, now: Timestamp) {
        let Some(found) = self.sessions.get_mut(&session) else { return };
        if !found.in_line && found.is_open(config, now) {
            found.in_line = true;
            self.groups[found.group as usize].idle.push_back(session);
        }
    }

    /// Takes the next open session out of the group's line.
    pub(crate) fn next_idle(
        &mut self,
        group: u32,
        config: &Config,
        now: Timestamp,
    ) -> Option<SessionId> {
        while let Some(session) = self.groups[group as usize].idle.pop_front() {
            // A session that was forgotten or changed its abilities may still stand in the line.
            let Some(found) = self.sessions.get_mut(&session) else { continue };
            if found.group != group {
                continue;
            }
            found.in_line = false;
            if found.is_open(config, now) {
                return Some(session);
            }
        }
        None
    }

    pub(crate) fn has_idle(&self, group: u32) -> bool {
        !self.groups[group as usize].idle.is_empty()
    }

    /// Sessions to forget, so that nodes that never come back do not pile up.
    pub(crate) fn forgettable(&self, now: Timestamp) -> Vec<SessionId> {
        let seen = |s: &Session<T>| s.last_seen.unwrap_or(s.lease_from);
        let mut idle: Vec<_> = self
            .sessions
            .values()
            .filter(|s| s.leases.is_empty() && matches!(s.link, Link::None))
            .map(|s| (seen(s), s.id))
            .collect();
        idle.sort_unstable();
        let crowd = self.sessions.len().saturating_sub(Config::NODES_MAX - 1);
        let old = idle.iter().filter(|(at, _)| now.since(*at) > Config::NODE_KEPT).count();
        idle.into_iter().take(crowd.max(old)).map(|(_, session)| session).collect()
    }

    /// Takes a session out altogether.
    pub(crate) fn remove(&mut self, session: SessionId) -> Option<Session<T>> {
        let removed = self.sessions.remove(&session)?;
        if self.nodes.get(&removed.node) == Some(&session) {
            self.nodes.remove(&removed.node);
        }
        self.release_group(removed.group);
        Some(removed)
    }
}
