//! From a commit in SQL to a document: every kind of change, on real servers.

use collections::sync::integrity::verify;
use collections::sync::store::{checkpoint, dead_letters};
use uuid::Uuid;

use crate::harness::people::{crowd, person};
use crate::harness::synced::Synced;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Two customers, an account of the first with a payment, and a payment without an account.
pub(crate) async fn people(test: &Synced) {
    let maria = person(1, "Maria Muster").payment(0x22, 700).account(0x11, "A-11").payment(0x21, 500);
    test.insert(maria.person(2, "Otto Other")).await;
    test.sql(&format!(
        "insert into users (id, username, name, password_hash) values ('{0}', 'ann', 'Ann', 'x'); update accounts set assignee_id = '{0}';
        insert into activities (id, account_id, user_id, kind, note) select '{1}', id, '{0}', 'call', 'promises to pay' from accounts",
        id(9),
        id(0x31)
    ))
    .await;
}

#[tokio::test]
async fn rows_from_before_the_first_start_are_indexed() {
    let mut test = Synced::new().await;
    people(&test).await;
    test.start().await;
    assert_eq!(test.document("customers", id(1)).await["name"], "Maria Muster");
    assert_eq!(test.document("payments", id(0x22)).await["customerName"], "Maria Muster");
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rename_reaches_accounts_and_payments() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    test.sql("update customers set name = 'Maria Neu' where name = 'Maria Muster'").await;
    test.sql("update users set name = 'Anna' where username = 'ann'").await;
    test.settle().await;
    for (collection, number) in [("accounts", 0x11), ("payments", 0x21), ("payments", 0x22)] {
        assert_eq!(test.document(collection, id(number)).await["customerName"], "Maria Neu", "{collection} {number:x}");
    }
    assert_eq!(test.document("accounts", id(0x11)).await["assigneeName"], "Anna");
    test.expect_equal().await;
}

#[tokio::test]
async fn a_change_that_others_do_not_show_leaves_their_documents_alone() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    let versions = async || (test.version("customers", id(1)).await, test.version("payments", id(0x21)).await);
    let before = versions().await;
    test.sql("update accounts set portfolio = 'North', assignee_id = null").await;
    test.settle().await;
    assert_eq!(versions().await, before);
    test.sql("update customers set tags = '{late}'; update accounts set status = 'paused'").await;
    test.settle().await;
    assert!(versions().await.0 > before.0);
    assert_eq!(versions().await.1, before.1);
    test.sql("update accounts set account_number = 'A-12'").await;
    test.settle().await;
    assert_eq!(test.document("payments", id(0x21)).await["accountNumber"], "A-12");
    test.expect_equal().await;
}

#[tokio::test]
async fn an_account_that_changes_hands_leaves_its_old_owner() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    assert_eq!(test.document("customers", id(1)).await["accountCount"], 1);
    test.sql("update accounts set customer_id = '00000000-0000-0000-0000-000000000002'").await;
    test.settle().await;
    assert_eq!(test.document("customers", id(1)).await["accountCount"], 0);
    assert_eq!(test.document("customers", id(2)).await["accountCount"], 1);
    assert_eq!(test.document("payments", id(0x21)).await["customerName"], "Otto Other");
    test.expect_equal().await;
}

#[tokio::test]
async fn a_moved_contact_point_rewrites_both_customers_and_their_accounts() {
    let test = Synced::started().await;
    people(&test).await;
    test.sql(
        r#"
        insert into contact_points (id, customer_id, kind, value, normalized, is_primary) values
          ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-000000000001', 'phone', '030 1', '+49301', true);
        insert into addresses (id, customer_id, line1) values
          ('00000000-0000-0000-0000-000000000041', '00000000-0000-0000-0000-000000000001', 'Weg 1');
        "#,
    )
    .await;
    test.settle().await;
    let customer = test.document("customers", id(1)).await;
    assert_eq!(customer["contactPoints"][0]["normalized"], "+49301");
    assert_eq!(customer["addresses"][0]["line1"], "Weg 1");
    let before = test.version("accounts", id(0x11)).await;
    test.sql("delete from addresses; update contact_points set customer_id = '00000000-0000-0000-0000-000000000002'").await;
    test.settle().await;
    assert!(test.version("accounts", id(0x11)).await > before);
    assert!(test.document("customers", id(1)).await["addresses"].as_array().is_none_or(Vec::is_empty));
    assert_eq!(test.document("customers", id(2)).await["contactPoints"][0]["normalized"], "+49301");
    test.expect_equal().await;
}

#[tokio::test]
async fn deleted_rows_and_changed_keys_leave_no_ghosts() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    test.sql(
        r#"
        delete from payments where amount = 700;
        update payments set id = '00000000-0000-0000-0000-000000000029' where amount = 500;
        "#,
    )
    .await;
    test.settle().await;
    assert!(test.document("payments", id(0x22)).await.is_null());
    assert!(test.document("payments", id(0x21)).await.is_null());
    assert_eq!(test.document("payments", id(0x29)).await["amount"], 5.0);
    test.expect_equal().await;
}

#[tokio::test]
async fn an_emptied_table_empties_its_documents() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    test.sql(
        "set session_replication_role = replica; truncate accounts, payments, ledger_entries, activities, activity_corrections, account_snapshots",
    )
    .await;
    test.settle().await;
    assert!(test.document("accounts", id(0x11)).await.is_null());
    assert!(test.document("payments", id(0x22)).await.is_null());
    assert_eq!(test.document("customers", id(1)).await["accountCount"], 0);
    test.expect_equal().await;
}

#[tokio::test]
async fn rolled_back_changes_are_never_indexed() {
    let test = Synced::started().await;
    people(&test).await;
    test.sql(
        r#"
        begin;
        update customers set name = 'Kept' where name = 'Otto Other';
        savepoint here;
        update customers set name = 'Never' where name = 'Maria Muster';
        delete from payments;
        rollback to here;
        commit;
        begin;
        delete from payments;
        rollback;
        "#,
    )
    .await;
    test.settle().await;
    assert_eq!(test.document("customers", id(1)).await["name"], "Maria Muster");
    assert_eq!(test.document("customers", id(2)).await["name"], "Kept");
    test.expect_equal().await;
}

#[tokio::test]
async fn a_transaction_of_many_batches_arrives_whole() {
    let test = Synced::started_with(&["--sync-batch-size", "100"]).await;
    test.insert(crowd(2500, "Customer")).await;
    test.sql("update customers set name = name || ' X'").await;
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_restart_resumes_at_the_checkpoint() {
    let mut test = Synced::started().await;
    people(&test).await;
    test.stop().await;
    test.sql("update customers set name = 'While away' where name = 'Otto Other'; delete from payments").await;
    test.start().await;
    assert_eq!(test.document("customers", id(2)).await["name"], "While away");
    test.expect_equal().await;
    assert_eq!(checkpoint::read(&test.app.db.sync).await.unwrap().epoch.0, 1);
}

#[tokio::test]
async fn a_quarantined_document_blocks_no_other() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    // A keyword longer than Lucene's limit of 32,766 bytes.
    test.sql("alter table customers drop constraint customers_name_length").await;
    test.sql("update customers set tags = array[repeat('x', 40000)] where name = 'Otto Other'").await;
    test.sql("update customers set name = 'Fine' where name = 'Maria Muster'").await;
    test.settle().await;
    assert_eq!(test.document("customers", id(1)).await["name"], "Fine");
    assert_eq!(dead_letters::quarantined(&test.app.db.sync).await.unwrap(), [("customers".to_owned(), id(2))]);
    test.sql("update customers set tags = '{ok}' where name = 'Otto Other'").await;
    test.settle().await;
    assert_eq!(dead_letters::quarantined(&test.app.db.sync).await.unwrap(), []);
    test.expect_equal().await;
}

#[tokio::test]
async fn repair_finds_and_repairs_changed_documents() {
    let test = Synced::started().await;
    people(&test).await;
    test.settle().await;
    let index = test.index("payments").await;
    test.raw(reqwest::Method::DELETE, &format!("{index}/_doc/{}?refresh", id(0x21)), None).await;
    let source = test.document("payments", id(0x22)).await;
    let ghost = format!("{index}/_doc/{}?refresh", id(0x77));
    let mut wrong = source.clone();
    wrong["id"] = id(0x77).to_string().into();
    test.raw(reqwest::Method::PUT, &ghost, Some(wrong)).await;
    let mut stale = source;
    stale["amount"] = 1.into();
    test.raw(reqwest::Method::PUT, &format!("{index}/_doc/{}?refresh", id(0x22)), Some(stale)).await;

    let found = test.differences("payments").await;
    assert_eq!(found[&id(0x21)], verify::Difference::Missing);
    assert_eq!(found[&id(0x22)], verify::Difference::Stale);
    assert_eq!(found[&id(0x77)], verify::Difference::Ghost);
    assert_eq!(found.len(), 3);
    assert_eq!(test.repair("payments", &found).await.len(), 0);
    test.expect_equal().await;
}
