//! Workbooks for people: templates to fill in, and rows that failed to mend.
//!
//! Rows are written as they come and go to the disk, so memory does not grow with them.

mod cells;
pub mod current;
pub mod errors;
pub mod settings;
pub mod template;

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom};

use rust_xlsxwriter::{Workbook, XlsxError};

use crate::error::{Error, Result};

/// The media type of a workbook.
pub const MEDIA_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// Most rows of a sheet, the one with the headings included.
pub const SHEET_ROWS: u32 = 1_048_576;

/// Writes a workbook to a file without a name; the file is at its beginning.
fn save(workbook: &mut Workbook) -> Result<File> {
    let mut file = tempfile::tempfile().map_err(Error::internal)?;
    workbook.save_to_writer(BufWriter::new(&file)).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
    Ok(file)
}

/// A full disk is the one failure that is not the program's.
fn failed(error: XlsxError) -> Error {
    match error {
        XlsxError::IoError(cause) if cause.kind() == std::io::ErrorKind::StorageFull => Error::StorageFull,
        error => Error::internal(error),
    }
}
