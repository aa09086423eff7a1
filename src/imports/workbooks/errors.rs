//! The rows that failed, to be mended and uploaded again: the user's own cells, the bad ones red and explained.

use std::fs::File;

use rust_xlsxwriter::{Note, Workbook, Worksheet, XlsxError};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::cells::{Formats, Look, fitting};
use super::settings::Settings;
use super::{SHEET_ROWS, failed, save};
use crate::app::App;
use crate::error::{Error, Result};
use crate::imports::report::{Issue, Severity};
use crate::imports::store::rows::{self, Filter};
use crate::imports::store::{Action, Import};
use crate::sheets::Cell;
use crate::values::ids::ImportId;

/// The heading of the column that says what is wrong with each row. Imports leave it out.
pub const ERRORS: &str = "_errors";

/// Most cells with a comment: each takes memory until the file is done, and a spreadsheet becomes slow with more. The last column
/// says the same of every row.
const MOST_NOTES: usize = 10_000;

/// Rows that are read at once, and that wait for the writer.
const BATCH: i64 = 500;
const WAITING: usize = 1_000;

/// A row that failed.
struct FailedRow {
    cells: Vec<Cell>,
    issues: Vec<Issue>,
}

/// Writes the rows of an import that failed, as far as it has come, to a file without a name.
///
/// # Errors
/// The disk is full, or the rows cannot be read.
pub async fn of(app: &App, import: Import) -> Result<File> {
    let settings = Settings::of(&import);
    let columns = import.columns.map(|columns| columns.0).unwrap_or_default();
    let headings: Vec<String> = columns.into_iter().map(|column| column.heading).collect();
    let (sender, receiver) = mpsc::channel(WAITING);
    let name = import.sheet.unwrap_or_else(|| import.target.name().to_owned());
    let writer = spawn_blocking(move || write(&name, &headings, &settings, receiver));
    if let Err(error) = send_failed(app, import.id, &sender).await {
        // The writer ends with it.
        sender.send(Err(error)).await.ok();
    }
    drop(sender);
    writer.await.map_err(Error::internal)?
}

/// Reads the rows that failed, until the writer has ended.
async fn send_failed(app: &App, id: ImportId, sender: &mpsc::Sender<Result<FailedRow>>) -> Result<()> {
    let filter = Filter { action: Some(Action::Error), status: None };
    let mut after = 0;
    loop {
        let rows = rows::page(&app.db.read, id, &filter, after, BATCH).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.number;
        for row in rows {
            let issues = row.issues.map(|issues| issues.0).unwrap_or_default();
            if sender.send(Ok(FailedRow { cells: row.cells.0, issues })).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Writes the rows that come through the channel, under their headings. Blocks the thread.
fn write(name: &str, headings: &[String], settings: &Settings, mut rows: mpsc::Receiver<Result<FailedRow>>) -> Result<File> {
    let (mut workbook, formats) = (Workbook::new(), Formats::new());
    let (mut sheets, mut row, mut notes) = (0, SHEET_ROWS, 0);
    let errors = u16::try_from(headings.len()).map_err(Error::internal)?;
    while let Some(failed_row) = rows.blocking_recv() {
        let failed_row = failed_row?;
        if row == SHEET_ROWS {
            sheets += 1;
            begin(&mut workbook, &title(name, sheets), headings, &formats).map_err(failed)?;
            row = 1;
        }
        let sheet = workbook.worksheet_from_index(sheets - 1).map_err(failed)?;
        write_row(sheet, row, errors, &failed_row, &formats, &mut notes).map_err(failed)?;
        row += 1;
    }
    if sheets == 0 {
        begin(&mut workbook, &title(name, 1), headings, &formats).map_err(failed)?;
    }
    settings.write(&mut workbook).map_err(failed)?;
    save(&mut workbook)
}

/// The name of a sheet: rows that do not fit into one follow in others.
fn title(name: &str, sheet: usize) -> String {
    const MOST: usize = 28;
    let name: String = name.chars().filter(|sign| !"[]:*?/\\'".contains(*sign) && !sign.is_control()).take(MOST).collect();
    let name = if name.trim().is_empty() { "rows".to_owned() } else { name };
    if sheet == 1 { name } else { format!("{name} {sheet}") }
}

fn begin(workbook: &mut Workbook, name: &str, headings: &[String], formats: &Formats) -> Result<(), XlsxError> {
    let sheet = workbook.add_worksheet_with_constant_memory()?;
    sheet.set_name(name)?.set_freeze_panes(1, 0)?;
    for (column, heading) in (0..).zip(headings.iter().map(String::as_str).chain([ERRORS])) {
        sheet.set_column_width(column, if heading == ERRORS { 80.0 } else { 18.0 })?;
        sheet.write_string_with_format(0, column, fitting(heading), &formats.heading)?;
    }
    Ok(())
}

fn write_row(
    sheet: &mut Worksheet,
    row: u32,
    errors: u16,
    failed: &FailedRow,
    formats: &Formats,
    notes: &mut usize,
) -> Result<(), XlsxError> {
    for column in 0..errors {
        let of_cell: Vec<&Issue> = failed.issues.iter().filter(|issue| column_of(issue) == Some(column)).collect();
        let look = if of_cell.is_empty() { Look::Plain } else { Look::Bad };
        let value = failed.cells.get(usize::from(column)).unwrap_or(&Cell::Blank);
        formats.write(sheet, (row, column), value, look)?;
        if !of_cell.is_empty() && *notes < MOST_NOTES {
            *notes += 1;
            let text = of_cell.iter().map(|issue| sentence(issue)).collect::<Vec<_>>().join("\n");
            let text: String = text.chars().take(1_000).collect();
            sheet.insert_note(row, column, &Note::new(text).add_author_prefix(false).set_width(260))?;
        }
    }
    let all: Vec<String> = failed
        .issues
        .iter()
        .map(|issue| match &issue.column {
            Some(column) => format!("{column}: {}", sentence(issue)),
            None => sentence(issue),
        })
        .collect();
    formats.write_text(sheet, (row, errors), &all.join("\n"), Look::Plain)
}

fn sentence(issue: &Issue) -> String {
    let weight = if issue.severity == Severity::Warning { "warning: " } else { "" };
    let suggestion = issue.suggestion.as_ref().map(|suggestion| format!("; try: {suggestion}")).unwrap_or_default();
    format!("{weight}{}{suggestion} [{}]", issue.message, issue.code)
}

/// The column of an issue, from 0: that of its cell, such as F17.
fn column_of(issue: &Issue) -> Option<u16> {
    let letters = issue.cell.as_ref()?.bytes().take_while(u8::is_ascii_uppercase);
    let number = letters.fold(0_u32, |number, letter| number * 26 + u32::from(letter - b'A') + 1);
    u16::try_from(number.checked_sub(1)?).ok()
}
