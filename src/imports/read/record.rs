//! A row whose cells are read: the value of each field in the form of the API, and the issues.

use std::collections::HashMap;

use chrono::NaiveDate;

use super::cell::{self, Unread};
use super::header::Header;
use super::value::Forms;
use crate::error::Violation;
use crate::imports::fields::{Field, Kind, Target};
use crate::imports::report::{Issue, Severity};
use crate::imports::store::{Blank, Column, Import};
use crate::imports::suggestion::suggest;
use crate::search::FieldKind;
use crate::sheets::{BrokenRow, Cell, column_name};
use crate::values::json::{Object, Value};
use crate::values::text::table::{split_words, unguarded};

/// In a cell: the field is cleared.
const CLEAR: &str = "<clear>";

/// How the rows of a sheet are read.
#[derive(Debug)]
pub(in crate::imports) struct Layout {
    target: Target,
    pub(in crate::imports) header: Header,
    pub(in crate::imports) forms: Forms,
    /// None for a text, whose rows have as many cells as its header.
    sheet: Option<String>,
    blank: Blank,
    /// Of phone numbers without a country code.
    pub(in crate::imports) region: String,
}

impl Layout {
    pub(in crate::imports) fn new(import: &Import, columns: &[Column], region: &str) -> Self {
        Self {
            target: import.target,
            header: Header::of(import.target, columns),
            forms: import.forms.as_ref().map(|forms| forms.0.clone()).unwrap_or_default(),
            sheet: import.sheet.clone(),
            blank: import.blank,
            region: region.to_owned(),
        }
    }
}

/// One row of a sheet.
#[derive(Debug)]
pub(in crate::imports) struct Record {
    pub(in crate::imports) row: u64,
    cells: Vec<Cell>,
    /// None is cleared; a field that the row says nothing of is absent.
    values: HashMap<&'static str, Option<String>>,
    pub(in crate::imports) issues: Vec<Issue>,
}

impl Record {
    pub(in crate::imports) fn read(row: u64, cells: Vec<Cell>, layout: &Layout) -> Self {
        let mut record = Self { row, cells, values: HashMap::new(), issues: Vec::new() };
        let columns = &layout.header.columns;
        let is_surplus = record.cells.iter().skip(columns.len()).any(|cell| !cell.is_blank());
        if is_surplus || layout.sheet.is_none() && record.cells.len() < columns.len() {
            let message = format!("the row has {} cells, the header {}", record.cells.len(), columns.len());
            record.issues.push(issue(layout, row, "wrong_column_count", message));
            return record;
        }
        for (at, column) in columns.iter().enumerate() {
            let Some(field) = column.field else { continue };
            let bare;
            let cell = match record.cells.get(at) {
                // Exports guard what a spreadsheet would calculate.
                Some(Cell::Text(text)) if layout.sheet.is_none() && unguarded(text) != text => {
                    bare = Cell::Text(unguarded(text).to_owned());
                    &bare
                }
                cell => cell.unwrap_or(&Cell::Blank),
            };
            let is_clear = matches!(cell, Cell::Text(text) if text.trim().eq_ignore_ascii_case(CLEAR));
            if is_clear || cell.is_blank() && layout.blank == Blank::Clear && field.is_clearable {
                record.values.insert(field.name, None);
                continue;
            }
            if cell.is_blank() {
                continue;
            }
            let form = cell::Form { day: layout.forms.days.get(&at).copied(), decimal: layout.forms.decimals.get(&at).copied() };
            match cell::read(cell, field.kind, form, &layout.region) {
                Ok(read) if field.kind == Kind::ForgivenDay && read.value.parse::<NaiveDate>().is_err() => {
                    let message = "takes a calendar day such as 2026-01-31; it is left out".to_owned();
                    record.add_issue(layout, field, Severity::Warning, "not_a_day", message);
                }
                Ok(read) => {
                    record.values.insert(field.name, Some(read.value));
                    if let Some((code, message)) = read.repaired {
                        record.add_issue(layout, field, Severity::Warning, code, message);
                    }
                }
                Err(Unread { code, message }) => record.add_issue(layout, field, Severity::Error, code, message),
            }
        }
        record
    }

    /// A row that could not be parsed.
    pub(in crate::imports) fn broken(row: BrokenRow, layout: &Layout) -> Self {
        let issue = issue(layout, row.number, &row.code, format!("{} (line {})", row.message, row.line));
        Self { row: row.number, cells: Vec::new(), values: HashMap::new(), issues: vec![issue] }
    }

    pub(in crate::imports) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.as_deref()
    }

    pub(in crate::imports) fn take(&mut self, name: &str) -> Option<String> {
        self.values.remove(name).flatten()
    }

    /// Takes a value as a member of a request's body; null clears it.
    pub(in crate::imports) fn take_member(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).map(Value::from)
    }

    /// Takes the record's own fields, as members of a request's body; null clears one.
    pub(in crate::imports) fn take_members(&mut self, target: Target) -> Object {
        let own = target.table().iter().filter(|field| field.cell.is_some());
        let members = own.filter_map(|field| {
            let value = match self.values.remove(field.name)? {
                Some(text) if matches!(field.kind, FieldKind::Tags) => split_words(&text).into(),
                value => value.into(),
            };
            Some((field.name.to_owned(), value))
        });
        members.collect()
    }

    /// Returns a violation for each of these fields that is blank.
    pub(in crate::imports) fn require(&self, names: &[&str]) -> Vec<Violation> {
        let absent = names.iter().filter(|name| self.value(name).is_none());
        let violation =
            |name: &&str| Violation { pointer: format!("/{name}"), code: "required".into(), message: "must not be blank".into() };
        absent.map(violation).collect()
    }

    pub(in crate::imports) fn has_failed(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Whether it has the cells that its header names; the values of others mean nothing.
    pub(in crate::imports) fn is_whole(&self) -> bool {
        self.errors().all(|error| error.field.is_some())
    }

    /// Whether the cell of a field has an error.
    pub(in crate::imports) fn is_faulty(&self, name: &str) -> bool {
        self.errors().any(|error| error.field.as_deref() == Some(name))
    }

    fn errors(&self) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(|issue| issue.severity == Severity::Error)
    }

    /// Makes errors of the warnings: the row as a whole is refused for what it could have done without.
    pub(in crate::imports) fn refuse(&mut self) {
        if !self.has_failed() {
            self.issues.iter_mut().for_each(|issue| issue.severity = Severity::Error);
        }
    }

    /// Adds a warning about the whole row.
    pub(in crate::imports) fn warn(&mut self, layout: &Layout, code: &str, message: &str) {
        self.issues.push(Issue { severity: Severity::Warning, ..issue(layout, self.row, code, message.to_owned()) });
    }

    /// Adds violations as issues of the cells that they come from.
    pub(in crate::imports) fn add(&mut self, layout: &Layout, violations: Vec<Violation>) {
        for violation in violations {
            // The last known name of a pointer is the field: `/addresses/0/postalCode`.
            let named = |segment: &str| layout.target.fields().iter().find(|field| field.name == segment);
            let Some(field) = violation.pointer.rsplit('/').find_map(named) else {
                let message = format!("{} {}", violation.pointer, violation.message).trim().to_owned();
                self.issues.push(issue(layout, self.row, &violation.code, message));
                continue;
            };
            // A cell that could not be read has its issue; that its value is missing follows from it.
            if !self.is_faulty(field.name) {
                let (severity, message) = match field.kind {
                    Kind::ForgivenDay => (Severity::Warning, format!("{}; it is left out", violation.message)),
                    _ => (Severity::Error, violation.message),
                };
                self.add_issue(layout, field, severity, &violation.code, message);
            }
        }
    }

    fn add_issue(&mut self, layout: &Layout, field: &'static Field, severity: Severity, code: &str, message: String) {
        let at = layout.header.position(field.name);
        // Postgres stores no NUL; this sign shows one.
        let shown = |cell: &Cell| cell.to_string().replace('\0', "\u{2400}").trim().to_owned();
        let value = at.and_then(|at| self.cells.get(at)).map(shown);
        let suggestion = suggest(layout.target, code, Some(field.name), value.as_deref());
        self.issues.push(Issue {
            severity,
            column: at.map(|at| layout.header.columns[at].heading.clone()),
            cell: at.map(|at| format!("{}{}", column_name(at), self.row)),
            field: Some(field.name.to_owned()),
            value: value.filter(|value| !value.is_empty()).map(|value| shorten(&value)),
            suggestion,
            ..issue(layout, self.row, code, message)
        });
    }
}

/// An error about the whole row.
fn issue(layout: &Layout, row: u64, code: &str, message: String) -> Issue {
    Issue {
        severity: Severity::Error,
        sheet: layout.sheet.clone(),
        row,
        column: None,
        cell: None,
        field: None,
        code: code.to_owned(),
        message,
        value: None,
        suggestion: suggest(layout.target, code, None, None),
    }
}

fn shorten(value: &str) -> String {
    const SHOWN: usize = 100;
    if value.chars().count() <= SHOWN { value.to_owned() } else { value.chars().take(SHOWN).chain(['…']).collect() }
}
