//! The parameters of lists: those that all have, and the conditions on the fields of one. `docs/lists.md` has them in prose.

use serde_json::{Value, json};

use super::values::compared;
use crate::search::{Collection, Field, FieldKind, PastDue};

/// A name, what it means, and the schema of its value.
type Parameter = (&'static str, &'static str, Value);

/// The parameters of a list that are no conditions.
pub(super) fn of_list(collection: &'static Collection, page_limit: u32) -> Vec<Parameter> {
    let text = || json!({ "type": "string", "minLength": 1 });
    let mut parameters = vec![
        (
            "q",
            "What a person types: names, numbers, amounts, days.",
            json!({ "type": "string", "maxLength": 200, "examples": ["müller 2671"] }),
        ),
        ("sort", "By what to sort, `-` for descending; `:nullsFirst` puts records without a value first.", sort(collection)),
        (
            "page",
            "Number of the page; beyond the first 10,000 hits only `cursor` goes on.",
            json!({ "type": "integer", "minimum": 1, "default": 1 }),
        ),
        ("limit", "Records of a page.", json!({ "type": "integer", "minimum": 1, "maximum": page_limit, "default": 10 })),
        ("cursor", "`nextCursor` of the page before.", text()),
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

/// The conditions of a list: for each field one on its value, and one for each operator that the value cannot say.
pub(super) fn conditions(collection: &'static Collection) -> Vec<(String, String, Value)> {
    let mut conditions = Vec::new();
    for Filtered { name, operators, value: one } in filtered(collection) {
        let several = json!({ "type": "array", "items": one, "minItems": 1, "maxItems": 500 });
        for operator in operators {
            let bracketed = format!("{name}[{operator}]");
            let (parameter, about, schema) = match operator {
                // The same as `eq` and `ne`.
                "in" | "nin" => continue,
                "eq" => (
                    name.to_owned(),
                    format!("`{name}` is one of these; also as `{name}[eq]` and `{name}[in]`."),
                    several.clone(),
                ),
                "ne" => {
                    (bracketed, format!("`{name}` is none of these, or has no value; also as `{name}[nin]`."), several.clone())
                }
                "exists" => (bracketed, format!("Whether `{name}` has a value."), json!({ "type": "boolean" })),
                "between" => {
                    let both = json!({ "type": "array", "items": one, "minItems": 2, "maxItems": 2 });
                    (bracketed, format!("`{name}` is between these or equal to one."), both)
                }
                "prefix" => (bracketed, format!("`{name}` begins with this."), one.clone()),
                "suffix" => {
                    let ending = json!({ "type": "string", "minLength": 4, "maxLength": 12 });
                    (bracketed, format!("`{name}` ends with these letters and digits."), ending)
                }
                "match" => (bracketed, format!("Each word is a word of `{name}`, or begins one."), one.clone()),
                "lt" => (bracketed, format!("`{name}` is less."), one.clone()),
                "lte" => (bracketed, format!("`{name}` is less or equal."), one.clone()),
                "gt" => (bracketed, format!("`{name}` is greater."), one.clone()),
                _ => (bracketed, format!("`{name}` is greater or equal."), one.clone()),
            };
            conditions.push((parameter, about, schema));
        }
    }
    conditions
}

/// What lists are filtered by: fields, and what follows from the day.
pub(super) fn filtered(collection: &'static Collection) -> Vec<Filtered> {
    let stored = collection.fields.iter().filter(|field| field.is_listed());
    let stored = stored.map(|field| Filtered { name: field.name, operators: field.operators(), value: compared(field) });
    let of_all = &["eq", "ne", "in", "nin", "exists"][..];
    let of_numbers = [of_all, &["lt", "lte", "gt", "gte", "between"]].concat();
    let by_day = [
        (of_all.to_vec(), json!({ "type": "boolean" })),
        (of_numbers, json!({ "type": "integer", "minimum": 0 })),
        (of_all.to_vec(), json!({ "type": "string", "pattern": AGING_BUCKET, "examples": ["31-60"] })),
    ];
    let by_day = PastDue::FIELDS.into_iter().zip(by_day).filter(|_| collection.past_due.is_some());
    stored.chain(by_day.map(|(name, (operators, value))| Filtered { name, operators, value })).collect()
}

/// What lists are filtered by.
pub(super) struct Filtered {
    pub(super) name: &'static str,
    pub(super) operators: Vec<&'static str>,
    /// Schema of one value.
    value: Value,
}

/// The edges are the setting `AGING_DAYS`.
pub(crate) const AGING_BUCKET: &str = r"^(current|[0-9]+-[0-9]+|[0-9]+\+)$";
