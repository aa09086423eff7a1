//! A workbook to fill in: a column for each field, with lists of words, notes, and an example of each.

use std::fs::File;

use rust_xlsxwriter::{DataValidation, Note, Workbook, Worksheet, XlsxError};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cells::{Formats, Look};
use super::{SHEET_ROWS, failed, save};
use crate::error::Result;
use crate::imports::fields::Target;
use crate::imports::guide::{CellKind, Guide, guides};

/// The sheet with the version of the template. It is hidden.
pub const VERSION_SHEET: &str = "_template";

/// Writes a template with a row for each of the records; each has a value for each field of the target.
///
/// # Errors
/// The disk is full.
pub fn write(target: Target, records: &[Vec<Value>], remark: Option<&str>) -> Result<File> {
    let mut workbook = Workbook::new();
    let formats = Formats::new();
    write_data(workbook.add_worksheet(), target, records, &formats).map_err(failed)?;
    write_notes(workbook.add_worksheet(), target, remark, &formats).map_err(failed)?;
    write_version(workbook.add_worksheet(), target).map_err(failed)?;
    save(&mut workbook)
}

/// Changes with the fields and what they take.
#[must_use]
pub fn version(target: Target) -> String {
    let mut digest = Sha256::new();
    for guide in guides(target) {
        digest.update(format!("{} {:?} {:?}\n", guide.name, guide.kind, guide.words));
    }
    digest.finalize()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write_data(sheet: &mut Worksheet, target: Target, records: &[Vec<Value>], formats: &Formats) -> Result<(), XlsxError> {
    sheet.set_name(target.name())?.set_freeze_panes(1, 0)?;
    for (column, guide) in (0..).zip(guides(target)) {
        sheet.set_column_width(column, guide.title.len().max(guide.example.len()).clamp(10, 40) as f64 + 2.0)?;
        match guide.kind {
            kind if kind.is_kept_as_text() => sheet.set_column_format(column, &formats.text)?,
            CellKind::Day => sheet.set_column_format(column, &formats.day)?,
            _ => sheet,
        };
        let look = if guide.is_required { &formats.needed } else { &formats.heading };
        sheet.write_string_with_format(0, column, guide.name, look)?;
        sheet.insert_note(0, column, &note(guide))?;
        if !guide.words.is_empty() {
            let words = DataValidation::new().allow_list_strings(guide.words)?;
            let words = words.set_error_title("Not one of the list")?.set_error_message(guide.words.join(", "))?;
            sheet.add_data_validation(1, column, SHEET_ROWS - 1, column, &words)?;
        }
    }
    for (row, record) in (1..).zip(records) {
        for ((column, guide), value) in (0..).zip(guides(target)).zip(record) {
            match (guide.kind, value.as_str().and_then(|text| text.parse().ok())) {
                (CellKind::Day, Some(day)) => formats.write_day(sheet, (row, column), day, Look::Plain)?,
                _ => formats.write(sheet, (row, column), value, Look::Plain)?,
            }
        }
    }
    Ok(())
}

fn note(guide: &Guide) -> Note {
    let need = if guide.is_required { "Required. " } else { "" };
    let text = format!("{}: {}\n{need}{}", guide.title, guide.meaning, limits(guide));
    Note::new(text).add_author_prefix(false).set_width(260).set_height(110)
}

/// What the cells of a field take, as a sentence.
fn limits(guide: &Guide) -> String {
    let length = guide.max_length.map(|most| format!(" of up to {most} characters")).unwrap_or_default();
    match guide.kind {
        CellKind::Text => format!("Text{length}."),
        CellKind::Identifier => format!("Text{length}, also if it has only digits: format the cell as text."),
        CellKind::Phone => "A phone number with its country code. Format the cell as text.".into(),
        CellKind::Day => "A day such as 2026-01-31.".into(),
        CellKind::Moment => "A day, or a day and a time, such as 2026-01-31 12:00 (UTC).".into(),
        CellKind::Amount => "A decimal number such as 129.90, without a currency.".into(),
        CellKind::Choice => format!("One of {}.", guide.words.join(", ")),
        CellKind::Words => "Words between commas.".into(),
    }
}

fn write_notes(sheet: &mut Worksheet, target: Target, remark: Option<&str>, formats: &Formats) -> Result<(), XlsxError> {
    sheet.set_name("Notes")?.set_freeze_panes(1, 0)?;
    for (column, (title, width)) in
        (0..).zip([("Field", 20), ("Title", 24), ("Meaning", 60), ("Required", 10), ("Example", 22), ("Takes", 60)])
    {
        sheet.set_column_width(column, f64::from(width))?;
        sheet.write_string_with_format(0, column, title, &formats.heading)?;
    }
    for (row, guide) in (1..).zip(guides(target)) {
        let required = if guide.is_required { "yes" } else { "" };
        let cells = [guide.name, &guide.title, &guide.meaning, required, &guide.example, &limits(guide)];
        for (column, text) in (0..).zip(cells) {
            sheet.write_string_with_format(row, column, text, &formats.wrapped)?;
        }
    }
    let below = guides(target).len() as u32 + 2;
    let rules = [
        Some("Fill in the first sheet and upload the file as it is. Columns that you do not need can be deleted.".to_owned()),
        Some(required(target)),
        Some("A blank cell keeps what a record has. <clear> empties it.".to_owned()),
        remark.map(str::to_owned),
    ];
    for (row, rule) in (below..).zip(rules.into_iter().flatten()) {
        sheet.write_string(row, 0, rule)?;
    }
    Ok(())
}

/// "A row needs externalId, and name or familyName."
fn required(target: Target) -> String {
    let sets: Vec<String> = target.required().iter().map(|names| names.join(" or ")).collect();
    format!("A file needs columns for {}.", sets.join(", and "))
}

fn write_version(sheet: &mut Worksheet, target: Target) -> Result<(), XlsxError> {
    sheet.set_name(VERSION_SHEET)?.set_very_hidden(true);
    for (row, (name, value)) in (0..).zip([("target", target.name().to_owned()), ("version", version(target))]) {
        sheet.write_string(row, 0, name)?.write_string(row, 1, value)?;
    }
    Ok(())
}
