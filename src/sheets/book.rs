//! What a file holds.

use std::fmt;

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};

/// A file with sheets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Book {
    pub kind: Kind,
    /// In their order; a text file has one, without a name.
    pub sheets: Vec<Sheet>,
    /// What the owner of the file should know before its rows are used.
    pub warnings: Vec<Warning>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Xlsx,
    /// With macros, which are never read.
    Xlsm,
    Xls,
    Ods,
    Text,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    pub name: String,
    pub is_hidden: bool,
    /// Rows that are not blank, hidden ones too.
    pub rows: u64,
    /// Columns up to the last one with a value.
    pub columns: usize,
    /// The first rows that are not blank.
    pub sample: Vec<Row>,
    pub hidden_rows: u64,
    /// Numbers of the hidden columns, from 0.
    pub hidden_columns: Vec<usize>,
    /// The merged ranges that begin in the rows of the sample.
    pub merged: Vec<Merged>,
}

/// Cells that are shown as one; only the first one has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// First and last row, as the spreadsheet counts.
    pub rows: (u64, u64),
    /// First and last column, from 0.
    pub columns: (usize, usize),
}

/// Something about the file that is no error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// As the spreadsheet counts, blank rows too: the first is 1.
    pub number: u64,
    pub is_hidden: bool,
    /// Up to the last one with a value; those of a text file are all there.
    pub cells: Vec<Cell>,
}

impl Row {
    /// Sets the cell of a column, from 0, after blank ones if there are fewer.
    pub(super) fn put(&mut self, column: usize, cell: Cell) {
        if self.cells.len() <= column {
            self.cells.resize(column + 1, Cell::Blank);
        }
        self.cells[column] = cell;
    }
}

/// A row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenRow {
    pub number: u64,
    /// Line of a text file, as an editor counts, from 1; in a workbook the number of the row.
    pub line: u64,
    /// Stable word for programs.
    pub code: String,
    /// Sentence for people.
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Cell {
    #[default]
    Blank,
    /// As it stands in the file: blanks and leading zeros are kept.
    Text(String),
    /// What the file stores. Spreadsheets keep 15 digits.
    Number(f64),
    Day(NaiveDate),
    Moment(NaiveDateTime),
    /// A duration, or a time of day as the time since midnight.
    Duration(TimeDelta),
    Boolean(bool),
    /// The error of a formula, such as `#DIV/0!`.
    Error(String),
}

impl Cell {
    /// True if the cell shows nothing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Blank => true,
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }
}

/// As text that another file could hold: numbers with a point and all digits, days as 2025-01-31.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => Ok(()),
            Self::Text(text) | Self::Error(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Day(day) => write!(f, "{day}"),
            Self::Moment(moment) => write!(f, "{}", moment.format("%Y-%m-%dT%H:%M:%S%.f")),
            Self::Duration(duration) => {
                let sign = if *duration < TimeDelta::zero() { "-" } else { "" };
                let seconds = duration.num_seconds().unsigned_abs();
                write!(f, "{sign}{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
            }
            Self::Boolean(value) => write!(f, "{value}"),
        }
    }
}

/// The name of a column in a spreadsheet: A, B, …, Z, AA, AB, …
#[must_use]
pub fn column_name(column: usize) -> String {
    let letter = char::from(b'A' + (column % 26) as u8);
    if column < 26 { letter.into() } else { format!("{}{letter}", column_name(column / 26 - 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_as_in_a_spreadsheet() {
        for (column, expected) in
            [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA"), (701, "ZZ"), (702, "AAA"), (16_383, "XFD")]
        {
            assert_eq!(column_name(column), expected);
        }
    }

    #[test]
    fn cells_are_shown_as_text() {
        let day = NaiveDate::from_ymd_opt(2025, 1, 31).unwrap();
        for (cell, expected) in [
            (Cell::Blank, ""),
            (Cell::Text(" 007 ".into()), " 007 "),
            (Cell::Number(1234.5), "1234.5"),
            (Cell::Number(-7.0), "-7"),
            (Cell::Number(4.71e18), "4710000000000000000"),
            (Cell::Day(day), "2025-01-31"),
            (Cell::Moment(day.and_hms_opt(7, 5, 0).unwrap()), "2025-01-31T07:05:00"),
            (Cell::Duration(TimeDelta::seconds(-93_784)), "-26:03:04"),
            (Cell::Boolean(true), "true"),
            (Cell::Error("#N/A".into()), "#N/A"),
        ] {
            assert_eq!(cell.to_string(), expected);
        }
    }
}
