//! Where the headings of a sheet are, and what they say where cells are merged.

use super::super::fields::Target;
use super::likeness::{TAKEN, guess};
use crate::sheets::{Merged, Row};

/// A row of a sheet with its cells as text; blank ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// As a spreadsheet counts.
    pub number: u64,
    pub cells: Vec<String>,
}

impl Line {
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self { number: row.number, cells: row.cells.iter().map(ToString::to_string).collect() }
    }
}

/// Guesses which of the first rows has the headings: the first of which half of the cells are known, else the first that has texts
/// in half of the columns. None of a sheet without text.
pub(super) fn guess_row(target: Target, lines: &[Line]) -> Option<u64> {
    let width = lines.iter().map(|line| filled(line).count()).max().filter(|width| *width > 0)?;
    // Above the headings may be a title, which is one cell.
    let wide = || lines.iter().filter(|line| filled(line).count() >= 2.min(width));
    let is_known = |text: &str| guess(target, text).is_some_and(|guess| guess.confidence >= TAKEN);
    let known = wide().find(|line| filled(line).filter(|text| is_known(text)).count() * 2 >= filled(line).count());
    let texts = || wide().find(|line| filled(line).count() * 2 >= width && filled(line).all(is_word));
    let first = || lines.iter().find(|line| filled(line).next().is_some());
    known.or_else(texts).or_else(first).map(|line| line.number)
}

/// Reads the headings in a row. A column of a merged cell has its text, and where two columns have the same heading, a merged
/// cell above them tells them apart.
pub(super) fn read(lines: &[Line], merged: &[Merged], row: u64, columns: usize) -> Vec<String> {
    let text = |row: u64, column: usize| {
        let covering = merged.iter().find(|merged| contains(merged.rows, row) && contains(merged.columns, column));
        let (row, column) = covering.map_or((row, column), |merged| (merged.rows.0, merged.columns.0));
        let line = lines.iter().find(|line| line.number == row);
        line.and_then(|line| line.cells.get(column)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    let is_group = |column: usize| {
        let above = |merged: &&Merged| contains(merged.rows, row - 1) && merged.rows.1 < row && contains(merged.columns, column);
        row > 1 && merged.iter().find(above).is_some_and(|merged| merged.columns.0 < merged.columns.1)
    };
    let own: Vec<String> = (0..columns).map(|column| text(row, column)).collect();
    let is_repeated = |heading: &String| !heading.is_empty() && own.iter().filter(|other| *other == heading).count() > 1;
    let name = |(column, heading): (usize, &String)| match text(row.saturating_sub(1), column) {
        group if is_repeated(heading) && is_group(column) && !group.is_empty() => format!("{group} {heading}"),
        _ => heading.clone(),
    };
    own.iter().enumerate().map(name).collect()
}

fn contains<T: PartialOrd>((first, last): (T, T), value: T) -> bool {
    first <= value && value <= last
}

fn filled(line: &Line) -> impl Iterator<Item = &str> {
    line.cells.iter().map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
}

/// Whether it can be a heading: letters, and few.
fn is_word(text: &str) -> bool {
    const LONG: usize = 60;
    let letters = text.chars().filter(|sign| sign.is_alphabetic()).count();
    let digits = text.chars().filter(char::is_ascii_digit).count();
    letters > digits && text.chars().count() <= LONG
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let line =
            |(at, line): (usize, &str)| Line { number: at as u64 + 1, cells: line.split('|').map(str::to_owned).collect() };
        text.split('/').enumerate().map(line).collect()
    }

    #[test]
    fn the_row_of_the_headings_is_guessed() {
        for (sheet, row) in [
            ("externalId|name/1|Ann", Some(1)),
            ("Debtors of May||/ / id|name|phone/1|Ann|2", Some(3)),
            ("name/Ann", Some(1)),
            ("Exported|2026-01-31/Kundennr|Anschrift/77|Hauptstr. 1 12345", Some(2)),
            ("Clave|Nombre completo|Domicilio/1|Ann|x", Some(1)),
            ("Page|1/id|name|shoe size|colour/1|Ann|38|red", Some(2)),
            ("1|2/3|4", Some(1)),
            ("|/|", None),
        ] {
            assert_eq!(guess_row(Target::Customers, &lines(sheet)), row, "{sheet}");
        }
        assert_eq!(guess_row(Target::Customers, &[]), None);
    }

    #[test]
    fn merged_cells_give_their_text_to_all_their_columns() {
        let merged = |rows, columns| Merged { rows, columns };
        let check = |sheet: &str, cells: &[Merged], row, expected: &str| {
            let lines = lines(sheet);
            let columns = lines.iter().map(|line| line.cells.len()).max().unwrap_or_default();
            assert_eq!(read(&lines, cells, row, columns).join("|"), expected, "{sheet}");
        };
        check("id| name |", &[], 1, "id|name|");
        check("id|name||city", &[merged((1, 1), (1, 2))], 1, "id|name|name|city");
        // Merged downwards.
        check("id|Home||Work|/|street|city|street|city", &[merged((1, 2), (0, 0))], 2, "id|street|city|street|city");
        let groups = [merged((1, 2), (0, 0)), merged((1, 1), (1, 2)), merged((1, 1), (3, 4))];
        check("id|Home||Work|/|street|city|street|city", &groups, 2, "id|Home street|Home city|Work street|Work city");
        check("id|Home||/|street|city", &[merged((1, 1), (1, 2))], 2, "|street|city|");
    }
}
