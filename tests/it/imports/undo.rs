//! An undo takes back what an import did, and keeps what was changed since.

use collections::imports::Target;
use collections::imports::run::{RemoveOldRows, Task};
use collections::imports::store::{self, State, Undone, rows};
use collections::jobs::{self, Terms, enqueue};
use collections::worker;

use super::harness::{Importer, start, upsert, wish};

/// The rows that an undo kept, and why.
async fn kept(importer: &Importer, id: collections::values::ids::ImportId) -> Vec<(i64, String)> {
    let filter = rows::Filter { action: None, status: Some("kept".into()) };
    let page = rows::page(&importer.app.db.server, id, &filter, 0, 100).await.unwrap();
    page.into_iter().map(|row| (row.number, row.reason.unwrap_or_default())).collect()
}

#[tokio::test]
async fn created_customers_go_and_changed_ones_are_as_before() {
    let importer = Importer::open().await;
    let before = "id,name,phone,language\n1,Ann,+1 415 555 2671,en\n2,Bob,,de\n";
    importer.import(Target::Customers, before).await;
    let file = "id,name,phone,language,account,balance\n\
        1,Anna,+1 415 555 2679,fr,,\n2,Bob,,nl,,\n3,Cyn,,en,,\n4,Dan,,en,A-4,10\n5,Eve,,en,A-5,0\n";
    let outcome = importer.commit(upsert(Target::Customers), file).await;
    assert_eq!((outcome.counts.created, outcome.counts.updated), (3, 2));
    let edit = "update customers set family_name = 'Moss' where external_id in ('2', '3')";
    sqlx::query(edit).execute(&importer.database.pool).await.unwrap();
    importer.work(outcome.id, Task::Undo).await;
    let import = importer.find(outcome.id).await;
    assert_eq!((import.state, *import.undone), (State::Undone, Undone { reversed: 3, kept: 2, errored: 0 }));
    let changed = |number| (number, "the record was changed since".to_owned());
    assert_eq!(kept(&importer, outcome.id).await, [changed(3), changed(4)]);
    let live = "select string_agg(concat_ws(' ', external_id, name, language, p.normalized), '|' order by external_id)
        from customers c left join contact_points p on p.customer_id = c.id where deleted_at is null";
    assert_eq!(importer.text(live).await.as_deref(), Some("1 Ann en +14155552671|2 Bob nl|3 Cyn en"));
    assert_eq!(importer.text("select count(*)::text from accounts where deleted_at is null").await.as_deref(), Some("0"));
    let again = start(&importer.app, outcome.id, Task::Undo).await.unwrap_err();
    assert_eq!(again.code(), "import_state");
}

#[tokio::test]
async fn payments_are_reversed_in_the_ledger() {
    let importer = Importer::open().await;
    importer.import(Target::Accounts, "account,customer id,customer name,balance\nA-1,C1,Ann,100\n").await;
    let outcome = importer
        .import(Target::Payments, "account,reference,amount,status\nA-1,R1,10,paid\nA-1,R2,5,pending\nA-1,R3,1,paid\n")
        .await;
    let edit = "update payments set description = 'seen' where reference = 'R3'";
    sqlx::query(edit).execute(&importer.database.pool).await.unwrap();
    importer.work(outcome.id, Task::Undo).await;
    assert_eq!(*importer.find(outcome.id).await.undone, Undone { reversed: 2, kept: 1, errored: 0 });
    assert_eq!(importer.text("select balance::text from accounts").await.as_deref(), Some("9900"));
    let statuses =
        "select string_agg(reference || ' ' || status || ' ' || (deleted_at is null), '|' order by reference) from payments";
    assert_eq!(importer.text(statuses).await.as_deref(), Some("R1 reversed true|R2 pending false|R3 success true"));
}

#[tokio::test]
async fn a_customer_that_came_with_its_accounts_goes_with_the_last_of_them() {
    let importer = Importer::open().await;
    let file = "account,customer id,customer name,balance\nA-1,C1,Ann,100\nA-2,C1,Ann,100\nA-3,C2,Bob,100\n";
    let outcome = importer.import(Target::Accounts, file).await;
    sqlx::query("update accounts set creditor = 'ACME' where account_number = 'A-3'")
        .execute(&importer.database.pool)
        .await
        .unwrap();
    importer.work(outcome.id, Task::Undo).await;
    assert_eq!(*importer.find(outcome.id).await.undone, Undone { reversed: 2, kept: 1, errored: 0 });
    let live = "select string_agg(name, ' ') from customers where deleted_at is null";
    assert_eq!(importer.text(live).await.as_deref(), Some("Bob"));
}

#[tokio::test]
async fn an_import_is_undone_for_thirty_days() {
    let importer = Importer::open().await;
    let outcome = importer.import(Target::Customers, "id,name\n1,Ann\n").await;
    let age = "update imports set committed_at = now() - interval '31 days'";
    sqlx::query(age).execute(&importer.database.pool).await.unwrap();
    assert_eq!(start(&importer.app, outcome.id, Task::Undo).await.unwrap_err().code(), "undo_expired");
}

#[tokio::test]
async fn old_rows_go_and_imports_without_a_commit_with_them() {
    let importer = Importer::open().await;
    let committed = importer.import(Target::Customers, "id,name\n1,Ann\n").await.id;
    let validated = importer.run(wish(Target::Customers), "id,name\n2,Bob\n", Task::Validate).await.unwrap().id;
    let uploaded = importer.store(wish(Target::Customers), "id,name\n3,Cyn\n").await.unwrap().id;
    let at_work = importer.store(wish(Target::Customers), "id,name\n4,Dan\n").await.unwrap().id;
    start(&importer.app, at_work, Task::Validate).await.unwrap();
    let age = "update imports set created_at = created_at - interval '31 days', committed_at = committed_at - interval '31 days'";
    sqlx::query(age).execute(&importer.database.pool).await.unwrap();
    let recent = importer.store(wish(Target::Customers), "id,name\n5,Eve\n").await.unwrap().id;
    let mut transaction = importer.app.db.server.begin().await.unwrap();
    let job = enqueue(&mut transaction, &RemoveOldRows::default(), Terms::default()).await.unwrap().id();
    transaction.commit().await.unwrap();
    assert_eq!(jobs::work(&importer.app, worker::kinds(), job).await.unwrap(), jobs::State::Succeeded);
    let mut left = Vec::new();
    for id in [committed, validated, uploaded, at_work, recent] {
        left.push(store::find(&importer.app.db.server, id).await.unwrap().is_some());
    }
    assert_eq!(left, [true, false, false, true, true]);
    assert_eq!(importer.count("import_rows").await, 0);
    assert_eq!(importer.find(committed).await.committed.created, 1, "what was imported stays");
}
