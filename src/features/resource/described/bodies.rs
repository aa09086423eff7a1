//! The bodies of requests: closed objects, whose members follow from the table of fields.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::parameters::{self, filtered};
use super::values::{or_null, taken};
use crate::api::Member;
use crate::error::Violations;
use crate::features::resource::Resource;
use crate::operation::inline;
use crate::search::Access;
use crate::values::json::Value::Null;

/// Members of the request for a new record: what clients set, and besides that what `T` says.
pub(crate) struct NewOf<R, T>(PhantomData<(R, T)>);

impl<R: Resource, T: JsonSchema> JsonSchema for NewOf<R, T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(schemas);
        let mut properties = written::<R>();
        properties.extend(members(&schema));
        close(&mut schema, properties);
        schema
    }
}

/// Members of a request for changes: what clients set, and what they have read, which they can repeat.
pub(super) struct ChangeOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for ChangeOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Changes", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut properties = members(&inline::<R>());
        properties.values_mut().for_each(|property| property["readOnly"] = true.into());
        properties.extend(written::<R>());
        properties.extend(members(&R::Changed::json_schema(schemas)));
        let mut schema = json_schema!({ "type": "object" });
        close(&mut schema, properties);
        schema
    }
}

/// The same of a request that clears what it does not name.
pub(super) struct ReplacementOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for ReplacementOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Replacement", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut schema = ChangeOf::<R>::json_schema(schemas);
        let new = R::New::json_schema(schemas);
        for needed in ["required", "anyOf"] {
            if let Some(names) = new.get(needed) {
                schema.insert(needed.into(), names.clone());
            }
        }
        schema
    }
}

/// The body of a search.
pub(super) struct SearchOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for SearchOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Search", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::new();
        for (name, about, mut schema) in parameters::of_list(R::collection()) {
            schema["description"] = about.into();
            properties.insert(name.into(), schema);
        }
        properties.remove("aggs");
        let named = json!({ "type": "string", "examples": ["stats(balance)"] });
        let about = "What else to count and add up, by names of the client's own.";
        properties.insert(
            "aggregations".into(),
            json!({ "description": about, "type": "object", "additionalProperties": named, "maxProperties": 10 }),
        );
        properties.insert("filter".into(), schemas.subschema_for::<Condition<R>>().to_value());
        let mut schema = json_schema!({ "type": "object" });
        close(&mut schema, properties);
        schema
    }
}

/// A condition of a search, or several of them.
pub(super) struct Condition<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for Condition<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Condition", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let inner = schemas.subschema_for::<Self>();
        let value = json!({
            "type": ["string", "number", "boolean", "array"],
            "items": { "type": ["string", "number", "boolean"] },
        });
        let several = json!({ "type": "array", "items": inner, "minItems": 1 });
        let filtered = filtered(R::collection());
        let names: Vec<&str> = filtered.iter().map(|field| field.name).collect();
        let operators: BTreeSet<&str> = filtered.iter().flat_map(|field| field.operators.iter().copied()).collect();
        let group = |word: &str, inner: &Value| {
            let properties = json!({ word: inner });
            json!({ "type": "object", "properties": properties, "required": [word], "additionalProperties": false })
        };
        json_schema!({
            "description": "Nests up to three deep.",
            "oneOf": [
                {
                    "type": "object",
                    "properties": {
                        "field": { "type": "string", "enum": names },
                        "op": { "type": "string", "enum": operators, "default": "eq" },
                        "value": value,
                    },
                    "required": ["field"],
                    "additionalProperties": false,
                },
                group("and", &several),
                group("or", &several),
                group("not", &inner.to_value()),
            ],
        })
    }
}

/// The members that every write sets, with what the record's struct says of them.
pub(super) fn written<R: Resource>() -> Map<String, Value> {
    let record = inline::<R>();
    let writable = R::MEMBERS.iter().filter(|member| member.field.access == Access::Write);
    let property = |member: &Member<R>| {
        let name = member.field.name;
        let mut schema = taken(&member.field);
        if is_clearable(member) {
            schema = or_null(schema);
        }
        if let Some(about) = record.pointer(&format!("/properties/{name}/description")) {
            schema["description"] = about.clone();
        }
        (name.to_owned(), schema)
    };
    writable.map(property).collect()
}

/// Whether a member takes null.
fn is_clearable<R: Resource>(member: &Member<R>) -> bool {
    let mut violations = Violations::default();
    (member.get_mut)(&mut R::default()).set(Null, &member.field, &mut violations);
    violations.is_empty()
}

pub(super) fn members(schema: &Schema) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Gives an object these members and no others.
pub(super) fn close(schema: &mut Schema, properties: Map<String, Value>) {
    schema.insert("properties".into(), properties.into());
    schema.insert("additionalProperties".into(), false.into());
}
