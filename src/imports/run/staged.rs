//! Staged rows in SQL: what the chunks of a run read and write.

use std::collections::HashMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::outcome::Outcome;
use crate::error::{Error, Result};
use crate::imports::read::record::{Layout, Record};
use crate::imports::store::Action;
use crate::imports::targets::Companion;
use crate::sheets::{BrokenRow, Cell};
use crate::values::ids::ImportId;

/// A row as it was read from the sheet.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) number: i64,
    pub(super) cells: Json<Vec<Cell>>,
    broken: Option<Json<BrokenRow>>,
}

impl Staged {
    pub(super) fn read(self, layout: &Layout) -> Record {
        match self.broken {
            Some(broken) => Record::broken(broken.0, layout),
            None => Record::read(self.number.unsigned_abs(), self.cells.0, layout),
        }
    }
}

pub(super) fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Finds the first rows before this one with these keys, and with these numbers besides their keys.
pub(super) async fn earlier_rows(
    connection: &mut PgConnection,
    import: ImportId,
    before: u64,
    keys: &[[u8; 32]],
    numbers: &[[u8; 32]],
) -> Result<(HashMap<[u8; 32], u64>, HashMap<[u8; 32], u64>)> {
    let bytes = |hashes: &[[u8; 32]]| hashes.iter().map(|hash| hash.to_vec()).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"
        select key_hash as "hash!", true as "is_key!", min(number) as "number!"
        from import_rows
        where import_id = $1
        and key_hash = any($3)
        and number < $2
        group by key_hash
        union all
        select number_hash, false, min(number)
        from import_rows
        where import_id = $1
        and number_hash = any($4)
        and number < $2
        group by number_hash
        "#,
        import.0,
        i64::try_from(before).map_err(Error::internal)?,
        &bytes(keys),
        &bytes(numbers),
    );
    let (mut with_key, mut with_number) = (HashMap::new(), HashMap::new());
    for row in rows.fetch_all(connection).await? {
        let hash = row.hash.try_into().map_err(|_| Error::internal("a hash has 32 bytes"))?;
        let rows = if row.is_key { &mut with_key } else { &mut with_number };
        rows.insert(hash, row.number.unsigned_abs());
    }
    Ok((with_key, with_number))
}

/// Reads the rows behind the one with the number `after`, without those that are committed.
pub(super) async fn next(connection: &mut PgConnection, import: ImportId, after: i64, limit: i64) -> Result<Vec<Staged>> {
    let rows = sqlx::query_as!(
        Staged,
        r#"
        select number, cells as "cells: Json<Vec<Cell>>", broken as "broken: Json<BrokenRow>"
        from import_rows
        where import_id = $1
        and number > $2
        and status <> 'committed'
        order by number
        limit $3
        "#,
        import.0,
        after,
        limit,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// Reads those of these rows that are not committed.
pub(super) async fn numbered(connection: &mut PgConnection, import: ImportId, numbers: &[i64]) -> Result<Vec<Staged>> {
    let rows = sqlx::query_as!(
        Staged,
        r#"
        select number, cells as "cells: Json<Vec<Cell>>", broken as "broken: Json<BrokenRow>"
        from import_rows
        where import_id = $1
        and number = any($2)
        and status <> 'committed'
        order by number
        "#,
        import.0,
        numbers,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// What the outcomes of a chunk are to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// What was found; the records are as before.
    Found,
    /// What was done; rows that failed may be tried again.
    Done,
}

/// Writes what became of rows.
pub(super) async fn record(connection: &mut PgConnection, import: ImportId, outcomes: &[Outcome], stage: Stage) -> Result<()> {
    let rows: Vec<serde_json::Value> = outcomes.iter().map(|outcome| row(outcome, stage)).collect();
    // As text and not as `jsonb`, which rewrites numbers.
    let rows = serde_json::to_string(&rows).map_err(Error::internal)?;
    let written = sqlx::query!(
        r#"
        update import_rows
        set
          status = new.status,
          action = new.action,
          key_hash = decode(new.key_hash, 'hex'),
          number_hash = decode(new.number_hash, 'hex'),
          record_id = new.record_id,
          record_version = new.record_version,
          companion = new.companion,
          companion_number = new.companion_number,
          before = new.before,
          changes = new.changes,
          issues = new.issues
        from json_to_recordset(cast($2::text as json)) as new (
          number bigint, status text, action text, key_hash text, number_hash text, record_id uuid, record_version bigint,
          companion json, companion_number text, before json, changes json, issues json)
        where import_rows.import_id = $1
        and import_rows.number = new.number
        "#,
        import.0,
        rows,
    );
    written.execute(connection).await?;
    Ok(())
}

fn row(outcome: &Outcome, stage: Stage) -> serde_json::Value {
    let is_done = stage == Stage::Done;
    let status = if is_done && outcome.action != Action::Error { "committed" } else { "validated" };
    // What a validation creates is gone.
    let record = outcome.record.filter(|_| is_done || outcome.action != Action::Create);
    json!({
        "number": outcome.row,
        "status": status,
        "action": outcome.action,
        "key_hash": outcome.key_hash.map(hex),
        "number_hash": outcome.number_hash.map(hex),
        "record_id": record.map(|(id, _)| id),
        "record_version": record.map(|(_, version)| version),
        "companion": outcome.companion.as_ref().filter(|_| is_done),
        "companion_number": outcome.companion_number,
        "before": outcome.before.as_ref().filter(|_| is_done),
        "changes": some(&outcome.changes),
        "issues": some(&outcome.issues),
    })
}

fn some<T>(list: &[T]) -> Option<&[T]> {
    Some(list).filter(|list| !list.is_empty())
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row that created or changed a record.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) number: i64,
    pub(super) action: Action,
    pub(super) record_id: Uuid,
    pub(super) record_version: i64,
    pub(super) companion: Option<Json<Companion>>,
    pub(super) before: Option<Json<crate::values::json::Value>>,
}

/// Reads the rows before the one with this number that created or changed a record, the last first.
pub(super) async fn done_before(connection: &mut PgConnection, import: ImportId, before: i64, limit: i64) -> Result<Vec<Done>> {
    let rows = sqlx::query_as!(
        Done,
        r#"
        select
          number, action as "action!: Action", record_id as "record_id!", record_version as "record_version!",
          companion as "companion: Json<Companion>", before as "before: Json<crate::values::json::Value>"
        from import_rows
        where import_id = $1
        and number < $2
        and status = 'committed'
        and action in ('create', 'update')
        and record_id is not null
        order by number desc
        limit $3
        "#,
        import.0,
        before,
        limit,
    );
    Ok(rows.fetch_all(connection).await?)
}

/// What an undo did with the record of a row, and why if it is not reversed.
#[derive(Debug)]
pub(super) struct Reversal {
    pub(super) number: i64,
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
}

/// Writes what an undo did.
pub(super) async fn record_reversals(connection: &mut PgConnection, import: ImportId, reversals: &[Reversal]) -> Result<()> {
    let numbers: Vec<i64> = reversals.iter().map(|reversal| reversal.number).collect();
    let statuses: Vec<&str> = reversals.iter().map(|reversal| reversal.status).collect();
    let reasons: Vec<Option<&str>> = reversals.iter().map(|reversal| reversal.reason.as_deref()).collect();
    let written = sqlx::query!(
        r#"
        update import_rows
        set
          status = new.status,
          reason = new.reason
        from unnest($2::bigint[], $3::text[], $4::text[]) as new (number, status, reason)
        where import_rows.import_id = $1
        and import_rows.number = new.number
        "#,
        import.0,
        &numbers,
        &statuses as _,
        &reasons as _,
    );
    written.execute(connection).await?;
    Ok(())
}
