//! Seeded faults over the queue's decisions and its real store.
//!
//! A run is one seed: clients submit, cancel and retry; nodes lease, score, report, report again,
//! report late; processes die on both sides, between any two steps; streams break, answers are
//! lost, hosts freeze. The code under test is the one that runs in production, [`control`] and
//! [`store`]; only clock, randomness, network and processes are played. In the end everything is
//! healed, and every accepted job must come to its end.
//!
//! [`Sabotage`] breaks the shell on purpose: each such variant must be caught, or the invariants
//! are worth nothing.

mod model;
mod network;
mod node;
mod world;

pub use model::Violation;

/// A way to break what is tested, to see that it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing is broken.
    None,
    /// A report counts for whoever holds the part now, as in queues that complete by id.
    NoFence,
    /// A report counts when its attempt number is the current one; a part that was handed back
    /// uncounted has its number again.
    AttemptAsFence,
    /// Answers and leases leave before the commit.
    AckBeforeCommit,
}

/// What a run did, to see that it did enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "each is the count of what it is named after")]
pub struct Stats {
    pub jobs: u64,
    pub leases: u64,
    pub accepted: u64,
    pub duplicates: u64,
    pub stale: u64,
    pub cancelled: u64,
    pub unknown_sessions: u64,
    pub lost: u64,
    pub controller_restarts: u64,
    pub node_crashes: u64,
    pub pauses: u64,
    pub broken_streams: u64,
}

impl Stats {
    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.leases += other.leases;
        self.accepted += other.accepted;
        self.duplicates += other.duplicates;
        self.stale += other.stale;
        self.cancelled += other.cancelled;
        self.unknown_sessions += other.unknown_sessions;
        self.lost += other.lost;
        self.controller_restarts += other.controller_restarts;
        self.node_crashes += other.node_crashes;
        self.pauses += other.pauses;
        self.broken_streams += other.broken_streams;
    }
}

/// Plays one seed.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(seed: u64, sabotage: Sabotage) -> Result<Stats, Violation> {
    world::World::new(seed, sabotage).run()
}
