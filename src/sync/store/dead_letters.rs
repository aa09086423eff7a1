//! The dead-letter queue: documents that Elasticsearch refuses, quarantined so that the rest can flow.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::values::lsn::Version;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub collection: String,
    pub id: Uuid,
    /// The version that it would have, as text: it exceeds 2^53.
    pub version: String,
    /// The error of Elasticsearch, without personal data.
    pub reason: String,
    pub attempts: i32,
    pub since: DateTime<Utc>,
}

/// Adds a document, or counts another attempt.
pub async fn quarantine(
    executor: impl PgExecutor<'_>,
    collection: &str,
    id: Uuid,
    version: Version,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into sync_dead_letters (collection, key, version, reason)
        values ($1, $2, $3, $4)
        on conflict (collection, key) do update
        set version = excluded.version, reason = excluded.reason, attempts = sync_dead_letters.attempts + 1, updated_at = now()
        "#,
        collection,
        id,
        version.0,
        reason,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Removes documents that Elasticsearch has taken after all.
pub async fn release(executor: impl PgExecutor<'_>, collection: &str, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!("delete from sync_dead_letters where collection = $1 and key = any($2)", collection, ids)
        .execute(executor)
        .await
        .map(drop)
}

pub async fn quarantined(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, Uuid)>> {
    let rows = sqlx::query!("select collection, key from sync_dead_letters order by collection, key").fetch_all(executor).await?;
    Ok(rows.into_iter().map(|row| (row.collection, row.key)).collect())
}

/// Lists the quarantined documents of a collection: all of them, or those among others.
pub async fn quarantined_of(executor: impl PgExecutor<'_>, collection: &str, among: Option<&[Uuid]>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select key from sync_dead_letters where collection = $1 and ($2::uuid[] is null or key = any($2)) order by key",
        collection,
        among,
    )
    .fetch_all(executor)
    .await
}

/// Returns why a document is quarantined, if it is.
pub async fn reason(executor: impl PgExecutor<'_>, collection: &str, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select reason from sync_dead_letters where collection = $1 and key = $2", collection, id)
        .fetch_optional(executor)
        .await
}

/// Lists the oldest dead letters.
pub async fn list(executor: impl PgExecutor<'_>, limit: u32) -> sqlx::Result<Vec<DeadLetter>> {
    sqlx::query_as!(
        DeadLetter,
        r#"
        select collection, key as id, version::text as "version!", reason, attempts, created_at as since
        from sync_dead_letters
        order by created_at, collection, key
        limit $1
        "#,
        i64::from(limit),
    )
    .fetch_all(executor)
    .await
}
