//! Files to import and forms that carry them, made and read back.

use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use reqwest::Method;
use rust_xlsxwriter::{Format, Workbook};
use serde_json::Value;

use crate::harness::client::{Answer, Client};

/// The media type of [`form`].
pub const FORM: &str = "multipart/form-data; boundary=XX";

/// A form with texts and files.
pub fn form(parts: &[(&str, &str)], files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, text) in parts {
        form.extend_from_slice(format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").as_bytes());
    }
    for (name, content) in files {
        let head = format!("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n");
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"--XX--\r\n");
    form
}

/// Uploads a file to import.
pub async fn upload(client: &Client, parts: &[(&str, &str)], file: (&str, &[u8])) -> Answer {
    client.send_bytes(FORM, Method::POST, "/imports", form(parts, &[file])).await
}

/// The address of an import, or of something below it.
#[track_caller]
pub fn path(import: &Value, suffix: &str) -> String {
    format!("/imports/{}{suffix}", import["id"].as_str().unwrap())
}

/// Pointer and code of each fault of an answer.
pub fn faults(body: &Value) -> Vec<String> {
    let faults = body["errors"].as_array().into_iter().flatten();
    faults.map(|fault| format!("{} {}", fault["pointer"].as_str().unwrap(), fault["code"].as_str().unwrap())).collect()
}

pub fn csv(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

/// A workbook of one sheet of texts.
pub fn workbook(rows: &[&[&str]]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let (sheet, text) = (workbook.add_worksheet(), Format::new().set_num_format("@"));
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(*cells) {
            if !cell.is_empty() {
                sheet.write_string_with_format(row, column, *cell, &text).unwrap();
            }
        }
    }
    workbook.save_to_buffer().unwrap()
}

/// A workbook again, as a person saves it after an edit of its texts. A hidden sheet stays hidden.
pub fn edited(bytes: &[u8], edits: &[(&str, &str)]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    for (name, rows) in sheets(bytes) {
        let sheet = workbook.add_worksheet();
        sheet.set_name(&name).unwrap().set_very_hidden(name.starts_with('_'));
        for (row, cells) in (0..).zip(rows) {
            for (column, cell) in (0..).zip(cells) {
                let text = edits.iter().fold(cell, |text, (old, new)| text.replace(old, new));
                sheet.write_string(row, column, text).unwrap();
            }
        }
    }
    workbook.save_to_buffer().unwrap()
}

/// The sheets of a workbook with their cells as text.
pub fn sheets(bytes: &[u8]) -> Vec<(String, Vec<Vec<String>>)> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes.to_vec())).unwrap();
    let text = |cell: &Data| match cell {
        Data::DateTime(moment) => moment.as_datetime().unwrap().date().to_string(),
        cell => cell.to_string(),
    };
    let cells = |range: calamine::Range<Data>| range.rows().map(|row| row.iter().map(text).collect()).collect();
    workbook.worksheets().into_iter().map(|(name, range)| (name, cells(range))).collect()
}
