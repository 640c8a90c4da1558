//! Log lines on stderr: JSON for machines, text for a terminal, each with its trace.
//!
//! A JSON line has `timestamp`, `level`, `target`, `message` and the event's fields; within a span
//! also `trace_id`, `span_id` and `trace_flags`, sampled or not, so that lines of several
//! processes can be joined. Standard output is never written: it belongs to the programs.

mod export;

use std::fmt;
use std::io::IsTerminal as _;
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use types::Timestamp;

use crate::config::{LogConfig, LogFormat};
use crate::context::{Context, SpanPlace};

pub use export::LogLayer;

/// Targets that are held at `warn` unless the filter names them: what they log below that is about
/// the carrying of messages, telemetry's own among them.
const QUIET_TARGETS: [&str; 9] =
    ["h2", "hyper", "hyper_util", "tonic", "tower", "reqwest", "rustls", "opentelemetry", "rmcp"];

/// The modules in which telemetry speaks of itself.
const OWN_TARGETS: [&str; 2] = ["observability::init", "observability::export"];

/// Installs the log output of the process, unless one is installed. Says what is wrong with the
/// filter; then `info` is used.
pub(crate) fn install(config: &LogConfig, export: Option<LogLayer>) -> Option<String> {
    let (filter, warning) = filter(&config.filter, config.otel_level);
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    // A second set-up in one process, as in tests, keeps the first one's output.
    let subscriber = subscriber(filter, json, std::io::stderr, export);
    let _ = tracing::subscriber::set_global_default(subscriber);
    warning
}

/// A subscriber that writes lines to `writer` and records to `export`.
pub(crate) fn subscriber<W>(
    filter: EnvFilter,
    json: bool,
    writer: W,
    export: Option<LogLayer>,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter).with(export);
    if json {
        Box::new(registry.with(layer.event_format(JsonLines)))
    } else {
        Box::new(registry.with(layer.event_format(TextLines)))
    }
}

/// The filter that `text` describes, with the quiet targets held back and what telemetry says of
/// itself from `own` on. A target that `text` names is as `text` says.
pub(crate) fn filter(text: &str, own: Option<LevelFilter>) -> (EnvFilter, Option<String>) {
    let own = OWN_TARGETS.iter().filter_map(|target| Some((target, own?.to_string())));
    let quiet = QUIET_TARGETS.iter().map(|target| (target, "warn".to_owned()));
    let more: Vec<String> = quiet
        .chain(own)
        .filter(|(target, _)| !names_target(text, target))
        .map(|(target, level)| format!("{target}={level}"))
        .collect();
    let held_back = |text: &str| format!("{text},{}", more.join(","));
    match EnvFilter::builder().parse(held_back(text)) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let warning = format!("the log filter {text:?} was ignored for `info`: {error}");
            (EnvFilter::new(held_back("info")), Some(warning))
        }
    }
}

/// Whether a directive of `filter` is about `target` or a module of it.
fn names_target(filter: &str, target: &str) -> bool {
    filter.split(',').any(|directive| {
        let rest = directive.trim().strip_prefix(target);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['=', ':', '[']))
    })
}

/// The names that a JSON line gives a meaning; a field of such a name gets a prefix.
const RESERVED: [&str; 7] =
    ["timestamp", "level", "target", "event_name", "trace_id", "span_id", "trace_flags"];

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        // `log` records bridged by others carry their origin in fields of this prefix.
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        let name = if RESERVED.contains(&name) { format!("field_{name}") } else { name.to_owned() };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, with_causes(value).into());
    }
}

/// An error with its causes on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn now() -> Timestamp {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::EPOCH.after(since)
}

struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (level, target) = (metadata.level().as_str(), Value::from(metadata.target()));
        let at = now();
        write!(writer, r#"{{"timestamp":"{at}","level":"{level}","target":{target}"#)?;
        if let Some(message) = fields.0.remove("message") {
            write!(writer, r#","message":{message}"#)?;
        }
        if let Some(name) = export::event_name(metadata) {
            write!(writer, r#","event_name":{}"#, Value::from(name))?;
        }
        for (name, value) in &fields.0 {
            write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
        }
        Context::map_current(|cx| {
            let Some(SpanPlace { trace_id, span_id, flags, .. }) = cx.span() else {
                return Ok(());
            };
            // Only whether it is sampled: what people filter by must not depend on other bits.
            let flags = u8::from(flags.is_sampled());
            write!(writer, r#","trace_id":"{trace_id}","span_id":"{span_id}""#)?;
            write!(writer, r#","trace_flags":"{flags:02x}""#)
        })?;
        writeln!(writer, "}}")
    }
}

struct TextLines;

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(writer, "{} {:>5} {}:", now(), metadata.level(), metadata.target())?;
        if let Some(message) = fields.0.remove("message") {
            write!(writer, " {}", message.as_str().unwrap_or_default())?;
        }
        for (name, value) in &fields.0 {
            write!(writer, " {name}={value}")?;
        }
        Context::map_current(|cx| {
            if let Some(span) = cx.span() {
                write!(writer, " trace_id={}", span.trace_id)?;
            }
            Ok(())
        })?;
        writeln!(writer)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::propagation::{Origin, context_of};

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(filter_text: &str, json: bool, act: impl FnOnce()) -> Vec<String> {
        let captured = Captured::default();
        let writer = captured.clone();
        let (filter, _) = filter(filter_text, None);
        let subscriber = subscriber(filter, json, move || writer.clone(), None);
        tracing::subscriber::with_default(subscriber, act);
        let bytes = captured.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect()
    }

    fn within(flags: &str, act: impl FnOnce()) {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let trace = types::TraceContext::parse(&text, "").expect("valid");
        let _guard = context_of(&trace, Origin::Local).attach();
        act();
    }

    #[test]
    fn a_json_line_within_a_span_names_its_trace_sampled_or_not() {
        for (sent, flags) in [("00", "00"), ("01", "01"), ("02", "00"), ("03", "01")] {
            let lines = lines("info", true, || {
                within(sent, || {
                    tracing::info!(frames = 7_u64, ratio = 0.5, span_id = "mine", "a \"quote\"\n");
                });
            });
            assert_eq!(lines.len(), 1);
            let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
            assert_eq!(line["message"], "a \"quote\"\n");
            assert_eq!(line["level"], "INFO");
            assert_eq!(line["frames"], 7);
            assert_eq!(line["ratio"], 0.5);
            assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!(line["span_id"], "00f067aa0ba902b7");
            assert_eq!(line["field_span_id"], "mine");
            assert_eq!(line["trace_flags"], flags);
            assert!(line["target"].as_str().is_some_and(|target| target.contains("logs")));
            assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')));
        }
    }

    #[test]
    fn a_line_outside_a_span_names_no_trace() {
        let lines = lines("info", true, || tracing::warn!("alone"));
        let line: Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert!(line.get("trace_id").is_none() && line.get("trace_flags").is_none());
    }

    #[test]
    fn text_lines_end_with_the_trace() {
        let lines = lines("info", false, || {
            within("01", || tracing::info!(part = 3, "scored"));
        });
        assert!(lines[0].contains(" scored part=3 "), "{}", lines[0]);
        assert!(lines[0].ends_with("trace_id=4bf92f3577b34da6a3ce929d0e0e4736"));
    }

    #[test]
    fn carriers_stay_quiet_at_trace_level_unless_named() {
        let act = || {
            tracing::trace!(target: "h2::codec", "frame");
            tracing::debug!(target: "hyper_util::client", "connect");
            tracing::warn!(target: "tonic", "trouble");
            tracing::trace!(target: "vmafx", "ours");
        };
        assert_eq!(lines("trace", true, act).len(), 2);
        assert_eq!(lines("trace,h2=trace", true, act).len(), 3);
        assert_eq!(lines("info", true, act).len(), 1);
    }

    #[test]
    fn telemetry_speaks_of_itself_at_its_own_level_unless_the_filter_names_it() {
        let enabled = |text, own| {
            let (filter, warning) = filter(text, own);
            assert_eq!(warning, None);
            filter.to_string()
        };
        let error = Some(LevelFilter::ERROR);
        let own = "observability::export=error";
        assert!(enabled("info", error).contains(own), "{}", enabled("info", error));
        assert!(!enabled("info", None).contains("observability"));
        assert!(!enabled("info,observability::export=trace", error).contains(own));
    }

    #[test]
    fn an_event_with_a_name_says_it() {
        let lines = lines("info", true, || {
            tracing::info!(name: "attempt.started", part = 3, "attempt started");
            tracing::info!(event_name = "mine", "no name");
        });
        let lines: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["event_name"], "attempt.started");
        assert_eq!(
            (&lines[1]["event_name"], &lines[1]["field_event_name"]),
            (&Value::Null, &"mine".into())
        );
    }

    #[test]
    fn a_bad_filter_gives_info_and_a_warning() {
        let (_, warning) = filter("vmafx=loud", None);
        assert!(warning.is_some_and(|warning| warning.contains("vmafx=loud")));
    }
}
