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
