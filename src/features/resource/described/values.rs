//! JSON Schemas of the values of fields, by their kind.

use serde_json::{Value, json};

use crate::operation::inline;
use crate::search::{Field, FieldKind};
use crate::validate::{OBJECT_KEYS, TAGS};
use crate::values::money::{AMOUNT_PATTERN, Amount, Currency};

/// A value as clients send it in JSON.
pub(super) fn taken(field: &Field) -> Value {
    let (least, most) = field.limits;
    match field.kind {
        FieldKind::Keyword(words) => json!({ "type": "string", "enum": words.known }),
        FieldKind::Text | FieldKind::Folded if most > 0 => json!({ "type": "string", "minLength": least, "maxLength": most }),
        FieldKind::Text | FieldKind::Folded => json!({ "type": "string" }),
        FieldKind::Currency => inline::<Currency>().to_value(),
        FieldKind::Id => json!({ "type": "string", "format": "uuid" }),
        FieldKind::Money => inline::<Amount>().to_value(),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Day => json!({ "type": "string", "format": "date", "examples": ["2026-01-31"] }),
        FieldKind::Moment => json!({ "type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00Z"] }),
        FieldKind::Flag => json!({ "type": "boolean" }),
        FieldKind::Tags => json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "maxItems": TAGS }),
        FieldKind::Object => json!({ "type": "object", "maxProperties": OBJECT_KEYS }),
        FieldKind::Parts(_) => json!({ "type": "array" }),
    }
}

/// A value as conditions of lists have it.
pub(super) fn compared(field: &Field) -> Value {
    match field.kind {
        FieldKind::Text | FieldKind::Folded | FieldKind::Tags => json!({ "type": "string", "minLength": 1, "maxLength": 250 }),
        FieldKind::Money => json!({ "type": "string", "pattern": AMOUNT_PATTERN, "examples": ["100"] }),
        FieldKind::Day => json!({ "type": "string", "pattern": DAY, "examples": ["2026-01-31", "today-1w"] }),
        FieldKind::Moment => json!({ "type": "string", "pattern": MOMENT, "examples": ["2026-01-31", "now-30d"] }),
        _ => taken(field),
    }
}

/// Name of the operators and values that conditions take; none if they are the field's own.
pub(super) fn kind(field: &Field) -> Option<&'static str> {
    Some(match (field.kind, field.endings.is_some(), field.words.is_some()) {
        (FieldKind::Text | FieldKind::Folded, false, false) => "Text",
        (FieldKind::Text | FieldKind::Folded, true, false) => "Number",
        (FieldKind::Text | FieldKind::Folded, false, true) => "Words",
        (FieldKind::Currency, ..) => "Currency",
        (FieldKind::Id, ..) => "Id",
        (FieldKind::Money, ..) => "Money",
        (FieldKind::Integer, ..) => "Integer",
        (FieldKind::Day, ..) => "Day",
        (FieldKind::Moment, ..) => "Moment",
        (FieldKind::Flag, ..) => "Flag",
        (FieldKind::Tags, false, false) => "Tags",
        _ => return None,
    })
}

const DAY: &str = "^([0-9]{4}-[0-9]{2}-[0-9]{2}|today([+-][0-9]+[dwMy])?)$";
const MOMENT: &str = "^([0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+(Z|[+-][0-9]{2}:[0-9]{2})?)?|(now|today)([+-][0-9]+[mhdwMy])?)$";

/// Lets a value be null, which clears it.
pub(super) fn or_null(mut schema: Value) -> Value {
    let kinds: Vec<Value> = match &schema["type"] {
        Value::String(one) => vec![one.clone().into(), "null".into()],
        Value::Array(several) => several.iter().cloned().chain(["null".into()]).collect(),
        _ => return json!({ "anyOf": [schema, { "type": "null" }] }),
    };
    schema["type"] = kinds.into();
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.push(Value::Null);
    }
    schema
}
