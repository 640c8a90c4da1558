//! The reference of all names, as Markdown tables.

use std::fmt::Write as _;

use super::attributes::{AttributeRef, Level, ValueType};
use super::{ATTRIBUTES, COMMON_SPAN_ATTRIBUTES, EVENTS, INSTRUMENTS, SEMCONV_VERSION, SPANS};
use crate::metrics::prometheus_name;

/// Writes the reference of spans, metrics, events and attributes.
#[must_use]
pub fn to_markdown() -> String {
    let mut text = format!(
        "Names follow OpenTelemetry's semantic conventions {SEMCONV_VERSION}; `vmafx.*` is ours.\n\
         The same as YAML, for OpenTelemetry's tools, stands in [registry](registry).\n\n"
    );
    // Writing to a String cannot fail.
    let _ = spans(&mut text)
        .and_then(|()| metrics(&mut text))
        .and_then(|()| events(&mut text))
        .and_then(|()| attributes(&mut text));
    text
}

/// Keys in code marks; those that are not always there are followed by a `?`.
fn keys(refs: &[AttributeRef]) -> String {
    let key = |attribute: &AttributeRef| match attribute.level {
        Level::Required => format!("`{}`", attribute.key),
        Level::When(_) => format!("`{}`?", attribute.key),
    };
    refs.iter().map(key).collect::<Vec<_>>().join(" ")
}

fn spans(out: &mut String) -> std::fmt::Result {
    writeln!(out, "### Spans\n")?;
    writeln!(
        out,
        "Attributes with a `?` are there under a condition that the registry names; any span may \
         have {}.\n",
        keys(COMMON_SPAN_ATTRIBUTES).replace('?', "").replace(' ', " and ")
    )?;
    writeln!(out, "| Name | Kind | Written by | Covers | Attributes |\n|---|---|---|---|---|")?;
    for span in SPANS {
        let (name, kind, emitter, text) = (span.name, span.kind, span.emitter, span.description);
        let keys = keys(span.attributes);
        writeln!(out, "| `{name}` | {kind} | {emitter} | {text} | {keys} |")?;
    }
    writeln!(out)
}

fn metrics(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "### Metrics\n\n| OpenTelemetry name | At `/metrics` | Kind | Unit | Labels | Meaning |\n\
         |---|---|---|---|---|---|"
    )?;
    for def in INSTRUMENTS {
        let (scraped, kind) = (prometheus_name(def), def.kind.as_str());
        let (name, unit, labels, text) = (def.name, def.unit, keys(def.labels), def.description);
        writeln!(out, "| `{name}` | `{scraped}` | {kind} | `{unit}` | {labels} | {text} |")?;
    }
    writeln!(out)
}

fn events(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "### Log events\n\n| Name | Written by | Says | Attributes |\n|---|---|---|---|"
    )?;
    for def in EVENTS {
        let (name, emitter, text) = (def.name, def.emitter, def.description);
        writeln!(out, "| `{name}` | {emitter} | {text} | {} |", keys(def.attributes))?;
    }
    writeln!(out)
}

fn attributes(out: &mut String) -> std::fmt::Result {
    writeln!(out, "### Attributes\n\n| Key | Type | Meaning |\n|---|---|---|")?;
    for def in ATTRIBUTES {
        let value = match def.value {
            ValueType::OneOf(members) => {
                members.iter().map(|member| format!("`{member}`")).collect::<Vec<_>>().join(" ")
            }
            other => other.as_str().to_owned(),
        };
        writeln!(out, "| `{}` | {value} | {} |", def.key, def.description)?;
    }
    Ok(())
}
