//! The dead letters: documents that the index refused, which the rest does not wait for.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

/// A document that the index refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Name of the collection.
    pub collection: String,
    /// The document's id.
    pub id: Uuid,
    /// The version that it was to be written with, as text: it is too great for a number in JSON.
    pub version: String,
    /// The index's words, without values of the document.
    pub reason: String,
    /// How often it was refused.
    pub attempts: i32,
    /// When that was the first time.
    pub since: DateTime<Utc>,
}

/// Says why the index refused a document, if it did.
///
/// # Errors
/// The database's.
pub async fn reason(executor: impl PgExecutor<'_>, collection: &str, id: Uuid) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select reason from sync_dead_letters where collection = $1 and key = $2", collection, id)
        .fetch_optional(executor)
        .await
}

/// Lists the oldest ones.
///
/// # Errors
/// The database's.
pub async fn list(executor: impl PgExecutor<'_>, limit: u32) -> sqlx::Result<Vec<Letter>> {
    sqlx::query_as!(
        Letter,
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
