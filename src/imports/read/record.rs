//! A row whose cells are read: the value of each field in the form of the API, and the issues.

use std::collections::HashMap;

use super::survey::Survey;
use super::value::{self, DayOrder, Decimal};
use crate::error::Violation;
use crate::imports::fields::{Field, Kind, Target};
use crate::imports::report::{Issue, Severity};
use crate::search::FieldKind;
use crate::sheets::{BrokenRow, Cell, Row, column_name};
use crate::values::json::Object;

/// Characters of a cell, as in a workbook.
const MAX_CELL: usize = 32_767;

/// One row of a file.
#[derive(Debug)]
pub(in crate::imports) struct Record {
    pub(in crate::imports) row: u64,
    cells: Vec<String>,
    values: HashMap<&'static str, String>,
    pub(in crate::imports) issues: Vec<Issue>,
}

impl Record {
    /// Reads the cells; blank ones are absent.
    pub(in crate::imports) fn read(row: Row, survey: &Survey) -> Self {
        let cells = row.cells.iter().map(Cell::to_string).collect();
        let mut record = Self { row: row.number, cells, values: HashMap::new(), issues: Vec::new() };
        let columns = &survey.header.columns;
        let surplus = record.cells.iter().skip(columns.len()).any(|cell| !cell.trim().is_empty());
        if surplus || record.cells.len() < columns.len() {
            let message = format!("the row has {} cells, the header {}", record.cells.len(), columns.len());
            record.issues.push(issue(record.row, "wrong_column_count", message));
            return record;
        }
        for (at, column) in columns.iter().enumerate() {
            let text = record.cells[at].trim();
            let Some(field) = column.field.filter(|_| !text.is_empty()) else { continue };
            let read = if text.chars().count() > MAX_CELL {
                Err(("cell_too_long", format!("takes at most {MAX_CELL} characters")))
            } else if text.contains('\0') {
                Err(("unstorable_text", "text must not contain NUL".to_owned()))
            } else {
                read_cell(text, field, survey.days.get(&at).copied(), survey.decimals.get(&at).copied())
            };
            match read {
                Ok(value) => drop(record.values.insert(field.name, value)),
                Err((code, message)) => record.add_issue(survey, field, Severity::Error, code, message),
            }
        }
        record
    }

    /// A row that could not be parsed.
    pub(in crate::imports) fn broken(row: BrokenRow) -> Self {
        let issue = issue(row.number, &row.code, format!("{} (line {})", row.message, row.line));
        Self { row: row.number, cells: Vec::new(), values: HashMap::new(), issues: vec![issue] }
    }

    pub(in crate::imports) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub(in crate::imports) fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Takes the record's own fields, as members of a request's body.
    pub(in crate::imports) fn take_members(&mut self, target: Target) -> Object {
        let own = target.table().iter().filter(|field| field.cell.is_some());
        let members = own.filter_map(|field| {
            let text = self.take(field.name)?;
            Some((field.name.to_owned(), if matches!(field.kind, FieldKind::Tags) { words(&text).into() } else { text.into() }))
        });
        members.collect()
    }

    /// Returns a violation for each of these fields that is blank.
    pub(in crate::imports) fn require(&self, names: &[&'static str]) -> Vec<Violation> {
        let absent = names.iter().filter(|name| self.value(name).is_none());
        let violation =
            |name: &&str| Violation { pointer: format!("/{name}"), code: "required".into(), message: "must not be blank".into() };
        absent.map(violation).collect()
    }

    pub(in crate::imports) fn has_failed(&self) -> bool {
        self.issues.iter().any(|issue| issue.severity == Severity::Error)
    }

    /// Adds a warning about the whole row.
    pub(in crate::imports) fn warn(&mut self, code: &str, message: &str) {
        self.issues.push(Issue { severity: Severity::Warning, ..issue(self.row, code, message.to_owned()) });
    }

    /// Adds violations as issues of the cells that they come from.
    pub(in crate::imports) fn add(&mut self, survey: &Survey, target_fields: &'static [Field], violations: Vec<Violation>) {
        for violation in violations {
            // The last known name of a pointer is the field: `/addresses/0/postalCode`.
            let named = |segment: &str| target_fields.iter().find(|field| field.name == segment);
            let Some(field) = violation.pointer.rsplit('/').find_map(named) else {
                self.issues.push(issue(self.row, &violation.code, format!("{} {}", violation.pointer, violation.message)));
                continue;
            };
            // A cell that could not be read has its issue; that its value is missing follows from it.
            if self.issues.iter().all(|issue| issue.field.as_deref() != Some(field.name)) {
                let severity = if field.kind == Kind::ForgivenDay { Severity::Warning } else { Severity::Error };
                self.add_issue(survey, field, severity, &violation.code, violation.message);
            }
        }
    }

    fn add_issue(&mut self, survey: &Survey, field: &'static Field, severity: Severity, code: &str, message: String) {
        let at = survey.header.position(field.name);
        let message = if severity == Severity::Warning { format!("{message}; it is left out") } else { message };
        self.issues.push(Issue {
            severity,
            column: at.map(|at| survey.header.columns[at].heading.clone()),
            cell: at.map(|at| format!("{}{}", column_name(at), self.row)),
            field: Some(field.name.to_owned()),
            value: at.and_then(|at| self.cells.get(at)).map(|cell| shorten(cell.trim())).filter(|value| !value.is_empty()),
            ..issue(self.row, code, message)
        });
    }
}

/// An error about the whole row.
fn issue(row: u64, code: &str, message: String) -> Issue {
    Issue {
        severity: Severity::Error,
        sheet: None,
        row,
        column: None,
        cell: None,
        field: None,
        code: code.to_owned(),
        message,
        value: None,
        suggestion: None,
    }
}

/// Brings a cell into the form of the API. A day that cannot be read stays as it is, for the rule of its field to refuse.
fn read_cell(
    text: &str,
    field: &Field,
    days: Option<DayOrder>,
    decimal: Option<Decimal>,
) -> Result<String, (&'static str, String)> {
    let days = days.unwrap_or(DayOrder::Dmy);
    let kept = || text.to_owned();
    match field.kind {
        Kind::Text | Kind::Words => Ok(kept()),
        Kind::Identifier if value::is_rounded(text) => {
            Err(("rounded_number", "a spreadsheet has rounded this number; format its column as text".to_owned()))
        }
        Kind::Identifier => Ok(kept()),
        Kind::Day | Kind::ForgivenDay => Ok(value::day(text, days).map_or_else(kept, |day| day.to_string())),
        Kind::Moment => Ok(value::moment(text, days).unwrap_or_else(kept)),
        Kind::Amount => value::amount(text, decimal.unwrap_or(Decimal::Dot))
            .ok_or(("not_an_amount", "takes a decimal number such as 1234.56".to_owned())),
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split([',', ';', '|']).map(str::trim).filter(|word| !word.is_empty()).collect()
}

fn shorten(value: &str) -> String {
    const SHOWN: usize = 100;
    if value.chars().count() <= SHOWN { value.to_owned() } else { value.chars().take(SHOWN).chain(['…']).collect() }
}
