//! The settings of an import, hidden in the workbook of its failed rows: mended, these are read as the first file was.

use rust_xlsxwriter::{Workbook, XlsxError};
use serde::{Deserialize, Serialize};

use crate::error::Violations;
use crate::imports::fields::Target;
use crate::imports::headings::{is_own, plain};
use crate::imports::store::{Blank, Column, Import, Mode, Options};
use crate::sheets::Book;

/// The sheet with the settings. It is hidden.
const SHEET: &str = "_import";

/// How an import finds records and reads cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Settings {
    target: Target,
    pub mode: Mode,
    pub key: String,
    pub blank: Blank,
    pub options: Options,
    #[serde(skip)]
    columns: Vec<Column>,
}

/// The hidden sheet does not hold what an import of the target has written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hidden settings of the file are left out: they are damaged, or of another target")]
pub struct Unusable;

impl Settings {
    /// The settings of an import. A form in which all of its columns were read is one of them: the failed rows may not show it.
    #[must_use]
    pub fn of(import: &Import) -> Self {
        let mut options = import.options.0.clone();
        if let Some(forms) = &import.forms {
            options.days = options.days.or_else(|| only(forms.days.values()));
            options.decimal = options.decimal.or_else(|| only(forms.decimals.values()));
        }
        Self {
            target: import.target,
            mode: import.mode,
            key: import.key.clone(),
            blank: import.blank,
            options,
            columns: import.columns.as_ref().map(|columns| columns.0.clone()).unwrap_or_default(),
        }
    }

    /// Adds the hidden sheet: the settings as JSON, and below, a row with the headings and one with their fields.
    pub(super) fn write(&self, workbook: &mut Workbook) -> Result<(), XlsxError> {
        let sheet = workbook.add_worksheet();
        sheet.set_name(SHEET)?.set_very_hidden(true);
        let json = serde_json::to_string(self).map_err(|error| XlsxError::ParameterError(error.to_string()))?;
        sheet.write_string(0, 0, json)?;
        for (at, column) in (0..).zip(&self.columns) {
            sheet.write_string(1, at, super::cells::fitting(&column.heading))?;
            sheet.write_string(2, at, column.field.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }

    /// Reads the settings that a file carries. Anyone can have written them, so they are checked like a request.
    ///
    /// # Errors
    /// They are damaged, or those of an import of another target.
    pub fn carried(target: Target, book: &Book) -> Result<Option<Self>, Unusable> {
        let Some(sheet) = book.sheets.iter().find(|sheet| sheet.is_hidden && sheet.name == SHEET) else { return Ok(None) };
        let texts = |number: u64| {
            let row = sheet.sample.iter().find(|row| row.number == number);
            row.into_iter().flat_map(|row| &row.cells).map(ToString::to_string)
        };
        let json = texts(1).next().unwrap_or_default();
        let mut settings: Self = serde_json::from_str(&json).map_err(|_| Unusable)?;
        let mut violations = Violations::default();
        settings.options.check(&mut violations);
        if settings.target != target || !target.keys().contains(&settings.key.as_str()) || !violations.is_empty() {
            return Err(Unusable);
        }
        let fields = texts(3).map(|name| Some(name).filter(|name| !name.is_empty())).chain(std::iter::repeat(None));
        settings.columns = texts(2).zip(fields).map(|(heading, field)| Column { heading, field }).collect();
        Ok(Some(settings))
    }

    /// The columns of a sheet with these headings, in its order. None if the import had no column of one of them.
    #[must_use]
    pub fn columns_of(&self, headings: &[String]) -> Option<Vec<Column>> {
        let mut left = self.columns.clone();
        let column = |heading: &String| match left.iter().position(|column| plain(&column.heading) == plain(heading)) {
            Some(at) => Some(left.remove(at)),
            None => plain(heading).is_empty().then(|| Column { heading: heading.clone(), field: None }),
        };
        headings.iter().filter(|heading| !is_own(heading)).map(column).collect()
    }
}

/// The value that all of them have.
fn only<'a, T: Copy + PartialEq + 'a>(mut values: impl Iterator<Item = &'a T>) -> Option<T> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(*first)
}
