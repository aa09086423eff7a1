//! Text files: csv and tsv, in any encoding and with any separator.

mod csv;
mod decode;
mod encoding;

use std::io::ErrorKind;

use tokio::sync::mpsc::Sender;

use super::book::{Book, BrokenRow, Kind, Row, Sheet, Warning, column_name};
use super::error::Error;
use super::source::Source;
use super::{Batch, Limits, SAMPLE_ROWS};

pub use csv::Rows;
pub use decode::{Text, open};

/// Bytes of a row: beyond them a quote counts as never closed.
pub const MAX_ROW_BYTES: usize = 1_048_576;

/// Rows that are handed on at once.
const BATCH_ROWS: usize = 100;

/// A reader of a file's rows that stops at the limits.
pub(super) struct Limited {
    rows: Rows<Text>,
    limits: Limits,
    encoding: &'static str,
    count: u64,
    columns: usize,
    /// What the owner of the file should know.
    warning: Option<Warning>,
}

impl Limited {
    pub(super) fn open(source: &Source, limits: Limits) -> Result<Self, Error> {
        let (encoding, warning) = encoding::of(source)?;
        let rows = Rows::new(open(source.open()?, Some(encoding))?, source.text.delimiter, MAX_ROW_BYTES);
        let encoding = encoding.name();
        Ok(Self { rows: rows.map_err(|error| unreadable(error, encoding, 1))?, limits, encoding, count: 0, columns: 0, warning })
    }

    fn next(&mut self) -> Result<Option<Result<Row, BrokenRow>>, Error> {
        let row = self.rows.next_row().map_err(|error| unreadable(error, self.encoding, self.rows.line()))?;
        let Some(row) = row else { return Ok(None) };
        self.count += 1;
        let (rows, columns) = (self.limits.max_rows, self.limits.max_columns);
        // The first row is the header.
        if self.count > rows + 1 {
            return Err(Error::TooManyRows { sheet: String::new(), limit: rows });
        }
        if let Ok(row) = &row {
            self.columns = self.columns.max(row.cells.len());
            if row.cells.len() > columns {
                let cell = format!("{}{}", column_name(row.cells.len() - 1), row.number);
                return Err(Error::TooManyColumns { sheet: String::new(), cell, limit: columns });
            }
        }
        Ok(Some(row))
    }
}

/// Reads the whole file and keeps its first rows.
pub(super) fn survey(source: &Source, limits: Limits) -> Result<Book, Error> {
    let mut rows = Limited::open(source, limits)?;
    let mut sample = Vec::new();
    while let Some(row) = rows.next()? {
        sample.extend(row.ok().filter(|_| sample.len() < SAMPLE_ROWS));
    }
    if rows.count == 0 {
        return Err(Error::Empty);
    }
    let sheet = Sheet { rows: rows.count, columns: rows.columns, sample, ..Sheet::default() };
    Ok(Book { kind: Kind::Text, sheets: vec![sheet], warnings: rows.warning.into_iter().collect() })
}

/// Reads the rows until the file ends or their receiver is gone.
pub(super) fn send_rows(mut rows: Limited, sender: &Sender<Result<Batch, Error>>) {
    let mut read = || {
        loop {
            let mut batch = Vec::with_capacity(BATCH_ROWS);
            while batch.len() < BATCH_ROWS {
                match rows.next()? {
                    Some(row) => batch.push(row),
                    None => break,
                }
            }
            let is_last = batch.len() < BATCH_ROWS;
            if sender.blocking_send(Ok(batch)).is_err() || is_last {
                return Ok(());
            }
        }
    };
    if let Err(error) = read() {
        // A receiver that is gone wants no error either.
        sender.blocking_send(Err(error)).ok();
    }
}

fn unreadable(error: std::io::Error, encoding: &str, line: u64) -> Error {
    match error.kind() {
        ErrorKind::InvalidData => Error::WrongEncoding { encoding: encoding.to_owned(), line },
        _ => error.into(),
    }
}
