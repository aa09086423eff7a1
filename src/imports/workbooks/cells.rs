//! Values as typed cells: a text is never a number or a formula, whatever it looks like.

use chrono::NaiveDate;
use rust_xlsxwriter::{Format, Worksheet, XlsxError};
use serde_json::Value;

/// Most characters of a cell, as UTF-16 counts them.
const MOST_CHARACTERS: usize = 32_767;

/// The look of a cell. The formats of a workbook are made once.
pub(super) struct Formats {
    pub(super) heading: Format,
    pub(super) needed: Format,
    pub(super) text: Format,
    pub(super) day: Format,
    bad: Format,
    bad_day: Format,
    pub(super) wrapped: Format,
}

/// Whether a cell was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Bad,
}

impl Formats {
    pub(super) fn new() -> Self {
        let bad = Format::new().set_background_color(0x00FF_C7CE).set_font_color(0x009C_0006);
        Self {
            heading: Format::new().set_bold().set_num_format("@"),
            needed: Format::new().set_bold().set_num_format("@").set_background_color(0x00FF_EB9C),
            text: Format::new().set_num_format("@"),
            day: Format::new().set_num_format("yyyy-mm-dd"),
            bad_day: bad.clone().set_num_format("yyyy-mm-dd"),
            bad: bad.set_num_format("@"),
            wrapped: Format::new().set_text_wrap(),
        }
    }

    fn of_text(&self, look: Look) -> &Format {
        if look == Look::Bad { &self.bad } else { &self.text }
    }

    fn of_day(&self, look: Look) -> &Format {
        if look == Look::Bad { &self.bad_day } else { &self.day }
    }

    /// Writes a text as a text.
    pub(super) fn write_text(&self, sheet: &mut Worksheet, at: (u32, u16), text: &str, look: Look) -> Result<(), XlsxError> {
        if text.is_empty() {
            return self.write_blank(sheet, at, look);
        }
        sheet.write_string_with_format(at.0, at.1, fitting(text), self.of_text(look)).map(drop)
    }

    pub(super) fn write_day(&self, sheet: &mut Worksheet, at: (u32, u16), day: NaiveDate, look: Look) -> Result<(), XlsxError> {
        // A workbook has no days before 1900.
        match sheet.write_date_with_format(at.0, at.1, day, self.of_day(look)) {
            Ok(_) => Ok(()),
            Err(_) => self.write_text(sheet, at, &day.to_string(), look),
        }
    }

    /// Writes JSON as the cell that it was read from.
    pub(super) fn write(&self, sheet: &mut Worksheet, at: (u32, u16), value: &Value, look: Look) -> Result<(), XlsxError> {
        match value {
            Value::Null => self.write_blank(sheet, at, look),
            Value::String(text) => self.write_text(sheet, at, text, look),
            Value::Bool(flag) if look == Look::Bad => sheet.write_boolean_with_format(at.0, at.1, *flag, &self.bad).map(drop),
            Value::Bool(flag) => sheet.write_boolean(at.0, at.1, *flag).map(drop),
            Value::Number(number) => match number.as_f64() {
                Some(value) if look == Look::Bad => sheet.write_number_with_format(at.0, at.1, value, &self.bad).map(drop),
                Some(value) => sheet.write_number(at.0, at.1, value).map(drop),
                None => self.write_text(sheet, at, &number.to_string(), look),
            },
            other => self.write_text(sheet, at, &other.to_string(), look),
        }
    }

    fn write_blank(&self, sheet: &mut Worksheet, at: (u32, u16), look: Look) -> Result<(), XlsxError> {
        match look {
            Look::Plain => Ok(()),
            Look::Bad => sheet.write_blank(at.0, at.1, &self.bad).map(drop),
        }
    }
}

/// Cuts a text to what a cell can hold.
pub(super) fn fitting(text: &str) -> String {
    let mut units = 0;
    let fits = |sign: &char| {
        units += sign.len_utf16();
        units <= MOST_CHARACTERS
    };
    text.chars().filter(|sign| *sign != '\0').take_while(fits).collect()
}
