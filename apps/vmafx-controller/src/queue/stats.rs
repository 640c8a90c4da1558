//! Numbers that are always at hand: read without waiting for anybody.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use types::Timestamp;

/// How the queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Parts that wait, those that wait for their retry time included.
    pub queued: u64,
    /// Of these, parts that wait for their retry time.
    pub delayed: u64,
    /// Parts that run.
    pub running: u64,
    /// How long the part that has waited longest has been ready.
    pub oldest_wait: Duration,
    /// Nodes with a fresh sign of life.
    pub nodes_alive: u64,
    /// Nodes known.
    pub nodes: u64,
    /// Slots that the alive nodes have.
    pub slots: u64,
    /// Attempts that nodes hold.
    pub slots_busy: u64,
    /// Commands that wait for the writer.
    pub commands_waiting: u64,
    /// Transactions committed since the start.
    pub commits: u64,
    /// Finished jobs whose views were not built because the follower could not keep up.
    pub finished_unobserved: u64,
    /// The disk's median time to make 4 KiB durable, measured at start.
    pub fsync_p50: Duration,
    /// The 99th percentile of the same.
    pub fsync_p99: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub queued: AtomicU64,
    pub delayed: AtomicU64,
    pub running: AtomicU64,
    /// Microseconds since the epoch; `i64::MAX` when nothing is ready.
    pub oldest_ready_us: AtomicI64,
    pub nodes_alive: AtomicU64,
    pub nodes: AtomicU64,
    pub slots: AtomicU64,
    pub slots_busy: AtomicU64,
    pub commits: AtomicU64,
    pub finished_unobserved: AtomicU64,
    pub fsync_p50_us: AtomicU64,
    pub fsync_p99_us: AtomicU64,
}

impl Gauges {
    pub(crate) fn read(&self, now: Timestamp, commands_waiting: usize) -> QueueStats {
        let get = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let oldest = Timestamp::from_unix_micros(self.oldest_ready_us.load(Ordering::Relaxed));
        QueueStats {
            queued: get(&self.queued),
            delayed: get(&self.delayed),
            running: get(&self.running),
            oldest_wait: now.since(oldest),
            nodes_alive: get(&self.nodes_alive),
            nodes: get(&self.nodes),
            slots: get(&self.slots),
            slots_busy: get(&self.slots_busy),
            commands_waiting: commands_waiting as u64,
            commits: get(&self.commits),
            finished_unobserved: get(&self.finished_unobserved),
            fsync_p50: Duration::from_micros(get(&self.fsync_p50_us)),
            fsync_p99: Duration::from_micros(get(&self.fsync_p99_us)),
        }
    }
}
