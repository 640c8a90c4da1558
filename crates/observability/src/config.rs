//! The configuration of telemetry, read once from the environment.
//!
//! Every variable is read here and nowhere else, through a function passed in, so that tests never
//! touch the process's own environment. Words are compared without regard to case; an empty value
//! is as good as none; a bad value keeps the default and leaves a warning, which is logged once
//! logging works. The table in `docs/development/observability.md` lists the variables.

mod otlp;
mod resource;
mod sampler;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use otlp::{Compression, OtlpConfig, Protocol};
pub use resource::ResourceConfig;

use crate::propagation::Propagators;
use crate::sampler::SamplerConfig;

/// How many ended spans wait for export unless configured otherwise.
pub const QUEUE_SPANS_DEFAULT: usize = 2_048;
/// The largest queue that can be configured.
pub const QUEUE_SPANS_MAX: usize = 1 << 20;
/// How often metrics are pushed unless configured otherwise.
pub const METRIC_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);

/// When and in what portions spans are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchConfig {
    /// Ended spans that may wait; further ones are dropped and counted. `OTEL_BSP_MAX_QUEUE_SIZE`.
    pub queue_spans_max: usize,
    /// Spans in one message at most. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
    pub export_spans_max: usize,
    /// The longest an ended span waits for its message. `OTEL_BSP_SCHEDULE_DELAY`.
    pub schedule_delay: Duration,
    /// The longest one message may take, retries included. `OTEL_BSP_EXPORT_TIMEOUT`.
    pub export_timeout: Duration,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            queue_spans_max: QUEUE_SPANS_DEFAULT,
            export_spans_max: 512,
            schedule_delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
        }
    }
}

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
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Auto }
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

/// The configuration of telemetry.
#[derive(Debug, Clone, PartialEq)]
pub struct OtelConfig {
    /// Whether telemetry is exported at all.
    pub sdk: Sdk,
    /// Who we are.
    pub resource: ResourceConfig,
    /// Which traces are recorded.
    pub sampler: SamplerConfig,
    /// Which headers carry context.
    pub propagators: Propagators,
    /// Where spans go; `None` is nowhere.
    pub traces: Option<OtlpConfig>,
    /// Whether `OTEL_TRACES_EXPORTER=none` asked for no spans, so that nobody is told that an
    /// endpoint is missing.
    pub traces_off: bool,
    /// Where metrics go besides `/metrics`; `None` is nowhere.
    pub metrics: Option<OtlpConfig>,
    /// Portions of span export.
    pub batch: BatchConfig,
    /// Time between two pushes of metrics. `OTEL_METRIC_EXPORT_INTERVAL`.
    pub metric_interval: Duration,
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
            propagators: Propagators::default(),
            traces: None,
            traces_off: false,
            metrics: None,
            batch: BatchConfig::default(),
            metric_interval: METRIC_INTERVAL_DEFAULT,
            log: LogConfig::default(),
            warnings: Vec::new(),
        }
    }

    /// Reads the variables through `lookup`. `service_name` is used when they name no service.
    #[must_use]
    pub fn from_env(service_name: &str, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let mut env = Env { lookup: &lookup, warnings: Vec::new() };
        let mut config = Self::new(service_name);
        if env.flag("OTEL_SDK_DISABLED") {
            config.sdk = Sdk::Disabled;
        }
        config.resource = resource::read(&mut env, service_name);
        config.sampler = sampler::read(&mut env);
        config.propagators = read_propagators(&mut env);
        config.traces = otlp::read(&mut env, &otlp::TRACES);
        config.traces_off = otlp::is_off(&env, &otlp::TRACES);
        config.metrics = otlp::read(&mut env, &otlp::METRICS);
        config.batch = read_batch(&mut env);
        config.metric_interval =
            env.millis("OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(METRIC_INTERVAL_DEFAULT);
        config.log = read_log(&mut env);
        if env.get("OTEL_CONFIG_FILE").is_some() {
            env.warn("OTEL_CONFIG_FILE is not supported and was ignored");
        }
        config.warnings = env.warnings;
        config
    }

    /// Reads the process's environment.
    #[must_use]
    pub fn from_process_env(service_name: &str) -> Self {
        Self::from_env(service_name, |name| std::env::var(name).ok())
    }
}

/// The environment while it is read.
struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Env<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let trimmed = value.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    fn warn(&mut self, message: impl fmt::Display) {
        self.warnings.push(message.to_string());
    }

    /// A boolean by OpenTelemetry's rule: true or false, anything else is false with a warning.
    fn flag(&mut self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(value) => {
                self.warn(format_args!(
                    "{name}={} is neither true nor false; taken for false",
                    shown(&value)
                ));
                false
            }
        }
    }

    /// A word that `T` knows, in lower case.
    fn word<T: FromStr>(&mut self, name: &str, known: &str) -> Option<T> {
        let value = self.get(name)?;
        let parsed = value.to_ascii_lowercase().parse().ok();
        if parsed.is_none() {
            self.warn(format_args!("{name}={} is not one of {known}; default kept", shown(&value)));
        }
        parsed
    }

    /// A whole number within `range`.
    fn count(&mut self, name: &str, range: std::ops::RangeInclusive<usize>) -> Option<usize> {
        let value = self.get(name)?;
        let parsed = value.parse().ok().filter(|count| range.contains(count));
        if parsed.is_none() {
            let (low, high) = range.into_inner();
            self.warn(format_args!(
                "{name}={} is not a whole number from {low} to {high}; default kept",
                shown(&value)
            ));
        }
        parsed
    }

    /// A number of milliseconds, at least one, at most a day.
    fn millis(&mut self, name: &str) -> Option<Duration> {
        const DAY_MILLIS: usize = 86_400_000;
        let millis = self.count(name, 1..=DAY_MILLIS)?;
        Some(Duration::from_millis(millis as u64))
    }
}

/// A value as a warning shows it: quoted and not too long.
fn shown(value: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    format!("{:?}", value.chars().take(SHOWN_CHARS_MAX).collect::<String>())
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

fn read_batch(env: &mut Env<'_>) -> BatchConfig {
    let default = BatchConfig::default();
    let queue_spans_max = env
        .count("OTEL_BSP_MAX_QUEUE_SIZE", 1..=QUEUE_SPANS_MAX)
        .unwrap_or(default.queue_spans_max);
    let export_spans_max = env
        .count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1..=QUEUE_SPANS_MAX)
        .unwrap_or(default.export_spans_max);
    BatchConfig {
        queue_spans_max,
        // The specification wants the message to fit the queue.
        export_spans_max: export_spans_max.min(queue_spans_max),
        schedule_delay: env.millis("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(default.schedule_delay),
        export_timeout: env.millis("OTEL_BSP_EXPORT_TIMEOUT").unwrap_or(default.export_timeout),
    }
}

fn read_log(env: &mut Env<'_>) -> LogConfig {
    let filter = env.get("VMAFX_LOG").or_else(|| env.get("RUST_LOG"));
    LogConfig {
        filter: filter.unwrap_or_else(|| LogConfig::default().filter),
        format: env.word("VMAFX_LOG_FORMAT", "auto, json, text").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
