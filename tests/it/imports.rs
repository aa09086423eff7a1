//! Imports: what is imported, what is refused and in which cell, and what a second import does.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use collections::api::Authority;
use collections::config::{Config, Imports};
use collections::db::Pools;
use collections::imports::{Event, Import, Issue, Severity, Summary, Target, Unusable};
use collections::values::clock::Clock;

use crate::harness::app::config;
use crate::harness::database::Database;

/// A database to import into, and a folder for files.
struct Importer {
    database: Database,
    config: Config,
    pools: Pools,
    folder: PathBuf,
}

impl Drop for Importer {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

#[derive(Parser)]
struct Limits {
    #[command(flatten)]
    imports: Imports,
}

impl Importer {
    async fn open() -> Self {
        let database = Database::create().await;
        let config = config(&database, &[]);
        let pools = Pools::open(&config.database).unwrap();
        let folder = std::env::temp_dir().join(&database.name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { database, config, pools, folder }
    }

    fn file(&self, target: Target, bytes: impl AsRef<[u8]>) -> Import {
        let path = self.folder.join(format!("{}.csv", collections::values::ids::new()));
        std::fs::write(&path, bytes).unwrap();
        Import {
            target,
            path,
            mappings: Vec::new(),
            encoding: None,
            delimiter: None,
            days: None,
            decimal: None,
            dry_run: false,
            limits: Imports { batch_size: 3, ..Limits::parse_from(["it"]).imports },
            currency: self.config.default_currency,
            region: "US".into(),
            payment_max: self.config.writes.payment_max,
            authority: Authority::Full,
            now: Clock::default().now(),
        }
    }

    async fn run(&self, import: Import) -> anyhow::Result<(Summary, Vec<Issue>)> {
        let mut issues = Vec::new();
        let summary = import
            .run(&self.pools.server, |event| {
                if let Event::Issue(issue) = event {
                    issues.push(issue);
                }
            })
            .await?;
        Ok((summary, issues))
    }

    async fn import(&self, target: Target, bytes: impl AsRef<[u8]>) -> (Summary, Vec<Issue>) {
        self.run(self.file(target, bytes)).await.unwrap()
    }

    /// Imports an unusable file and returns the reason.
    async fn refusal(&self, bytes: impl AsRef<[u8]>) -> String {
        let error = self.run(self.file(Target::Customers, bytes)).await.unwrap_err();
        assert!(error.is::<Unusable>(), "{error:#}");
        format!("{error:#}")
    }

    async fn count(&self, table: &str) -> i64 {
        let count = format!("select count(*) from {table}");
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&self.database.pool).await.unwrap()
    }

    async fn text(&self, query: &'static str) -> Option<String> {
        sqlx::query_scalar(query).fetch_one(&self.database.pool).await.unwrap()
    }
}

fn summary(created: u64, existing: u64, failed: u64, warnings: u64) -> Summary {
    Summary { rows: created + existing + failed, created, existing, failed, warnings }
}

/// The places and codes of issues.
fn places(issues: &[Issue]) -> Vec<String> {
    issues.iter().map(|issue| format!("{} {}", issue.cell.clone().unwrap_or_else(|| issue.row.to_string()), issue.code)).collect()
}

#[tokio::test]
async fn people_of_a_foreign_file_become_customers_once() {
    let importer = Importer::open().await;
    let file = include_str!("../fixtures/febrl.csv");
    let (first, issues) = importer.import(Target::Customers, file).await;
    assert_eq!(first, summary(50, 0, 0, issues.len() as u64));
    let row = importer
        .text(
            "select concat_ws('|', external_id, name, date_of_birth, tax_id, line1, line2, city, region, postal_code)
            from customers join addresses on customer_id = customers.id where external_id = 'rec-1070-org'",
        )
        .await;
    assert_eq!(
        row.as_deref(),
        Some("rec-1070-org|michaela neumann|1915-11-11|5304218|8 stanley street|miami|winston hills|nsw|4223")
    );
    let (second, _) = importer.import(Target::Customers, file).await;
    assert_eq!(second, summary(0, 50, 0, 0));
    assert_eq!(importer.count("customers").await, 50);
}

#[tokio::test]
async fn every_fault_of_every_row_is_reported_with_its_cell() {
    let importer = Importer::open().await;
    let file = "id,name,kind,email,dob,language\n\
        1,Ann,person,ann@example.com,1990-01-31,en\n\
        ,Bob,robot,not an address,1990-01-31,en\n\
        3,Cyn,person,,31.02.1990,english\n\
        4.71E+15,Dan,person,,,\n\
        5,\"open,person,,,\n\
        6,Eve,person\n\
        7,Fay,person,,,en,surplus\n\
        1,Ann,person,,,\n\
        9,Gil,person,,,,,\n";
    let (outcome, issues) = importer.import(Target::Customers, file).await;
    assert_eq!(
        places(&issues),
        [
            "A3 required",
            "C3 unknown_value",
            "D3 not_a_contact",
            "E4 not_a_day",
            "F4 not_a_language",
            "A5 rounded_number",
            "6 unbalanced_quotes",
            "7 wrong_column_count",
            "8 wrong_column_count",
            "A9 repeated_row",
        ]
    );
    assert_eq!(outcome, summary(2, 0, 7, 1));
    let issue = &issues[1];
    assert_eq!(
        (issue.column.as_deref(), issue.field.as_deref(), issue.value.as_deref()),
        (Some("kind"), Some("kind"), Some("robot"))
    );
    assert_eq!(issues[3].severity, Severity::Warning);
}

#[tokio::test]
async fn an_impossible_birthday_is_left_out_with_a_warning() {
    let importer = Importer::open().await;
    let (outcome, issues) = importer.import(Target::Customers, "id,name,dob\n1,Ann,19900231\n2,Bob,30000101\n").await;
    assert_eq!(places(&issues), ["C2 not_a_day", "C3 out_of_range"]);
    assert_eq!(outcome, summary(2, 0, 0, 2));
    assert_eq!(importer.text("select max(date_of_birth)::text from customers").await, None);
}

#[tokio::test]
async fn hostile_cells_are_kept_as_text_or_refused_in_their_row() {
    let importer = Importer::open().await;
    let long = "x".repeat(1_000_000);
    let file = format!(
        "id,name,city\r\n1,\"=cmd|' /C calc'!A0\",x\r\n2,{long},x\r\n3,a\0b,x\r\n4,O'Brien \"\"Bob,\"two\nlines\"\r\n5,'; drop table--,x"
    );
    let (outcome, issues) = importer.import(Target::Customers, &file).await;
    assert_eq!(places(&issues), ["B3 cell_too_long", "B4 unstorable_text"]);
    assert_eq!(outcome, summary(3, 0, 2, 0));
    let names = importer.text("select string_agg(name, '|' order by external_id) from customers").await;
    assert_eq!(names.as_deref(), Some("=cmd|' /C calc'!A0|O'Brien \"\"Bob|'; drop table--"));
    assert!(issues[0].value.as_ref().unwrap().chars().count() <= 101, "a value is shown shortened");
}

#[tokio::test]
async fn an_unusable_file_is_refused_before_anything_is_written() {
    let importer = Importer::open().await;
    let wide: String = (0..201).map(|at| format!("c{at},")).collect();
    let cases: &[(&[u8], &str)] = &[
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (
            b"id,name\n1,Ann\n2,M\xfcller\n",
            "line 3 is not UTF-8; if the file comes from a spreadsheet on Windows, pass --encoding",
        ),
        (b"PK\x03\x04abc", "is a workbook"),
        (b"i\0d\0,\0", "UTF-16"),
        (b"id,name,surname,mail,e-mail,tel,mobile\n", "\"tel\" and \"mobile\" all hold phone"),
        (b"cust,name\n", "no column holds externalId"),
        (wide.as_bytes(), "more than the limit of 200"),
        (b"id,name,dob\n1,Ann,01/02/1990\n", "can be read in two ways; pass --date-format"),
        (b"id,name,dob\n1,Ann,13/02/1990\n2,Bob,02/13/1990\n", "is written in two ways, see rows 2 and 3"),
    ];
    for (bytes, expected) in cases {
        let reason = importer.refusal(bytes).await;
        assert!(reason.contains(expected), "{expected} in {reason}");
    }
    assert_eq!(importer.count("customers").await, 0);
}

#[tokio::test]
async fn encodings_and_delimiters_do_not_change_what_is_imported() {
    let forms: &[(&[u8], Option<&str>)] = &[
        (b"\xef\xbb\xbfid,name\n1,M\xc3\xbcller\n", None),
        (b"id;name\r\n1;M\xc3\xbcller", None),
        (b"id\tname\r1\tM\xc3\xbcller\r", None),
        (b"id,name\n1,M\xfcller\n", Some("windows-1252")),
        (b"\xff\xfei\0d\0,\0n\0a\0m\0e\0\n\x001\0,\0M\0\xfc\0l\0l\0e\0r\0", None),
    ];
    for (bytes, encoding) in forms {
        let importer = Importer::open().await;
        let mut import = importer.file(Target::Customers, bytes);
        import.encoding = encoding.and_then(|name| encoding_rs::Encoding::for_label(name.as_bytes()));
        assert_eq!(importer.run(import).await.unwrap().0, summary(1, 0, 0, 0), "{bytes:?}");
        assert_eq!(importer.text("select name from customers").await.as_deref(), Some("Müller"));
    }
    let importer = Importer::open().await;
    assert_eq!(importer.import(Target::Customers, "id,name\n").await.0, summary(0, 0, 0, 0), "a header alone");
}

#[tokio::test]
async fn a_dry_run_reports_the_same_and_writes_nothing() {
    let importer = Importer::open().await;
    let file = "id,name,kind\n1,Ann,person\n2,Bob,robot\n";
    let mut dry = importer.file(Target::Customers, file);
    dry.dry_run = true;
    let dry = importer.run(dry).await.unwrap();
    assert_eq!(importer.count("customers").await, 0);
    assert_eq!(dry, importer.import(Target::Customers, file).await);
    assert_eq!(importer.count("customers").await, 1);
}

#[tokio::test]
async fn a_dropped_import_is_resumed_by_the_next() {
    let importer = Importer::open().await;
    let file: String = (0..300).map(|at| format!("{at},Ann {at},+1 415 555 {at:04}\n")).collect();
    let file = format!("id,name,phone\n{file}");
    // The first run ends at an await point after its first batches, as if its process had died.
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    let import = importer.file(Target::Customers, &file);
    let run = import.run(&importer.pools.server, |event| {
        if let Event::Progress(summary, _) = event
            && summary.rows >= 30
        {
            sender.take().map(|sender| sender.send(()).ok());
        }
    });
    tokio::select! {
        biased;
        _ = receiver => {}
        _ = run => panic!("the run ends before it is dropped"),
    }
    let half = importer.count("customers").await;
    assert!((30..300).contains(&half), "{half}");
    let mut rest = importer.run(importer.file(Target::Customers, &file)).await.unwrap().0;
    // A transaction that was under way at the drop may be rolled back a moment later, but never both.
    assert_eq!(rest.failed, 0);
    rest.created += rest.existing;
    assert_eq!(rest.created, 300);
    assert_eq!((importer.count("customers").await, importer.count("contact_points").await), (300, 300));
}

#[tokio::test]
async fn accounts_find_or_create_their_customers() {
    let importer = Importer::open().await;
    importer.import(Target::Customers, "id,name\nC1,Ann\n").await;
    let file = "account number;customer id;customer name;email;currency;amount due;due date\n\
        A-1;C1;;;EUR;1.234,50;31.12.2025\n\
        A-2;C2;Bob Ltd;bob@example.com;JPY;500;2025-12-31\n\
        A-3;C2;Bob Ltd;;EUR;7,5;\n\
        A-4;C9;;;EUR;1,00;\n\
        A-5;C1;;;EUR;1,005;\n\
        A-1;C1;;;EUR;1,00;\n";
    let (outcome, issues) = importer.import(Target::Accounts, file).await;
    assert_eq!(places(&issues), ["B5 unknown_customer", "F6 too_many_decimals", "A7 repeated_row"]);
    assert_eq!(outcome, summary(3, 0, 3, 0));
    let rows = importer
        .text(
            "select string_agg(concat_ws(' ', account_number, balance, accounts.currency, due_date, name), '|' order by account_number)
            from accounts join customers on customers.id = customer_id",
        )
        .await;
    assert_eq!(rows.as_deref(), Some("A-1 123450 EUR 2025-12-31 Ann|A-2 500 JPY 2025-12-31 Bob Ltd|A-3 750 EUR Bob Ltd"));
    assert_eq!(importer.count("customers").await, 2);
    assert_eq!(importer.import(Target::Accounts, file).await.0, summary(0, 3, 3, 0));
    assert_eq!(importer.count("ledger_entries").await, 3);
}

#[tokio::test]
async fn payments_move_balances_once() {
    let importer = Importer::open().await;
    importer
        .import(Target::Accounts, "account,customer id,customer name,currency,balance\nA 1,C1,Ann,EUR,100\nA 2,C1,Ann,KWD,10.0\n")
        .await;
    let file = "account,reference,amount,date,method,status\n\
        A 1,R1,€ 10.50,2025-01-02,card,\n\
        A 1,R2,5.00,2025-01-02 10:00,,pending\n\
        A 2,R1,1.250,2025-01-02,cash,paid\n\
        A 3,R4,1.00,2025-01-02,cash,paid\n\
        A 1,R5,(1.00),2025-01-02,cash,paid\n\
        A 1,R6,1.00,2025-01-02,cash,refunded\n\
        A 1,R1,10.50,2025-01-02,card,\n\
        A 1,,1.00,2025-01-02,card,\n";
    let mut import = importer.file(Target::Payments, file);
    import.decimal = Some(collections::imports::Decimal::Dot);
    let (outcome, issues) = importer.run(import.clone()).await.unwrap();
    assert_eq!(
        places(&issues),
        ["A5 unknown_account", "C6 out_of_range", "F7 not_a_first_status", "B8 repeated_row", "B9 required"]
    );
    assert_eq!(outcome, summary(3, 0, 5, 0));
    let balances =
        || importer.text("select string_agg(account_number || ' ' || balance, '|' order by account_number) from accounts");
    assert_eq!(balances().await.as_deref(), Some("A 1 8950|A 2 8750"));
    assert_eq!(importer.run(import).await.unwrap().0, summary(0, 3, 5, 0));
    assert_eq!(balances().await.as_deref(), Some("A 1 8950|A 2 8750"));
}

#[tokio::test]
async fn two_imports_of_one_file_at_once_create_each_record_once() {
    let importer = Importer::open().await;
    importer.import(Target::Accounts, "account,customer id,customer name,balance\nA,C1,Ann,1000\n").await;
    let people: String = (0..60).map(|at| format!("P{at},Ann\n")).collect();
    let payments: String = (0..60).map(|at| format!("A,R{at},1\n")).collect();
    let people = format!("id,name\n{people}");
    let payments = format!("account,reference,amount\n{payments}");
    let work = async {
        tokio::join!(
            importer.import(Target::Customers, &people),
            importer.import(Target::Customers, &people),
            importer.import(Target::Payments, &payments),
            importer.import(Target::Payments, &payments),
        )
    };
    let (one, two, three, four) = Box::pin(tokio::time::timeout(Duration::from_secs(60), work)).await.unwrap();
    assert_eq!((one.0.created + two.0.created, three.0.created + four.0.created), (60, 60));
    assert_eq!(one.0.failed + two.0.failed + three.0.failed + four.0.failed, 0);
    assert_eq!((importer.count("customers").await, importer.count("payments").await), (61, 60));
}
