//! Cells of xlsx and xlsm, as a stream: a range would take memory for every cell between the first and the last.

use calamine::{Data, Xlsx, XlsxError};

use super::cell;
use super::layout::{GRID_COLUMNS, GRID_ROWS, Layout};
use crate::sheets::book::{BrokenRow, Row, column_name};
use crate::sheets::error::Error;
use crate::sheets::source::Input;

/// Calls with each row that has cells.
pub(super) fn each_row(
    xlsx: &mut Xlsx<Input>,
    sheet: &str,
    layout: &Layout,
    mut each: impl FnMut(Result<Row, BrokenRow>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut cells = xlsx.worksheet_cells_reader(sheet).map_err(unreadable)?;
    let mut row = Row::default();
    loop {
        let cell = match cells.next_cell() {
            Ok(Some(cell)) => cell,
            Ok(None) => {
                layout.complete(&mut row);
                return each(Ok(row));
            }
            Err(XlsxError::CellError(_)) => continue,
            Err(error) => return Err(unreadable_after(&error, sheet, row.number)),
        };
        let (number, column) = (u64::from(cell.get_position().0) + 1, cell.get_position().1 as usize);
        if number > GRID_ROWS || column >= GRID_COLUMNS {
            return Err(Error::OutsideOfGrid { sheet: sheet.to_owned(), cell: format!("{}{number}", column_name(column)) });
        }
        if number < row.number {
            return Err(Error::Damaged {
                place: format!("the sheet {sheet:?} after row {}: its rows are not in order,", row.number),
            });
        }
        if number > row.number {
            let next = Row { number, is_hidden: layout.hides(number), cells: Vec::new() };
            layout.complete(&mut row);
            each(Ok(std::mem::replace(&mut row, next)))?;
        }
        row.put(column, cell::read(Data::from(cell.get_value().clone())));
    }
}

/// What calamine says may quote cells, so only the place is passed on.
pub(super) fn unreadable(error: XlsxError) -> Error {
    match error {
        XlsxError::Password => Error::Encrypted,
        XlsxError::FileNotFound(part) => Error::Damaged { place: format!("the workbook without its part {part:?}") },
        _ => Error::Damaged { place: "the workbook".to_owned() },
    }
}

fn unreadable_after(error: &XlsxError, sheet: &str, row: u64) -> Error {
    match error {
        XlsxError::ColumnNumberOverflow | XlsxError::RowNumberOverflow => {
            Error::OutsideOfGrid { sheet: sheet.to_owned(), cell: format!("after row {row}") }
        }
        _ => Error::Damaged { place: format!("the sheet {sheet:?} after row {row}") },
    }
}
