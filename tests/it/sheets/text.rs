//! Text files: encodings, separators and limits.

use collections::sheets::{self, Cell, Kind, Limits, TextOptions};
use encoding_rs::{SHIFT_JIS, WINDOWS_1252};

use super::{limits, rows, show, source};

/// The rows, and the codes of the warnings.
async fn read(bytes: &[u8], options: TextOptions) -> (Vec<String>, Vec<String>) {
    let mut source = source("people.csv", bytes);
    source.text = options;
    let book = sheets::survey(&source, &limits()).await.unwrap();
    let found = rows(&source, "", &limits()).await.unwrap();
    assert_eq!((book.kind, book.sheets.len(), book.sheets[0].rows), (Kind::Text, 1, found.len() as u64));
    let sample: Vec<_> = book.sheets[0].sample.iter().cloned().map(Ok).collect();
    let readable: Vec<_> = found.iter().filter(|row| row.is_ok()).take(30).cloned().collect();
    assert_eq!(sample, readable);
    (found.iter().map(show).collect(), book.warnings.into_iter().map(|warning| warning.message).collect())
}

#[tokio::test]
async fn any_encoding_is_read_and_a_guess_is_said() {
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let text = "id;name\r\n007;Jörg Müßig\r\n";
    let western = WINDOWS_1252.encode(text).0.into_owned();
    let cases = [
        (text.as_bytes().to_vec(), None, None),
        (format!("\u{feff}{text}").into_bytes(), None, None),
        (utf16(&format!("\u{feff}{text}"), u16::to_le_bytes), None, None),
        (utf16(&format!("\u{feff}{text}"), u16::to_be_bytes), Some(WINDOWS_1252), None),
        (utf16(text, u16::to_le_bytes), None, Some("UTF-16LE")),
        (utf16(text, u16::to_be_bytes), None, Some("UTF-16BE")),
        (western.clone(), Some(WINDOWS_1252), None),
        (western, None, Some("windows-1252")),
    ];
    for (bytes, encoding, guess) in cases {
        let (rows, warnings) = read(&bytes, TextOptions { encoding, delimiter: None }).await;
        assert_eq!(rows, ["1 id·name", "2 007·Jörg Müßig"]);
        assert_eq!(warnings.len(), usize::from(guess.is_some()), "{warnings:?}");
        assert!(guess.is_none_or(|guess| warnings[0].contains(guess)), "{warnings:?}");
    }
}

#[tokio::test]
async fn separators_are_found_or_given() {
    for (text, delimiter) in [
        ("a,b\n1;5,x", None),
        ("sep=,\r\na,b\r\n1;5,x", None),
        ("a\tb\n1;5\tx", None),
        ("a|b\n1;5|x", None),
        ("a:b\n1;5:x", Some(b':')),
    ] {
        let (rows, _) = read(text.as_bytes(), TextOptions { encoding: None, delimiter }).await;
        assert_eq!(rows, ["1 a·b", "2 1;5·x"], "{text}");
    }
}

#[tokio::test]
async fn a_broken_row_does_not_affect_the_others() {
    let (rows, _) = read(b"a,b\n1,\"open\n\n2,x\n", TextOptions::default()).await;
    assert_eq!(rows, ["1 a·b", "2 unbalanced_quotes", "4 2·x"]);
}

#[tokio::test]
async fn empty_cells_are_blank_and_the_others_text() {
    let rows = rows(&source("people.csv", "a,b\n007,\n"), "", &limits()).await.unwrap();
    assert_eq!(rows[1].as_ref().unwrap().cells, [Cell::Text("007".to_owned()), Cell::Blank]);
}

#[tokio::test]
async fn a_text_file_is_refused_for_a_reason() {
    let wide: String = (0..201).map(|at| format!("c{at},")).collect();
    let few = Limits { max_rows: 2, ..limits() };
    let small = Limits { max_file_bytes: 10, ..limits() };
    let cases = [
        ("", limits(), "empty_file"),
        (" \n,,\n", limits(), "empty_file"),
        ("a\n1\n2\n3\n", few, "too_many_rows"),
        ("a,b,c,d,e,f\n", small, "file_too_large"),
        (&wide, limits(), "too_many_columns"),
        ("%PDF-1.7\n", limits(), "not_a_workbook"),
        ("\u{1}\u{2}", limits(), "not_a_workbook"),
    ];
    for (text, limits, code) in cases {
        let error = sheets::survey(&source("people.csv", text), &limits).await.unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
    }
    let mut foreign = source("people.csv", b"ab\xff\xff\n");
    foreign.text.encoding = Some(SHIFT_JIS);
    let error = sheets::survey(&foreign, &limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "the file is not Shift_JIS at line 1; name its encoding, or save it as CSV (UTF-8)");
    let error = rows(&source("people.csv", "a\n"), "Sheet1", &limits()).await.unwrap_err();
    assert_eq!(error.code(), "no_such_sheet");
}

#[tokio::test]
async fn a_dropped_reader_ends_its_thread() {
    let source = source("people.csv", "a,b\n1,2\n".repeat(100_000));
    let mut rows = sheets::rows(&source, "", &limits()).await.unwrap();
    assert_eq!(show(&rows.next().await.unwrap().unwrap()), "1 a·b");
    // The runtime would wait for the thread when it ends.
    drop(rows);
}
