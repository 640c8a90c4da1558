//! The configuration of telemetry, read once from the environment.
//!
//! Every variable is read here and nowhere else, through a function passed in, so that tests never
//! touch the process's own environment. Words are compared without regard to case; an empty value
//! is as good as none; a bad value keeps the default and leaves a warning, which is logged once
//! logging works. [`VARIABLES`] declares them all; the table in
//! `docs/development/observability.md` is written from it.

mod batch;
mod env;
mod limits;
mod metrics;
mod otlp;
mod resource;
mod sampler;
mod variables;

use std::str::FromStr;

use tracing::level_filters::LevelFilter;

pub use batch::{BatchConfig, QUEUE_ITEMS_DEFAULT, QUEUE_ITEMS_MAX};
pub use limits::{
    AttributeLimits, ITEMS_DEFAULT, ITEMS_MAX, SpanLimits, VALUE_CHARS_DEFAULT, VALUE_CHARS_MAX,
};
pub use metrics::{ExemplarFilter, MetricConfig, Temporality};
pub use otlp::{Compression, OtlpConfig, Protocol, TlsFiles};
pub use resource::ResourceConfig;
pub use sampler::SamplingConfig;
pub use variables::{Honoured, VARIABLES, Variable, variables_markdown};

use crate::propagation::Propagators;
use crate::sampler::SamplerConfig;
use env::{Env, shown};

/// The form of log lines on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(()),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A filter as `tracing-subscriber` reads it. `VMAFX_LOG`, else `RUST_LOG`, else `info`.
    pub filter: String,
    /// The form of lines. `VMAFX_LOG_FORMAT`.
    pub format: LogFormat,
    /// What telemetry says of itself, if that differs from the filter. `OTEL_LOG_LEVEL`.
    pub otel_level: Option<LevelFilter>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto, otel_level: None }
    }
}

/// Whether telemetry is exported at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sdk {
    /// As the other settings say.
    #[default]
    Enabled,
    /// Never: `OTEL_SDK_DISABLED=true`. Propagation still works.
    Disabled,
}

/// Which signals are written to stderr as OTLP/JSON lines, by the exporter `console`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsoleConfig {
    /// Spans. `OTEL_TRACES_EXPORTER`.
    pub traces: bool,
    /// Metrics. `OTEL_METRICS_EXPORTER`.
    pub metrics: bool,
    /// Log records. `OTEL_LOGS_EXPORTER`.
    pub logs: bool,
}

/// The configuration of telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct OtelConfig {
    /// Whether telemetry is exported at all.
    pub sdk: Sdk,
    /// Who we are.
    pub resource: ResourceConfig,
    /// Which traces are recorded.
    pub sampler: SamplerConfig,
    /// What else is said about sampling, and where it is read again.
    pub sampling: SamplingConfig,
    /// Which headers carry context.
    pub propagators: Propagators,
    /// Where spans go; `None` is nowhere.
    pub traces: Option<OtlpConfig>,
    /// Whether `OTEL_TRACES_EXPORTER=none` asked for no spans, so that nobody is told that an
    /// endpoint is missing.
    pub traces_off: bool,
    /// Whether an endpoint for spans was given that is none; a warning says so.
    pub traces_endpoint_bad: bool,
    /// Where metrics go besides `/metrics`; `None` is nowhere.
    pub metrics: Option<OtlpConfig>,
    /// Where log records go besides stderr; `None` is nowhere. `OTEL_LOGS_EXPORTER=otlp`.
    pub logs: Option<OtlpConfig>,
    /// What is written to stderr, too.
    pub console: ConsoleConfig,
    /// Portions of span export.
    pub batch: BatchConfig,
    /// Portions of log export.
    pub log_batch: BatchConfig,
    /// What a span may hold.
    pub span_limits: SpanLimits,
    /// What an exported log record may hold.
    pub log_limits: AttributeLimits,
    /// How metrics are collected and pushed.
    pub metric: MetricConfig,
    /// Logs.
    pub log: LogConfig,
    /// What was wrong with the environment, for the log.
    pub warnings: Vec<String>,
}

impl OtelConfig {
    /// The defaults: nothing is exported.
    #[must_use]
    pub fn new(service_name: &str) -> Self {
        Self {
            sdk: Sdk::Enabled,
            resource: ResourceConfig::new(service_name),
            sampler: SamplerConfig::default(),
            sampling: SamplingConfig::default(),
            propagators: Propagators::default(),
            traces: None,
            traces_off: false,
            traces_endpoint_bad: false,
            metrics: None,
            logs: None,
            console: ConsoleConfig::default(),
            batch: BatchConfig::spans(),
            log_batch: BatchConfig::log_records(),
            span_limits: SpanLimits::default(),
            log_limits: AttributeLimits::default(),
            metric: MetricConfig::default(),
            log: LogConfig::default(),
            warnings: Vec::new(),
        }
    }

    /// Reads the variables through `lookup`. `service_name` is used when they name no service.
    #[must_use]
    pub fn from_env(service_name: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut env = Env::new(&lookup);
        let mut config = Self::new(service_name);
        if env.flag("OTEL_SDK_DISABLED") == Some(true) {
            config.sdk = Sdk::Disabled;
        }
        config.resource = resource::read(&mut env, service_name);
        (config.sampler, config.sampling) = sampler::read(&mut env);
        config.propagators = read_propagators(&mut env);
        config.read_exporters(&mut env);
        config.batch = batch::read_spans(&mut env);
        config.log_batch = batch::read_log_records(&mut env);
        (config.span_limits, config.log_limits) = limits::read(&mut env);
        config.metric = metrics::read(&mut env);
        config.log = read_log(&mut env);
        if env.get("OTEL_CONFIG_FILE").is_some() {
            env.warn("OTEL_CONFIG_FILE is not supported and was ignored");
        }
        config.warnings = env.into_warnings();
        config
    }

    fn read_exporters(&mut self, env: &mut Env<'_>) {
        let traces = otlp::read(env, &otlp::TRACES);
        let metrics = otlp::read(env, &otlp::METRICS);
        let logs = otlp::read(env, &otlp::LOGS);
        self.console =
            ConsoleConfig { traces: traces.console, metrics: metrics.console, logs: logs.console };
        (self.traces_off, self.traces_endpoint_bad) = (traces.off, traces.bad_endpoint);
        (self.traces, self.metrics, self.logs) = (traces.otlp, metrics.otlp, logs.otlp);
    }

    /// Reads the process's environment. What is no UTF-8 is read with replacements, so that it is
    /// complained of like any bad value.
    #[must_use]
    pub fn from_process_env(service_name: &str) -> Self {
        Self::from_env(service_name, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }
}

fn read_propagators(env: &mut Env<'_>) -> Propagators {
    let Some(value) = env.get("OTEL_PROPAGATORS") else { return Propagators::default() };
    let mut propagators = Propagators { trace_context: false, baggage: false };
    let mut unknown = Vec::new();
    for word in value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "tracecontext" => propagators.trace_context = true,
            "baggage" => propagators.baggage = true,
            "none" => return Propagators { trace_context: false, baggage: false },
            "" => {}
            _ => unknown.push(word),
        }
    }
    if !unknown.is_empty() {
        env.warn(format_args!(
            "OTEL_PROPAGATORS names {}, which is not one of tracecontext, baggage, none; ignored",
            shown(&unknown.join(","))
        ));
        if !propagators.trace_context && !propagators.baggage {
            return Propagators::default();
        }
    }
    propagators
}

fn read_log(env: &mut Env<'_>) -> LogConfig {
    let filter = env.get("VMAFX_LOG").or_else(|| env.get("RUST_LOG"));
    LogConfig {
        filter: filter.unwrap_or_else(|| LogConfig::default().filter),
        format: env.word("VMAFX_LOG_FORMAT", "auto, json, text").unwrap_or_default(),
        otel_level: env.word("OTEL_LOG_LEVEL", "off, error, warn, info, debug, trace"),
    }
}

#[cfg(test)]
mod tests;
