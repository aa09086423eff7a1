//! Rows to change, and their changes by SQL.

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// Selects rows in random order, because live changes do not come in the order of the index.
pub async fn random(pool: &PgPool, table: &str, limit: i64) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {table} order by md5(id::text) limit $1");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Changes rows, so many to a commit.
pub async fn change(pool: &PgPool, change: &str, ids: &[Uuid], together: usize, value: &str) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    // Only the preparation does not wait for the disk.
    sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
    for chunk in ids.chunks(together) {
        sqlx::query(AssertSqlSafe(change.to_owned())).bind(chunk).bind(value).execute(&mut *connection).await?;
    }
    sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
    Ok(())
}
