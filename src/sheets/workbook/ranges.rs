//! Cells of xls and ods, which calamine holds whole, in the memory of this process.

use calamine::{Data, OdsError, Range, Xls, XlsError};

use super::cell;
use super::layout::Layout;
use crate::sheets::book::{BrokenRow, Cell, Merged, Row};
use crate::sheets::error::Error;
use crate::sheets::source::Input;

/// Calls with each row of a range.
pub(super) fn each_row(
    range: Range<Data>,
    mut each: impl FnMut(Result<Row, BrokenRow>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some((first_row, first_column)) = range.start() else { return Ok(()) };
    for (at, cells) in range.rows().enumerate() {
        let before = std::iter::repeat_n(Cell::Blank, first_column as usize);
        let cells = before.chain(cells.iter().cloned().map(cell::read)).collect();
        each(Ok(Row { number: u64::from(first_row) + at as u64 + 1, is_hidden: false, cells }))?;
    }
    Ok(())
}

/// What calamine reads of an xls says which cells are merged, and not which rows are hidden.
pub(super) fn layout(xls: &Xls<Input>, sheet: &str) -> Layout {
    let merged = xls.merge_cells_by_sheet_name(sheet).unwrap_or_default().into_iter();
    let merged = merged.map(|range| Merged {
        rows: (u64::from(range.start.0) + 1, u64::from(range.end.0) + 1),
        columns: (range.start.1 as usize, range.end.1 as usize),
    });
    Layout { merged: merged.collect(), ..Layout::default() }
}

pub(super) fn unreadable_xls(error: &XlsError) -> Error {
    match error {
        XlsError::Password => Error::Encrypted,
        // The directory of the file does not name a workbook: it holds a document or a mail.
        XlsError::Cfb(_) => Error::NotAWorkbook,
        _ => Error::Damaged { place: "the workbook".to_owned() },
    }
}

pub(super) fn unreadable_ods(error: OdsError) -> Error {
    match error {
        OdsError::Password => Error::Encrypted,
        OdsError::CellLimitExceeded { .. } => Error::Unsafe { why: "a row is repeated too often".to_owned() },
        _ => Error::Damaged { place: "the workbook".to_owned() },
    }
}
