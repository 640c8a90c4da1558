//! The reference of all names, as Markdown tables.

use std::fmt::Write as _;

use super::{ATTRIBUTES, INSTRUMENTS, SEMCONV_VERSION, SPANS};
use crate::metrics::prometheus_name;

/// Writes the reference of spans, metrics and attributes.
#[must_use]
pub fn to_markdown() -> String {
    let mut text = format!(
        "Names follow OpenTelemetry's semantic conventions {SEMCONV_VERSION}; `vmafx.*` is ours.\n\n"
    );
    // Writing to a String cannot fail.
    let _ = spans(&mut text).and_then(|()| metrics(&mut text)).and_then(|()| attributes(&mut text));
    text
}

fn spans(out: &mut String) -> std::fmt::Result {
    writeln!(out, "### Spans\n\n| Name | Kind | Written by | Covers |\n|---|---|---|---|")?;
    for span in SPANS {
        let (name, kind, emitter, text) = (span.name, span.kind, span.emitter, span.description);
        writeln!(out, "| `{name}` | {kind} | {emitter} | {text} |")?;
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
        let labels: Vec<_> = def.labels.iter().map(|label| format!("`{label}`")).collect();
        let (scraped, kind) = (prometheus_name(def), def.kind.as_str());
        let (name, unit, labels, text) = (def.name, def.unit, labels.join(" "), def.description);
        writeln!(out, "| `{name}` | `{scraped}` | {kind} | `{unit}` | {labels} | {text} |")?;
    }
    writeln!(out)
}

fn attributes(out: &mut String) -> std::fmt::Result {
    writeln!(out, "### Attributes\n\n| Key | Meaning |\n|---|---|")?;
    for attribute in ATTRIBUTES {
        writeln!(out, "| `{}` | {} |", attribute.key, attribute.description)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_labels_are_declared_attributes() {
        let keys: HashSet<_> = ATTRIBUTES.iter().map(|attribute| attribute.key).collect();
        assert_eq!(keys.len(), ATTRIBUTES.len());
        let names: HashSet<_> = INSTRUMENTS.iter().map(|def| def.name).collect();
        assert_eq!(names.len(), INSTRUMENTS.len());
        let scraped: HashSet<_> = INSTRUMENTS.iter().map(prometheus_name).collect();
        assert_eq!(scraped.len(), INSTRUMENTS.len());
        for def in INSTRUMENTS {
            assert!(def.labels.iter().all(|label| keys.contains(label)), "{}", def.name);
            let histogram = def.kind == crate::schema::InstrumentKind::Histogram;
            assert_eq!(histogram, !def.buckets.is_empty(), "{}", def.name);
            assert!(def.buckets.is_sorted(), "{}", def.name);
        }
    }

    #[test]
    fn the_reference_names_everything_declared() {
        let text = to_markdown();
        for name in INSTRUMENTS.iter().map(|def| def.name).chain(SPANS.iter().map(|span| span.name))
        {
            assert!(text.contains(name), "{name}");
        }
    }
}
