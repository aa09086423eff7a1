//! Files that are broken, or made to do harm: each is refused for its own reason, and leaves no process behind.

use std::time::Duration;

use collections::sheets::{self, Limits};

use super::parts::{TYPES, archive, compound_file, ods, sheet, workbook};
use super::{limits, rows, show, source};
use crate::harness::dice::Dice;
use crate::harness::eventually::eventually;

fn cell(name: &str) -> String {
    format!(r#"<row r="1"><c r="{name}"><v>1</v></c></row>"#)
}

async fn refusal(name: &str, bytes: &[u8], limits: &Limits) -> (&'static str, String) {
    let error = sheets::survey(&source(name, bytes), limits).await.expect_err(name);
    (error.code(), error.to_string())
}

#[tokio::test]
async fn each_hostile_file_is_refused_for_its_own_reason() {
    let plain = workbook(&sheet(&cell("A1")), &[]);
    let spaces = format!("<worksheet>{}", " ".repeat(8 * 1024 * 1024));
    let strings = r#"<sst uniqueCount="100000000000"><si><t>a</t></si></sst>"#;
    let entity = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>"#;
    let names: Vec<String> = (0..10_001).map(|at| format!("xl/media/{at}.png")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let far_apart = [
        r#"<table:table table:name="a"><table:table-row><table:table-cell office:value="1"/></table:table-row>"#,
        r#"<table:table-row table:number-rows-repeated="900000"><table:table-cell/></table:table-row>"#,
        r#"<table:table-row><table:table-cell table:number-columns-repeated="100"/><table:table-cell office:value="1"/>"#,
        "</table:table-row></table:table>",
    ];
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("bomb.xlsx", workbook(&spaces, &[]), "zip_bomb"),
        ("count.xlsx", workbook(&sheet(&cell("A1")), &[("xl/sharedStrings.xml", strings)]), "damaged"),
        ("entity.xlsx", workbook(&format!("{entity}{}", sheet(&cell("A1"))), &[]), "unsafe_file"),
        ("outside.xlsx", workbook(&sheet(&cell("A1")), &[("../../etc/passwd", "x")]), "unsafe_file"),
        ("many.xlsx", workbook(&sheet(&cell("A1")), &many), "unsafe_file"),
        ("columns.xlsx", workbook(&sheet(&cell("XFE1")), &[]), "outside_of_grid"),
        ("rows.xlsx", workbook(&sheet(&cell("A1048577")), &[]), "outside_of_grid"),
        ("order.xlsx", workbook(&sheet(&format!("{}{}", cell("A7"), cell("A3"))), &[]), "damaged"),
        ("index.xlsx", workbook(&sheet(r#"<row r="1"><c r="A1" t="s"><v>9</v></c></row>"#), &[]), "damaged"),
        ("unclosed.xlsx", workbook("<worksheet><sheetData><row>", &[]), "damaged"),
        ("empty.xlsx", workbook(&sheet(""), &[]), "empty_file"),
        ("blank.xlsx", workbook(&sheet(r#"<row r="1"><c r="A1" s="1"/></row>"#), &[]), "empty_file"),
        ("document.xlsx", archive(&[TYPES, ("word/document.xml", "<document/>")]), "not_a_workbook"),
        ("nothing.xlsx", archive(&[]), "not_a_workbook"),
        ("apart.ods", ods(&far_apart.concat()), "too_large_to_read"),
        ("secret.xlsx", compound_file("EncryptedPackage"), "encrypted"),
        ("mail.xls", compound_file("__properties_version1.0"), "not_a_workbook"),
        ("older.xlsx", include_bytes!("../../fixtures/people.xls").to_vec(), "wrong_ending"),
        ("newer.xls", plain.clone(), "wrong_ending"),
        ("newer.csv", plain.clone(), "wrong_ending"),
        ("text.xlsx", b"a,b\n1,2\n".to_vec(), "wrong_ending"),
        ("page.xls", b"\n<!DOCTYPE html><html><table><tr><td>1".to_vec(), "markup"),
        ("older.xml", b"<?xml version=\"1.0\"?><Workbook/>".to_vec(), "markup"),
        ("picture.xlsx", b"\x89PNG\r\n\x1a\n\0\0".to_vec(), "not_a_workbook"),
    ];
    for (name, bytes, code) in cases {
        let (found, message) = refusal(name, &bytes, &limits()).await;
        assert_eq!(found, code, "{name}: {message}");
    }
    let few = Limits { max_rows: 1, ..limits() };
    let long = workbook(&sheet(&[cell("A1"), cell("A2"), cell("A3")].concat()), &[]);
    assert_eq!(refusal("long.xlsx", &long, &few).await.0, "too_many_rows");
    let error = rows(&source("plain.xlsx", &plain), "--sheet", &limits()).await.unwrap_err();
    assert_eq!(error.to_string(), "there is no sheet \"--sheet\" in the file");
}

#[tokio::test]
async fn a_file_that_is_cut_anywhere_is_truncated() {
    let whole = workbook(&sheet(&cell("A1")), &[]);
    for twentieth in 1..20 {
        let cut = &whole[..whole.len() * twentieth / 20];
        let (code, message) = refusal("cut.xlsx", cut, &limits()).await;
        assert!(["truncated", "damaged"].contains(&code), "{twentieth}: {code} {message}");
    }
}

/// Whatever the file holds, it is read or refused, and the process that reads it answers.
#[tokio::test]
async fn changed_bytes_are_read_or_refused() {
    let strings = r#"<sst uniqueCount="1"><si><t>a</t></si></sst>"#;
    let xlsx = workbook(&sheet(&cell("A1")), &[("xl/sharedStrings.xml", strings)]);
    let xls = include_bytes!("../../fixtures/people.xls").to_vec();
    let mut dice = Dice::new(7);
    let short = Limits { read_timeout: Duration::from_secs(10), ..limits() };
    for (name, bytes) in [("a.xlsx", xlsx), ("a.xls", xls)] {
        for _ in 0..20 {
            let mut changed = bytes.clone();
            for _ in 0..4 {
                // The first bytes say what kind of file it is.
                let at = 8 + dice.roll(changed.len() as u64 - 8) as usize;
                changed[at] = dice.roll(256) as u8;
            }
            if let Err(error) = sheets::survey(&source(name, &changed), &short).await {
                assert_ne!(error.code(), "internal", "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_takes_too_long_is_given_up() {
    let rows: String = (1..=200_000).map(|row| format!(r#"<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>"#)).collect();
    let short = Limits { read_timeout: Duration::from_millis(100), ..limits() };
    assert_eq!(refusal("slow.xlsx", &workbook(&sheet(&rows), &[]), &short).await.0, "took_too_long");
}

/// The command lines of the running processes.
fn command_lines() -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    all.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
}

#[tokio::test]
async fn a_dropped_reader_leaves_no_process() {
    let name = format!("Sheet {}", std::process::id());
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet().set_name(&name).unwrap();
    for row in 0..50_000 {
        sheet.write_string(row, 0, "a text that fills the pipe after some thousand rows").unwrap();
    }
    let source = source("a.xlsx", book.save_to_buffer().unwrap());
    let runs = || command_lines().iter().any(|line| line.contains(&name));
    let mut rows = sheets::rows(&source, &name, &limits()).await.unwrap();
    assert!(show(&rows.next().await.unwrap().unwrap()).starts_with("1 a text"));
    assert!(runs(), "the pipe is full");
    drop(rows);
    eventually("the process is gone", async || !runs()).await;
}
