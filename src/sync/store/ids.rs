//! Ids of rows in key order, for whatever walks through a whole collection.

use sqlx::{AssertSqlSafe, PgExecutor};
use uuid::Uuid;

use crate::search::Collection;

/// Reads up to `size` ids in order, above `after` and up to and including `last`, each with the version of its row.
pub async fn page(
    executor: impl PgExecutor<'_>,
    collection: &Collection,
    after: Option<Uuid>,
    last: Option<Uuid>,
    size: usize,
) -> sqlx::Result<Vec<(Uuid, i64)>> {
    let (id, version, table) = (collection.id, collection.version, collection.table);
    let sql = format!("select {id}, {version}::bigint from {table} where {id} > $1 and {id} <= $2 order by {id} limit $3");
    sqlx::query_as(AssertSqlSafe(sql))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(last.unwrap_or(Uuid::max()))
        .bind(i64::try_from(size).unwrap_or(i64::MAX))
        .fetch_all(executor)
        .await
}

/// Returns the last id of such a page; `None` if the page is not full.
pub async fn end_of_page(
    executor: impl PgExecutor<'_>,
    collection: &Collection,
    after: Option<Uuid>,
    last: Option<Uuid>,
    size: usize,
) -> sqlx::Result<Option<Uuid>> {
    let (id, table) = (collection.id, collection.table);
    let sql = format!("select {id} from {table} where {id} > $1 and {id} <= $2 order by {id} offset $3 limit 1");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(after.unwrap_or(Uuid::nil()))
        .bind(last.unwrap_or(Uuid::max()))
        .bind(i64::try_from(size.saturating_sub(1)).unwrap_or(i64::MAX))
        .fetch_optional(executor)
        .await
}

/// Counts the rows of a collection.
pub async fn count(executor: impl PgExecutor<'_>, collection: &Collection) -> sqlx::Result<i64> {
    let sql = format!("select count(*) from {}", collection.table);
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(executor).await
}
