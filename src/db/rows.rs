//! Rows of any table that has `id`, `version`, `deleted_at`, `created_by` and `updated_by`: lock, insert, update, remove, restore.
//!
//! Names of tables and columns come from the program; values are bound. Columns travel as one JSON object for each row, which
//! Postgres reads by the table's own types.
//!
//! # Order of locks
//!
//! A transaction locks payments first, then customers, then accounts, and several rows of a table by id. So no transactions wait
//! for each other in a circle. Locks are `for no key update`, and `for share` on a row that must not be deleted meanwhile; neither
//! conflicts with what a foreign key locks, so a reference may be written at any time.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::values::json::Object;

/// A row that this transaction alone may change now.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Locked {
    pub version: i64,
    pub deleted_at: Option<DateTime<Utc>>,
}

/// What became of a write to a table with a unique column besides the id.
///
/// Postgres logs a violation with the value, which may be personal data. So a write avoids it, and says that it could not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    Done,
    /// Another row has the value. Of several rows some may have been inserted.
    Taken,
}

impl Written {
    /// Fails if the value is taken.
    pub fn or<E>(self, taken: impl FnOnce() -> E) -> Result<(), E> {
        match self {
            Self::Done => Ok(()),
            Self::Taken => Err(taken()),
        }
    }
}

/// Locks a row; none if there is no such row.
pub async fn lock(connection: &mut PgConnection, table: &'static str, id: Uuid) -> sqlx::Result<Option<Locked>> {
    let sql = format!("select version, deleted_at from {table} where id = $1 for no key update");
    sqlx::query_as(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await
}

/// Locks several rows, by their ids in order; ids without a row are passed over.
pub async fn lock_all(connection: &mut PgConnection, table: &'static str, ids: &[Uuid]) -> sqlx::Result<()> {
    let sql = format!("select id from {table} where id = any($1) order by id for no key update");
    sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(connection).await.map(drop)
}

/// As [`hold`] for several rows, by their ids in order.
pub async fn hold_all(connection: &mut PgConnection, table: &'static str, ids: &[Uuid]) -> sqlx::Result<()> {
    let sql = format!("select id from {table} where id = any($1) order by id for share");
    sqlx::query(AssertSqlSafe(sql)).bind(ids).execute(connection).await.map(drop)
}

/// Reads the versions of rows.
pub async fn versions(connection: &mut PgConnection, table: &'static str, ids: &[Uuid]) -> sqlx::Result<Vec<(Uuid, i64)>> {
    let sql = format!("select id, version from {table} where id = any($1)");
    sqlx::query_as(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await
}

/// Counts the rows that are not deleted.
pub async fn count(connection: &mut PgConnection, table: &'static str) -> sqlx::Result<i64> {
    let sql = format!("select count(*) from {table} where deleted_at is null");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await
}

/// Keeps a row from being deleted or restored until the transaction ends; false if it is deleted, or there is none.
pub async fn hold(connection: &mut PgConnection, table: &'static str, id: Uuid) -> sqlx::Result<bool> {
    // A deleted row is locked too: it could be restored before a second look, which would then wait out of order.
    let sql = format!("select deleted_at is null from {table} where id = $1 for share");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.unwrap_or(false))
}

/// As [`hold`], behind the row's place in the order of locks: where it would have to wait it fails, as a write that is contended.
pub async fn hold_again(connection: &mut PgConnection, table: &'static str, id: Uuid) -> sqlx::Result<bool> {
    let sql = format!("select deleted_at is null from {table} where id = $1 for share nowait");
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?.unwrap_or(false))
}

/// Inserts rows that have the same columns.
pub async fn insert(
    connection: &mut PgConnection,
    table: &'static str,
    rows: &[Object],
    by: Option<Uuid>,
) -> sqlx::Result<Written> {
    let Some(first) = rows.first() else { return Ok(Written::Done) };
    let columns = names(first).join(", ");
    let sql = format!(
        "insert into {table} ({columns}, created_by, updated_by)
        select {columns}, $2, $2 from json_populate_recordset(null::{table}, cast($1 as json))
        on conflict do nothing"
    );
    let inserted = sqlx::query(AssertSqlSafe(sql)).bind(text(rows)?).bind(by).execute(connection).await?.rows_affected();
    Ok(if inserted == rows.len() as u64 { Written::Done } else { Written::Taken })
}

/// Writes columns of a locked row. The version counts the write even if it changes nothing, because what belongs to the row may.
pub async fn update(
    connection: &mut PgConnection,
    table: &'static str,
    id: Uuid,
    row: &Object,
    by: Option<Uuid>,
) -> sqlx::Result<()> {
    let sql = update_statement(table, row);
    sqlx::query(AssertSqlSafe(sql)).bind(id).bind(text(row)?).bind(by).execute(connection).await?;
    Ok(())
}

/// As [`update`] for several rows, each with its `id`, that have the same columns.
pub async fn update_all(
    connection: &mut PgConnection,
    table: &'static str,
    rows: &[Object],
    by: Option<Uuid>,
) -> sqlx::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let columns: Vec<String> =
        names(first).iter().filter(|name| **name != "id").map(|name| format!("{name} = new.{name}")).collect();
    let sql = format!(
        "update {table} set {}, updated_by = $2,
        updated_at = greatest(clock_timestamp(), {table}.updated_at + interval '1 millisecond')
        from json_populate_recordset(null::{table}, cast($1 as json)) as new where {table}.id = new.id",
        columns.join(", ")
    );
    sqlx::query(AssertSqlSafe(sql)).bind(text(rows)?).bind(by).execute(connection).await.map(drop)
}

/// As [`update`], for a row whose unique column changes.
pub async fn update_unique(
    connection: &mut PgConnection,
    table: &'static str,
    id: Uuid,
    row: &Object,
    by: Option<Uuid>,
) -> sqlx::Result<Written> {
    let update = sqlx::query_scalar("select try_update($1, $2, $3, $4)");
    let is_done: bool =
        update.bind(update_statement(table, row)).bind(id).bind(text(row)?).bind(by).fetch_one(connection).await?;
    Ok(if is_done { Written::Done } else { Written::Taken })
}

fn update_statement(table: &str, row: &Object) -> String {
    let columns: Vec<String> = names(row).iter().map(|name| format!("{name} = new.{name}")).collect();
    format!(
        "update {table} set {}, updated_by = $3,
        -- Differs even within one millisecond.
        updated_at = greatest(clock_timestamp(), {table}.updated_at + interval '1 millisecond')
        from json_populate_record(null::{table}, cast($2 as json)) as new where {table}.id = $1",
        columns.join(", ")
    )
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

fn names(row: &Object) -> Vec<&str> {
    row.keys().map(String::as_str).collect()
}

/// As text and not as `jsonb`, which rewrites numbers.
fn text(rows: &(impl serde::Serialize + ?Sized)) -> sqlx::Result<String> {
    serde_json::to_string(rows).map_err(|error| sqlx::Error::Encode(error.into()))
}
