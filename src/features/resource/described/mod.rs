//! What the generic handlers take and answer. It follows from the record's struct, its table of fields and its collection.

mod bodies;
mod bulk;
mod parameters;
mod values;

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

pub(crate) use self::bodies::NewOf;
use self::bodies::{ChangeOf, ReplacementOf, SearchOf};
use self::bulk::ChangesOf;
use super::Resource;
use crate::api::paging::PageEnd;
use crate::operation::{Answers, Effect, Operation, Takes};
use crate::search::explain::Explanation;

/// The parameters of a list.
pub struct List<R>(PhantomData<R>);

impl<R: Resource> Takes for List<R> {
    fn describe(operation: &mut Operation<'_>) {
        let parameters = parameters::of_list(R::collection());
        parameters.into_iter().for_each(|(name, about, schema)| operation.query(name, about, schema));
        for filtered in parameters::filtered(R::collection()) {
            let name = filtered.name;
            let own = || format!("{}{}{}", R::schema_name(), name[..1].to_uppercase(), &name[1..]);
            let kind = filtered.kind.map_or_else(own, str::to_owned);
            let schema = operation.name(&format!("{kind}Operators"), parameters::operators(&filtered));
            operation.members(name, &format!("Conditions on `{name}`; `{name}=…` is short for `eq` and `in`."), schema);
        }
    }
}

/// The body of a search, which says the same as the parameters of a list.
pub struct Search<R>(PhantomData<R>);

impl<R: Resource> Takes for Search<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Reads;
        operation.takes::<SearchOf<R>>();
        operation.reads_writes();
    }
}

/// How one record is to be shown.
pub struct Shape<R>(PhantomData<R>);

impl<R: Resource> Takes for Shape<R> {
    fn describe(operation: &mut Operation<'_>) {
        let parameters = parameters::of_shape(R::collection());
        parameters.into_iter().for_each(|(name, about, schema)| operation.query(name, about, schema));
    }
}

/// A new record.
pub struct New<R>(PhantomData<R>);

impl<R: Resource> Takes for New<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<NewOf<R, R::New>>();
    }
}

/// Changes of a record (RFC 7396). What the server sets can be repeated.
pub struct Changes<R>(PhantomData<R>);

impl<R: Resource> Takes for Changes<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes::<ChangeOf<R>>();
    }
}

/// Changes of many records.
pub struct ChangesOfMany<R>(PhantomData<R>);

impl<R: Resource> Takes for ChangesOfMany<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.effect = Effect::Adds;
        operation.takes::<ChangesOf<R>>();
    }
}

/// All that a client can set of a record; what is absent is cleared.
pub struct Replacement<R>(PhantomData<R>);

impl<R: Resource> Takes for Replacement<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.takes::<ReplacementOf<R>>();
    }
}

/// The parameters of a removal.
pub struct Removal;

impl Takes for Removal {
    fn describe(operation: &mut Operation<'_>) {
        let about = "`true` deletes also what others still need, such as a customer who owes.";
        operation.query("force", about, json!({ "type": "boolean", "default": false }));
    }
}

/// A page of a list.
pub struct Page<R>(PhantomData<R>);

impl<R: Resource> Answers for Page<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<PageOf<R>>();
        operation.headers.extend(["X-Read-Source", "X-Total-Count"]);
        if operation.body.is_none() {
            operation.headers.insert("Link");
        }
    }
}

/// A record in the shape that a client asks for.
pub struct View<R>(PhantomData<R>);

impl<R: Resource> Answers for View<R> {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers::<ViewOf<R>>();
        operation.headers.insert("X-Read-Source");
    }
}

struct PageOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for PageOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Page", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut page = PageEnd::json_schema(schemas);
        let records = schemas.subschema_for::<ViewOf<R>>();
        insert(&mut page, "data", json!({ "type": "array", "items": records }));
        require(&mut page, "data");
        page
    }
}

/// A record of a list, or the one that is read.
pub(crate) struct ViewOf<R>(PhantomData<R>);

impl<R: Resource> JsonSchema for ViewOf<R> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}View", R::schema_name()).into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let mut view = R::json_schema(schemas);
        view.insert("required".into(), json!(["id"]));
        for include in R::collection().includes {
            let name = format!("{}{}", include.name[..1].to_uppercase(), &include.name[1..]);
            let record = json!({ "$ref": format!("#/components/schemas/{name}") });
            let about = format!("The record that `{}` names, if `include` asks for it.", include.key);
            insert(&mut view, include.name, json!({ "description": about, "anyOf": [record, { "type": "null" }] }));
        }
        let mut found = schemas.subschema_for::<Explanation>();
        found.insert("description".into(), "Why `q` has found it, if `highlight` asks for that.".into());
        insert(&mut view, "_match", found.to_value());
        view
    }
}

/// Sets a property of an object.
fn insert(schema: &mut Schema, name: &str, property: Value) {
    let properties = schema.ensure_object().entry("properties").or_insert_with(|| json!({}));
    properties[name] = property;
}

fn require(schema: &mut Schema, name: &str) {
    if let Value::Array(names) = schema.ensure_object().entry("required").or_insert_with(|| json!([])) {
        names.push(name.into());
    }
}
