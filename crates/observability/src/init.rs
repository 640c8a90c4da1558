//! Setting telemetry up, and ending it in bounded time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::config::{OtelConfig, OtlpConfig, Sdk};
use crate::export::{LogSink, Pipeline, PipelineConfig, Route, SpanSink, client_config};
use crate::logs::{self, LogLayer};
use crate::metrics::{Metrics, Point, PointValue};
use crate::sampler::SamplerControl;
use crate::sampler::budget::SpanBudget;
use crate::schema::instrument;
use crate::tracer::Tracer;

/// What ending telemetry may take altogether, whatever state the collector is in.
pub const SHUTDOWN_BUDGET: Duration = Duration::from_secs(3);

/// The one line that says that nothing is exported.
pub const DISABLED_MESSAGE: &str = "otel: no endpoint configured, tracing disabled";

/// The handles that components are given. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// Makes spans.
    pub tracer: Tracer,
    /// Takes measurements.
    pub metrics: Metrics,
}

impl Telemetry {
    /// Exports nothing; metrics can still be scraped and contexts still propagate. For tests and
    /// for programs without telemetry.
    #[must_use]
    pub fn disabled() -> Self {
        Self { tracer: Tracer::disabled(), metrics: Metrics::new() }
    }
}

/// Owns the export of telemetry. Dropping it flushes, as [`shutdown`](Self::shutdown) does; a
/// program that ends by `std::process::exit` must call that itself.
#[derive(Debug)]
pub struct OtelGuard {
    telemetry: Telemetry,
    log_layer: Option<LogLayer>,
    pipeline: Option<Pipeline>,
}

/// Sets up logs and telemetry from the process's environment. Every binary calls it once, first.
///
/// Never fails and never waits: what is wrong with the environment is logged, and a collector that
/// is not there is noticed by the exporting thread alone.
#[must_use = "dropping the guard ends telemetry"]
pub fn init_otel(service_name: &str) -> OtelGuard {
    init_with(&OtelConfig::from_process_env(service_name))
}

/// Sets up logs and telemetry as configured.
#[must_use = "dropping the guard ends telemetry"]
pub fn init_with(config: &OtelConfig) -> OtelGuard {
    let plan = Plan::new(config);
    if let Some(warning) = logs::install(&config.log, plan.log_layer()) {
        warn!("{warning}");
    }
    plan.start(config)
}

/// What is exported where, before anything is logged or started.
struct Plan {
    metrics: Metrics,
    traces: Option<(Route, SpanSink)>,
    logs: Option<(Route, LogSink)>,
    pushed: Option<Route>,
    budget: Option<Arc<SpanBudget>>,
    warnings: Vec<String>,
    /// Whether spans were meant to leave and cannot.
    traces_failed: bool,
}

impl Plan {
    fn new(config: &OtelConfig) -> Self {
        let metrics = Metrics::with_exemplars(config.metric.exemplars);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            metrics.watch_runtime("main", &runtime);
        }
        let mut failures: Vec<(String, Vec<&str>)> = Vec::new();
        let mut route = |name, otlp: &Option<OtlpConfig>, console| {
            if config.sdk == Sdk::Disabled {
                return None;
            }
            let otlp = otlp.clone().and_then(|otlp| match client_config(&otlp) {
                Ok(tls) => Some((otlp, tls)),
                Err(error) => {
                    let why = logs::with_causes(&error);
                    match failures.iter_mut().find(|(known, _)| *known == why) {
                        Some((_, signals)) => signals.push(name),
                        None => failures.push((why, vec![name])),
                    }
                    None
                }
            });
            (otlp.is_some() || console).then_some(Route { otlp, console })
        };
        let traces = route("traces", &config.traces, config.console.traces);
        let logs = route("logs", &config.logs, config.console.logs);
        let pushed = route("metrics", &config.metrics, config.console.metrics);
        let telemetry = metrics.telemetry();
        let budget = config
            .sampling
            .spans_per_second_max
            .map(|rate| Arc::new(SpanBudget::new(rate, Instant::now(), telemetry.clone())));
        let span_sink = || {
            SpanSink::new(config.batch, config.span_limits, telemetry.clone())
                .drawing_on(budget.clone())
        };
        let log_sink = || LogSink::new(config.log_batch, config.log_limits, telemetry.clone());
        let mut warnings = config.warnings.clone();
        let traces_failed = config.traces_endpoint_bad
            || failures.iter().any(|(_, signals)| signals.contains(&"traces"));
        warnings.extend(failures.into_iter().map(|(why, signals)| {
            format!(
                "no encrypted connection for {}, which will not be exported: {why}",
                signals.join(", ")
            )
        }));
        Self {
            budget: budget.clone().filter(|_| traces.is_some()),
            traces: traces.map(|route| (route, span_sink())),
            logs: logs.map(|route| (route, log_sink())),
            pushed,
            warnings,
            traces_failed,
            metrics,
        }
    }

    fn log_layer(&self) -> Option<LogLayer> {
        self.logs.as_ref().map(|(_, sink)| LogLayer::new(sink.clone()))
    }

    /// Logs what there is to say, and starts the exporting thread where there is work for it.
    fn start(self, config: &OtelConfig) -> OtelGuard {
        for warning in &self.warnings {
            warn!("otel: {warning}");
        }
        if config.sdk == Sdk::Disabled {
            info!("otel: disabled by OTEL_SDK_DISABLED");
        } else if config.traces_off {
            info!("otel: tracing disabled by OTEL_TRACES_EXPORTER");
        } else if self.traces.is_none() && !self.traces_failed {
            info!("{DISABLED_MESSAGE}");
        }
        let log_layer = self.log_layer();
        let metrics = self.metrics;
        let sink = self.traces.as_ref().map(|(_, sink)| sink.clone());
        let mut pipeline = None;
        if self.traces.is_some() || self.logs.is_some() || self.pushed.is_some() {
            let pipeline_config = PipelineConfig {
                resource: config.resource.clone(),
                traces: self.traces,
                logs: self.logs,
                metrics: self.pushed,
                metric: config.metric,
            };
            match Pipeline::start(pipeline_config, metrics.clone()) {
                Ok(started) => pipeline = Some(started),
                Err(error) => error!(%error, "otel: no exporting thread, nothing is exported"),
            }
        }
        let sink = sink.filter(|_| pipeline.is_some());
        let tracer = Tracer::new(SamplerControl::start(config), config.propagators, sink);
        if let Some(budget) = self.budget {
            tracer.sampler().bound(budget);
        }
        observe_sampling(&metrics, tracer.sampling());
        OtelGuard { telemetry: Telemetry { tracer, metrics }, log_layer, pipeline }
    }
}

impl OtelGuard {
    /// Sets up telemetry and leaves the log output of the process alone. For a second service name
    /// in one process, and for tests.
    #[must_use = "dropping the guard ends telemetry"]
    pub fn start(config: &OtelConfig) -> Self {
        Plan::new(config).start(config)
    }

    /// The layer that exports what is logged, if that is asked for; for a program that sets up
    /// its log output itself, after [`start`](Self::start).
    #[must_use]
    pub fn log_layer(&self) -> Option<LogLayer> {
        self.log_layer.clone()
    }

    /// The handles for components.
    #[must_use]
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Makes spans.
    #[must_use]
    pub fn tracer(&self) -> &Tracer {
        &self.telemetry.tracer
    }

    /// Takes measurements.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.telemetry.metrics
    }

    /// Sends what waits now. Blocks the calling thread until that is done, for `budget` at most.
    pub fn flush(&self, budget: Duration) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.flush(budget);
        }
    }

    /// Sends what waits and ends telemetry. Blocks the calling thread for [`SHUTDOWN_BUDGET`] at
    /// most; what a collector has not taken by then is given up. Safe on a runtime's thread: the
    /// export runs on its own.
    pub fn shutdown(mut self) {
        self.end();
    }

    /// As [`shutdown`](Self::shutdown), without blocking the runtime's thread.
    pub async fn shutdown_async(self) {
        // The task can only fail by a panic, and then nothing is left to be flushed.
        let _ = tokio::task::spawn_blocking(move || self.shutdown()).await;
    }

    fn end(&mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            pipeline.shutdown(SHUTDOWN_BUDGET);
        }
    }
}

/// Shows the ratio in force at `/metrics`.
fn observe_sampling(metrics: &Metrics, sampling: SamplerControl) {
    metrics.registry().observe(instrument::TELEMETRY_SAMPLING_RATIO, move |points| {
        let value = PointValue::Float(sampling.status().settings.sampler.ratio());
        points.push(Point { labels: Vec::new(), value });
    });
}

impl Drop for OtelGuard {
    fn drop(&mut self) {
        self.end();
    }
}
