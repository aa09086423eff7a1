//! Large workbooks, which take little memory of the process that asks for their rows.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::process::Command;

use collections::sheets::{self, Source, TextOptions};

use super::limits;
use super::parts::{sheet, workbook};

/// Where the other process finds the file.
const FILE: &str = "LARGE_WORKBOOK";

const ROWS: u64 = 400_000;

/// Most memory of this process at any time, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
#[ignore = "the next test runs it in a process of its own, to measure its memory"]
async fn rows_of_a_large_workbook() {
    let file = File::open(std::env::var_os(FILE).unwrap()).unwrap();
    let source = Source::new(file, "large.xlsx", TextOptions::default()).unwrap();
    let before = peak();
    let survey = sheets::survey(&source, &limits()).await.unwrap();
    assert_eq!((survey.sheets[0].rows, survey.sheets[0].columns), (ROWS, 1));
    let mut rows = sheets::rows(&source, "Data", &limits()).await.unwrap();
    for number in 1..=ROWS {
        let row = rows.next().await.unwrap().unwrap().unwrap();
        assert_eq!(row.number, number);
        assert!(row.cells[0].to_string().starts_with(&format!("{number} ")));
    }
    assert!(rows.next().await.unwrap().is_none());
    let grown = peak() - before;
    assert!(grown < 40 * 1024 * 1024, "{grown} bytes for a sheet of 80 MB");
}

#[test]
fn a_large_workbook_takes_little_memory() {
    let mut rows = String::new();
    for row in 1..=ROWS {
        write!(rows, r#"<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{row} {:x<180}</t></is></c></row>"#, "").unwrap();
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&workbook(&sheet(&rows), &[])).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "sheets::large::rows_of_a_large_workbook", "--ignored"]).env(FILE, file.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
