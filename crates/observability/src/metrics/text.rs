//! The two text forms that Prometheus scrapes.
//!
//! `text/plain` 0.0.4 for everybody, OpenMetrics 1.0.0 with exemplars for those who ask. Names
//! follow OpenTelemetry's rules for Prometheus: dots become underscores, the unit becomes a
//! suffix, counters end in `_total`. One ending differs: `_count` is dropped, because Prometheus
//! keeps it for histograms.

use std::fmt::{self, Write as _};
use std::time::SystemTime;

use super::cells::{Exemplar, HistogramSnapshot};
use super::registry::{MetricSnapshot, Point, PointValue};
use crate::schema::{InstrumentDef, InstrumentKind};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An answer to a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The value of the `Content-Type` header.
    pub content_type: &'static str,
    /// The text.
    pub body: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    OpenMetrics,
}

pub(super) fn render(metrics: &[MetricSnapshot], accept: Option<&str>) -> Rendered {
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let (form, content_type) =
        if open { (Form::OpenMetrics, OPEN_METRICS) } else { (Form::Text, TEXT) };
    let mut body = String::with_capacity(16 * 1_024);
    for metric in metrics.iter().filter(|metric| !metric.points.is_empty()) {
        // Writing to a String cannot fail.
        let _ = write_metric(&mut body, metric, form);
    }
    if form == Form::OpenMetrics {
        body.push_str("# EOF\n");
    }
    Rendered { content_type, body }
}

/// The name an instrument has at `/metrics`, with its suffixes.
#[must_use]
pub fn prometheus_name(def: &InstrumentDef) -> String {
    let family = family_name(def);
    if def.kind == InstrumentKind::Counter { family + "_total" } else { family }
}

fn family_name(def: &InstrumentDef) -> String {
    let mut name = sanitized(def.name);
    // At `/metrics` this ending belongs to histograms alone; Prometheus's linter insists.
    if let Some(shorter) = name.strip_suffix("_count") {
        name = shorter.to_owned();
    }
    let suffix = unit_suffix(def);
    if !suffix.is_empty() && !name.ends_with(suffix) {
        name.push('_');
        name.push_str(suffix);
    }
    name
}

fn unit_suffix(def: &InstrumentDef) -> &'static str {
    match (def.unit, def.kind) {
        ("s", _) => "seconds",
        ("By", _) => "bytes",
        ("1", InstrumentKind::Gauge) => "ratio",
        _ => "",
    }
}

fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn write_metric(out: &mut String, metric: &MetricSnapshot, form: Form) -> fmt::Result {
    let def = &metric.def;
    let sample = prometheus_name(def);
    let family = if form == Form::OpenMetrics { family_name(def) } else { sample.clone() };
    let kind = match def.kind {
        InstrumentKind::Counter => "counter",
        InstrumentKind::Gauge | InstrumentKind::UpDownCounter => "gauge",
        InstrumentKind::Histogram => "histogram",
    };
    writeln!(out, "# HELP {family} {}", def.description)?;
    writeln!(out, "# TYPE {family} {kind}")?;
    let unit = unit_suffix(def);
    if form == Form::OpenMetrics && !unit.is_empty() {
        writeln!(out, "# UNIT {family} {unit}")?;
    }
    for point in &metric.points {
        match &point.value {
            PointValue::Integer(value) => {
                write_series(out, &sample, point, None)?;
                writeln!(out, " {value}")?;
            }
            PointValue::Float(value) => {
                write_series(out, &sample, point, None)?;
                writeln!(out, " {value}")?;
            }
            PointValue::Histogram(histogram) => {
                write_histogram(out, &sample, point, histogram, form)?;
            }
        }
    }
    Ok(())
}

fn write_histogram(
    out: &mut String,
    name: &str,
    point: &Point,
    histogram: &HistogramSnapshot,
    form: Form,
) -> fmt::Result {
    let bucket = format!("{name}_bucket");
    let mut cumulative = 0;
    for (index, count) in histogram.counts.iter().enumerate() {
        cumulative += count;
        let bound = histogram.bounds.get(index).map_or_else(
            || "+Inf".to_owned(),
            |bound| {
                // OpenMetrics wants a fraction even on whole numbers.
                if bound.fract() == 0.0 { format!("{bound:.1}") } else { bound.to_string() }
            },
        );
        write_series(out, &bucket, point, Some(&bound))?;
        write!(out, " {cumulative}")?;
        if let (Form::OpenMetrics, Some(exemplar)) = (form, &histogram.exemplars[index]) {
            write_exemplar(out, exemplar)?;
        }
        out.push('\n');
    }
    write_series(out, &format!("{name}_sum"), point, None)?;
    writeln!(out, " {}", histogram.sum)?;
    write_series(out, &format!("{name}_count"), point, None)?;
    writeln!(out, " {cumulative}")
}

fn write_exemplar(out: &mut String, exemplar: &Exemplar) -> fmt::Result {
    let at = exemplar.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let (trace_id, span_id, value) = (exemplar.trace_id, exemplar.span_id, exemplar.value);
    write!(out, " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {at:.3}")
}

fn write_series(out: &mut String, name: &str, point: &Point, bound: Option<&str>) -> fmt::Result {
    out.push_str(name);
    let mut separator = '{';
    for (key, value) in &point.labels {
        out.push(separator);
        separator = ',';
        write!(out, "{}=\"", sanitized(key))?;
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    if let Some(bound) = bound {
        write!(out, "{separator}le=\"{bound}\"")?;
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::State;

    use super::*;
    use crate::metrics::Metrics;
    use crate::propagation::{Origin, context_of};
    use crate::schema::instrument;

    #[test]
    fn names_follow_the_rules_for_prometheus() {
        for (def, name) in [
            (instrument::JOBS_SUBMITTED, "vmafx_jobs_submitted_total"),
            (instrument::QUEUE_WAIT, "vmafx_queue_wait_seconds"),
            (instrument::QUEUE_DEPTH, "vmafx_queue_depth"),
            (instrument::PROCESS_CPU, "process_cpu_time_seconds_total"),
            (instrument::PROCESS_MEMORY, "process_memory_usage_bytes"),
            (instrument::PROCESS_THREADS, "process_thread"),
            (instrument::RPC_SERVER_DURATION, "rpc_server_call_duration_seconds"),
        ] {
            assert_eq!(prometheus_name(&def), name);
        }
    }

    fn recorded() -> Metrics {
        let metrics = Metrics::new();
        metrics.queue().submitted(2);
        metrics.queue().set_depth(State::Queued, 7);
        let trace = types::TraceContext::parse(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "",
        )
        .expect("valid");
        let _guard = context_of(&trace, Origin::Local).attach();
        metrics.queue().finished(State::Succeeded, Duration::from_millis(1_500));
        metrics
    }

    #[test]
    fn plain_text_has_series_and_no_exemplar() {
        let rendered = recorded().render(Some("text/plain"));
        assert_eq!(rendered.content_type, TEXT);
        for line in [
            "# TYPE vmafx_jobs_submitted_total counter",
            "vmafx_jobs_submitted_total 2",
            "vmafx_queue_depth{vmafx_part_state=\"queued\"} 7",
            "vmafx_job_duration_seconds_bucket{vmafx_job_state=\"succeeded\",le=\"1.0\"} 0",
            "vmafx_job_duration_seconds_bucket{vmafx_job_state=\"succeeded\",le=\"2.5\"} 1",
            "vmafx_job_duration_seconds_bucket{vmafx_job_state=\"succeeded\",le=\"+Inf\"} 1",
            "vmafx_job_duration_seconds_sum{vmafx_job_state=\"succeeded\"} 1.5",
            "vmafx_job_duration_seconds_count{vmafx_job_state=\"succeeded\"} 1",
        ] {
            assert!(rendered.body.lines().any(|have| have == line), "{line}\n{}", rendered.body);
        }
        assert!(!rendered.body.contains("trace_id"));
    }

    #[test]
    fn open_metrics_has_exemplars_units_and_an_end() {
        let rendered = recorded().render(Some("application/openmetrics-text;version=1.0.0,*/*"));
        assert_eq!(rendered.content_type, OPEN_METRICS);
        assert!(rendered.body.ends_with("# EOF\n"));
        assert!(rendered.body.contains("# TYPE vmafx_jobs_submitted counter\n"));
        assert!(rendered.body.contains("# UNIT vmafx_job_duration_seconds seconds\n"));
        let exemplar = "le=\"2.5\"} 1 # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",\
                        span_id=\"00f067aa0ba902b7\"} 1.5 ";
        assert!(rendered.body.contains(exemplar), "{}", rendered.body);
    }
}
