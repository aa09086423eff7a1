//! Progress, issues and summary of an import.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error or a warning about a row.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    pub severity: Severity,
    /// The sheet of a workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet: Option<String>,
    /// As a spreadsheet counts: the header is row 1.
    pub row: u64,
    /// The heading of the column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The cell as a spreadsheet calls it, such as F17.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// The field as the API calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub message: String,
    /// What the cell holds. It may be personal, so it goes to the owner of the file and never to a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What to do about it, or what was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported without the value.
    Warning,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Rows that are not blank, without the header.
    pub rows: u64,
    pub created: u64,
    /// Rows that were skipped because their record exists.
    pub existing: u64,
    pub failed: u64,
    pub warnings: u64,
}

impl std::ops::AddAssign for Summary {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.created += other.created;
        self.existing += other.existing;
        self.failed += other.failed;
        self.warnings += other.warnings;
    }
}

#[derive(Debug)]
pub enum Event {
    /// The columns with their fields, as lines for people.
    Header(String),
    /// The summary so far, and the number of all rows.
    Progress(Summary, u64),
    Issue(Issue),
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, "{severity}: row {}", self.row)?;
        if let (Some(cell), Some(column)) = (&self.cell, &self.column) {
            write!(f, ", cell {cell} ({column})")?;
        }
        write!(f, ": {} [{}]", self.message, self.code)?;
        match &self.value {
            Some(value) => write!(f, ": {value:?}"),
            None => Ok(()),
        }
    }
}
