//! Why a file cannot be read, and what its owner can do.

use std::io;

use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    #[error("the file is empty")]
    Empty,
    #[error("the file has {bytes} bytes, more than the limit of {limit}; split it")]
    FileTooLarge { bytes: u64, limit: u64 },
    #[error("{}more than {limit} rows below the header; split it", subject(.sheet))]
    TooManyRows { sheet: String, limit: u64 },
    #[error("{}a value in {cell}, beyond the limit of {limit} columns; delete what is not needed", subject(.sheet))]
    TooManyColumns { sheet: String, cell: String, limit: usize },
    #[error("there is no sheet {sheet:?} in the file")]
    NoSuchSheet { sheet: String },
    #[error("the file is named .{ending}, but it is {is}; give it the right ending, or save it again as a workbook (xlsx)")]
    WrongEnding { ending: String, is: String },
    #[error(
        "the file is HTML or XML, which some programs save as .xls; open it in a spreadsheet program and save it as a workbook (xlsx)"
    )]
    Markup,
    #[error("the file has a password; save it without one")]
    Encrypted,
    #[error("the file ends in the middle; upload it again, or save it again")]
    Truncated,
    #[error("{place} cannot be read; open the file in a spreadsheet program and save it again")]
    Damaged { place: String },
    #[error("the cell {cell} of the sheet {sheet:?} is beyond what a spreadsheet holds, 1,048,576 rows and 16,384 columns")]
    OutsideOfGrid { sheet: String, cell: String },
    #[error("the file is not safe to read: {why}; open it in a spreadsheet program and save it again")]
    Unsafe { why: String },
    #[error("the file unpacks to {bytes} bytes, more than a workbook of its size does; split it")]
    ZipBomb { bytes: u64 },
    #[error("reading the file takes more than {memory} bytes of memory; split it, or save it as CSV (UTF-8)")]
    TooLargeToRead { memory: u64 },
    #[error("reading the file takes too long; split it, or save it as CSV (UTF-8)")]
    TookTooLong,
    #[error("the file is neither a workbook (xlsx, xlsm, xls, ods) nor text (csv, tsv); save it as one of these")]
    NotAWorkbook,
    #[error("the file is not {encoding} at line {line}; name its encoding, or save it as CSV (UTF-8)")]
    WrongEncoding { encoding: String, line: u64 },
    /// The disk or the program failed, not the file.
    #[serde(skip)]
    #[error("the file could not be read")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn subject(sheet: &str) -> String {
    if sheet.is_empty() { "the file has ".to_owned() } else { format!("the sheet {sheet:?} has ") }
}

impl Error {
    /// Stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty_file",
            Self::FileTooLarge { .. } => "file_too_large",
            Self::TooManyRows { .. } => "too_many_rows",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::NoSuchSheet { .. } => "no_such_sheet",
            Self::WrongEnding { .. } => "wrong_ending",
            Self::Markup => "markup",
            Self::Encrypted => "encrypted",
            Self::Truncated => "truncated",
            Self::Damaged { .. } => "damaged",
            Self::OutsideOfGrid { .. } => "outside_of_grid",
            Self::Unsafe { .. } => "unsafe_file",
            Self::ZipBomb { .. } => "zip_bomb",
            Self::TooLargeToRead { .. } => "too_large_to_read",
            Self::TookTooLong => "took_too_long",
            Self::NotAWorkbook => "not_a_workbook",
            Self::WrongEncoding { .. } => "wrong_encoding",
            Self::Internal(_) => "internal",
        }
    }

    pub(super) fn internal(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(error.into())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::internal(error)
    }
}
