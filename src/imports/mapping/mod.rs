//! Mapping: which row of a sheet has the headings, and which column holds which field.
//!
//! A mapping is proposed from the headings, by the names of fields, their synonyms and what is like them. What users say wins, and is
//! proposed again for the next file with the same headings.

mod columns;
mod headings;
mod likeness;

use schemars::JsonSchema;
use serde::Serialize;

pub use columns::{Choice, Column, Conflict, Repeated};
pub use headings::Line;
pub use likeness::How;

use super::fields::Target;
use super::headings::is_own;
use super::store;
use crate::error::Violations;
use crate::sheets::{Kind, Sheet};

/// Values of a column that are shown beside its heading.
const SAMPLES: usize = 5;

/// What the columns of a sheet hold, and what is wrong with that.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ImportMapping")]
pub struct Mapping {
    pub columns: Vec<Column>,
    /// Sets of fields of which a file needs one, and none is mapped.
    pub missing: Vec<Vec<&'static str>>,
    /// Fields that several columns hold.
    pub conflicts: Vec<Conflict>,
    /// Headings that several columns have.
    pub repeated_headings: Vec<Repeated>,
    /// Whether it follows an earlier one of a file with the same headings.
    pub is_saved: bool,
}

/// Where the headings of a sheet are, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headings {
    pub row: u64,
    pub texts: Vec<String>,
}

impl Headings {
    /// Finds the headings of a sheet, in a row or where they are guessed. None of a sheet without text, or without that row.
    #[must_use]
    pub fn find(target: Target, kind: Kind, sheet: &Sheet, row: Option<u64>) -> Option<Self> {
        let lines: Vec<Line> = sheet.sample.iter().map(Line::of).collect();
        let row = row.or_else(|| headings::guess_row(target, &lines))?;
        let line = lines.iter().find(|line| line.number == row)?;
        // A row of a text that has more cells than its headings is broken; a sheet has cells without a heading.
        let columns = if kind == Kind::Text { line.cells.len() } else { sheet.columns };
        let texts = headings::read(&lines, &sheet.merged, row, columns);
        Some(Self { row, texts })
    }
}

impl Mapping {
    /// Proposes a mapping, as an earlier one of the same headings if there is one. `rows` are those below the headings.
    #[must_use]
    pub fn propose(target: Target, headings: &[String], rows: &[Line], saved: Option<&[store::Column]>) -> Self {
        let mut proposed = columns::propose(target, headings);
        // The same headings in the same order, but for those of the program's own columns.
        for (column, saved) in proposed.iter_mut().filter(|column| !is_own(&column.heading)).zip(saved.into_iter().flatten()) {
            column.keep(target, saved);
        }
        for (at, column) in proposed.iter_mut().enumerate() {
            let values = rows.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.trim());
            column.samples = values.filter(|value| !value.is_empty()).take(SAMPLES).map(str::to_owned).collect();
        }
        let (conflicts, repeated_headings) = (columns::conflicts(&proposed), columns::repeated(&proposed));
        Self { columns: proposed, missing: Vec::new(), conflicts, repeated_headings, is_saved: saved.is_some() }
    }

    /// Applies what a request says of columns; what cannot be applied is a violation of its place.
    pub fn choose(&mut self, target: Target, choices: &[Choice], violations: &mut Violations) {
        columns::apply(target, &mut self.columns, choices, How::Given, violations);
        self.conflicts = columns::conflicts(&self.columns);
    }

    /// Whether a column holds the field.
    #[must_use]
    pub fn holds(&self, field: &str) -> bool {
        self.columns.iter().any(|column| column.field == Some(field))
    }

    /// Finds what is missing of a file that needs one field of each set.
    pub fn require(&mut self, sets: Vec<Vec<&'static str>>) {
        self.missing = sets.into_iter().filter(|names| !names.iter().any(|name| self.holds(name))).collect();
    }

    /// Whether the rows can be validated.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.conflicts.is_empty()
    }

    /// Says what keeps the rows from being validated.
    pub fn check(&self, violations: &mut Violations) {
        for alternatives in &self.missing {
            violations.add("/columns", "missing_field", format!("no column holds {}", alternatives.join(" or ")));
        }
        for Conflict { field, columns } in &self.conflicts {
            let columns = columns.join(" and ");
            let message = format!("the columns {columns} all hold {field}; leave all but one out");
            violations.add("/columns", "ambiguous_field", message);
        }
    }

    /// What is stored of it.
    #[must_use]
    pub fn stored(&self) -> Vec<store::Column> {
        let stored = |column: &Column| store::Column { heading: column.heading.clone(), field: column.field.map(str::to_owned) };
        self.columns.iter().map(stored).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheets::{Cell, Row};

    fn line(number: u64, cells: &str) -> Line {
        Line { number, cells: cells.split('|').map(str::to_owned).collect() }
    }

    fn sheet(lines: &[Line]) -> Sheet {
        let cells = |line: &Line| line.cells.iter().map(|cell| Cell::Text(cell.clone())).collect();
        let row = |line: &Line| Row { number: line.number, is_hidden: false, cells: cells(line) };
        let columns = lines.iter().map(|line| line.cells.len()).max().unwrap_or_default();
        Sheet { columns, sample: lines.iter().map(row).collect(), ..Sheet::default() }
    }

    fn fields(mapping: &Mapping) -> Vec<&'static str> {
        mapping.columns.iter().map(|column| column.field.unwrap_or("-")).collect()
    }

    #[test]
    fn a_mapping_is_proposed_with_samples_and_what_it_lacks() {
        let lines = [line(1, "Debtors||"), line(2, "id|tel|Shoe"), line(3, "1| 2 |"), line(4, "2||38")];
        let headings = Headings::find(Target::Customers, Kind::Xlsx, &sheet(&lines), None).unwrap();
        assert_eq!((headings.row, headings.texts.join("|").as_str()), (2, "id|tel|Shoe"));
        let mut mapping = Mapping::propose(Target::Customers, &headings.texts, &lines[2..], None);
        mapping.require(vec![vec!["externalId"], vec!["name", "familyName"]]);
        assert_eq!(fields(&mapping), ["externalId", "phone", "-"]);
        let samples: Vec<String> = mapping.columns.iter().map(|column| column.samples.join("|")).collect();
        assert_eq!(samples, ["1|2", "2", "38"]);
        let mut wrong = Violations::default();
        mapping.check(&mut wrong);
        assert_eq!(wrong.iter().map(|wrong| wrong.code.as_ref()).collect::<Vec<_>>(), ["missing_field"]);
    }

    #[test]
    fn a_saved_mapping_is_proposed_again() {
        let headings: Vec<String> = ["id", "Called", "tel"].map(str::to_owned).to_vec();
        let mut first = Mapping::propose(Target::Customers, &headings, &[], None);
        let choose = |heading: &str, field: Option<&str>| Choice {
            column: None,
            heading: Some(heading.to_owned()),
            field: field.map(str::to_owned),
        };
        first.choose(Target::Customers, &[choose("called", Some("name")), choose("tel", None)], &mut Violations::default());
        first.require(vec![vec!["externalId"], vec!["name", "familyName"]]);
        assert!(!first.is_saved && first.is_complete());
        let second = Mapping::propose(Target::Customers, &headings, &[], Some(&first.stored()));
        assert_eq!((fields(&second), second.is_saved), (vec!["externalId", "name", "-"], true));
        assert_eq!(second.columns[1].how, Some(How::Saved));
    }

    #[test]
    fn a_row_that_is_not_there_has_no_headings() {
        let find = |text: &str, row| Headings::find(Target::Customers, Kind::Xlsx, &sheet(&[line(1, text)]), row);
        assert_eq!((find("id|name", Some(7)), find("|", None)), (None, None));
    }

    #[test]
    fn a_text_has_as_many_columns_as_headings() {
        let sheet = sheet(&[line(1, "id|name"), line(2, "1|Ann|x")]);
        let width = |kind| Headings::find(Target::Customers, kind, &sheet, None).unwrap().texts.len();
        assert_eq!((width(Kind::Text), width(Kind::Xlsx)), (2, 3));
    }
}
