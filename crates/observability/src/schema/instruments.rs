//! Metric instruments. Each is recorded through [`crate::metrics::Metrics`] and nowhere else.

use super::Stability;
use super::attributes::{AttributeRef, attr, attribute_refs};

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
    /// Its labels; each takes its values from a closed list, or keeps a bounded number of them.
    pub labels: &'static [AttributeRef],
    /// Upper bounds of a histogram's buckets, in its unit; empty otherwise.
    pub buckets: &'static [f64],
}

impl InstrumentDef {
    /// How settled the name is.
    #[must_use]
    pub fn stability(&self) -> Stability {
        Stability::of(self.name)
    }

    /// The instrument of that OpenTelemetry name.
    #[must_use]
    pub fn of(name: &str) -> Option<&'static Self> {
        INSTRUMENTS.iter().find(|def| def.name == name)
    }
}

/// Buckets that the conventions ask for RPC and HTTP durations, in seconds.
pub const RPC_SECONDS_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Buckets for waits in the queue, which an idle node ends within a millisecond and a full fleet
/// after hours, in seconds.
const WAIT_SECONDS_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3_600.0,
];

/// Buckets for jobs and attempts, in seconds.
const JOB_SECONDS_BUCKETS: &[f64] =
    &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

/// Buckets for commits, in seconds: a fast disk needs tens of microseconds.
const STORE_SECONDS_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    5.0,
];

/// Buckets that the conventions ask for operations of agents, in seconds.
const MCP_SECONDS_BUCKETS: &[f64] =
    &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// Buckets for the size of batches.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

macro_rules! instruments {
    ($($const:ident = $kind:ident, $name:literal, $unit:literal, [$($label:path $(= $condition:literal)?),*], $buckets:expr, $description:literal;)+) => {
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
                    labels: attribute_refs![$($label $(= $condition)?),*],
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
        [attr::RPC_SYSTEM_NAME, attr::RPC_METHOD, attr::RPC_STATUS_CODE, attr::ERROR_TYPE = "the call failed"], RPC_SECONDS_BUCKETS,
        "Duration of calls served, to the last byte of the response. Look here when a caller is slow: it tells the service from the network.";
    RPC_CLIENT_DURATION = Histogram, "rpc.client.call.duration", "s",
        [attr::RPC_SYSTEM_NAME, attr::RPC_METHOD, attr::RPC_STATUS_CODE, attr::ERROR_TYPE = "the call failed"], RPC_SECONDS_BUCKETS,
        "Duration of calls made, to the last byte of the response.";
    HTTP_SERVER_DURATION = Histogram, "http.server.request.duration", "s",
        [attr::HTTP_REQUEST_METHOD, attr::HTTP_ROUTE = "a route matched", attr::HTTP_RESPONSE_STATUS_CODE = "a response was begun",
         attr::ERROR_TYPE = "the request failed"], RPC_SECONDS_BUCKETS,
        "Duration of HTTP requests served, to the last byte of the response.";
    HTTP_CLIENT_DURATION = Histogram, "http.client.request.duration", "s",
        [attr::HTTP_REQUEST_METHOD, attr::SERVER_ADDRESS, attr::SERVER_PORT,
         attr::HTTP_RESPONSE_STATUS_CODE = "a response was begun", attr::ERROR_TYPE = "the request failed"], RPC_SECONDS_BUCKETS,
        "Duration of HTTP requests made, to the last byte of the response.";

    MCP_SERVER_DURATION = Histogram, "mcp.server.operation.duration", "s",
        [attr::MCP_METHOD_NAME, attr::NETWORK_TRANSPORT, attr::GEN_AI_TOOL_NAME = "a tool is called",
         attr::MCP_PROTOCOL_VERSION = "the client told it", attr::ERROR_TYPE = "the operation failed"], MCP_SECONDS_BUCKETS,
        "Duration of agents' requests, from their arrival to their answer; a tool that waits for a job waits in it.";

    QUEUE_DEPTH = Gauge, "vmafx.queue.depth", "{part}", [attr::PART_STATE], &[],
        "Parts in the store that are queued or running. Growing while nodes idle: no node can run what waits.";
    QUEUE_DELAYED = Gauge, "vmafx.queue.delayed", "{part}", [], &[],
        "Of the queued parts, those that wait for their retry time. Many: something makes attempts fail.";
    QUEUE_OLDEST_AGE = Gauge, "vmafx.queue.oldest_age", "s", [], &[],
        "Age of the oldest part that could run and does not. The first sign of starvation.";
    QUEUE_COMMANDS = Gauge, "vmafx.queue.commands", "{command}", [], &[],
        "Requests that wait for the queue's writer. Growing: the disk does not keep up with what is asked.";
    JOBS_SUBMITTED = Counter, "vmafx.jobs.submitted", "{job}", [], &[],
        "Jobs accepted durably.";
    JOBS_FINISHED = Counter, "vmafx.jobs.finished", "{job}", [attr::JOB_STATE], &[],
        "Jobs that reached a terminal state, each once.";
    ATTEMPTS = Counter, "vmafx.attempts", "{attempt}", [attr::OUTCOME, attr::NODE_ID], &[],
        "Attempts that ended, by node. A node whose share of failed or lost ones is high is ill.";
    PARTS_RETRIED = Counter, "vmafx.parts.retried", "{part}", [attr::RETRY_CAUSE], &[],
        "Parts queued again after an attempt, by what ended it.";
    LEASE_LOST = Counter, "vmafx.lease.lost", "{lease}", [attr::LEASE_CAUSE], &[],
        "Leases that ended without a report. Rising: nodes die, hang or lose their network.";
    REPORTS = Counter, "vmafx.reports", "{report}", [attr::REPORT_ANSWER], &[],
        "Reports answered. Anything but accepted says that a node was late or repeated itself, which is harmless.";
    TRACE_EXPORTS = Counter, "vmafx.trace.exports", "{trace}", [attr::TRACE_EXPORT], &[],
        "Traces that were to be exported from the store after the end, of failed or slow jobs that sampling had dropped and of recorded ones that may not have arrived, by what became of them.";
    RESULTS_CONTRADICTED = Counter, "vmafx.results.contradicted", "{result}", [], &[],
        "Late results that differ from the one that counts. Anything but 0: a node computes wrongly, or an input changed.";
    JOBS_FORGOTTEN = Counter, "vmafx.jobs.forgotten", "{job}", [], &[],
        "Jobs that had ended and were removed, by VMAFX_KEEP_JOBS_FOR or VMAFX_KEEP_JOBS_MAX.";
    QUEUE_WAIT = Histogram, "vmafx.queue.wait", "s", [], WAIT_SECONDS_BUCKETS,
        "From the moment a part could run to its lease. High with busy slots: add nodes.";
    JOB_DURATION = Histogram, "vmafx.job.duration", "s", [attr::JOB_STATE], JOB_SECONDS_BUCKETS,
        "From submission to the terminal state.";
    NODES = Gauge, "vmafx.nodes", "{node}", [attr::NODE_STATE], &[],
        "Registered nodes by liveness.";
    FLEET_SLOTS = Gauge, "vmafx.fleet.slots", "{slot}", [], &[],
        "Attempts that all nodes alive may run at once, as the controller knows it.";
    FLEET_BUSY = Gauge, "vmafx.fleet.busy", "{slot}", [], &[],
        "Attempts that nodes hold, as the controller knows it. As many as there are slots while parts wait: add nodes.";
    STORE_COMMIT = Histogram, "vmafx.store.commit.duration", "s", [], STORE_SECONDS_BUCKETS,
        "One commit of the store's writer, with its fsync. It bounds every acknowledgement.";
    STORE_BATCH = Histogram, "vmafx.store.commit.batch_size", "{write}", [], BATCH_BUCKETS,
        "Writes that shared a commit.";
    STORE_DISK_SYNC = Gauge, "vmafx.store.disk_sync.time", "s", [], &[],
        "Time the disk took to make 4 KiB durable: the median when the store was opened. No commit is faster.";

    NODE_SLOTS = UpDownCounter, "vmafx.node.slots", "{slot}", [], &[],
        "Attempts this node may run at once.";
    NODE_BUSY = UpDownCounter, "vmafx.node.busy", "{slot}", [], &[],
        "Attempts this node runs now.";
    NODE_FRAMES = Counter, "vmafx.node.frames", "{frame}", [], &[],
        "Frames scored. Its rate is the node's speed.";
    NODE_WORK_TIME = Counter, "vmafx.node.work.time", "s", [], &[],
        "Seconds that busy slots worked, counted while they do. Frames over these: the speed of a slot.";
    NODE_CPU_TIME = Counter, "vmafx.node.cpu.time", "s", [], &[],
        "CPU seconds of the threads that fetch, read and score; decoder processes not included. Frames over these: the cost of a frame.";
    NODE_READ = Counter, "vmafx.node.read", "By", [], &[],
        "Bytes of video read: of raw and y4m files as they are, less the planes that nobody asks for and that are stepped over; of others as their decoder gives them.";
    NODE_STAGE = Counter, "vmafx.node.stage.time", "s", [attr::STAGE], &[],
        "Seconds of attempts by stage. Much `decode`: the scorer waits for the decoder or the disk.";
    ATTEMPT_DURATION = Histogram, "vmafx.node.attempt.duration", "s", [attr::OUTCOME], JOB_SECONDS_BUCKETS,
        "One attempt, from the lease's arrival to its outcome.";

    DIRECT_SLOTS = UpDownCounter, "vmafx.direct.slots", "{slot}", [], &[],
        "Runs of direct scoring that this process takes at once. A node shares them with its attempts.";
    DIRECT_BUSY = UpDownCounter, "vmafx.direct.busy", "{slot}", [], &[],
        "Runs of direct scoring now.";
    DIRECT_WAITING = UpDownCounter, "vmafx.direct.waiting", "{request}", [], &[],
        "Requests for direct scoring that wait for a slot. Above 0 for long: add replicas, or submit jobs instead.";
    DIRECT_REFUSED = Counter, "vmafx.direct.refused", "{request}", [attr::REFUSAL], &[],
        "Requests for direct scoring that got no slot. `queue_full` rising: callers are sent away.";
    DIRECT_WAIT = Histogram, "vmafx.direct.wait", "s", [], WAIT_SECONDS_BUCKETS,
        "From a request's arrival to its slot.";
    DIRECT_DURATION = Histogram, "vmafx.direct.duration", "s", [attr::OUTCOME], JOB_SECONDS_BUCKETS,
        "One run of direct scoring, from its slot to its end; cancelled when its caller left or its time ran out.";
    DIRECT_FRAMES = Counter, "vmafx.direct.frames", "{frame}", [], &[],
        "Frames scored directly, counted while they are.";
    DIRECT_READ = Counter, "vmafx.direct.read", "By", [], &[],
        "Bytes of video read or received by direct scoring.";

    ENGINE_FEATURE_TIME = Counter, "vmafx.engine.feature.time", "s", [attr::FEATURE], &[],
        "CPU seconds of runs that succeeded, by feature extractor: what a frame's time is made of.";
    ENGINE_FRAMES = Counter, "vmafx.engine.frames", "{frame}", [attr::MODEL], &[],
        "Frames of runs that succeeded, by model.";

    TUNE_PROBES = Counter, "vmafx.tune.probes", "{probe}", [attr::PROBE_OUTCOME], &[],
        "Probes by what became of them. Many remembered: an earlier run of the same is being continued.";
    TUNE_ENCODE_TIME = Counter, "vmafx.tune.encode.time", "s", [], &[],
        "Seconds of encodes that probes needed, here or on nodes.";
    TUNE_SCORE_TIME = Counter, "vmafx.tune.score.time", "s", [], &[],
        "Seconds of scoring that probes needed, here or on nodes. Beside the encodes' time: which of the two to make faster.";

    PROCESS_CPU = Counter, "process.cpu.time", "s", [attr::CPU_MODE], &[],
        "CPU seconds of the process.";
    PROCESS_MEMORY = UpDownCounter, "process.memory.usage", "By", [], &[],
        "Resident memory.";
    PROCESS_MEMORY_VIRTUAL = UpDownCounter, "process.memory.virtual", "By", [], &[],
        "Virtual memory.";
    PROCESS_THREADS = UpDownCounter, "process.thread.count", "{thread}", [], &[],
        "Threads.";
    PROCESS_FDS = UpDownCounter, "process.unix.file_descriptor.count", "{file_descriptor}", [], &[],
        "Open file descriptors.";
    PROCESS_FAULTS = Counter, "process.paging.faults", "{fault}", [attr::PAGING_FAULT_TYPE], &[],
        "Page faults. Many major ones: the memory is too small.";
    PROCESS_DISK = Counter, "process.disk.io", "By", [attr::DISK_IO_DIRECTION], &[],
        "Bytes read from and written to disks.";
    PROCESS_UPTIME = Gauge, "process.uptime", "s", [], &[],
        "Seconds since telemetry was set up.";

    TOKIO_WORKERS = UpDownCounter, "vmafx.runtime.tokio.workers", "{worker}", [attr::RUNTIME], &[],
        "Worker threads of an asynchronous runtime.";
    TOKIO_TASKS = UpDownCounter, "vmafx.runtime.tokio.tasks", "{task}", [attr::RUNTIME], &[],
        "Tasks alive. Growing without end: a leak.";
    TOKIO_QUEUE = Gauge, "vmafx.runtime.tokio.global_queue", "{task}", [attr::RUNTIME], &[],
        "Tasks that wait in the queue all workers share. Above 0 for long: the workers are blocked or too few.";
    TOKIO_BUSY = Counter, "vmafx.runtime.tokio.busy.time", "s", [attr::RUNTIME], &[],
        "Seconds that workers were busy. Near the number of workers a second: they are too few.";
    TOKIO_PARKS = Counter, "vmafx.runtime.tokio.parks", "{park}", [attr::RUNTIME], &[],
        "Times that workers went to sleep for want of work.";

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
    TRACES_PASSED_OVER = Counter, "vmafx.telemetry.traces_passed_over", "{trace}", [], &[],
        "Traces that the ratio would have recorded and that did not begin, because more spans a second are recorded than `VMAFX_TRACES_MAX_SPANS_PER_SECOND` allows.";
    LABEL_OVERFLOW = Counter, "vmafx.telemetry.label_overflow", "{value}", [attr::TELEMETRY_INSTRUMENT], &[],
        "Times a label's value was not kept and became `other`, by metric. Sums stay exact.";
}
