//! Imports as their owners see them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::imports::Target;
use crate::imports::guide::Guide;
use crate::imports::mapping::Mapping;
use crate::imports::report::Issue;
use crate::imports::store::rows::{Difference, Row};
use crate::imports::store::{Blank, Column, Counts, Import, Mode, Options, State, Undone};
use crate::jobs::Job;
use crate::sheets::{self, Cell};
use crate::values::clock::milliseconds;
use crate::values::json::Object;

/// An import: what was asked, and how far it has come.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Import")]
pub(super) struct Shown {
    pub(super) id: Uuid,
    version: i64,
    target: Target,
    mode: Mode,
    /// The field that finds the record of a row.
    key: String,
    blank: Blank,
    state: State,
    file_name: String,
    /// SHA-256 of the file.
    digest: String,
    /// Null for the only sheet of a text.
    sheet: Option<String>,
    /// The row with the headings, as a spreadsheet counts.
    header_row: i64,
    /// How the file is read, as it was said.
    #[schemars(with = "Object")]
    options: Options,
    /// The headings and their fields; null until it is mapped.
    columns: Option<Vec<Column>>,
    /// Why it could not be validated.
    problem: Option<String>,
    /// What the last validation found.
    validated: Counts,
    /// What its commit has done.
    committed: Counts,
    /// What its undo has done.
    undone: Undone,
    /// The job that works on it, or did last.
    job_id: Option<Uuid>,
    #[serde(serialize_with = "milliseconds")]
    committed_at: Option<DateTime<Utc>>,
    created_by: Option<Uuid>,
    #[serde(serialize_with = "milliseconds")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "milliseconds")]
    updated_at: DateTime<Utc>,
}

impl From<Import> for Shown {
    fn from(import: Import) -> Self {
        Self {
            id: import.id.0,
            version: import.version,
            target: import.target,
            mode: import.mode,
            key: import.key,
            blank: import.blank,
            state: import.state,
            file_name: import.file_name,
            digest: import.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            sheet: import.sheet,
            header_row: import.header_row,
            options: import.options.0,
            columns: import.columns.map(|columns| columns.0),
            problem: import.problem,
            validated: import.validated.0,
            committed: import.committed.0,
            undone: import.undone.0,
            job_id: import.job_id,
            committed_at: import.committed_at,
            created_by: import.created_by,
            created_at: import.created_at,
            updated_at: import.updated_at,
        }
    }
}

/// An import with the job that works on it.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "ImportProgress")]
pub(super) struct Progress {
    #[serde(flatten)]
    pub(super) import: Shown,
    /// The job that works on it, or did last, for as long as it is kept.
    pub(super) job: Option<Job>,
}

/// An import with what its file holds.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "SurveyedImport")]
pub(super) struct Surveyed {
    #[serde(flatten)]
    pub(super) import: Shown,
    pub(super) sheets: Vec<Sheet>,
    pub(super) mapping: Mapping,
    pub(super) warnings: Vec<Warning>,
}

/// A sheet of the file.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportSheet")]
pub(super) struct Sheet {
    /// Empty for the only one of a text.
    name: String,
    is_hidden: bool,
    /// Rows that are not blank, hidden ones too.
    rows: u64,
    columns: usize,
    hidden_rows: u64,
}

impl From<&sheets::Sheet> for Sheet {
    fn from(sheet: &sheets::Sheet) -> Self {
        let sheets::Sheet { name, is_hidden, rows, columns, hidden_rows, .. } = sheet;
        Self { name: name.clone(), is_hidden: *is_hidden, rows: *rows, columns: *columns, hidden_rows: *hidden_rows }
    }
}

/// What the user should know before the rows are used.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportWarning")]
pub(super) struct Warning {
    /// Stable word for programs.
    pub(super) code: String,
    /// Sentence for people.
    pub(super) message: String,
    /// The earlier import that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) import_id: Option<Uuid>,
}

/// A row of the sheet, and what was found of it or became of it.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportRow")]
pub(super) struct ShownRow {
    /// As the spreadsheet counts.
    pub(super) row: i64,
    /// What it does, or has done; null until it was looked at.
    pub(super) action: Option<&'static str>,
    /// How far it has come: `staged`, `validated`, `committed`; after an undo `reversed`, `kept` or `errored`.
    pub(super) status: String,
    pub(super) record_id: Option<Uuid>,
    /// In the order of the columns.
    pub(super) cells: Vec<Value>,
    /// What an update changes.
    pub(super) changes: Vec<Difference>,
    pub(super) issues: Vec<Issue>,
    /// Why an undo kept the record or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl From<Row> for ShownRow {
    fn from(row: Row) -> Self {
        Self {
            row: row.number,
            action: row.action.map(|action| action.as_str()),
            status: row.status,
            record_id: row.record_id,
            cells: row.cells.0.into_iter().map(value).collect(),
            changes: row.changes.map(|changes| changes.0).unwrap_or_default(),
            issues: row.issues.map(|issues| issues.0).unwrap_or_default(),
            reason: row.reason,
        }
    }
}

/// A cell as JSON: texts, numbers and flags as they are, days and moments as text.
fn value(cell: Cell) -> Value {
    match cell {
        Cell::Blank => Value::Null,
        Cell::Text(text) => text.into(),
        Cell::Number(number) => number.into(),
        Cell::Boolean(flag) => flag.into(),
        other => other.to_string().into(),
    }
}

/// What a commit would do.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportPreview")]
pub(super) struct Preview {
    pub(super) state: State,
    pub(super) counts: Counts,
    /// The first rows that change a record, with their differences.
    pub(super) updates: Vec<ShownRow>,
    /// The first rows that create one.
    pub(super) creates: Vec<ShownRow>,
    /// The first rows that fail.
    pub(super) errors: Vec<ShownRow>,
}

/// The issues of all rows by code.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportReport")]
pub(super) struct Report {
    pub(super) state: State,
    pub(super) validated: Counts,
    pub(super) committed: Counts,
    pub(super) undone: Undone,
    /// The most frequent first.
    pub(super) issues: Vec<crate::imports::store::issues::Group>,
}

/// What files may have, and which fields they can hold.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportLimits")]
pub(super) struct Limits {
    pub(super) max_file_bytes: u64,
    /// Rows of a sheet without its headings.
    pub(super) max_rows: u64,
    pub(super) max_columns: usize,
    /// Endings of the files that are read.
    pub(super) formats: [&'static str; 6],
    /// Rows that are imported while the request waits; with more it answers with a job.
    pub(super) rows_at_once: u64,
    pub(super) targets: Vec<TargetFields>,
}

/// What a file of a target can hold.
#[derive(JsonSchema, Serialize)]
#[schemars(rename = "ImportTargetFields")]
pub(super) struct TargetFields {
    pub(super) target: Target,
    /// The field that finds the record of a row if no other is named.
    pub(super) key: &'static str,
    /// A file needs one field of each set.
    pub(super) required: &'static [&'static [&'static str]],
    pub(super) fields: &'static [Guide],
}
