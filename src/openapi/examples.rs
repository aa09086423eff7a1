//! Examples of values, made of their schemas.

use serde_json::{Map, Value, json};

/// A value that fits the schema: its own example, else one with only what it needs.
pub(super) fn of(schema: &Value, document: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return document.pointer(&reference[1..]).map_or(Value::Null, |schema| of(schema, document));
    }
    let given = [&schema["examples"][0], &schema["default"], &schema["const"], &schema["enum"][0]];
    if let Some(given) = given.into_iter().find(|value| !value.is_null()) {
        return given.clone();
    }
    let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    match kind(schema) {
        Some("object") => object(schema, document),
        Some("array") if schema["minItems"].as_u64().unwrap_or_default() > 0 => json!([of(&schema["items"], document)]),
        Some("array") => json!([]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("string") => match schema["format"].as_str() {
            Some("uuid") => json!("01890000-0000-7000-8000-000000000000"),
            Some("date") => json!("2026-01-31"),
            Some("date-time") => json!("2026-01-31T12:00:00Z"),
            _ => json!("x".repeat(schema["minLength"].as_u64().unwrap_or(1).min(100) as usize)),
        },
        _ => alternatives.and_then(|schemas| schemas.first()).map_or(Value::Null, |first| of(first, document)),
    }
}

/// The first type that is not null.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        kind => kind.as_str(),
    }
}

/// An object with the members that it has to have, or else with the first that a client can set.
fn object(schema: &Value, document: &Value) -> Value {
    let Some(properties) = schema["properties"].as_object() else { return json!({}) };
    let alternatives = ["anyOf", "oneOf"].into_iter().find_map(|word| schema[word][0]["required"].as_array());
    let required: Vec<&str> =
        [schema["required"].as_array(), alternatives].into_iter().flatten().flatten().filter_map(Value::as_str).collect();
    let mut wanted: Map<String, Value> = properties.clone();
    wanted.retain(|name, _| required.contains(&name.as_str()));
    if wanted.is_empty() {
        wanted = properties.clone().into_iter().filter(|(_, property)| property["readOnly"] != true).take(1).collect();
    }
    wanted.into_iter().map(|(name, property)| (name, of(&property, document))).collect()
}
