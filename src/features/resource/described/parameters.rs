//! The parameters of lists: those that all have, and the conditions on the fields of one. `docs/lists.md` has them in prose.

use serde_json::{Map, Value, json};

use super::values::{compared, kind};
use crate::operation::{PAGE_SIZE, named};
use crate::search::{Collection, Field, FieldKind, PastDue};

/// A name, what it means, and the schema of its value.
type Parameter = (&'static str, &'static str, Value);

/// The parameters of a list that are no conditions.
pub(super) fn of_list(collection: &'static Collection) -> Vec<Parameter> {
    let text = || json!({ "type": "string", "minLength": 1 });
    let mut parameters = vec![
        (
            "q",
            "What a person types: names, numbers, amounts, days.",
            json!({ "type": "string", "maxLength": 200, "examples": ["müller 2671"] }),
        ),
        (
            "filter",
            "A tree of conditions as JSON, as in the body of a search.",
            json!({
                "type": "string",
                "contentMediaType": "application/json",
                "examples": [r#"{"or":[{"field":"currency","value":"EUR"},{"field":"currency","op":"exists","value":false}]}"#],
            }),
        ),
        ("sort", "By what to sort, `-` for descending; `:nullsFirst` puts records without a value first.", sort(collection)),
        (
            "page",
            "Number of the page; beyond the first 10,000 hits only `cursor` goes on.",
            json!({ "type": "integer", "minimum": 1, "default": 1 }),
        ),
        ("limit", "Records of a page.", named(PAGE_SIZE)),
        ("cursor", "`nextCursor` of the page before; the first one if empty.", json!({ "type": "string" })),
        (
            "count",
            "How far to count the hits: to 10,000, all, or none.",
            json!({ "type": "string", "enum": ["bounded", "exact", "none"], "default": "bounded" }),
        ),
        (
            "view",
            "`frozen`: all pages show one moment.",
            json!({ "type": "string", "enum": ["live", "frozen"], "default": "live" }),
        ),
        ("from", "The earliest `createdAt`.", compared(&MOMENT)),
        ("to", "The latest `createdAt`; a day is included whole.", compared(&MOMENT)),
        (
            "facets",
            "What to count values of, such as `status` or `balance(0,100)`.",
            json!({ "type": "array", "items": text(), "maxItems": 10 }),
        ),
        ("facetSize", "Values of each facet.", json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 10 })),
        (
            "aggs",
            "What else to count and add up, such as `stats(balance)` or `histogram(dueDate,month)`, with commas between.",
            text(),
        ),
        ("highlight", "Whether each record says why `q` has found it.", json!({ "type": "boolean", "default": false })),
    ];
    parameters.extend(of_shape(collection));
    parameters
}

const MOMENT: Field = Field::new("createdAt", FieldKind::Moment, "");

/// The parameters that say how records are shown.
pub(super) fn of_shape(collection: &'static Collection) -> Vec<Parameter> {
    let members: Vec<&str> = collection.members().collect();
    let mut parameters = vec![
        (
            "fields",
            "Members to show; `id` always is.",
            json!({ "type": "array", "items": { "type": "string", "enum": members }, "minItems": 1 }),
        ),
        (
            "tz",
            "Where days begin, and times without an offset are.",
            json!({ "type": "string", "examples": ["Europe/Berlin", "+02:00"] }),
        ),
        ("includeDeleted", "Whether deleted records are shown; for managers.", json!({ "type": "boolean", "default": false })),
    ];
    let names: Vec<&str> = collection.includes.iter().map(|include| include.name).collect();
    if !names.is_empty() {
        parameters.push((
            "include",
            "Records to embed.",
            json!({ "type": "array", "items": { "type": "string", "enum": names }, "minItems": 1 }),
        ));
    }
    parameters
}

/// The fields that lists are sorted by, in either direction.
fn sort(collection: &'static Collection) -> Value {
    let sortable = collection.fields.iter().filter(|field| field.sortable).map(|field| field.name).collect::<Vec<_>>().join("|");
    let computed = collection.past_due.iter().flat_map(|_| PastDue::FIELDS).chain(["score"]).collect::<Vec<_>>().join("|");
    let key = format!("^([-+]?({sortable})(:nulls(First|Last))?|[-+]?({computed}))$");
    let key = json!({ "type": "string", "pattern": key });
    json!({ "type": "array", "items": key, "minItems": 1, "maxItems": 8, "examples": [["-createdAt"]] })
}

/// The conditions on one field: for each operator the schema of its value.
pub(super) fn operators(Filtered { operators, value, .. }: &Filtered) -> Value {
    let several = |about: &str| json!({ "description": about, "type": "string", "minLength": 1 });
    let one = |about: &str| {
        let mut schema = value.clone();
        schema["description"] = about.into();
        schema
    };
    let schema = |operator: &str| match operator {
        "eq" => one("Is this."),
        "ne" => one("Is not this, or has no value."),
        "in" => several("Is one of these, with commas between."),
        "nin" => several("Is none of these, with commas between, or has no value."),
        "exists" => json!({ "description": "Whether there is a value.", "type": "boolean" }),
        "between" => several("Is between these two, with a comma between, or equal to one."),
        "prefix" => one("Begins with this."),
        "suffix" => {
            json!({ "description": "Ends with these letters and digits.", "type": "string", "minLength": 4, "maxLength": 12 })
        }
        "match" => one("Each word is a word of it, or begins one."),
        "lt" => one("Is less."),
        "lte" => one("Is less or equal."),
        "gt" => one("Is greater."),
        _ => one("Is greater or equal."),
    };
    let properties: Map<String, Value> = operators.iter().map(|operator| ((*operator).to_owned(), schema(operator))).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// What lists are filtered by: fields, and what follows from the day.
pub(super) fn filtered(collection: &'static Collection) -> Vec<Filtered> {
    let stored = collection.fields.iter().filter(|field| field.is_listed());
    let stored = stored.map(|field| Filtered {
        name: field.name,
        kind: kind(field),
        operators: field.operators(),
        value: compared(field),
    });
    let of_all = &["eq", "ne", "in", "nin", "exists"][..];
    let of_numbers = [of_all, &["lt", "lte", "gt", "gte", "between"]].concat();
    let by_day = [
        ("Flag", of_all.to_vec(), json!({ "type": "boolean" })),
        ("Count", of_numbers, json!({ "type": "integer", "minimum": 0 })),
        ("AgingBucket", of_all.to_vec(), json!({ "type": "string", "pattern": AGING_BUCKET, "examples": ["31-60"] })),
    ];
    let by_day = PastDue::FIELDS.into_iter().zip(by_day).filter(|_| collection.past_due.is_some());
    stored.chain(by_day.map(|(name, (kind, operators, value))| Filtered { name, kind: Some(kind), operators, value })).collect()
}

/// What lists are filtered by.
pub(super) struct Filtered {
    pub(super) name: &'static str,
    /// Fields of one kind take the same operators and values; none for a kind of its own.
    pub(super) kind: Option<&'static str>,
    pub(super) operators: Vec<&'static str>,
    /// Schema of one value.
    value: Value,
}

/// The edges are the setting `AGING_DAYS`.
pub(crate) const AGING_BUCKET: &str = r"^(current|[0-9]+-[0-9]+|[0-9]+\+)$";
