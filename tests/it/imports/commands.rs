//! `collections import`: the whole way of a file, by the command line.

use std::path::PathBuf;

use serde_json::Value;

use super::files::{edited, sheets};
use crate::harness::database::Database;
use crate::harness::process::command;

/// A database, and a folder for files.
struct Stage {
    database: Database,
    folder: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// What a run printed, and its exit code.
struct Run {
    lines: Vec<Value>,
    errors: String,
    code: i32,
}

impl Run {
    fn summary(&self) -> &Value {
        self.lines.iter().rfind(|line| line.get("summary").is_some()).unwrap()
    }

    fn counts(&self) -> [u64; 4] {
        ["rows", "created", "unchanged", "failed"].map(|name| self.summary()["summary"][name].as_u64().unwrap())
    }

    /// Cell, code and value of each issue.
    fn issues(&self) -> Vec<(String, String, String)> {
        let issues = self.lines.iter().filter_map(|line| line.get("issue"));
        let text = |issue: &Value, name: &str| issue[name].as_str().unwrap_or_default().to_owned();
        issues.map(|issue| (text(issue, "cell"), text(issue, "code"), text(issue, "value"))).collect()
    }
}

impl Stage {
    async fn open() -> Self {
        let database = Database::create().await;
        let folder = std::env::temp_dir().join(&database.name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { database, folder }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn import(&self, arguments: &[&str]) -> Run {
        let mut import = command(&self.database);
        let output = import.arg("import").args(arguments).arg("--json").output().await.unwrap();
        let lines = String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Run { lines, errors: String::from_utf8(output.stderr).unwrap(), code: output.status.code().unwrap() }
    }
}

/// Rows of customers with an account, in which every 200th row is wrong in one of twelve ways; and what is said of each.
fn people() -> (String, Vec<(String, String, String)>) {
    let faults: [(usize, &str, &str, &str); 12] = [
        (0, "", "required", ""),
        (0, "4.71E+15", "rounded_number", "4.71E+15"),
        (1, "", "no_name", ""),
        (2, "robot", "unknown_value", "robot"),
        (3, "nowhere", "not_a_contact", "nowhere"),
        (4, "english", "not_a_language", "english"),
        (5, "Germany", "not_a_country", "Germany"),
        (6, "31.02.2026", "not_a_day", "31.02.2026"),
        (7, "much", "not_an_amount", "much"),
        (7, "1.234", "too_many_decimals", "1.234"),
        (8, "XXX", "unknown_currency", "XXX"),
        (9, "A-2301", "duplicate", "A-2301"),
    ];
    let mut text = "id,name,kind,email,language,country,due date,balance,currency,account,street\n".to_owned();
    let mut expected = Vec::new();
    for at in 1..=2_600 {
        let mut cells = [
            format!("C-{at}"),
            format!("Ann {at}"),
            "person".into(),
            format!("ann{at}@example.com"),
            "en".into(),
            "DE".into(),
            "31.12.2026".into(),
            "12.50".into(),
            "EUR".into(),
            format!("A-{at}"),
            "1 High Street".into(),
        ];
        if at % 200 == 0
            && let Some((column, cell, code, value)) = faults.get(at / 200 - 1)
        {
            cells[*column] = (*cell).to_owned();
            let letter = char::from(b'A' + u8::try_from(*column).unwrap());
            let place = if *code == "no_name" { String::new() } else { format!("{letter}{}", at + 1) };
            expected.push((place, (*code).to_owned(), (*value).to_owned()));
        }
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    (text, expected)
}

#[tokio::test]
async fn a_file_with_faults_of_twelve_kinds_is_imported_but_for_their_rows() {
    let stage = Stage::open().await;
    let (text, expected) = people();
    let file = stage.write("people.csv", &text);
    let arguments = [file.as_str(), "--target", "customers", "--decimal", "dot"];
    let dry = stage.import(&[&arguments[..], &["--dry-run"]].concat()).await;
    assert_eq!((dry.issues(), dry.code), (expected.clone(), 1), "{}", dry.errors);
    // A missing name is a warning.
    assert_eq!(dry.counts(), [2_600, 2_589, 0, 11]);
    let first = stage.import(&arguments).await;
    assert_eq!((first.issues(), first.counts(), first.code), (expected, dry.counts(), 1), "{}", first.errors);
    let id = first.summary()["importId"].as_str().unwrap();
    let again = stage.import(&[&arguments[..], &["--mode", "upsert"]].concat()).await;
    assert_eq!(again.counts(), [2_600, 0, 2_589, 11], "{}", again.errors);
    assert!(again.lines.iter().any(|line| line["sameFileAs"] == id));
    let undo = stage.import(&["--undo", id]).await;
    assert_eq!((undo.lines.last().unwrap()["undone"]["reversed"].as_u64(), undo.code), (Some(2_589), 0), "{}", undo.errors);
    let live = "select count(*) from customers where deleted_at is null";
    let live: i64 = sqlx::query_scalar(live).fetch_one(&stage.database.pool).await.unwrap();
    assert_eq!(live, 0);
}

#[tokio::test]
async fn failed_rows_are_written_to_a_workbook_that_completes_the_import() {
    let stage = Stage::open().await;
    let file = stage.write("people.csv", "Zahl,name,kind\n1,Ann,person\n2,Bob,robot\n");
    let failed = stage.folder.join("failed.xlsx");
    let to_failed = ["--errors", failed.to_str().unwrap()];
    let import = [file.as_str(), "--target", "customers", "--mode", "upsert", "--map", "Zahl=externalId"];
    let dry = stage.import(&[&import[..], &["--dry-run"], &to_failed].concat()).await;
    assert_eq!((dry.code, failed.exists()), (1, true), "{}", dry.errors);
    let first = stage.import(&[&import[..], &to_failed].concat()).await;
    assert_eq!(first.code, 1, "{}", first.errors);
    let rows = sheets(&std::fs::read(&failed).unwrap()).remove(0).1;
    assert_eq!(
        (&rows[0][..], &rows[1][..3]),
        (&["Zahl", "name", "kind", "_errors"].map(str::to_owned)[..], &["2", "Bob", "robot"].map(str::to_owned)[..])
    );
    // What the first command said need not be said again.
    std::fs::write(&failed, edited(&std::fs::read(&failed).unwrap(), &[("robot", "person")])).unwrap();
    let none = stage.folder.join("none.xlsx");
    let second = stage.import(&[failed.to_str().unwrap(), "--target", "customers", "--errors", none.to_str().unwrap()]).await;
    assert_eq!((second.counts(), second.code, none.exists()), ([1, 1, 0, 0], 0, false), "{}", second.errors);
    let mode: String =
        sqlx::query_scalar("select mode from imports order by id desc limit 1").fetch_one(&stage.database.pool).await.unwrap();
    assert_eq!(mode, "upsert");
}

#[tokio::test]
async fn exit_codes_tell_bad_rows_from_bad_files() {
    let stage = Stage::open().await;
    let good = stage.write("good.csv", "id,name\n1,Ann\n");
    let bad = stage.write("bad.csv", "id,name,kind\n2,Bob,robot\n");
    let unusable = stage.write("unusable.csv", "cust,name\n1,Ann\n");
    for (file, code, said) in [
        (good.as_str(), 0, ""),
        (&bad, 1, ""),
        (&unusable, 2, "no column holds externalId"),
        ("/nowhere.csv", 2, "the file cannot be opened"),
    ] {
        let run = stage.import(&[file, "--target", "customers"]).await;
        assert_eq!(run.code, code, "{file}: {}", run.errors);
        assert!(run.errors.contains(said), "{file}: {}", run.errors);
    }
}
