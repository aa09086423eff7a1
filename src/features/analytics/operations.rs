//! Samples of the product's own work for analysts.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Facts, UNLISTED, load};
use crate::search::FieldKind::{Id, Integer, Moment, Text};
use crate::search::{Collection, Field};
use crate::values::clock::milliseconds;

/// One sample a minute of each process.
pub static COLLECTION: Collection = Collection {
    name: "analytics-operations",
    template: include_str!("../../../index-templates/analytics-operations.json"),
    fields: FIELDS,
    table: "operation_samples o",
    id: "o.id",
    load: load::<Sample>,
    ..UNLISTED
};

static FIELDS: &[Field] = &[
    Field::new("id", Id, "o.id"),
    Field::new("version", Integer, "o.version"),
    Field::new("sampledAt", Moment, "o.sampled_at"),
    Field::new("process", Text, "o.process"),
    Field::new("role", Text, "o.role"),
    Field::new("lagMs", Integer, "o.lag_ms"),
    Field::new("backlog", Integer, "o.backlog"),
    Field::new("deadLetters", Integer, "o.dead_letters"),
    Field::new("lists", Integer, "o.lists"),
    Field::new("fallbacks", Integer, "o.fallbacks"),
    Field::new("requests", Integer, "o.requests"),
    Field::new("requestMs", Integer, "o.request_ms"),
];

/// What one process did in a minute.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Also the id of the document.
    pub id: Uuid,
    /// Always 1.
    pub version: i64,
    /// When the minute ended.
    #[serde(serialize_with = "milliseconds")]
    pub sampled_at: DateTime<Utc>,
    /// The process: a name that it has until it ends.
    pub process: String,
    /// Whether it leads the sync: `leading`, `standby`, …
    pub role: String,
    /// How long changes have waited to become searchable, in milliseconds, where they have waited longest.
    pub lag_ms: Option<i64>,
    /// Documents to write again.
    pub backlog: i64,
    /// Documents that Elasticsearch refused.
    pub dead_letters: i64,
    /// Lists that the process answered in that minute.
    pub lists: i64,
    /// Those of them that Postgres answered although there is an index.
    pub fallbacks: i64,
    /// Requests of all kinds that it answered.
    pub requests: i64,
    /// Their mean duration, in milliseconds; absent if there were none.
    pub request_ms: Option<i64>,
}

impl Facts for Sample {
    fn id(&self) -> Uuid {
        self.id
    }

    async fn select(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Self>> {
        let samples = sqlx::query_as!(
            Self,
            r#"
            select
              o.id as "id!", o.version as "version!", o.sampled_at as "sampled_at!", o.process as "process!", o.role as "role!",
              o.lag_ms, o.backlog as "backlog!", o.dead_letters as "dead_letters!", o.lists as "lists!",
              o.fallbacks as "fallbacks!", o.requests as "requests!", o.request_ms
            from operation_samples o
            where o.id = any($1)
            "#,
            ids,
        );
        samples.fetch_all(connection).await
    }
}
