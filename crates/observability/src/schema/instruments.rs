//! Metric instruments. Each is recorded through [`crate::metrics::Metrics`] and nowhere else.

use super::attr;

/// What an instrument counts or holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstrumentKind {
    /// A sum that only grows.
    Counter,
    /// A value that goes up and down and may be added up over processes.
    UpDownCounter,
    /// A value that goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl InstrumentKind {
    /// The word of OpenTelemetry's conventions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::UpDownCounter => "updowncounter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One instrument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstrumentDef {
    /// Its OpenTelemetry name.
    pub name: &'static str,
    /// What it does.
    pub kind: InstrumentKind,
    /// Its unit in UCUM: `s`, `By`, `1`, or what is counted in braces.
    pub unit: &'static str,
    /// What it means and when to look at it.
    pub description: &'static str,
    /// Its labels; each takes its values from a closed list.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets, in its unit; empty otherwise.
    pub buckets: &'static [f64],
}

/// Buckets that the conventions ask for RPC and HTTP durations, in seconds.
pub const RPC_SECONDS_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Buckets for waits and runs from a millisecond to an hour, in seconds.
const JOB_SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

/// Buckets for disk operations, in seconds.
const STORE_SECONDS_BUCKETS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// Buckets for the size of batches.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

macro_rules! instruments {
    ($($const:ident = $kind:ident, $name:literal, $unit:literal, [$($label:expr),*], $buckets:expr, $description:literal;)+) => {
        /// The instruments as constants.
        pub mod instrument {
            #[allow(clippy::wildcard_imports)]
            use super::*;
            $(
                #[doc = $description]
                pub const $const: InstrumentDef = InstrumentDef {
                    name: $name,
                    kind: InstrumentKind::$kind,
                    unit: $unit,
                    description: $description,
                    labels: &[$($label),*],
                    buckets: $buckets,
                };
            )+
        }

        /// Every instrument.
        pub const INSTRUMENTS: &[InstrumentDef] = &[$(instrument::$const,)+];
    };
}

instruments! {
    RPC_SERVER_DURATION = Histogram, "rpc.server.call.duration", "s",
        [attr::RPC_SYSTEM_NAME, attr::RPC_METHOD, attr::RPC_STATUS_CODE, attr::ERROR_TYPE], RPC_SECONDS_BUCKETS,
        "Duration of calls served, to the last byte of the response. Look here when a caller is slow: it tells the service from the network.";
    RPC_CLIENT_DURATION = Histogram, "rpc.client.call.duration", "s",
        [attr::RPC_SYSTEM_NAME, attr::RPC_METHOD, attr::RPC_STATUS_CODE, attr::ERROR_TYPE], RPC_SECONDS_BUCKETS,
        "Duration of calls made, to the last byte of the response.";
    HTTP_SERVER_DURATION = Histogram, "http.server.request.duration", "s",
        [attr::HTTP_REQUEST_METHOD, attr::HTTP_ROUTE, attr::HTTP_RESPONSE_STATUS_CODE, attr::ERROR_TYPE], RPC_SECONDS_BUCKETS,
        "Duration of HTTP requests served, to the last byte of the response.";

    QUEUE_DEPTH = Gauge, "vmafx.queue.depth", "{part}", [attr::STATE], &[],
        "Parts in the store that are queued or running. Growing while nodes idle: no node can run what waits.";
    QUEUE_OLDEST_AGE = Gauge, "vmafx.queue.oldest_age", "s", [], &[],
        "Age of the oldest part that could run and does not. The first sign of starvation.";
    JOBS_SUBMITTED = Counter, "vmafx.jobs.submitted", "{job}", [], &[],
        "Jobs accepted durably.";
    JOBS_FINISHED = Counter, "vmafx.jobs.finished", "{job}", [attr::STATE], &[],
        "Jobs that reached a terminal state, each once.";
    PARTS_RETRIED = Counter, "vmafx.parts.retried", "{part}", [attr::CAUSE], &[],
        "Parts queued again after an attempt, by what ended it.";
    LEASE_LOST = Counter, "vmafx.lease.lost", "{lease}", [attr::CAUSE], &[],
        "Leases that ended without a report. Rising: nodes die, hang or lose their network.";
    REPORTS = Counter, "vmafx.reports", "{report}", [attr::ANSWER], &[],
        "Reports answered. Anything but accepted says that a node was late or repeated itself, which is harmless.";
    QUEUE_WAIT = Histogram, "vmafx.queue.wait", "s", [], JOB_SECONDS_BUCKETS,
        "From the moment a part could run to its lease. High with busy slots: add nodes.";
    JOB_DURATION = Histogram, "vmafx.job.duration", "s", [attr::STATE], JOB_SECONDS_BUCKETS,
        "From submission to the terminal state.";
    NODES = Gauge, "vmafx.nodes", "{node}", [attr::STATE], &[],
        "Registered nodes by liveness.";
    STORE_COMMIT = Histogram, "vmafx.store.commit.duration", "s", [], STORE_SECONDS_BUCKETS,
        "One commit of the store's writer, with its fsync. It bounds every acknowledgement.";
    STORE_FSYNC = Histogram, "vmafx.store.fsync.duration", "s", [], STORE_SECONDS_BUCKETS,
        "One fsync of the store's files. High: the disk is the bottleneck.";
    STORE_BATCH = Histogram, "vmafx.store.commit.batch_size", "{write}", [], BATCH_BUCKETS,
        "Writes that shared a commit.";

    NODE_SLOTS = UpDownCounter, "vmafx.node.slots", "{slot}", [], &[],
        "Attempts this node may run at once.";
    NODE_BUSY = UpDownCounter, "vmafx.node.busy", "{slot}", [], &[],
        "Attempts this node runs now.";
    NODE_FRAMES = Counter, "vmafx.node.frames", "{frame}", [], &[],
        "Frames scored. Its rate is the node's speed.";
    NODE_STAGE = Counter, "vmafx.node.stage.time", "s", [attr::STAGE], &[],
        "Seconds of attempts by stage. Much `decode`: the scorer waits for the decoder or the disk.";
    ATTEMPT_DURATION = Histogram, "vmafx.node.attempt.duration", "s", [attr::OUTCOME], JOB_SECONDS_BUCKETS,
        "One attempt, from the lease's arrival to its outcome.";

    PROCESS_CPU = Counter, "process.cpu.time", "s", [attr::CPU_MODE], &[],
        "CPU seconds of the process.";
    PROCESS_MEMORY = UpDownCounter, "process.memory.usage", "By", [], &[],
        "Resident memory.";
    PROCESS_THREADS = UpDownCounter, "process.thread.count", "{thread}", [], &[],
        "Threads.";
    PROCESS_FDS = UpDownCounter, "process.unix.file_descriptor.count", "{file_descriptor}", [], &[],
        "Open file descriptors.";
    PROCESS_UPTIME = Gauge, "process.uptime", "s", [], &[],
        "Seconds since telemetry was set up.";

    TELEMETRY_EXPORTED = Counter, "vmafx.telemetry.exported", "{item}", [attr::SIGNAL], &[],
        "Spans, metric points and log records that a collector acknowledged.";
    TELEMETRY_DROPPED = Counter, "vmafx.telemetry.dropped", "{item}", [attr::SIGNAL, attr::DROP_REASON], &[],
        "Spans, metric points and log records given up, by reason. Anything but 0: traces have holes.";
    TELEMETRY_QUEUE = Gauge, "vmafx.telemetry.queue", "{item}", [attr::SIGNAL], &[],
        "Ended spans and log records that wait for export.";
    TELEMETRY_LAST_SUCCESS = Gauge, "vmafx.telemetry.last_success", "s", [attr::SIGNAL], &[],
        "Unix time of the last export a collector acknowledged; 0 before the first.";
    TELEMETRY_SAMPLING_RATIO = Gauge, "vmafx.telemetry.sampling_ratio", "1", [], &[],
        "Share of new traces that are recorded, as in force now; quiet times, forced traces and callers' decisions come on top.";
}
