//! The members of a page that answer facets and aggregations.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::counted::{Bucket, Counted, Sums};
use super::{Aggregates, Aggregation, Group, Scope};
use crate::values::money::Currency;

/// The members `facets`, `aggregations` and `unanswered`, each unless it is empty.
#[derive(Clone, Copy, Debug)]
pub struct Aggregated<'a> {
    pub aggregates: &'a Aggregates,
    /// One for each of the aggregates; none for what took too long.
    pub counted: &'a [Option<Counted>],
}

impl Serialize for Aggregated<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = || self.aggregates.list.iter().zip(self.counted.iter().map(Option::as_ref));
        let mut map = serializer.serialize_map(None)?;
        for (member, is_of) in [("facets", is_facet as fn(&Aggregation) -> bool), ("aggregations", |one| !is_facet(one))] {
            let entries: Vec<_> = all().filter(|(aggregation, _)| is_of(aggregation)).collect();
            if !entries.is_empty() {
                map.serialize_entry(member, &Entries(&entries))?;
            }
        }
        let unanswered = all().filter(|(_, counted)| counted.is_none());
        let unanswered: Vec<&str> = unanswered.map(|(aggregation, _)| aggregation.name.as_str()).collect();
        if !unanswered.is_empty() {
            map.serialize_entry("unanswered", &unanswered)?;
        }
        map.end()
    }
}

/// The same shape for both; a member that took too long is null.
impl JsonSchema for Aggregated<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Aggregated".into()
    }

    fn json_schema(schemas: &mut SchemaGenerator) -> Schema {
        let counted = schemas.subschema_for::<CountedSchema>();
        let counted = json!({ "anyOf": [counted, { "type": "null" }] });
        json_schema!({
            "type": "object",
            "properties": {
                "facets": { "type": "object", "additionalProperties": counted },
                "aggregations": { "type": "object", "additionalProperties": counted },
                "unanswered": { "type": "array", "items": { "type": "string" } },
            },
        })
    }
}

/// What was counted: groups, or their stats, or how many values there are.
#[derive(JsonSchema)]
#[schemars(rename = "Counted", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; `Answer` writes the members that a group has")]
struct CountedSchema {
    #[schemars(skip_serializing_if = "Option::is_none")]
    buckets: Option<Vec<BucketSchema>>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    other_count: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    error_bound: Option<u64>,
    /// Of the bounds of amounts.
    #[schemars(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    stats: Option<Value>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    value: Option<u64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    relation: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename = "Bucket", rename_all = "camelCase")]
#[expect(dead_code, reason = "it is a schema; `Shown` writes the members that a bucket has")]
struct BucketSchema {
    value: String,
    count: u64,
    /// Of a facet: whether the list has a condition on this value.
    #[schemars(skip_serializing_if = "Option::is_none")]
    selected: Option<bool>,
    /// One for each currency; one object for whole numbers.
    #[schemars(skip_serializing_if = "Option::is_none")]
    stats: Option<Value>,
}

fn is_facet(aggregation: &Aggregation) -> bool {
    aggregation.scope != Scope::List
}

struct Entries<'a>(&'a [(&'a Aggregation, Option<&'a Counted>)]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .iter()
                .map(|&(aggregation, counted)| (&aggregation.name, counted.map(|counted| Answer { aggregation, counted }))),
        )
    }
}

struct Answer<'a> {
    aggregation: &'a Aggregation,
    counted: &'a Counted,
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let aggregation = self.aggregation;
        let mut map = serializer.serialize_map(None)?;
        match self.counted {
            Counted::Distinct { values, is_exact } => {
                map.serialize_entry("value", values)?;
                map.serialize_entry("relation", if *is_exact { "eq" } else { "approximate" })?;
            }
            Counted::Groups { buckets, .. } if matches!(aggregation.group, Group::Whole) => {
                let sums = buckets.first().map_or(&[][..], |bucket| &bucket.sums);
                map.serialize_entry("stats", &Stats { aggregation, sums })?;
            }
            Counted::Groups { buckets, other, error_bound } => {
                if let Group::Conditions { currency: Some(currency), .. } = &aggregation.group {
                    map.serialize_entry("currency", currency)?;
                }
                let buckets: Vec<_> = buckets.iter().map(|bucket| Shown { aggregation, bucket }).collect();
                map.serialize_entry("buckets", &buckets)?;
                map.serialize_entry("otherCount", other)?;
                map.serialize_entry("errorBound", error_bound)?;
            }
        }
        map.end()
    }
}

struct Shown<'a> {
    aggregation: &'a Aggregation,
    bucket: &'a Bucket,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { aggregation, bucket } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("value", &bucket.value)?;
        map.serialize_entry("count", &bucket.count)?;
        if is_facet(aggregation) {
            map.serialize_entry("selected", &aggregation.group.is_chosen(&bucket.value))?;
        }
        if aggregation.stats.is_some() {
            map.serialize_entry("stats", &Stats { aggregation, sums: &bucket.sums })?;
        }
        map.end()
    }
}

/// A list of amounts by currency, or one object of whole numbers.
struct Stats<'a> {
    aggregation: &'a Aggregation,
    sums: &'a [Sums],
}

impl Serialize for Stats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.aggregation.stats {
            Some(stats) if stats.currency.is_none() => self.sums.first().serialize(serializer),
            _ => self.sums.serialize(serializer),
        }
    }
}
