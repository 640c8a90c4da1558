//! Holds values to the schemas of an OpenAPI document: as much of JSON Schema as it uses.

use serde_json::Value;

/// Checks `value` against the named schema of `document`.
pub fn check(document: &Value, name: &str, value: &Value) {
    let schema = &document["components"]["schemas"][name];
    assert!(schema.is_object(), "there is no schema {name}");
    if let Err(error) = fits(document, schema, value, name) {
        panic!("{error}\n{value:#}");
    }
}

fn fits(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = document.pointer(&reference[1..]).ok_or(format!("{reference}: nowhere"))?;
        return fits(document, target, value, at);
    }
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let errors: Vec<_> =
            any.iter().filter_map(|one| fits(document, one, value, at).err()).collect();
        return if errors.len() < any.len() { Ok(()) } else { Err(errors.join("; ")) };
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
        return Err(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{at}: {value} is not one of {allowed:?}"));
    }
    if let (Some(minimum), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < minimum
    {
        return Err(format!("{at}: {number} is less than {minimum}"));
    }
    match value {
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            fits(document, &schema["items"], item, &format!("{at}[{index}]"))
        }),
        Value::Object(fields) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap_or_default();
                if !fields.contains_key(name) {
                    return Err(format!("{at}: {name} is missing"));
                }
            }
            fields.iter().try_for_each(|(name, field)| {
                let at = format!("{at}.{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(schema), _) => fits(document, schema, field, &at),
                    (None, Some(Value::Bool(false))) => Err(format!("{at} is not described")),
                    (None, Some(schema)) => fits(document, schema, field, &at),
                    (None, None) => Ok(()),
                }
            })
        }
        _ => Ok(()),
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}
