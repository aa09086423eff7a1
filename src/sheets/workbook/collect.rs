//! The rows of a sheet within its limits, and the sample of a survey.

use super::cell;
use crate::sheets::SAMPLE_ROWS;
use crate::sheets::book::{BrokenRow, Cell, Row, column_name};
use crate::sheets::error::Error;
use crate::sheets::text::MAX_ROW_BYTES;

/// Text of a sheet, in bytes: a text that is stored once can be shown in a million cells.
const MAX_SHEET_BYTES: usize = 1024 * 1024 * 1024;

/// Characters of a text in a sample, which is for the eye.
const SAMPLE_CHARACTERS: usize = 500;

/// Bytes of all samples of a survey, however many sheets there are.
const SAMPLES_BYTES: usize = 8 * 1024 * 1024;

/// Passes on the rows of a sheet that are not blank, up to the limits.
pub(super) struct Collect<'a> {
    sheet: &'a str,
    max_rows: u64,
    max_columns: usize,
    rows: u64,
    bytes: usize,
}

impl<'a> Collect<'a> {
    pub(super) fn new(sheet: &'a str, max_rows: u64, max_columns: usize) -> Self {
        Self { sheet, max_rows, max_columns, rows: 0, bytes: 0 }
    }

    /// Returns the row without its blank end; none if all of it is blank.
    pub(super) fn take(&mut self, row: Result<Row, BrokenRow>) -> Result<Option<Result<Row, BrokenRow>>, Error> {
        let mut row = match row {
            Ok(row) => row,
            Err(broken) => return self.count().map(|()| Some(Err(broken))),
        };
        let Some(last) = row.cells.iter().rposition(|cell| !cell.is_blank()) else { return Ok(None) };
        row.cells.truncate(last + 1);
        self.count()?;
        if last >= self.max_columns {
            let cell = format!("{}{}", column_name(last), row.number);
            return Err(Error::TooManyColumns { sheet: self.sheet.to_owned(), cell, limit: self.max_columns });
        }
        let bytes = cell::bytes(&row);
        self.bytes += bytes;
        if self.bytes > MAX_SHEET_BYTES {
            return Err(Error::TooLargeToRead { memory: MAX_SHEET_BYTES as u64 });
        }
        if bytes > MAX_ROW_BYTES {
            let message = format!("the row is longer than {MAX_ROW_BYTES} bytes");
            return Ok(Some(Err(BrokenRow { number: row.number, line: row.number, code: "row_too_long".to_owned(), message })));
        }
        Ok(Some(Ok(row)))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.rows += 1;
        // The first row is the header.
        if self.rows > self.max_rows + 1 {
            return Err(Error::TooManyRows { sheet: self.sheet.to_owned(), limit: self.max_rows });
        }
        Ok(())
    }
}

/// The samples of all sheets of a survey.
#[derive(Default)]
pub(super) struct Samples {
    bytes: usize,
}

/// The sample of one sheet.
pub(super) struct Sample<'a> {
    rows: Vec<Row>,
    bytes: &'a mut usize,
}

impl Samples {
    pub(super) fn of_a_sheet(&mut self) -> Sample<'_> {
        Sample { rows: Vec::new(), bytes: &mut self.bytes }
    }
}

impl Sample<'_> {
    /// Keeps the row if it is among the first, with its texts shortened.
    pub(super) fn keep(&mut self, mut row: Row) {
        if self.rows.len() == SAMPLE_ROWS {
            return;
        }
        for cell in &mut row.cells {
            if let Cell::Text(text) = cell
                && let Some((end, _)) = text.char_indices().nth(SAMPLE_CHARACTERS)
            {
                text.truncate(end);
            }
        }
        *self.bytes += cell::bytes(&row);
        if *self.bytes <= SAMPLES_BYTES {
            self.rows.push(row);
        }
    }

    pub(super) fn end(self) -> Vec<Row> {
        self.rows
    }
}
