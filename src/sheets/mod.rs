//! Sheets: the rows of workbooks (xlsx, xlsm, xls, ods) and of text files (csv, tsv), one at a time, in bounded memory.
//!
//! [`survey`] says what a file holds, [`rows`] reads one of its sheets. Both can be dropped at any time. A text file is read by
//! a thread, which waits when it is two batches ahead.

mod book;
mod error;
mod format;
mod source;
pub mod text;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

pub use crate::config::SheetLimits as Limits;
pub use book::{Book, BrokenRow, Cell, Kind, Merged, Row, Sheet, Warning, column_name};
pub use error::Error;
pub use format::{Format, HEAD_BYTES};
pub use source::{Source, TextOptions};

/// The first rows of each sheet, which a survey shows.
const SAMPLE_ROWS: usize = 30;

/// Batches of rows that wait for their reader.
const WAITING_BATCHES: usize = 2;

/// Rows in their order, with those that cannot be read.
type Batch = Vec<Result<Row, BrokenRow>>;

/// Reads the file once and says what it holds: its sheets, how large they are and how they begin.
///
/// # Errors
/// The file cannot be read as a workbook or as text, or is beyond a limit.
pub async fn survey(source: &Source, limits: &Limits) -> Result<Book, Error> {
    check_size(source, limits)?;
    match source.format {
        Format::Text => {
            let (source, limits) = (source.again()?, limits.clone());
            spawn_blocking(move || text::survey(&source, limits)).await.map_err(Error::internal)?
        }
        Format::Zip | Format::CompoundFile | Format::Binary => Err(Error::NotAWorkbook),
    }
}

/// Begins to read a sheet; the only one of a text file has an empty name.
///
/// # Errors
/// As of [`survey`], or there is no such sheet.
pub async fn rows(source: &Source, sheet: &str, limits: &Limits) -> Result<Rows, Error> {
    check_size(source, limits)?;
    match source.format {
        Format::Text if !sheet.is_empty() => Err(Error::NoSuchSheet { sheet: sheet.to_owned() }),
        Format::Text => {
            let (source, limits) = (source.again()?, limits.clone());
            let open = spawn_blocking(move || text::Limited::open(&source, limits));
            let rows = open.await.map_err(Error::internal)??;
            let (sender, batches) = mpsc::channel(WAITING_BATCHES);
            spawn_blocking(move || text::send_rows(rows, &sender));
            Ok(Rows { batches, batch: Vec::new().into_iter() })
        }
        Format::Zip | Format::CompoundFile | Format::Binary => Err(Error::NotAWorkbook),
    }
}

fn check_size(source: &Source, limits: &Limits) -> Result<(), Error> {
    let (bytes, limit) = (source.file.metadata()?.len(), limits.max_file_bytes);
    if bytes > limit { Err(Error::FileTooLarge { bytes, limit }) } else { Ok(()) }
}

/// The rows of a sheet that are not blank. Reading ends when this value is dropped.
#[derive(Debug)]
pub struct Rows {
    batches: mpsc::Receiver<Result<Batch, Error>>,
    batch: std::vec::IntoIter<Result<Row, BrokenRow>>,
}

impl Rows {
    /// Waits for the next row; none at the end of the sheet. Can be dropped without losing a row.
    ///
    /// # Errors
    /// What follows cannot be read. A row that cannot be read is no error, and the next one is not affected.
    pub async fn next(&mut self) -> Result<Option<Result<Row, BrokenRow>>, Error> {
        loop {
            if let Some(row) = self.batch.next() {
                return Ok(Some(row));
            }
            match self.batches.recv().await {
                Some(batch) => self.batch = batch?.into_iter(),
                None => return Ok(None),
            }
        }
    }
}
