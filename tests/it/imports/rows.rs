//! Rows of customers, accounts and payments: what becomes of each, and which cell is to blame.

use std::time::Duration;

use collections::imports::intake::Wish;
use collections::imports::run::{Task, run_now};
use collections::imports::store::{Options, State};
use collections::imports::{Decimal, Severity, Target};

use super::harness::{Importer, Outcome, counts, places, upsert, wish};

#[tokio::test]
async fn people_of_a_foreign_file_become_customers_once() {
    let importer = Importer::open().await;
    let file = include_str!("../../fixtures/febrl.csv");
    let Outcome { counts: first, issues, .. } = importer.import(Target::Customers, file).await;
    assert_eq!(first, counts(50, 0, 0, issues.len() as u64));
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
    let second = importer.import(Target::Customers, file).await.counts;
    assert_eq!(second, counts(0, 50, 0, 0));
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
    let Outcome { counts: outcome, issues, .. } = importer.import(Target::Customers, file).await;
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
    assert_eq!(outcome, counts(2, 0, 7, 1));
    let issue = &issues[1];
    assert_eq!(
        (issue.column.as_deref(), issue.field.as_deref(), issue.value.as_deref()),
        (Some("kind"), Some("kind"), Some("robot"))
    );
    assert_eq!(issues[3].severity, Severity::Warning);
}

#[tokio::test]
async fn a_cell_that_cannot_be_read_hides_no_other_fault_of_its_row() {
    let importer = Importer::open().await;
    let file = "id,name,kind,email,account,balance\n4.71E+15,Ann,robot,nowhere,A-1,much\n2,Bob,person,,A-1,1\n";
    let created = importer.import(Target::Customers, file).await;
    assert_eq!(
        (places(&created.issues), created.counts),
        (
            ["A2 rounded_number", "F2 not_an_amount", "C2 unknown_value", "D2 not_a_contact"].map(str::to_owned).to_vec(),
            counts(1, 0, 1, 0)
        ),
        "a number that a bad row names is free"
    );
    let changed = importer.commit(upsert(Target::Customers), "id,name,kind,balance,language\n2,Bob,robot,much,english\n").await;
    assert_eq!(places(&changed.issues), ["D2 not_an_amount", "C2 unknown_value", "E2 not_a_language"]);
    assert_eq!(importer.text("select kind from customers").await.as_deref(), Some("person"));
    let payments =
        "account,reference,amount,date,method,status\nA-1,R1,much,tomorrow,barter,paid\nA-9,R2,(1.00),2025-01-02,cash,paid\n";
    let paid = importer.import(Target::Payments, payments).await;
    assert_eq!(
        places(&paid.issues),
        ["C2 not_an_amount", "D2 not_a_moment", "E2 unknown_value", "A3 unknown_account", "C3 out_of_range"]
    );
}

#[tokio::test]
async fn an_impossible_birthday_is_left_out_with_a_warning() {
    let importer = Importer::open().await;
    let Outcome { counts: outcome, issues, .. } =
        importer.import(Target::Customers, "id,name,dob\n1,Ann,19900231\n2,Bob,30000101\n").await;
    assert_eq!(places(&issues), ["C2 not_a_day", "C3 out_of_range"]);
    assert_eq!(outcome, counts(2, 0, 0, 2));
    assert_eq!(importer.text("select max(date_of_birth)::text from customers").await, None);
}

#[tokio::test]
async fn hostile_cells_are_kept_as_text_or_refused_in_their_row() {
    let importer = Importer::open().await;
    let long = "x".repeat(1_000_000);
    let file = format!(
        "id,name,city\r\n1,\"=cmd|' /C calc'!A0\",x\r\n2,{long},x\r\n3,a\0b,x\r\n4,O'Brien \"\"Bob,\"two\nlines\"\r\n5,'; drop table--,x"
    );
    let Outcome { counts: outcome, issues, .. } = importer.import(Target::Customers, &file).await;
    assert_eq!(places(&issues), ["B3 cell_too_long", "B4 unstorable_text"]);
    assert_eq!(outcome, counts(3, 0, 2, 0));
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
        (b"id,name,surname,mail,e-mail,tel,mobile\n", "the columns F and G all hold phone"),
        (b"cust,name\n", "no column holds externalId"),
        (wide.as_bytes(), "limit of 200 columns"),
        (b"id,name,dob\n1,Ann,01/02/1990\n", "can be read in two ways; say which with days=dmy"),
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
        let options = Options { encoding: encoding.map(str::to_owned), ..Options::default() };
        let outcome = importer.commit(Wish { options, ..wish(Target::Customers) }, bytes).await;
        assert_eq!(outcome.counts, counts(1, 0, 0, 0), "{bytes:?}");
        assert_eq!(importer.text("select name from customers").await.as_deref(), Some("Müller"));
    }
    let importer = Importer::open().await;
    assert_eq!(importer.import(Target::Customers, "id,name\n").await.counts, counts(0, 0, 0, 0), "a header alone");
}

#[tokio::test]
async fn a_validation_finds_what_a_commit_does_and_writes_no_record() {
    let importer = Importer::open().await;
    let file = "id,name,kind\n1,Ann,person\n2,Bob,robot\n";
    let import = importer.store(wish(Target::Customers), file).await.unwrap();
    importer.work(import.id, Task::Validate).await;
    let found = importer.find(import.id).await;
    assert_eq!((importer.count("customers").await, found.state), (0, State::Validated));
    importer.work(import.id, Task::Commit).await;
    let done = importer.find(import.id).await;
    assert_eq!((importer.count("customers").await, done.state), (1, State::Partial));
    assert_eq!((*found.validated, *done.committed), (counts(1, 0, 1, 0), counts(1, 0, 1, 0)));
}

#[tokio::test]
async fn a_validation_knows_what_rows_of_earlier_chunks_create() {
    let importer = Importer::open().await;
    // Only the first row says who the customer is.
    let rows: String = (1..=600).map(|at| format!("A-{at},C1,\n")).collect();
    let accounts = format!("account,customer id,customer name\nA-0,C1,Ann\n{rows}");
    // Only one customer can open the account.
    let rows: String = (1..=600).map(|at| format!("P{at},Bob,\n")).collect();
    let people = format!("id,name,account\nP0,Ann,B-1\n{rows}P601,Cid,B-1\n");
    for (target, file, expected) in
        [(Target::Accounts, accounts, counts(601, 0, 0, 0)), (Target::Customers, people, counts(601, 0, 1, 0))]
    {
        let import = importer.store(wish(target), file).await.unwrap();
        importer.work(import.id, Task::Validate).await;
        let found = *importer.find(import.id).await.validated;
        importer.work(import.id, Task::Commit).await;
        assert_eq!((found, *importer.find(import.id).await.committed), (expected, expected), "{target:?}");
    }
    assert_eq!(importer.count("customers").await, 602, "nothing of a validation stays");
}

#[tokio::test]
async fn a_short_import_runs_within_the_transaction_of_its_request() {
    let importer = Importer::open().await;
    let import = importer.store(wish(Target::Customers), "id,name\n1,Ann\n2,Bob\n").await.unwrap();
    let mut transaction = importer.app.db.server.begin().await.unwrap();
    let done = run_now(&importer.app, &mut transaction, import.id, Task::Commit).await.unwrap();
    assert_eq!((*done.committed, done.state, importer.count("customers").await), (counts(2, 0, 0, 0), State::Committed, 0));
    transaction.commit().await.unwrap();
    assert_eq!(importer.count("customers").await, 2);
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
    let Outcome { counts: outcome, issues, .. } = importer.import(Target::Accounts, file).await;
    assert_eq!(places(&issues), ["B5 unknown_customer", "F6 too_many_decimals", "A7 repeated_row"]);
    assert_eq!(outcome, counts(3, 0, 3, 0));
    let rows = importer
        .text(
            "select string_agg(concat_ws(' ', account_number, balance, accounts.currency, due_date, name), '|' order by account_number)
            from accounts join customers on customers.id = customer_id",
        )
        .await;
    assert_eq!(rows.as_deref(), Some("A-1 123450 EUR 2025-12-31 Ann|A-2 500 JPY 2025-12-31 Bob Ltd|A-3 750 EUR Bob Ltd"));
    assert_eq!(importer.count("customers").await, 2);
    assert_eq!(importer.import(Target::Accounts, file).await.counts, counts(0, 3, 3, 0));
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
    let options = Options { decimal: Some(Decimal::Dot), ..Options::default() };
    let wish = Wish { options, ..wish(Target::Payments) };
    let Outcome { counts: outcome, issues, .. } = importer.commit(wish.clone(), file).await;
    assert_eq!(
        places(&issues),
        ["A5 unknown_account", "C6 out_of_range", "F7 not_a_first_status", "B8 repeated_row", "B9 required"]
    );
    assert_eq!(outcome, counts(3, 0, 5, 0));
    let balances =
        || importer.text("select string_agg(account_number || ' ' || balance, '|' order by account_number) from accounts");
    assert_eq!(balances().await.as_deref(), Some("A 1 8950|A 2 8750"));
    assert_eq!(importer.commit(wish, file).await.counts, counts(0, 3, 5, 0));
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
    assert_eq!((one.counts.created + two.counts.created, three.counts.created + four.counts.created), (60, 60));
    assert_eq!(one.counts.failed + two.counts.failed + three.counts.failed + four.counts.failed, 0);
    assert_eq!((importer.count("customers").await, importer.count("payments").await), (61, 60));
}

#[tokio::test]
async fn an_export_of_accounts_with_their_customers_inside_needs_no_mapping() {
    let file = "ID,ACCOUNT NUMBER,CUSTOMER NAME,CUSTOMER EMAIL,CUSTOMER PHONE,BALANCE,STATUS,CREATED BY,ASSIGNED AGENT,ADDRESS,METADATA,IS DELETED,CREATED AT,UPDATED AT\n\
        20,ACC-20,Ann Lee,ann@example.com,+14155552671,620.00,active,1,3,1 High St,,,Sat Nov 21 2026,Sat Nov 21 2026\n\
        21,ACC-21,Ann Lee,,,0.50,inactive,1,,,,,Sat Nov 21 2026,Sat Nov 21 2026\n\
        22,ACC-22,Cyn Poe,,,0.00,closed,1,,,,,Sat Nov 21 2026,Sat Nov 21 2026\n";
    let importer = Importer::open().await;
    for (task, records) in [(Task::Validate, 0), (Task::Commit, 3)] {
        let outcome = importer.run(wish(Target::Accounts), file, task).await.unwrap();
        assert_eq!((outcome.counts, outcome.issues), (counts(3, 0, 0, 0), Vec::new()), "{task:?}");
        assert_eq!((importer.count("accounts").await, importer.count("customers").await), (records, records));
    }
    let accounts = "select string_agg(concat_ws(' ', a.account_number, a.balance, a.status, c.name), '|' order by account_number)
        from accounts a join customers c on c.id = a.customer_id";
    let expected = "ACC-20 62000 open Ann Lee|ACC-21 50 paused Ann Lee|ACC-22 0 closed Cyn Poe";
    assert_eq!(importer.text(accounts).await.as_deref(), Some(expected), "one customer for each account: two may have one name");
    let again = importer.commit(upsert(Target::Accounts), file).await;
    assert_eq!((again.counts.unchanged, again.issues), (3, Vec::new()));

    let unnamed = importer.import(Target::Accounts, "account,customer name,balance\nACC-30,,5\n").await;
    assert_eq!(places(&unnamed.issues), ["B2 required"]);

    let importer = Importer::open().await;
    let done = importer.import(Target::Customers, file).await;
    assert_eq!((done.counts, done.issues), (counts(3, 0, 0, 0), Vec::new()));
    let customers = "select string_agg(concat_ws(' ', external_id, name, status), '|' order by external_id) from customers";
    assert_eq!(importer.text(customers).await.as_deref(), Some("20 Ann Lee active|21 Ann Lee inactive|22 Cyn Poe inactive"));
    let contacts = importer.text("select string_agg(normalized, ' ' order by kind) from contact_points").await;
    assert_eq!(contacts.as_deref(), Some("ann@example.com +14155552671"));
    importer.work(done.id, Task::Undo).await;
    assert_eq!(importer.find(done.id).await.undone.reversed, 3);
}

#[tokio::test]
async fn an_undo_takes_back_the_customers_that_came_without_a_number() {
    let importer = Importer::open().await;
    let done = importer.import(Target::Accounts, "account,customer name,balance\nA-1,Ann,5\nA-2,Ann,7\n").await;
    importer.work(done.id, Task::Undo).await;
    assert_eq!(importer.find(done.id).await.undone.reversed, 2);
    let live = "select count(*)::text from customers where deleted_at is null";
    assert_eq!(importer.text(live).await.as_deref(), Some("0"));
}
