//! How metrics are pushed: interval, timeout, temporality, exemplars.

use std::str::FromStr;
use std::time::Duration;

use super::{Env, shown};

/// How often metrics are pushed unless configured otherwise.
pub const INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The longest one push may take unless configured otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Whether pushed sums count from the start of the process or from the push before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Temporality {
    /// From the start.
    #[default]
    Cumulative,
    /// Counters and histograms from the push before; what goes up and down, from the start.
    Delta,
    /// As `Delta`, but sums that the operating system or the runtime keeps count from the start.
    LowMemory,
}

impl FromStr for Temporality {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "cumulative" => Ok(Self::Cumulative),
            "delta" => Ok(Self::Delta),
            "lowmemory" => Ok(Self::LowMemory),
            _ => Err(()),
        }
    }
}

/// Which measurements may become exemplars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExemplarFilter {
    /// Those within a sampled span.
    #[default]
    TraceBased,
    /// Those within any span; an exemplar outside of one would name no trace.
    AlwaysOn,
    /// None.
    AlwaysOff,
}

impl FromStr for ExemplarFilter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "trace_based" => Ok(Self::TraceBased),
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            _ => Err(()),
        }
    }
}

/// How metrics are collected and pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricConfig {
    /// Time between two pushes. `OTEL_METRIC_EXPORT_INTERVAL`.
    pub interval: Duration,
    /// The longest a push may take, retries included. `OTEL_METRIC_EXPORT_TIMEOUT`.
    pub timeout: Duration,
    /// From when sums count. `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`.
    pub temporality: Temporality,
    /// Which measurements may become exemplars. `OTEL_METRICS_EXEMPLAR_FILTER`.
    pub exemplars: ExemplarFilter,
}

impl Default for MetricConfig {
    fn default() -> Self {
        Self {
            interval: INTERVAL_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            temporality: Temporality::default(),
            exemplars: ExemplarFilter::default(),
        }
    }
}

pub(super) fn read(env: &mut Env<'_>) -> MetricConfig {
    const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    if let Some(aggregation) = env.get(AGGREGATION)
        && !aggregation.eq_ignore_ascii_case("explicit_bucket_histogram")
    {
        env.warn(format_args!(
            "{AGGREGATION}={} is not explicit_bucket_histogram, the only one there is; default kept",
            shown(&aggregation)
        ));
    }
    MetricConfig {
        interval: env.millis("OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(INTERVAL_DEFAULT),
        timeout: env.millis("OTEL_METRIC_EXPORT_TIMEOUT").unwrap_or(TIMEOUT_DEFAULT),
        temporality: env
            .word(
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
                "cumulative, delta, lowmemory",
            )
            .unwrap_or_default(),
        exemplars: env
            .word("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based, always_on, always_off")
            .unwrap_or_default(),
    }
}
