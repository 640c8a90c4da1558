//! Every variable, declared once: the guide's table is written from here, and tests hold it to
//! what the reader asks for and to what it does.

use std::fmt::Write as _;

/// How far a variable is honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Honoured {
    /// As the specification says, or as `meaning` does where we differ.
    Yes,
    /// Some of its values.
    Partly,
    /// Not at all, and a warning says so.
    No,
}

impl Honoured {
    /// The word in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
        }
    }
}

/// One line of the table: a variable, or several of one meaning, the general one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Names.
    pub names: &'static [&'static str],
    /// What holds when it is unset, as Markdown.
    pub default: &'static str,
    /// How far it is honoured.
    pub honoured: Honoured,
    /// The module of this crate that acts on it.
    pub by: &'static str,
    /// The version that first did.
    pub since: &'static str,
    /// What it does, as Markdown.
    pub meaning: &'static str,
}

/// The table of the guide.
#[must_use]
pub fn variables_markdown() -> String {
    let mut text = "| Variable | Default | Honoured | By | Since | Meaning |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for variable in VARIABLES {
        let names: Vec<_> = variable.names.iter().map(|name| format!("`{name}`")).collect();
        let Variable { default, by, since, meaning, .. } = variable;
        let (names, honoured) = (names.join(", "), variable.honoured.as_str());
        // Writing to a String cannot fail.
        let _ =
            writeln!(text, "| {names} | {default} | {honoured} | `{by}` | {since} | {meaning} |");
    }
    text
}

const fn honoured(
    names: &'static [&'static str],
    default: &'static str,
    (by, since): (&'static str, &'static str),
    meaning: &'static str,
) -> Variable {
    Variable { names, default, honoured: Honoured::Yes, by, since, meaning }
}

const fn but(mut variable: Variable, honoured: Honoured) -> Variable {
    variable.honoured = honoured;
    variable
}

/// Every variable that is read, in the order of the guide.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    honoured(
        &["OTEL_SDK_DISABLED"], "`false`", ("init", "0.1.0"),
        "`true`: nothing is exported; contexts still propagate",
    ),
    honoured(
        &["OTEL_SERVICE_NAME"], "the binary's name", ("config::resource", "0.1.0"),
        "goes before `service.name` in `OTEL_RESOURCE_ATTRIBUTES`",
    ),
    honoured(
        &["OTEL_RESOURCE_ATTRIBUTES"], "", ("config::resource", "0.1.0"),
        "`key=value,key=value`, percent-encoded; one bad entry discards them all",
    ),
    honoured(
        &["OTEL_TRACES_SAMPLER"], "parent-based ratio", ("sampler", "0.1.0"),
        "`always_on`, `always_off`, `traceidratio`, and each with `parentbased_` before it",
    ),
    honoured(
        &["OTEL_TRACES_SAMPLER_ARG"], "`0.01`", ("sampler", "0.1.0"),
        "the ratio, 0 to 1; works alone. A bad value keeps 0.01: the specification would \
         record everything, and a typing error must not flood a collector",
    ),
    honoured(
        &["VMAFX_TRACES_MIN_PER_MINUTE"], "`1`", ("sampler", "0.2.0"),
        "roots of each kind that a quiet minute yields whatever the ratio, to 600; `0` is none",
    ),
    honoured(
        &["VMAFX_TRACES_MAX_SPANS_PER_SECOND"], "`2000`", ("sampler::budget", "0.2.0"),
        "recorded spans a second, over which the ratio begins no further trace; forced, linked and \
         callers' traces count but are not bounded; `off` is no bound",
    ),
    honoured(
        &["VMAFX_SAMPLING_FILE"], "", ("sampler", "0.2.0"),
        "a file with the three settings of sampling, read at start and on SIGHUP; goes before \
         the environment",
    ),
    honoured(
        &["OTEL_PROPAGATORS"], "`tracecontext,baggage`", ("propagation", "0.1.0"),
        "`tracecontext`, `baggage`, `none`; there are no others",
    ),
    honoured(
        &["OTEL_TRACES_EXPORTER"], "`otlp` if an endpoint is set", ("export", "0.1.0"),
        "`otlp`: to `localhost` when no endpoint is set; `console`; `none`; several with \
         commas",
    ),
    honoured(
        &["OTEL_METRICS_EXPORTER"], "`otlp` if an endpoint is set", ("export", "0.1.0"),
        "`otlp`, `console`, `none`, `prometheus` (no push; `/metrics` is there in any case)",
    ),
    honoured(
        &["OTEL_LOGS_EXPORTER"], "`none`", ("export", "0.2.0"),
        "`otlp`, `console`, `none`; an endpoint alone sends no logs, unlike the specification: \
         they are on stderr already",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        ], "none", ("config::otlp", "0.1.0"),
        "`http://` or `https://`. The first is a base: `v1/traces` and so on are appended for \
         HTTP; the others are whole URLs, used as they stand. Without a scheme: `http`, or \
         `https` if certificates are named. Unset: no export, unlike the specification",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        ], "`http/protobuf`", ("export::transport", "0.1.0"),
        "`http/protobuf`, `http/json`, `grpc`",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
        ], "", ("export::transport", "0.1.0"),
        "`key=value,key=value`, percent-encoded; never logged",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
        ], "`10000`", ("export::transport", "0.1.0"),
        "milliseconds for a message, retries included",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        ], "`none`", ("export::transport", "0.1.0"),
        "`gzip` or `none`",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
        ], "the system's authorities", ("export::tls", "0.2.0"),
        "PEM file of the authorities a collector's certificate may come from",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
        ], "", ("export::tls", "0.2.0"),
        "PEM file of our own certificate, for a collector that asks for one; goes with the key",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
        ], "", ("export::tls", "0.2.0"),
        "PEM file of the key of our own certificate",
    ),
    honoured(
        &[
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
            "OTEL_EXPORTER_OTLP_METRICS_INSECURE",
            "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
        ], "`true`", ("config::otlp", "0.2.0"),
        "for endpoints without a scheme: `false` encrypts, `true` does not (gRPC only), unset goes \
         by whether certificates are named. The specification would encrypt gRPC, and \
         `localhost:4317` would not work",
    ),
    honoured(
        &["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"], "`cumulative`", ("metrics::temporality", "0.2.0"),
        "`cumulative`, `delta`, `lowmemory`",
    ),
    but(honoured(
        &["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"], "`explicit_bucket_histogram`", ("config::metrics", "0.2.0"),
        "no other aggregation is there; a warning says so",
    ), Honoured::Partly),
    honoured(
        &["OTEL_BSP_MAX_QUEUE_SIZE"], "`2048`", ("export::queue", "0.1.0"),
        "ended spans that may wait",
    ),
    honoured(
        &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], "`512`", ("export::queue", "0.1.0"),
        "spans in a message, at most a whole queue",
    ),
    honoured(
        &["OTEL_BSP_SCHEDULE_DELAY"], "`5000`", ("export::worker", "0.1.0"),
        "milliseconds an ended span waits at most",
    ),
    honoured(
        &["OTEL_BSP_EXPORT_TIMEOUT"], "`30000`", ("export::worker", "0.1.0"),
        "milliseconds; the smaller of this and the OTLP timeout counts",
    ),
    honoured(
        &["OTEL_BLRP_MAX_QUEUE_SIZE"], "`2048`", ("export::queue", "0.2.0"),
        "log records that may wait",
    ),
    honoured(
        &["OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"], "`512`", ("export::queue", "0.2.0"),
        "log records in a message, at most a whole queue",
    ),
    honoured(
        &["OTEL_BLRP_SCHEDULE_DELAY"], "`1000`", ("export::worker", "0.2.0"),
        "milliseconds a log record waits at most",
    ),
    honoured(
        &["OTEL_BLRP_EXPORT_TIMEOUT"], "`30000`", ("export::worker", "0.2.0"),
        "milliseconds; the smaller of this and the OTLP timeout counts",
    ),
    honoured(
        &["OTEL_METRIC_EXPORT_INTERVAL"], "`60000`", ("export::worker", "0.1.0"),
        "milliseconds between pushes",
    ),
    honoured(
        &["OTEL_METRIC_EXPORT_TIMEOUT"], "`30000`", ("export::worker", "0.2.0"),
        "milliseconds; the smaller of this and the OTLP timeout counts",
    ),
    but(honoured(
        &["OTEL_METRICS_EXEMPLAR_FILTER"], "`trace_based`", ("metrics::cells", "0.2.0"),
        "`trace_based`: measurements within sampled spans; `always_on`: within any span, since \
         others have no trace to name; `always_off`",
    ), Honoured::Partly),
    honoured(
        &["OTEL_ATTRIBUTE_COUNT_LIMIT"], "`128`", ("config::limits", "0.2.0"),
        "attributes of a span, event, link or log record, unless a narrower limit is set; \
         10000 at most",
    ),
    honoured(
        &["OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"], "`4096`", ("config::limits", "0.2.0"),
        "characters of any text, unless a narrower limit is set; the specification sets none",
    ),
    honoured(
        &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "attributes of a span; more are dropped and counted on the span",
    ),
    honoured(
        &["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "characters of any text of a span, its events and links",
    ),
    honoured(
        &["OTEL_SPAN_EVENT_COUNT_LIMIT"], "`128`", ("export::limits", "0.2.0"),
        "events of a span",
    ),
    honoured(
        &["OTEL_SPAN_LINK_COUNT_LIMIT"], "`128`", ("export::limits", "0.2.0"),
        "links of a span",
    ),
    honoured(
        &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "attributes of an event",
    ),
    honoured(
        &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "attributes of a link",
    ),
    honoured(
        &["OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "attributes of an exported log record",
    ),
    honoured(
        &["OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"], "the general one", ("export::limits", "0.2.0"),
        "characters of any text of an exported log record",
    ),
    honoured(
        &["OTEL_LOG_LEVEL"], "as the log filter", ("logs", "0.2.0"),
        "what telemetry says of itself: `off`, `error`, `warn`, `info`, `debug`, `trace`",
    ),
    but(honoured(
        &["OTEL_CONFIG_FILE"], "", ("config", "0.1.0"),
        "not supported: a warning says so",
    ), Honoured::No),
    honoured(
        &["TRACEPARENT", "TRACESTATE", "BAGGAGE"], "", ("propagation", "0.2.0"),
        "the context in which the command line was called; its spans continue it",
    ),
    honoured(
        &["VMAFX_LOG", "RUST_LOG"], "`info`", ("logs", "0.1.0"),
        "log filter, such as `info,vmafx_node=debug`; the first goes before the second",
    ),
    honoured(
        &["VMAFX_LOG_FORMAT"], "`auto`", ("logs", "0.1.0"),
        "`json`, `text`, or text on a terminal only",
    ),
];
