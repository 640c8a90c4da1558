//! What each component records, by name.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use types::{Stage, State};

use super::cells::{Counter, Gauge, Histogram, SecondsCounter};
use super::labels::{
    AttemptOutcome, DirectRefusal, DropReason, JobEnd, Label, LeaseLostCause, NodeLiveness,
    PartState, ProbeOutcome, ReportAnswer, RetryCause, Signal, TraceExport,
};
use super::registry::{Family, OpenFamily, Point, Registry};
use crate::schema::{attr, instrument};

/// The queue, as its controller sees it.
#[derive(Debug, Clone)]
pub struct QueueMetrics {
    depth: Family<PartState, Gauge>,
    delayed: Gauge,
    oldest_age: Gauge,
    commands: Gauge,
    submitted: Counter,
    finished: Family<JobEnd, Counter>,
    attempts: OpenFamily<Counter>,
    retried: Family<RetryCause, Counter>,
    lost: Family<LeaseLostCause, Counter>,
    reports: Family<ReportAnswer, Counter>,
    contradicted: Counter,
    forgotten: Counter,
    trace_exports: Family<TraceExport, Counter>,
    wait: Histogram,
    job_duration: Family<JobEnd, Histogram>,
    nodes: Family<NodeLiveness, Gauge>,
    slots: Gauge,
    busy: Gauge,
}

impl QueueMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            depth: registry.family(instrument::QUEUE_DEPTH),
            delayed: registry.single(instrument::QUEUE_DELAYED),
            oldest_age: registry.single(instrument::QUEUE_OLDEST_AGE),
            commands: registry.single(instrument::QUEUE_COMMANDS),
            submitted: registry.single(instrument::JOBS_SUBMITTED),
            finished: registry.family(instrument::JOBS_FINISHED),
            attempts: registry.open_family(instrument::ATTEMPTS),
            retried: registry.family(instrument::PARTS_RETRIED),
            lost: registry.family(instrument::LEASE_LOST),
            reports: registry.family(instrument::REPORTS),
            trace_exports: registry.family(instrument::TRACE_EXPORTS),
            contradicted: registry.single(instrument::RESULTS_CONTRADICTED),
            forgotten: registry.single(instrument::JOBS_FORGOTTEN),
            wait: registry.single(instrument::QUEUE_WAIT),
            job_duration: registry.family(instrument::JOB_DURATION),
            nodes: registry.family(instrument::NODES),
            slots: registry.single(instrument::FLEET_SLOTS),
            busy: registry.single(instrument::FLEET_BUSY),
        }
    }

    /// Parts in `state` now: queued or running. What has ended is no depth.
    pub fn set_depth(&self, state: State, parts: u64) {
        let state = match state {
            State::Queued => PartState::Queued,
            State::Running => PartState::Running,
            State::Succeeded | State::Failed | State::Cancelled => return,
        };
        self.depth.get(state).set(parts as f64);
    }

    /// Of the queued parts, those that wait for their retry time.
    pub fn set_delayed(&self, parts: u64) {
        self.delayed.set(parts as f64);
    }

    /// Age of the oldest part that could run and does not.
    pub fn set_oldest_age(&self, age: Duration) {
        self.oldest_age.set(age.as_secs_f64());
    }

    /// Requests that wait for the queue's writer.
    pub fn set_commands(&self, waiting: u64) {
        self.commands.set(waiting as f64);
    }

    /// `jobs` were accepted durably.
    pub fn submitted(&self, jobs: u64) {
        self.submitted.add(jobs);
    }

    /// A job reached `state`, `took` after its submission. A state that is not terminal counts for
    /// nothing.
    pub fn finished(&self, state: State, took: Duration) {
        let Some(end) = JobEnd::of(state) else { return };
        self.finished.get(end).add(1);
        self.job_duration.get(end).record(took);
    }

    /// An attempt of that node ended.
    pub fn attempt(&self, node: &str, outcome: AttemptOutcome) {
        let node: Cow<'static, str> = node.to_owned().into();
        let labels = vec![(attr::OUTCOME, outcome.as_str().into()), (attr::NODE_ID, node)];
        self.attempts.get(labels).add(1);
    }

    /// A part was queued again.
    pub fn retried(&self, cause: RetryCause) {
        self.retried.get(cause).add(1);
    }

    /// A lease ended without a report.
    pub fn lease_lost(&self, cause: LeaseLostCause) {
        self.lost.get(cause).add(1);
    }

    /// A report was answered.
    pub fn report(&self, answer: ReportAnswer) {
        self.reports.get(answer).add(1);
    }

    /// Two results of one part differed.
    pub fn contradicted(&self) {
        self.contradicted.add(1);
    }

    /// So many jobs are no longer kept.
    pub fn forgotten(&self, jobs: u64) {
        self.forgotten.add(jobs);
    }

    /// `traces` that were to be exported after their jobs' end met this.
    pub fn trace_export(&self, outcome: TraceExport, traces: u64) {
        self.trace_exports.get(outcome).add(traces);
    }

    /// A part was leased after waiting this long.
    pub fn waited(&self, wait: Duration) {
        self.wait.record(wait);
    }

    /// Registered nodes of this liveness now.
    pub fn set_nodes(&self, liveness: NodeLiveness, nodes: u64) {
        self.nodes.get(liveness).set(nodes as f64);
    }

    /// What the nodes that are alive may run at once, and what they run.
    pub fn set_slots(&self, slots: u64, busy: u64) {
        self.slots.set(slots as f64);
        self.busy.set(busy as f64);
    }
}

/// The store's writer.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    commit: Histogram,
    batch: Histogram,
    disk_sync: Gauge,
}

impl StoreMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            commit: registry.single(instrument::STORE_COMMIT),
            batch: registry.single(instrument::STORE_BATCH),
            disk_sync: registry.single(instrument::STORE_DISK_SYNC),
        }
    }

    /// `writes` shared a commit that took this long.
    pub fn committed(&self, writes: usize, took: Duration) {
        self.commit.record(took);
        // A commit of nothing but how the last one went is no batch.
        if writes > 0 {
            self.batch.record_value(writes as f64);
        }
    }

    /// The disk made 4 KiB durable in this time, the median when the store was opened.
    pub fn set_disk_sync(&self, took: Duration) {
        self.disk_sync.set(took.as_secs_f64());
    }
}

/// A node's work.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    slots: Gauge,
    busy: Gauge,
    frames: Counter,
    work_time: SecondsCounter,
    cpu_time: SecondsCounter,
    bytes_read: Counter,
    stages: Family<Stage, SecondsCounter>,
    attempts: Family<AttemptOutcome, Histogram>,
}

impl NodeMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            slots: registry.single(instrument::NODE_SLOTS),
            busy: registry.single(instrument::NODE_BUSY),
            frames: registry.single(instrument::NODE_FRAMES),
            work_time: registry.single(instrument::NODE_WORK_TIME),
            cpu_time: registry.single(instrument::NODE_CPU_TIME),
            bytes_read: registry.single(instrument::NODE_READ),
            stages: registry.family(instrument::NODE_STAGE),
            attempts: registry.family(instrument::ATTEMPT_DURATION),
        }
    }

    /// Adds the slots of one more node in this process.
    pub fn add_slots(&self, slots: usize) {
        self.slots.add(slots as f64);
    }

    /// A slot is busy until the guard is dropped.
    #[must_use]
    pub fn busy(&self) -> BusySlot {
        self.busy.add(1.0);
        BusySlot(self.busy.clone())
    }

    /// Frames scored; one addition, fit for each frame.
    #[must_use]
    pub fn frames(&self) -> &Counter {
        &self.frames
    }

    /// Time that busy slots worked.
    #[must_use]
    pub fn work_time(&self) -> &SecondsCounter {
        &self.work_time
    }

    /// CPU time of the threads that fetched, read and scored.
    #[must_use]
    pub fn cpu_time(&self) -> &SecondsCounter {
        &self.cpu_time
    }

    /// Bytes of video read.
    #[must_use]
    pub fn bytes_read(&self) -> &Counter {
        &self.bytes_read
    }

    /// An attempt spent this long in `stage`.
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages.get(stage).add(took);
    }

    /// An attempt ended.
    pub fn attempt(&self, outcome: AttemptOutcome, took: Duration) {
        self.attempts.get(outcome).record(took);
    }
}

/// The engine's work.
#[derive(Debug, Clone)]
pub struct EngineMetrics {
    features: OpenFamily<SecondsCounter>,
    frames: OpenFamily<Counter>,
}

impl EngineMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            features: registry.open_family(instrument::ENGINE_FEATURE_TIME),
            frames: registry.open_family(instrument::ENGINE_FRAMES),
        }
    }

    /// A feature extractor used this much CPU time.
    pub fn feature(&self, name: &str, cpu: Duration) {
        let name: Cow<'static, str> = name.to_owned().into();
        self.features.get(vec![(attr::FEATURE, name)]).add(cpu);
    }

    /// A model predicted the scores of this many frames.
    pub fn frames(&self, model: &str, frames: u64) {
        let model: Cow<'static, str> = model.to_owned().into();
        self.frames.get(vec![(attr::MODEL, model)]).add(frames);
    }
}

/// What agents ask for.
#[derive(Debug, Clone)]
pub struct McpMetrics {
    operations: OpenFamily<Histogram>,
}

/// One request of an agent, as it is counted. Every word comes from a list that the server knows.
#[derive(Debug, Clone, Copy)]
pub struct McpOperation<'a> {
    /// The protocol's method.
    pub method: &'a str,
    /// `tcp` or `pipe`.
    pub transport: &'static str,
    /// The tool that was called, where it is one of ours.
    pub tool: Option<&'a str>,
    /// The version of the protocol, where the client told it.
    pub version: Option<&'a str>,
    /// Why it failed, where it did.
    pub error: Option<&'a str>,
}

impl McpMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self { operations: registry.open_family(instrument::MCP_SERVER_DURATION) }
    }

    /// A request was answered after this time.
    pub fn operation(&self, operation: &McpOperation<'_>, took: Duration) {
        let owned = |text: &str| -> Cow<'static, str> { text.to_owned().into() };
        let mut labels = vec![
            (attr::MCP_METHOD_NAME, owned(operation.method)),
            (attr::NETWORK_TRANSPORT, operation.transport.into()),
        ];
        let more = [
            (attr::GEN_AI_TOOL_NAME, operation.tool),
            (attr::MCP_PROTOCOL_VERSION, operation.version),
            (attr::ERROR_TYPE, operation.error),
        ];
        labels.extend(more.into_iter().filter_map(|(key, value)| Some((key, owned(value?)))));
        self.operations.get(labels).record(took);
    }
}

/// The search for a target quality.
#[derive(Debug, Clone)]
pub struct TuneMetrics {
    probes: Family<ProbeOutcome, Counter>,
    encode_time: SecondsCounter,
    score_time: SecondsCounter,
}

impl TuneMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            probes: registry.family(instrument::TUNE_PROBES),
            encode_time: registry.single(instrument::TUNE_ENCODE_TIME),
            score_time: registry.single(instrument::TUNE_SCORE_TIME),
        }
    }

    /// A probe met this.
    pub fn probe(&self, outcome: ProbeOutcome) {
        self.probes.get(outcome).add(1);
    }

    /// A probe's encode and score took this long.
    pub fn took(&self, encode: Duration, score: Duration) {
        self.encode_time.add(encode);
        self.score_time.add(score);
    }
}

/// Direct scoring, beside any queue.
#[derive(Debug, Clone)]
pub struct DirectMetrics {
    slots: Gauge,
    busy: Gauge,
    waiting: Gauge,
    refused: Family<DirectRefusal, Counter>,
    wait: Histogram,
    duration: Family<JobEnd, Histogram>,
    frames: Counter,
    read: Counter,
}

impl DirectMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            slots: registry.single(instrument::DIRECT_SLOTS),
            busy: registry.single(instrument::DIRECT_BUSY),
            waiting: registry.single(instrument::DIRECT_WAITING),
            refused: registry.family(instrument::DIRECT_REFUSED),
            wait: registry.single(instrument::DIRECT_WAIT),
            duration: registry.family(instrument::DIRECT_DURATION),
            frames: registry.single(instrument::DIRECT_FRAMES),
            read: registry.single(instrument::DIRECT_READ),
        }
    }

    /// Adds the slots of one more service in this process.
    pub fn add_slots(&self, slots: usize) {
        self.slots.add(slots as f64);
    }

    /// A run is under way until the guard is dropped.
    #[must_use]
    pub fn busy(&self) -> BusySlot {
        self.busy.add(1.0);
        BusySlot(self.busy.clone())
    }

    /// A request waits until the guard is dropped.
    #[must_use]
    pub fn waiting(&self) -> BusySlot {
        self.waiting.add(1.0);
        BusySlot(self.waiting.clone())
    }

    /// A request got no slot.
    pub fn refused(&self, why: DirectRefusal) {
        self.refused.get(why).add(1);
    }

    /// A request got its slot after this long.
    pub fn waited(&self, wait: Duration) {
        self.wait.record(wait);
    }

    /// A run ended.
    pub fn ended(&self, how: JobEnd, took: Duration) {
        self.duration.get(how).record(took);
    }

    /// Frames scored.
    #[must_use]
    pub fn frames(&self) -> &Counter {
        &self.frames
    }

    /// Bytes of video read or received.
    #[must_use]
    pub fn bytes_read(&self) -> &Counter {
        &self.read
    }
}

/// Counts something as there while it lives, such as a busy slot.
#[derive(Debug)]
pub struct BusySlot(Gauge);

impl Drop for BusySlot {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

/// What happened to telemetry itself.
#[derive(Debug, Clone)]
pub struct TelemetryMetrics {
    exported: Family<Signal, Counter>,
    /// By signal, then by reason.
    dropped: Vec<Vec<Counter>>,
    queue: Family<Signal, Gauge>,
    last_success: Family<Signal, Gauge>,
    passed_over: Counter,
}

impl TelemetryMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let dropped: Vec<Vec<Counter>> = Signal::ALL
            .iter()
            .map(|_| DropReason::ALL.iter().map(|_| Counter::default()).collect())
            .collect();
        let read = dropped.clone();
        registry.observe(instrument::TELEMETRY_DROPPED, move |points| {
            for (signal, counters) in Signal::ALL.iter().zip(&read) {
                points.extend(DropReason::ALL.iter().zip(counters).map(|(reason, counter)| {
                    Point {
                        labels: vec![
                            (attr::SIGNAL, signal.as_str().into()),
                            (attr::DROP_REASON, reason.as_str().into()),
                        ],
                        value: super::PointValue::Integer(counter.get()),
                    }
                }));
            }
        });
        Self {
            exported: registry.family(instrument::TELEMETRY_EXPORTED),
            dropped,
            queue: registry.family(instrument::TELEMETRY_QUEUE),
            last_success: registry.family(instrument::TELEMETRY_LAST_SUCCESS),
            passed_over: registry.single(instrument::TRACES_PASSED_OVER),
        }
    }

    pub(crate) fn exported(&self, signal: Signal, items: u64) {
        self.exported.get(signal).add(items);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.last_success.get(signal).set(now.as_secs_f64());
    }

    pub(crate) fn passed_over(&self) {
        self.passed_over.add(1);
    }

    /// Traces that did not begin because too much is recorded.
    #[must_use]
    pub fn passed_over_total(&self) -> u64 {
        self.passed_over.get()
    }

    pub(crate) fn dropped(&self, signal: Signal, reason: DropReason, items: u64) {
        self.dropped[signal.index()][reason.index()].add(items);
    }

    pub(crate) fn set_queue(&self, signal: Signal, items: usize) {
        self.queue.get(signal).set(items as f64);
    }

    /// Items of `signal` that a collector acknowledged.
    #[must_use]
    pub fn exported_total(&self, signal: Signal) -> u64 {
        self.exported.get(signal).get()
    }

    /// Items of `signal` given up for `reason`.
    #[must_use]
    pub fn dropped_total(&self, signal: Signal, reason: DropReason) -> u64 {
        self.dropped[signal.index()][reason.index()].get()
    }
}

/// Durations of calls and requests, recorded by the layers.
#[derive(Debug, Clone)]
pub(crate) struct DurationMetrics {
    pub(crate) rpc_server: OpenFamily<Histogram>,
    pub(crate) rpc_client: OpenFamily<Histogram>,
    pub(crate) http_server: OpenFamily<Histogram>,
    pub(crate) http_client: OpenFamily<Histogram>,
}

impl DurationMetrics {
    pub(super) fn register(registry: &Registry) -> Self {
        Self {
            rpc_server: registry.open_family(instrument::RPC_SERVER_DURATION),
            rpc_client: registry.open_family(instrument::RPC_CLIENT_DURATION),
            http_server: registry.open_family(instrument::HTTP_SERVER_DURATION),
            http_client: registry.open_family(instrument::HTTP_CLIENT_DURATION),
        }
    }
}
