//! The issues of all rows of an import, counted by code.

use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgExecutor;

use crate::error::Result;
use crate::values::ids::ImportId;

/// Cells that are named for each group.
const NAMED: i32 = 5;

/// The issues of one code in one field.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportIssueGroup")]
pub struct Group {
    /// Stable word for programs.
    pub code: String,
    /// `error` or `warning`.
    pub severity: String,
    /// The field; none for issues of whole rows.
    pub field: Option<String>,
    pub count: i64,
    /// The message of the first one.
    pub message: String,
    /// The first cells, or rows.
    pub places: Vec<String>,
}

/// Counts the issues by code and field, errors before warnings, the most frequent first.
pub async fn groups(executor: impl PgExecutor<'_>, id: ImportId) -> Result<Vec<Group>> {
    let groups = sqlx::query_as!(
        Group,
        r#"
        with issues as (
          select
            number, issue ->> 'code' as code, issue ->> 'severity' as severity, issue ->> 'field' as field,
            issue ->> 'message' as message, coalesce(issue ->> 'cell', number::text) as place
          from import_rows
          cross join json_array_elements(issues) as issue
          where import_id = $1
          and json_typeof(issues) = 'array'
        )
        select
          code as "code!", severity as "severity!", field, count(*) as "count!",
          (array_agg(message order by number))[1] as "message!",
          (array_agg(place order by number))[:$2] as "places!"
        from issues
        group by code, severity, field
        order by severity, count(*) desc, code, field
        "#,
        id.0,
        NAMED,
    );
    Ok(groups.fetch_all(executor).await?)
}
