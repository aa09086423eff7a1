//! What a sheet of an xlsx says beside its values: hidden rows and columns, merged cells, formulas without a value.

use std::io::BufReader;

use quick_xml::events::{BytesStart, Event};

use super::archive::{Contents, damaged, next};
use crate::sheets::book::{Cell, Merged, Row};
use crate::sheets::error::Error;

/// What a spreadsheet holds.
pub(super) const GRID_ROWS: u64 = 1_048_576;
pub(super) const GRID_COLUMNS: usize = 16_384;

/// Merged ranges that are kept: those of headers are few.
const MAX_MERGED: usize = 1_000;

/// The errors that calamine knows.
const KNOWN_ERRORS: [&str; 7] = ["#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"];

/// Other errors that are kept, and characters of each.
const MAX_ERRORS: usize = 100_000;
const ERROR_CHARACTERS: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Numbers of the hidden rows, from 1, in order.
    pub(super) hidden_rows: Vec<u64>,
    /// Numbers of the hidden columns, from 0.
    pub(super) hidden_columns: Vec<usize>,
    pub(super) merged: Vec<Merged>,
    /// Formulas that no program has calculated.
    pub(super) without_value: Option<WithoutValue>,
    /// Errors that calamine does not know, such as `#ERROR!` of Google Sheets: row, column and what the cell shows.
    pub(super) errors: Vec<(u64, usize, String)>,
}

#[derive(Debug)]
pub(super) struct WithoutValue {
    pub(super) count: u64,
    /// The first cell of them.
    pub(super) first: String,
}

impl Layout {
    pub(super) fn hides(&self, row: u64) -> bool {
        self.hidden_rows.binary_search(&row).is_ok()
    }

    /// Puts the errors that calamine does not know into their row.
    pub(super) fn complete(&self, row: &mut Row) {
        let row_number = row.number;
        let first = self.errors.partition_point(|(number, ..)| *number < row_number);
        for (_, column, error) in self.errors[first..].iter().take_while(|(number, ..)| *number == row_number) {
            row.put(*column, Cell::Error(error.clone()));
        }
    }
}

/// Reads the sheet's part to its end.
pub(super) fn of(contents: &mut Contents, sheet: &str) -> Result<Layout, Error> {
    let name = part_of(contents, sheet)?;
    let part = contents.archive.by_name(&name).map_err(|_| damaged(&format!("the part {name:?}")))?;
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(part));
    xml.config_mut().check_end_names = false;
    let mut layout = Layout::default();
    let mut row = 0;
    let mut cell = Formula::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match next(&mut xml, &mut buffer, &name)? {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "row" => {
                    row = attribute(&tag, "r").and_then(|number| number.parse().ok()).unwrap_or(row + 1);
                    if is_true(&tag, "hidden") && layout.hidden_rows.last().is_none_or(|last| *last < row) {
                        layout.hidden_rows.push(row);
                    }
                }
                "c" => {
                    let (name, kind) = (attribute(&tag, "r").unwrap_or_default(), attribute(&tag, "t"));
                    // The value of a formula that is text may be empty.
                    let (has_value, is_error) = (kind.as_deref() == Some("str"), kind.as_deref() == Some("e"));
                    cell = Formula { cell: name, has_value, is_error, ..Formula::default() };
                }
                "f" => cell.is_there = true,
                "v" | "t" => cell.reads_value = true,
                "col" if is_true(&tag, "hidden") => {
                    let number = |name| attribute(&tag, name).and_then(|number| number.parse::<usize>().ok());
                    if let (Some(first @ 1..), Some(last)) = (number("min"), number("max")) {
                        layout.hidden_columns.extend(first - 1..last.min(GRID_COLUMNS));
                    }
                }
                "mergeCell" if layout.merged.len() < MAX_MERGED => {
                    layout.merged.extend(attribute(&tag, "ref").and_then(|range| merged(&range)));
                }
                _ => {}
            },
            Event::Text(text) if cell.reads_value => {
                cell.has_value |= !text.trim().is_empty();
                if cell.is_error && !KNOWN_ERRORS.contains(&&*text) && layout.errors.len() < MAX_ERRORS {
                    let error = text.chars().take(ERROR_CHARACTERS).collect();
                    layout.errors.extend(position(&cell.cell).map(|(row, column)| (row, column, error)));
                }
            }
            Event::End(tag) if matches!(tag.local_name().as_ref(), "v" | "t") => cell.reads_value = false,
            Event::End(tag) if tag.local_name().as_ref() == "c" && cell.is_there && !cell.has_value => {
                let first = std::mem::take(&mut cell).cell;
                layout.without_value.get_or_insert(WithoutValue { count: 0, first }).count += 1;
            }
            Event::Eof => return Ok(layout),
            _ => {}
        }
    }
}

/// A cell, as far as its formula goes.
#[derive(Default)]
struct Formula {
    cell: String,
    is_there: bool,
    reads_value: bool,
    has_value: bool,
    is_error: bool,
}

/// The name of the part with the sheet: the workbook names a relationship, which names the part.
fn part_of(contents: &mut Contents, sheet: &str) -> Result<String, Error> {
    let names: Vec<String> = contents.archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let find = |end: &str| names.iter().find(|name| name.to_ascii_lowercase().ends_with(end)).cloned();
    let missing = || damaged(&format!("the sheet {sheet:?}"));
    let workbook = find("workbook.xml").ok_or_else(missing)?;
    let relations = find("workbook.xml.rels").ok_or_else(missing)?;
    let is_sheet = |tag: &BytesStart| tag.local_name().as_ref() == "sheet" && attribute(tag, "name").as_deref() == Some(sheet);
    let id = find_tag(contents, &workbook, is_sheet)?.and_then(|tag| attribute(&tag, "id")).ok_or_else(missing)?;
    let is_relation =
        |tag: &BytesStart| tag.local_name().as_ref() == "Relationship" && attribute(tag, "Id").as_ref() == Some(&id);
    let target = find_tag(contents, &relations, is_relation)?.and_then(|tag| attribute(&tag, "Target")).ok_or_else(missing)?;
    let folder = &workbook[..workbook.len() - "workbook.xml".len()];
    let path = target.strip_prefix('/').map_or_else(|| format!("{folder}{target}"), str::to_owned);
    names.into_iter().find(|name| name.eq_ignore_ascii_case(&path)).ok_or_else(missing)
}

fn find_tag(
    contents: &mut Contents,
    name: &str,
    is_it: impl Fn(&BytesStart) -> bool,
) -> Result<Option<BytesStart<'static>>, Error> {
    let part = contents.archive.by_name(name).map_err(|_| damaged(&format!("the part {name:?}")))?;
    let mut xml = quick_xml::Reader::from_reader(BufReader::new(part));
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match next(&mut xml, &mut buffer, name)? {
            Event::Start(tag) | Event::Empty(tag) if is_it(&tag) => return Ok(Some(tag.into_owned())),
            Event::Eof => return Ok(None),
            _ => {}
        }
    }
}

/// The value of an attribute, whatever its namespace.
fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    let found = tag.attributes().with_checks(false).flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    quick_xml::escape::unescape(&found.value).ok().map(std::borrow::Cow::into_owned)
}

fn is_true(tag: &BytesStart, name: &str) -> bool {
    matches!(attribute(tag, name).as_deref(), Some("1" | "true"))
}

/// Reads a range such as A1:C2.
fn merged(range: &str) -> Option<Merged> {
    let (first, last) = range.split_once(':')?;
    let ((first_row, first_column), (last_row, last_column)) = (position(first)?, position(last)?);
    Some(Merged { rows: (first_row, last_row), columns: (first_column, last_column) })
}

/// Reads a cell such as C2 as its row from 1 and its column from 0.
fn position(cell: &str) -> Option<(u64, usize)> {
    let (letters, digits) = cell.split_at(cell.find(|c: char| c.is_ascii_digit())?);
    let column = letters.bytes().try_fold(0_usize, |column, letter| {
        let place = letter.is_ascii_alphabetic().then(|| letter.to_ascii_uppercase() - b'A' + 1)?;
        Some(column * 26 + usize::from(place)).filter(|column| *column <= GRID_COLUMNS)
    });
    let row = digits.parse().ok().filter(|row| (1..=GRID_ROWS).contains(row));
    Some((row?, column?.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(merged("A1:C2"), Some(Merged { rows: (1, 2), columns: (0, 2) }));
        assert_eq!(merged("XFD1048576:XFD1048576").map(|merged| merged.columns), Some((16_383, 16_383)));
        for wrong in ["", "A1", "1:2", "A0:B1", "XFE1:XFE2", "A1048577:B1", "Ä1:B2", "A1:B2C"] {
            assert_eq!(merged(wrong), None, "{wrong}");
        }
    }
}
