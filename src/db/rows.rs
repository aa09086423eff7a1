//! Rows of any table that has `id`, `version`, `deleted_at`, `created_by` and `updated_by`: lock, insert, update, remove, restore.
//!
//! Names of tables and columns come from the program; values are bound. Columns travel as one JSON object for each row, which
//! Postgres reads by the table's own types.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// How a row is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Against other changes; rows that refer to it can still be added.
    Change,
    /// Also against new rows that refer to it.
    Whole,
}

/// A row that this transaction alone may change now.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Locked {
    pub version: i64,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// Locks a row; none if there is no such row.
pub async fn lock(connection: &mut PgConnection, table: &'static str, id: Uuid, lock: Lock) -> sqlx::Result<Option<Locked>> {
    let strength = if lock == Lock::Whole { "update" } else { "no key update" };
    let sql = format!("select version, deleted_at from {table} where id = $1 for {strength}");
    sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await
}

/// Keeps a row from being deleted until the transaction ends; false if it is deleted already.
pub async fn hold(connection: &mut PgConnection, table: &'static str, id: Uuid) -> sqlx::Result<bool> {
    let sql = format!("select id from {table} where id = $1 and deleted_at is null for key share");
    Ok(sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.is_some())
}

/// Inserts rows that have the same columns.
pub async fn insert(
    connection: &mut PgConnection,
    table: &'static str,
    rows: &[Map<String, Value>],
    by: Option<Uuid>,
) -> sqlx::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let columns = names(first).join(", ");
    let sql = format!(
        "insert into {table} ({columns}, created_by, updated_by)
        select {columns}, $2, $2 from jsonb_populate_recordset(null::{table}, $1)"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(sqlx::types::Json(rows)).bind(by).execute(connection).await?;
    Ok(())
}

/// Writes columns of a locked row. The version counts the write even if it changes nothing, because what belongs to the row may.
pub async fn update(
    connection: &mut PgConnection,
    table: &'static str,
    id: Uuid,
    row: &Map<String, Value>,
    by: Option<Uuid>,
) -> sqlx::Result<()> {
    let columns: Vec<String> = names(row).iter().map(|name| format!("{name} = new.{name}")).collect();
    let sql = format!(
        "update {table} set {}, updated_by = $3,
        -- Differs even within one millisecond.
        updated_at = greatest(clock_timestamp(), {table}.updated_at + interval '1 millisecond')
        from jsonb_populate_record(null::{table}, $2) as new where {table}.id = $1",
        columns.join(", ")
    );
    sqlx::query(AssertSqlSafe(sql)).bind(id).bind(sqlx::types::Json(row)).bind(by).execute(connection).await?;
    Ok(())
}

/// Deletes a locked row softly.
pub async fn remove(connection: &mut PgConnection, table: &'static str, id: Uuid, by: Option<Uuid>) -> sqlx::Result<()> {
    set_deleted(connection, table, "now()", id, by).await
}

/// Brings a locked row back.
pub async fn restore(connection: &mut PgConnection, table: &'static str, id: Uuid, by: Option<Uuid>) -> sqlx::Result<()> {
    set_deleted(connection, table, "null", id, by).await
}

async fn set_deleted(
    connection: &mut PgConnection,
    table: &'static str,
    value: &'static str,
    id: Uuid,
    by: Option<Uuid>,
) -> sqlx::Result<()> {
    let sql = format!("update {table} set deleted_at = {value}, updated_by = $2 where id = $1");
    sqlx::query(AssertSqlSafe(sql)).bind(id).bind(by).execute(connection).await?;
    Ok(())
}

fn names(row: &Map<String, Value>) -> Vec<&str> {
    row.keys().map(String::as_str).collect()
}
