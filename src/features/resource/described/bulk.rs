//! The body of a bulk change.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::bodies::{Condition, close, members, written};
use crate::features::resource::Resource;
use crate::features::resource::bulk::{MOST_LISTED, MOST_SELECTED};

/// Which records, and what they are changed to.
pub(super) struct ChangesOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for ChangesOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}BulkChange", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut changes = written::<R>();
        changes.extend(members(&R::Changed::json_schema(schemas)));
        let id = || json!({ "type": "string", "format": "uuid" });
        let list = |items: Value, about: &str| json!({ "description": about, "type": "array", "items": items, "minItems": 1, "maxItems": MOST_LISTED });
        let object = |properties: &Map<String, Value>| json!({ "type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1 });
        let mut set = object(&changes);
        set["description"] = "What all of them are changed to.".into();
        // The members of `set` again would be most of the description.
        let item = json!({
            "description": "The id of a record, the members of `set` that change, and the version that it has to have; without it, the change wins.",
            "type": "object",
            "properties": { "id": id(), "version": { "type": "integer" } },
            "required": ["id"],
            "minProperties": 2,
            "additionalProperties": true,
        });
        let filter = [schemas.subschema_for::<Condition<R>>().to_value(), json!({ "type": "object", "maxProperties": 0 })];
        let filter = json!({
            "description": format!("The records that it selects, up to {MOST_SELECTED}; an empty one selects all."),
            "anyOf": filter,
        });
        let expected = json!({
            "description": "How many records the filter selects, as the client has seen; 409 if it is another number. Needed if it selects all.",
            "type": "integer",
            "minimum": 0,
        });
        let properties = json!({
            "ids": list(id(), "The records with these ids."),
            "filter": filter,
            "expected": expected,
            "tz": { "description": "Time zone of the days of the filter.", "type": "string", "examples": ["Europe/Berlin"] },
            "set": set,
            "items": list(item, "Records, each with its own changes."),
        });
        let mut schema = json_schema!({
            "type": "object",
            "oneOf": [{ "required": ["ids", "set"] }, { "required": ["filter", "set"] }, { "required": ["items"] }],
        });
        close(&mut schema, properties.as_object().cloned().unwrap_or_default());
        schema
    }
}
