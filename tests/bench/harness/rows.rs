//! Selects and changes rows by SQL.

use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

/// Selects rows in random order: live changes do not come in the order of the index.
pub async fn random(pool: &PgPool, table: &str, limit: i64) -> anyhow::Result<Vec<Uuid>> {
    let sql = format!("select id from {table} order by md5(id::text) limit $1");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(limit).fetch_all(pool).await?)
}

/// Runs the statement with ids as `$1` and the value as `$2`, for `rows_per_commit` rows each time.
pub async fn change(pool: &PgPool, change: &str, ids: &[Uuid], rows_per_commit: usize, value: &str) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    // This is preparation and not measured.
    sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
    for chunk in ids.chunks(rows_per_commit) {
        sqlx::query(AssertSqlSafe(change.to_owned())).bind(chunk).bind(value).execute(&mut *connection).await?;
    }
    sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
    Ok(())
}
