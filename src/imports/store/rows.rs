//! The staged rows of an import.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use super::import::Action;
use crate::error::Result;
use crate::imports::report::Issue;
use crate::values::ids::ImportId;

/// A row of the sheet, and what was found of it or became of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// As the spreadsheet counts.
    pub number: i64,
    pub cells: Json<Vec<Value>>,
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
          number, cells as "cells: Json<Vec<Value>>", action as "action: Action", status, record_id, record_version,
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
