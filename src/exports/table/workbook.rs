//! Workbooks, written row by row in constant memory. Texts are text cells, so nothing in them is calculated.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};

use chrono::NaiveDate;
use rust_xlsxwriter::{Format as CellFormat, Workbook as Book, Worksheet, XlsxError};

use super::cell::{Cell, local};
use super::layout::Layout;
use crate::error::{Error, Result};

/// Rows of a sheet below its headings: what Excel opens.
const SHEET_ROWS: u32 = 1_048_575;

/// Longest text of a cell, in units of UTF-16.
const TEXT_UNITS: usize = 32_767;

/// Digits that a number of a spreadsheet keeps.
const DIGITS: usize = 15;

/// Days before it are text: Excel counts a 29 February 1900 that never was.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1900, 3, 1).unwrap();

/// In characters.
const COLUMN_WIDTH: f64 = 18.0;

/// A workbook as it grows. It blocks, so it is written outside of the request threads.
pub(in crate::exports) struct Workbook {
    book: Book,
    layout: Layout,
    name: String,
    sheets: usize,
    /// Rows of the last sheet below its headings.
    rows: u32,
    sheet_rows: u32,
    styles: Styles,
}

struct Styles {
    heading: CellFormat,
    day: CellFormat,
    moment: CellFormat,
    /// By their decimals.
    numbers: HashMap<usize, CellFormat>,
}

impl Workbook {
    /// Begins a workbook whose sheets have a name.
    pub(in crate::exports) fn new(layout: Layout, name: &str) -> Result<Self> {
        let styles = Styles {
            heading: CellFormat::new().set_bold(),
            day: CellFormat::new().set_num_format("yyyy-mm-dd"),
            moment: CellFormat::new().set_num_format("yyyy-mm-dd hh:mm:ss.000"),
            numbers: HashMap::new(),
        };
        let (book, name) = (Book::new(), name.to_owned());
        let mut workbook = Self { book, layout, name, sheets: 0, rows: 0, sheet_rows: SHEET_ROWS, styles };
        workbook.begin_sheet().map_err(Error::internal)?;
        Ok(workbook)
    }

    /// Adds records: JSON as lists show them.
    pub(in crate::exports) fn write<'r>(&mut self, records: impl Iterator<Item = &'r [u8]>) -> Result<()> {
        for record in records {
            if self.rows == self.sheet_rows {
                self.begin_sheet().map_err(Error::internal)?;
            }
            self.rows += 1;
            let cells = self.layout.columns.cells(record).map_err(Error::internal)?;
            let sheet = self.book.worksheet_from_index(self.sheets - 1).map_err(Error::internal)?;
            for (column, cell) in (0..).zip(&cells) {
                let place = Place { sheet, row: self.rows, column };
                place.write(cell, &self.layout, &mut self.styles).map_err(Error::internal)?;
            }
        }
        Ok(())
    }

    /// Completes the workbook: a file without a name on the disk, at its beginning.
    pub(in crate::exports) fn finish(mut self) -> Result<File> {
        let mut file = tempfile::tempfile().map_err(Error::internal)?;
        self.book.save_to_writer(&mut file).map_err(Error::internal)?;
        file.seek(SeekFrom::Start(0)).map_err(Error::internal)?;
        Ok(file)
    }

    fn begin_sheet(&mut self) -> Result<(), XlsxError> {
        (self.sheets, self.rows) = (self.sheets + 1, 0);
        let name = if self.sheets == 1 { self.name.clone() } else { format!("{} {}", self.name, self.sheets) };
        let sheet = self.book.add_worksheet_with_constant_memory();
        let sheet = sheet?.set_name(name)?.set_freeze_panes(1, 0)?;
        for (at, column) in (0..).zip(&self.layout.columns.all) {
            sheet.set_column_width(at, COLUMN_WIDTH)?;
            sheet.write_string_with_format(0, at, column.heading, &self.styles.heading)?;
        }
        Ok(())
    }
}

/// Where a cell goes.
struct Place<'a> {
    sheet: &'a mut Worksheet,
    row: u32,
    column: u16,
}

impl Place<'_> {
    fn write(self, cell: &Cell<'_>, layout: &Layout, styles: &mut Styles) -> Result<(), XlsxError> {
        let Self { sheet, row, column } = self;
        match cell {
            Cell::Blank => {}
            Cell::Text(text) => {
                sheet.write_string(row, column, shortened(text))?;
            }
            Cell::Flag(flag) => {
                sheet.write_boolean(row, column, *flag)?;
            }
            Cell::Number(text) => match number(text) {
                Some((number, decimals)) => {
                    let style = styles.numbers.entry(decimals).or_insert_with(|| number_style(decimals));
                    sheet.write_number_with_format(row, column, number, style)?;
                }
                None => {
                    sheet.write_string(row, column, *text)?;
                }
            },
            Cell::Day(text) => match text.parse::<NaiveDate>().ok().filter(|day| *day >= FIRST_DAY) {
                Some(day) => {
                    sheet.write_datetime_with_format(row, column, day, &styles.day)?;
                }
                None => {
                    sheet.write_string(row, column, &**text)?;
                }
            },
            Cell::Moment(at) => {
                let local = local(*at, layout.zone);
                if local.date() >= FIRST_DAY {
                    sheet.write_datetime_with_format(row, column, local, &styles.moment)?;
                } else {
                    sheet.write_string(row, column, super::cell::moment(*at, layout.zone))?;
                }
            }
        }
        Ok(())
    }
}

/// A number that a spreadsheet keeps digit by digit, and its decimals.
fn number(text: &str) -> Option<(f64, usize)> {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let number = text.parse().ok().filter(|_| digits <= DIGITS && !text.contains(['e', 'E']));
    number.map(|number| (number, decimals))
}

fn number_style(decimals: usize) -> CellFormat {
    CellFormat::new().set_num_format(if decimals == 0 { "0".to_owned() } else { format!("0.{}", "0".repeat(decimals)) })
}

/// As much of a text as a cell takes.
fn shortened(text: &str) -> &str {
    // No text has fewer bytes than units.
    if text.len() <= TEXT_UNITS {
        return text;
    }
    let mut units = 0;
    let is_too_much = |letter: char| {
        units += letter.len_utf16();
        units > TEXT_UNITS
    };
    text.find(is_too_much).map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use calamine::{Data, Reader as _, Xlsx};
    use proptest::prelude::*;

    use super::*;
    use crate::collections;
    use crate::exports::table::{Format, Reader};

    fn layout(columns: &str) -> Layout {
        let payments = collections::find("payments").unwrap();
        Layout::new(payments, Format::Xlsx, Some(columns), Reader::Spreadsheet, None).unwrap()
    }

    fn sheets(workbook: Workbook) -> Vec<(String, Vec<Vec<Data>>)> {
        let mut book: Xlsx<_> = calamine::open_workbook_from_rs(std::io::BufReader::new(workbook.finish().unwrap())).unwrap();
        let rows = |(name, range): (String, calamine::Range<Data>)| (name, range.rows().map(<[Data]>::to_vec).collect());
        book.worksheets().into_iter().map(rows).collect()
    }

    #[test]
    fn cells_have_the_types_of_their_values() {
        let mut workbook = Workbook::new(layout("id,amount,version,receiver,receivedAt,deletedAt"), "payments").unwrap();
        let record = br#"{"id":"007","version":3,"amount":-1234.50,"receiver":"=1+1","receivedAt":"2026-01-31T12:00:00.250Z","deletedAt":null}"#;
        let long =
            br#"{"id":"8","version":12345678901234567,"amount":0.001,"receiver":"+1","receivedAt":"1899-12-31T12:00:00.250Z"}"#;
        workbook.write([record.as_slice(), long.as_slice()].into_iter()).unwrap();
        let (name, rows) = sheets(workbook).remove(0);
        assert_eq!(name, "payments");
        assert_eq!(
            rows[1][..4],
            [Data::String("007".into()), Data::Float(-1234.5), Data::Float(3.0), Data::String("=1+1".into())]
        );
        let Data::DateTime(received) = &rows[1][4] else { panic!("{:?}", rows[1]) };
        assert_eq!(received.as_datetime().unwrap().and_utc().to_rfc3339(), "2026-01-31T12:00:00.250+00:00");
        assert_eq!(rows[1][5], Data::Empty);
        assert_eq!(rows[2][2], Data::String("12345678901234567".into()), "more digits than a spreadsheet keeps");
        assert_eq!(rows[2][4], Data::String("1899-12-31T12:00:00.250Z".into()), "before its calendar begins");
    }

    #[test]
    fn a_full_sheet_is_followed_by_another() {
        let mut workbook = Workbook::new(layout("id"), "payments").unwrap();
        workbook.sheet_rows = 2;
        let records: Vec<String> = (0..5).map(|number| format!(r#"{{"id":"{number}"}}"#)).collect();
        workbook.write(records.iter().map(String::as_bytes)).unwrap();
        let counts: Vec<(String, usize)> = sheets(workbook).into_iter().map(|(name, rows)| (name, rows.len())).collect();
        assert_eq!(counts, [("payments".to_owned(), 3), ("payments 2".to_owned(), 3), ("payments 3".to_owned(), 2)]);
    }

    #[test]
    fn a_text_is_cut_to_what_a_cell_takes() {
        assert_eq!(shortened(&"é".repeat(40_000)).chars().count(), 32_767);
        assert_eq!(shortened(&"😀".repeat(40_000)).chars().count(), 16_383);
        assert_eq!(shortened(&"é".repeat(32_767)).chars().count(), 32_767);
    }

    proptest! {
        #[test]
        fn texts_come_back_as_they_were(text in "[-=+@\t\r\n\"<>&_x0-9A-F é\u{1}-\u{1f}\\PC]{1,20}") {
            let mut workbook = Workbook::new(layout("receiver"), "payments").unwrap();
            let record = serde_json::json!({ "receiver": text }).to_string();
            workbook.write([record.as_bytes()].into_iter()).unwrap();
            prop_assert_eq!(&sheets(workbook)[0].1[1][0], &Data::String(text));
        }
    }
}
