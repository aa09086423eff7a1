//! The staged rows of an import.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use super::import::Action;
use crate::error::{Error, Result};
use crate::imports::report::Issue;
use crate::sheets::Cell;
use crate::values::ids::ImportId;

/// A row of the sheet, and what was found of it or became of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// As the spreadsheet counts.
    pub number: i64,
    pub cells: Json<Vec<Cell>>,
    /// None until it was validated or committed.
    pub action: Option<Action>,
    /// `staged`, `validated`, `committed`; after an undo `reversed`, `kept` or `errored`.
    pub status: String,
    pub record_id: Option<Uuid>,
    pub record_version: Option<i64>,
    pub changes: Option<Json<Vec<Difference>>>,
    pub issues: Option<Json<Vec<Issue>>>,
    /// Why an undo kept the record or failed.
    pub reason: Option<String>,
}

/// A member of a record that an update changes.
#[derive(Clone, Debug, PartialEq, schemars::JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "ImportDifference")]
pub struct Difference {
    pub field: String,
    pub before: Value,
    pub after: Value,
}

/// Which rows are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub action: Option<Action>,
    pub status: Option<String>,
}

/// Lists rows in the order of the sheet, behind the one with the number `after`.
pub async fn page(executor: impl PgExecutor<'_>, id: ImportId, filter: &Filter, after: i64, limit: i64) -> Result<Vec<Row>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select
          number, cells as "cells: Json<Vec<Cell>>", action as "action: Action", status, record_id, record_version,
          changes as "changes: Json<Vec<Difference>>", issues as "issues: Json<Vec<Issue>>", reason
        from import_rows
        where import_id = $1
        and number > $2
        and ($3::text is null or action = $3)
        and ($4::text is null or status = $4)
        order by number
        limit $5
        "#,
        id.0,
        after,
        filter.action.map(Action::as_str),
        filter.status,
        limit,
    );
    Ok(rows.fetch_all(executor).await?)
}

/// Lists the issues of rows behind the one with the number `after`, of at most `limit` rows, with the number of the last.
pub async fn issues(executor: impl PgExecutor<'_>, id: ImportId, after: i64, limit: i64) -> Result<(Vec<Issue>, Option<i64>)> {
    let rows = sqlx::query!(
        r#"
        select number, issues as "issues!: Json<Vec<Issue>>"
        from import_rows
        where import_id = $1
        and number > $2
        and issues is not null
        order by number
        limit $3
        "#,
        id.0,
        after,
        limit,
    );
    let rows = rows.fetch_all(executor).await?;
    let last = rows.last().map(|row| row.number);
    Ok((rows.into_iter().flat_map(|row| row.issues.0).collect(), last))
}

/// Finds those of these numbers that earlier rows of a validation gave to what they created along with their records. It is rolled
/// back, so later rows have no other way to know of it.
pub async fn rolled_back(executor: impl PgExecutor<'_>, id: ImportId, before: u64, numbers: &[&str]) -> Result<Vec<String>> {
    let rolled_back = sqlx::query_scalar!(
        r#"
        select distinct companion_number as "number!"
        from import_rows
        where import_id = $1
        and companion_number = any($2)
        and number < $3
        and status = 'validated'
        and action = 'create'
        "#,
        id.0,
        numbers as _,
        i64::try_from(before).map_err(Error::internal)?,
    );
    Ok(rolled_back.fetch_all(executor).await?)
}
