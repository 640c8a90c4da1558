//! Metrics: recorded once, seen at `/metrics` and over OTLP.
//!
//! Values live in atomics that belong to this crate. Recording takes no lock and never waits;
//! reading takes a snapshot, from which both the Prometheus texts and the OTLP message are
//! written. Most labels come from closed enums. Of a label whose values come from outside (a node's
//! name, a model) the first [`LABEL_VALUES_MAX`] are kept and the rest become `other`: the number of
//! series is bounded, and sums stay exact.
//!
//! A component gets the [`Metrics`] handle and records through its group: [`QueueMetrics`],
//! [`StoreMetrics`], [`NodeMetrics`], [`EngineMetrics`]. A group appears at `/metrics` once it is asked for.

mod cells;
mod groups;
mod labels;
mod otlp;
mod process;
mod registry;
mod runtime;
mod shards;
mod temporality;
mod text;

use std::sync::{Arc, OnceLock};

use crate::config::ExemplarFilter;

pub use cells::{Counter, Exemplar, Gauge, Histogram, HistogramSnapshot, SecondsCounter};
pub use groups::{
    BusySlot, DirectMetrics, EngineMetrics, McpMetrics, McpOperation, NodeMetrics, QueueMetrics,
    StoreMetrics, TelemetryMetrics, TuneMetrics,
};
pub use labels::{
    AttemptOutcome, DirectRefusal, DropReason, JobEnd, Label, LeaseLostCause, NodeLiveness,
    PartState, ProbeOutcome, ReportAnswer, RetryCause, Signal, TraceExport,
};
pub use registry::{
    LABEL_VALUES_MAX, MetricSnapshot, OTHER, Point, PointValue, Registry, SERIES_MAX,
};
pub use runtime::RUNTIMES_MAX;
pub use text::{Rendered, prometheus_name};

pub(crate) use groups::DurationMetrics;
pub(crate) use otlp::unix_nanos;
pub(crate) use registry::LabelSet;
use runtime::Runtimes;
pub(crate) use temporality::MetricWriter;

#[derive(Debug)]
struct Inner {
    registry: Registry,
    durations: OnceLock<DurationMetrics>,
    queue: OnceLock<QueueMetrics>,
    store: OnceLock<StoreMetrics>,
    node: OnceLock<NodeMetrics>,
    engine: OnceLock<EngineMetrics>,
    direct: OnceLock<DirectMetrics>,
    mcp: OnceLock<McpMetrics>,
    tune: OnceLock<TuneMetrics>,
    runtimes: OnceLock<Runtimes>,
    telemetry: TelemetryMetrics,
}

/// The metrics of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// An empty set with the metrics of process and telemetry.
    #[must_use]
    pub fn new() -> Self {
        Self::with_exemplars(ExemplarFilter::default())
    }

    /// As [`new`](Self::new), with exemplars of the measurements that `filter` lets through.
    #[must_use]
    pub fn with_exemplars(filter: ExemplarFilter) -> Self {
        let registry = Registry::with_exemplars(filter);
        process::register(&registry);
        let telemetry = TelemetryMetrics::register(&registry);
        Self(Arc::new(Inner {
            registry,
            durations: OnceLock::new(),
            queue: OnceLock::new(),
            store: OnceLock::new(),
            node: OnceLock::new(),
            engine: OnceLock::new(),
            direct: OnceLock::new(),
            mcp: OnceLock::new(),
            tune: OnceLock::new(),
            runtimes: OnceLock::new(),
            telemetry,
        }))
    }

    /// The controller's queue.
    #[must_use]
    pub fn queue(&self) -> &QueueMetrics {
        self.0.queue.get_or_init(|| QueueMetrics::register(&self.0.registry))
    }

    /// The controller's store.
    #[must_use]
    pub fn store(&self) -> &StoreMetrics {
        self.0.store.get_or_init(|| StoreMetrics::register(&self.0.registry))
    }

    /// A node's work.
    #[must_use]
    pub fn node(&self) -> &NodeMetrics {
        self.0.node.get_or_init(|| NodeMetrics::register(&self.0.registry))
    }

    /// The engine's work.
    #[must_use]
    pub fn engine(&self) -> &EngineMetrics {
        self.0.engine.get_or_init(|| EngineMetrics::register(&self.0.registry))
    }

    /// Direct scoring.
    #[must_use]
    pub fn direct(&self) -> &DirectMetrics {
        self.0.direct.get_or_init(|| DirectMetrics::register(&self.0.registry))
    }

    /// What agents ask for.
    #[must_use]
    pub fn mcp(&self) -> &McpMetrics {
        self.0.mcp.get_or_init(|| McpMetrics::register(&self.0.registry))
    }

    /// The search for a target quality.
    #[must_use]
    pub fn tune(&self) -> &TuneMetrics {
        self.0.tune.get_or_init(|| TuneMetrics::register(&self.0.registry))
    }

    /// Shows an asynchronous runtime of this process from now on. Of one name the last one is
    /// shown; beyond [`RUNTIMES_MAX`] names none is added.
    pub fn watch_runtime(&self, name: &'static str, runtime: &tokio::runtime::Handle) {
        let runtimes = self.0.runtimes.get_or_init(|| Runtimes::register(&self.0.registry));
        runtimes.watch(name, runtime);
    }

    /// Telemetry about telemetry.
    #[must_use]
    pub fn telemetry(&self) -> &TelemetryMetrics {
        &self.0.telemetry
    }

    pub(crate) fn durations(&self) -> &DurationMetrics {
        self.0.durations.get_or_init(|| DurationMetrics::register(&self.0.registry))
    }

    /// All series, as they stand.
    #[must_use]
    pub fn snapshot(&self) -> Vec<MetricSnapshot> {
        self.0.registry.snapshot()
    }

    /// The registry, for instruments beside the groups.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The answer to a scrape of `/metrics`: OpenMetrics with exemplars where the `Accept` header
    /// asks for it, Prometheus text otherwise. Reads memory only.
    #[must_use]
    pub fn render(&self, accept: Option<&str>) -> Rendered {
        text::render(&self.snapshot(), accept)
    }
}
