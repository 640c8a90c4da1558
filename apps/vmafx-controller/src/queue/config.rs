//! The queue's settings and bounds.

use std::path::PathBuf;
use std::time::Duration;

use control::RetryPolicy;

/// How the queue keeps its data and times its nodes.
#[derive(Debug, Clone)]
pub struct QueueConfig {
    /// The SQLite file. Its directory must exist.
    pub path: PathBuf,
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
    /// How much write-ahead log is laid out at start, so that commits overwrite instead of append.
    pub wal_prewarm_bytes: u64,
    /// How large the file may grow; `None` leaves it to the disk.
    pub bytes_max: Option<u64>,
    /// Read-only connections, which bound how many reads run at once.
    pub readers: usize,
    /// How long one read may take.
    pub read_timeout: Duration,
}

impl QueueConfig {
    /// Commands that may wait for the writer; more are refused as overload.
    pub const COMMANDS_WAITING_MAX: usize = 16_384;
    /// Commands in one transaction.
    pub const BATCH_COMMANDS_MAX: usize = 4_096;
    /// Jobs in one submission.
    pub const SUBMISSION_JOBS_MAX: usize = 1_000;
    /// Jobs on one page of a list.
    pub const PAGE_JOBS_MAX: usize = 1_000;
    /// Jobs that one retry call names or finds.
    pub const RETRY_JOBS_MAX: usize = 10_000;
    /// The longest wait of a poll.
    pub const POLL_WAIT_MAX: Duration = Duration::from_secs(20);
    /// How long it takes to be kept how a commit went that no other commit follows.
    pub const NOTE_WAIT_MAX: Duration = Duration::from_secs(1);
    /// Messages that may wait in a work stream whose node does not read them.
    pub const STREAM_MESSAGES_MAX: usize = 4_096;
    /// Job specs kept at hand between submission and lease.
    pub const HEADS_CACHED_MAX: usize = 4_096;
    /// Changes that may wait for the follower; more cost watchers a fresh snapshot.
    pub const FOLLOWER_CHANGES_MAX: usize = 65_536;
    /// Watchers at once.
    pub const WATCHERS_MAX: usize = 1_024;
    /// Events that may wait in one watch; more cost it a fresh snapshot.
    pub const WATCH_EVENTS_MAX: usize = 1_024;
    /// Jobs in a watch's snapshot: the newest.
    pub const SNAPSHOT_JOBS_MAX: usize = 1_000;
    /// How long the writer refuses work after a commit failed, before it tries again. It doubles
    /// while nothing can be written: each try loads the whole queue anew.
    pub const STORE_TROUBLE_PAUSE: Duration = Duration::from_secs(1);
    /// The longest such pause.
    pub const STORE_TROUBLE_PAUSE_MAX: Duration = Duration::from_secs(32);

    /// The defaults, on the given file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let control = control::Config::default();
        Self {
            path: path.into(),
            lease: control.lease,
            liveness_interval: control.liveness_interval,
            stream_grace: control.stream_grace,
            retry: control.retry,
            trace_cut_over: control.trace_cut_over,
            wal_prewarm_bytes: 32 << 20,
            bytes_max: None,
            readers: 2,
            read_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) fn control(&self) -> control::Config {
        control::Config {
            lease: self.lease,
            liveness_interval: self.liveness_interval,
            stream_grace: self.stream_grace,
            retry: self.retry.clone(),
            trace_cut_over: self.trace_cut_over,
        }
    }
}
