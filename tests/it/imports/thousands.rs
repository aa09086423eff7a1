//! A long workbook with 200 bad rows of twelve kinds, from its first upload until it is complete, and back.

use std::io::Read as _;

use collections::imports::run::Task;
use collections::imports::workbooks::errors;
use collections::imports::{Issue, Severity, Target};

use super::files::{sheets, workbook};
use super::harness::{Importer, counts, upsert};
use crate::harness::amount::amount;

const BAD: usize = 200;

const HEADINGS: [&str; 13] = [
    "id",
    "name",
    "kind",
    "email",
    "language",
    "country",
    "due date",
    "balance",
    "currency",
    "account",
    "time zone",
    "street",
    "tags",
];

/// Column, bad cell, and the code of its error.
const FAULTS: [(usize, &str, &str); 12] = [
    (0, "", "required"),
    (0, "4.71E+15", "rounded_number"),
    (2, "persn", "unknown_value"),
    (3, "ann@ example,com", "not_a_contact"),
    (4, "english", "not_a_language"),
    (5, "Germny", "not_a_country"),
    (6, "31.02.2026", "not_a_day"),
    (7, "much", "not_an_amount"),
    (7, "1.2345", "too_many_decimals"),
    (8, "Euro", "unknown_currency"),
    (9, "A-1", "duplicate"),
    (10, "Berlin", "not_a_time_zone"),
];

/// Rows of the workbook; `IMPORT_ROWS=50000` makes more.
fn rows() -> usize {
    amount("IMPORT_ROWS").unwrap_or(2_000)
}

/// The cells of a row without a fault.
fn good(at: usize) -> Vec<String> {
    let [id, name, email, account] = [format!("C-{at}"), format!("Ann {at}"), format!("ann{at}@example.com"), format!("A-{at}")];
    [&id, &name, "person", &email, "en", "DE", "31.12.2026", "12.50", "EUR", &account, "Europe/Berlin", "1 High Street", "a; b"]
        .map(str::to_owned)
        .to_vec()
}

/// The fault of a row, if it is one of the bad ones.
fn fault(at: usize) -> Option<(usize, &'static str, &'static str)> {
    let every = rows() / BAD;
    (at % every == every - 1).then(|| FAULTS[at / every % FAULTS.len()])
}

fn bytes(rows: &[Vec<String>]) -> Vec<u8> {
    let headings = HEADINGS.map(str::to_owned).to_vec();
    let rows: Vec<Vec<&str>> =
        std::iter::once(&headings).chain(rows).map(|row| row.iter().map(String::as_str).collect()).collect();
    workbook(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Cell, code and value of each error.
fn described(issues: &[Issue]) -> Vec<(String, String, String)> {
    let errors = issues.iter().filter(|issue| issue.severity == Severity::Error);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    errors.map(|error| (text(&error.cell), error.code.clone(), text(&error.value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_workbook_is_imported_but_for_its_bad_rows_completed_and_undone() {
    let importer = Importer::open().await;
    let all = rows() as u64;
    importer.import(Target::Customers, "id,name\nC-0,Before\n").await;
    let (mut cells, mut expected) = (Vec::new(), Vec::new());
    for at in 0..rows() {
        let mut row = good(at);
        if let Some((column, bad, code)) = fault(at) {
            bad.clone_into(&mut row[column]);
            let place = format!("{}{}", char::from(b'A' + u8::try_from(column).unwrap()), at + 2);
            expected.push((place, code.to_owned(), bad.to_owned()));
        }
        cells.push(row);
    }
    let file = bytes(&cells);
    let live = "select count(*)::text from customers where deleted_at is null";

    let first = importer.commit(upsert(Target::Customers), &file).await;
    assert_eq!(described(&first.issues), expected);
    assert!(first.issues.iter().all(|issue| issue.sheet.as_deref() == Some("Sheet1")));
    let without: Vec<&Issue> = first.issues.iter().filter(|issue| issue.cell.is_some() && issue.suggestion.is_none()).collect();
    assert!(without.is_empty(), "each says what to do: {without:?}");
    let done = first.counts;
    assert_eq!((done.created, done.updated, done.failed), (all - 201, 1, 200));
    assert_eq!(importer.text(live).await, Some((all - 200).to_string()));

    let mut failed = Vec::new();
    errors::of(&importer.app, importer.find(first.id).await).await.unwrap().read_to_end(&mut failed).unwrap();
    let failed = sheets(&failed).remove(0).1;
    let bad = (0..rows()).filter_map(|at| Some((at, fault(at)?)));
    let mended: Vec<Vec<String>> = failed[1..]
        .iter()
        .zip(bad)
        .map(|(row, (at, (column, ..)))| {
            let mut row = row[..HEADINGS.len()].to_vec();
            row[column] = good(at).swap_remove(column);
            row
        })
        .collect();
    let second = importer.commit(upsert(Target::Customers), bytes(&mended)).await;
    assert_eq!(second.counts, counts(200, 0, 0, 0), "{:?}", second.issues);
    assert_eq!(importer.text(live).await, Some(all.to_string()));

    let again = importer.commit(upsert(Target::Customers), &file).await.counts;
    assert_eq!((again.created, again.updated, importer.text(live).await), (0, 0, Some(all.to_string())));

    for (id, reversed) in [(second.id, 200), (first.id, all - 200)] {
        importer.work(id, Task::Undo).await;
        assert_eq!(importer.find(id).await.undone.reversed, reversed);
    }
    assert_eq!(
        importer.text("select string_agg(name, '|') from customers where deleted_at is null").await.as_deref(),
        Some("Before")
    );
    let accounts = "select count(*)::text from accounts where deleted_at is null";
    assert_eq!(importer.text(accounts).await.as_deref(), Some("0"));
}
