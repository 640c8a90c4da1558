//! The times and bounds by which the queue decides.

use std::time::Duration;

use crate::retry::RetryPolicy;

/// How the queue decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long a lease lasts without a sign of life of its node.
    pub lease: Duration,
    /// How often nodes show that they live.
    pub liveness_interval: Duration,
    /// How long a node whose stream was lost may take to come back.
    pub stream_grace: Duration,
    /// What becomes of a part whose attempt did not succeed.
    pub retry: RetryPolicy,
    /// An attempt that is leased more than this after it could have been has a trace of its own;
    /// `None` keeps all in the job's.
    pub trace_cut_over: Option<Duration>,
}

impl Config {
    /// A part of a job at most.
    pub const PARTS_PER_JOB_MAX: usize = 1_024;
    /// Nodes known at once. The longest unseen without a lease makes room.
    pub const NODES_MAX: usize = 10_000;
    /// Distinct requirements of live parts, and distinct abilities of nodes.
    pub const CLASSES_MAX: usize = 4_096;
    /// A node unseen for longer than this, without leases, is forgotten.
    pub const NODE_KEPT: Duration = Duration::from_secs(24 * 3_600);
    /// Every how many grants one goes to the oldest part, whatever its priority: the share that
    /// keeps the least urgent from starving.
    pub const AGING_EVERY: u32 = 16;
    /// Cancelled leases that are remembered, so that a node is told the right reason.
    pub const CANCELLED_REMEMBERED: usize = 4_096;
    /// Leases of one part after which it is failed whatever the reasons: a backstop for ends that
    /// no budget counts.
    pub const LEASES_PER_PART_MAX: u64 = 1_000;
    /// How long an idempotency key names its job.
    pub const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);
    /// Bytes of an idempotency key.
    pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

    /// How old a lease may be that its node does not list, before it counts as never arrived:
    /// two signs of life must have had the time to cross it.
    #[must_use]
    pub fn unlisted_grace(&self) -> Duration {
        self.liveness_interval * 2 + Duration::from_secs(1)
    }

    /// How old a node's last sign may be for it to be given work.
    #[must_use]
    pub fn alive_for(&self) -> Duration {
        self.liveness_interval * 2
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            liveness_interval: Duration::from_secs(2),
            stream_grace: Duration::from_secs(1),
            retry: RetryPolicy::default(),
            trace_cut_over: Some(Duration::from_secs(3_600)),
        }
    }
}
