//! OTLP messages as JSON, as receivers read them.
//!
//! A field without a value is left out. The format allows `null` there, but the OpenTelemetry
//! Collector refuses the whole message for it.

use serde::Serialize;
use serde_json::Value;

/// The message in JSON, without a field that has no value.
pub(super) fn encode(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&document(message)?)
}

/// The message as a JSON document, without a field that has no value.
pub(super) fn document(message: &impl Serialize) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(message)?;
    remove_nulls(&mut value);
    Ok(value)
}

fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::HistogramDataPoint;

    use super::*;

    #[test]
    fn a_field_without_a_value_is_left_out_at_any_depth() {
        let point =
            HistogramDataPoint { count: 3, sum: Some(0.5), ..HistogramDataPoint::default() };
        let text = String::from_utf8(encode(&vec![vec![point]]).expect("JSON")).expect("UTF-8");
        assert!(!text.contains("null") && !text.contains("\"min\""), "{text}");
        assert!(text.contains(r#""sum":0.5"#), "{text}");
    }
}
