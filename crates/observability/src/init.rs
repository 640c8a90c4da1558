//! Setting telemetry up, and ending it in bounded time.

use std::time::Duration;

use tracing::{error, info, warn};

use crate::config::{OtelConfig, Sdk};
use crate::export::{Pipeline, PipelineConfig, SpanSink};
use crate::logs;
use crate::metrics::Metrics;
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
    if let Some(warning) = logs::install(&config.log) {
        warn!("{warning}");
    }
    OtelGuard::start(config)
}

impl OtelGuard {
    /// Sets up telemetry and leaves the log output of the process alone. For a second service name
    /// in one process, and for tests.
    #[must_use = "dropping the guard ends telemetry"]
    pub fn start(config: &OtelConfig) -> Self {
        for warning in &config.warnings {
            warn!("otel: {warning}");
        }
        let metrics = Metrics::new();
        let enabled = config.sdk == Sdk::Enabled;
        let traces = config.traces.as_ref().filter(|_| enabled);
        let pushed = config.metrics.as_ref().filter(|_| enabled);
        if !enabled {
            info!("otel: disabled by OTEL_SDK_DISABLED");
        } else if config.traces_off {
            info!("otel: tracing disabled by OTEL_TRACES_EXPORTER");
        } else if traces.is_none() {
            info!("{DISABLED_MESSAGE}");
        }
        let traces = traces
            .map(|otlp| (otlp.clone(), SpanSink::new(config.batch, metrics.telemetry().clone())));
        let sink = traces.as_ref().map(|(_, sink)| sink.clone());
        let mut pipeline = None;
        if traces.is_some() || pushed.is_some() {
            let pipeline_config = PipelineConfig {
                resource: config.resource.clone(),
                traces,
                metrics: pushed.cloned(),
                batch: config.batch,
                metric_interval: config.metric_interval,
            };
            match Pipeline::start(pipeline_config, metrics.clone()) {
                Ok(started) => pipeline = Some(started),
                Err(error) => error!(%error, "otel: no exporting thread, nothing is exported"),
            }
        }
        let sink = sink.filter(|_| pipeline.is_some());
        let tracer = Tracer::new(config.sampler, config.propagators, sink);
        Self { telemetry: Telemetry { tracer, metrics }, pipeline }
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

impl Drop for OtelGuard {
    fn drop(&mut self) {
        self.end();
    }
}
