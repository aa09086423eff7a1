//! What an import has to say: to a terminal, a program, later to a browser.

use serde::Serialize;

/// Something about a row that its owner should know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// Whether the row is lost by it.
    pub severity: Severity,
    /// As a spreadsheet counts, from 1 and with the header.
    pub row: u64,
    /// The heading of the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The cell as a spreadsheet calls it, such as F17.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// The field as the API calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<&'static str>,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub message: String,
    /// What the cell holds. It may be personal, so it goes to the owner of the file and never to a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Whether a row is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The row is not imported.
    Error,
    /// The row is imported without something.
    Warning,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Rows that are not blank, without the header.
    pub rows: u64,
    /// Rows that made a record.
    pub created: u64,
    /// Rows whose record was there before; it is left as it is.
    pub existing: u64,
    /// Rows that are not imported.
    pub failed: u64,
    /// Things left out of rows that are imported.
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

/// What is told while a file is imported.
#[derive(Debug)]
pub enum Event {
    /// What each column holds, as lines for people.
    Header(String),
    /// How far it is: the summary so far, and all rows there are.
    Progress(Summary, u64),
    /// Something about a row.
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

/// A column's letters: A, B, …, Z, AA, AB, …
pub(super) fn letters(column: usize) -> String {
    let letter = char::from(b'A' + (column % 26) as u8);
    if column < 26 { letter.into() } else { format!("{}{letter}", letters(column / 26 - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_lettered_as_in_a_spreadsheet() {
        for (column, expected) in [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(letters(column), expected);
        }
    }
}
