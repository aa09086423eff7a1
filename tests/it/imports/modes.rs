//! Insert, update and upsert: which record a row means, and what it changes.

use collections::imports::Target;
use collections::imports::intake::Wish;
use collections::imports::run::Task;
use collections::imports::store::{self, Blank, Counts, Mode, rows};
use serde_json::{Value, json};

use super::harness::{Importer, counts, places, upsert, wish};

const PEOPLE: &str = "id,name,phone,email,language,city\n\
    1,Ann Lee,+1 415 555 2671,ann@example.com,en,Oslo\n\
    2,Bob Moss,+1 415 555 2672,bob@example.com,de,\n";

/// The fields that rows change, with what stands there before and after.
async fn changes(importer: &Importer, id: collections::values::ids::ImportId) -> Vec<(i64, String, Value, Value)> {
    let page = rows::page(&importer.app.db.server, id, &rows::Filter::default(), 0, 100).await.unwrap();
    let changes = page.into_iter().flat_map(|row| {
        let number = row.number;
        row.changes.into_iter().flat_map(|changes| changes.0).map(move |one| (number, one.field, one.before, one.after))
    });
    changes.collect()
}

#[tokio::test]
async fn an_upsert_changes_what_differs_and_creates_what_is_missing() {
    let importer = Importer::open().await;
    importer.import(Target::Customers, PEOPLE).await;
    let file = "id,name,phone,email,language\n\
        1,Ann Lee,+1 415 555 2671,ann@example.com,fr\n\
        2,Bob Moss,+1 415 555 2672,bob@example.com,de\n\
        3,Cyn Poe,,,\n";
    for task in [Task::Validate, Task::Commit] {
        let outcome = importer.run(upsert(Target::Customers), file, task).await.unwrap();
        let expected = Counts { rows: 3, created: 1, updated: 1, unchanged: 1, ..Counts::default() };
        assert_eq!((outcome.counts, outcome.issues), (expected, Vec::new()), "{task:?}");
        assert_eq!(changes(&importer, outcome.id).await, [(2, "language".into(), json!("en"), json!("fr"))]);
    }
    let versions = "select string_agg(external_id || ':' || version || ':' || language, ' ' order by external_id) from customers";
    assert_eq!(importer.text(versions).await.as_deref(), Some("1:2:fr 2:1:de"));
    let again = importer.commit(upsert(Target::Customers), file).await;
    assert_eq!(again.counts, Counts { rows: 3, unchanged: 3, ..Counts::default() });
    assert_eq!(importer.text(versions).await.as_deref(), Some("1:2:fr 2:1:de"), "nothing was written");
}

#[tokio::test]
async fn an_update_refuses_rows_without_a_record() {
    let importer = Importer::open().await;
    importer.import(Target::Customers, PEOPLE).await;
    let update = Wish { mode: Some(Mode::Update), ..wish(Target::Customers) };
    let outcome = importer.commit(update, "id,language\n1,fr\n9,fr\n").await;
    assert_eq!(places(&outcome.issues), ["A3 unknown_record"]);
    assert_eq!(outcome.counts, Counts { rows: 2, updated: 1, failed: 1, ..Counts::default() });
    assert_eq!(importer.count("customers").await, 2);
}

#[tokio::test]
async fn a_contact_that_two_customers_share_is_no_key() {
    let importer = Importer::open().await;
    let shared = "id,name,email\n1,Ann,home@example.com\n2,Bob,home@example.com\n3,Cyn,cyn@example.com\n";
    importer.import(Target::Customers, shared).await;
    let by_mail = Wish { key: Some("email".into()), ..upsert(Target::Customers) };
    let file = "email,name,language\nHome@Example.com,Ann,en\nCYN@example.com,Cyn,en\ndan@example.com,Dan,en\n";
    let outcome = importer.commit(by_mail, file).await;
    assert_eq!(places(&outcome.issues), ["A2 ambiguous_key"]);
    assert_eq!(outcome.counts, Counts { rows: 3, created: 1, updated: 1, failed: 1, ..Counts::default() });
    let by_phone = Wish { key: Some("phone".into()), ..upsert(Target::Customers) };
    importer.import(Target::Customers, "id,name,phone\n4,Eve,(415) 555-2679\n").await;
    let outcome = importer.commit(by_phone, "phone,name,language\n+14155552679,Eve,en\n1-415-555-2679,Eve,en\n").await;
    assert_eq!(places(&outcome.issues), ["A3 repeated_row"]);
    assert_eq!(outcome.counts, Counts { rows: 2, updated: 1, failed: 1, ..Counts::default() });
}

#[tokio::test]
async fn an_external_id_that_two_rows_have_is_an_error_of_the_later_one_whatever_the_key_is() {
    let importer = Importer::open().await;
    for (key, contact) in [("email", "ann{at}@example.com"), ("phone", "+1415555{at}")] {
        let mut rows: Vec<(String, String)> =
            (0..1_200).map(|at| (format!("{key}-{at}"), contact.replace("{at}", &format!("{:04}", at + 1_000)))).collect();
        // One is in the chunk of the first row, the others are in later ones.
        for (later, first) in [(30, 10), (700, 10), (1_100, 650)] {
            rows[later].0 = rows[first].0.clone();
        }
        let rows: String = rows.iter().map(|(id, contact)| format!("{contact},{id},Ann\n")).collect();
        let file = format!("{key},id,name\n{rows}");
        let by_contact = Wish { key: Some(key.into()), ..upsert(Target::Customers) };
        let before = importer.count("customers").await;
        for task in [Task::Validate, Task::Commit] {
            let outcome = importer.run(by_contact.clone(), &file, task).await.unwrap();
            let said: Vec<(String, &str)> =
                places(&outcome.issues).into_iter().zip(outcome.issues.iter().map(|issue| issue.message.as_str())).collect();
            let expected = [("B32", "row 12"), ("B702", "row 12"), ("B1102", "row 652")];
            let expected = expected.map(|(cell, first)| (format!("{cell} repeated_row"), format!("{first} has the same")));
            assert_eq!(said, expected.each_ref().map(|(place, message)| (place.clone(), message.as_str())), "{task:?}");
            assert_eq!(outcome.counts, counts(1_197, 0, 3, 0), "{task:?} by {key}");
        }
        assert_eq!(importer.count("customers").await - before, 1_197);
    }
}

#[tokio::test]
async fn a_blank_cell_keeps_the_value_or_clears_it_as_asked() {
    let importer = Importer::open().await;
    importer.import(Target::Customers, PEOPLE).await;
    let blank = "id,name,phone,email,language,city\n1,Ann Lee,,,,\n2,Bob Moss,,<clear>,,\n";
    let keep = importer.commit(upsert(Target::Customers), blank).await;
    assert_eq!(changes(&importer, keep.id).await, [(3, "email".into(), json!("bob@example.com"), Value::Null)]);
    let clear = Wish { blank: Some(Blank::Clear), ..upsert(Target::Customers) };
    let outcome = importer.commit(clear, blank).await;
    assert_eq!(outcome.issues, []);
    let cleared = importer.text(
        "select string_agg(concat_ws(' ', external_id, name, language, city, p.value), '|' order by external_id)
        from customers c left join addresses a on a.customer_id = c.id left join contact_points p on p.customer_id = c.id",
    );
    assert_eq!(cleared.await.as_deref(), Some("1 Ann Lee|2 Bob Moss"));
}

#[tokio::test]
async fn a_file_that_was_imported_before_is_known() {
    let importer = Importer::open().await;
    let first = importer.import(Target::Customers, PEOPLE).await;
    let again = importer.import(Target::Customers, PEOPLE).await;
    assert_eq!(again.counts, counts(0, 2, 0, 0));
    let import = importer.find(again.id).await;
    assert_eq!(store::same_file(&importer.app.db.server, &import).await.unwrap(), Some(first.id));
}

#[tokio::test]
async fn a_customer_opens_an_account_when_the_row_says_what_is_owed() {
    let importer = Importer::open().await;
    let file = "id,name,account,balance,due date,currency\n1,Ann,A-1,12.50,2026-01-31,EUR\n2,Bob,,,,EUR\n3,Cyn,A-1,1,,EUR\n";
    let outcome = importer.import(Target::Customers, file).await;
    assert_eq!(places(&outcome.issues), ["C4 duplicate"]);
    assert_eq!(outcome.counts, counts(2, 0, 1, 0));
    let accounts =
        importer.text("select string_agg(concat_ws(' ', account_number, balance, currency, due_date), '|') from accounts");
    assert_eq!(accounts.await.as_deref(), Some("A-1 1250 EUR 2026-01-31"));
    let again = importer.commit(upsert(Target::Customers), "id,name,account,balance\n1,Ann,A-1,12.50\n2,Bob,A-2,5\n").await;
    assert_eq!(again.issues.iter().map(|issue| issue.code.as_str()).collect::<Vec<_>>(), ["account_left_out"]);
    assert_eq!(again.counts, Counts { rows: 2, unchanged: 2, warnings: 1, ..Counts::default() });
}

#[tokio::test]
async fn accounts_payments_and_activities_are_changed_by_their_own_rules() {
    let importer = Importer::open().await;
    let accounts = "account,customer id,customer name,balance,creditor\nA-1,C1,Ann,100,ACME\n";
    importer.import(Target::Accounts, accounts).await;
    let file = "account,creditor,balance\nA-1,Zenith,100\n";
    let outcome = importer.commit(Wish { mode: Some(Mode::Update), ..wish(Target::Accounts) }, file).await;
    assert_eq!((outcome.counts.updated, outcome.issues), (1, Vec::new()));
    let outcome = importer.commit(Wish { mode: Some(Mode::Update), ..wish(Target::Accounts) }, "account,balance\nA-1,90\n").await;
    assert_eq!(places(&outcome.issues), ["B2 not_changeable"], "a balance moves by the ledger alone");
    importer.import(Target::Payments, "account,reference,amount,status\nA-1,R1,10,pending\n").await;
    let paid = "account,reference,amount,status\nA-1,R1,10,paid\nA-1,R2,5,paid\n";
    let outcome = importer.commit(upsert(Target::Payments), paid).await;
    assert_eq!((outcome.counts.created, outcome.counts.updated, outcome.issues), (1, 1, Vec::new()));
    assert_eq!(importer.text("select balance::text from accounts").await.as_deref(), Some("8500"));
    let calls = "account,type,occurredAt,note\nA-1,call,2026-01-31 10:00,no answer\nA-9,call,2026-01-31 10:00,no answer\n";
    let outcome = importer.import(Target::Activities, calls).await;
    assert_eq!(places(&outcome.issues), ["A3 unknown_account"]);
    assert_eq!(importer.import(Target::Activities, calls).await.counts, counts(0, 1, 1, 0));
    assert_eq!(importer.count("activities").await, 1);
}
