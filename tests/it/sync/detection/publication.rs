//! The publication and what it relies on, dropped or changed by another client.

use uuid::Uuid;

use super::{epoch, expect_no_problem, expect_problem};
use crate::harness::eventually::eventually;
use crate::harness::synced::Synced;

const CUSTOMER: Uuid = Uuid::from_u128(1);
const PEOPLE: &str = "
    insert into customers (id, name) values
      ('00000000-0000-0000-0000-000000000001', 'Before'),
      ('00000000-0000-0000-0000-000000000002', 'Second');
    insert into accounts (id, account_number, customer_id, currency)
    select gen_random_uuid(), 'A-' || n, '00000000-0000-0000-0000-000000000001', 'EUR' from generate_series(1, 5) as n";

async fn started() -> Synced {
    let mut test = Synced::new().await;
    test.sql(PEOPLE).await;
    test.start().await;
    test
}

/// Breaks something under a running sync, makes changes that the stream does not carry, and expects that all of them are found.
async fn check(damage: &str, changes: &str) {
    let mut test = started().await;
    test.sql(damage).await;
    test.sql(changes).await;
    eventually("a new epoch begins", async || epoch(&test).await == 2).await;
    test.settle().await;
    test.expect_equal().await;
    expect_no_problem(&test).await;
    // It is restored for good.
    test.sql("update customers set name = 'Renamed'; update accounts set customer_id = '00000000-0000-0000-0000-000000000002'")
        .await;
    test.settle().await;
    test.expect_equal().await;
    assert_eq!(test.document("customers", CUSTOMER).await["name"], "Renamed");
    assert_eq!(epoch(&test).await, 2);
    test.stop().await;
}

#[tokio::test]
async fn a_dropped_publication_is_restored() {
    check(
        "drop publication collections",
        "update customers set name = 'Unseen'; delete from accounts where account_number = 'A-1'",
    )
    .await;
}

#[tokio::test]
async fn a_table_taken_out_of_the_publication_is_published_again() {
    check("alter publication collections drop table accounts", "update accounts set due_date = '2026-01-31'").await;
}

#[tokio::test]
async fn a_publication_of_inserts_only_is_completed() {
    check("alter publication collections set (publish = 'insert')", "update customers set name = 'Unseen'").await;
}

#[tokio::test]
async fn a_lost_replica_identity_is_restored() {
    let moved = "update accounts set customer_id = '00000000-0000-0000-0000-000000000002' where account_number < 'A-4'";
    check("alter table accounts replica identity default", moved).await;
}

#[tokio::test]
async fn a_disabled_trigger_is_enabled_again() {
    let damage = "alter table customers disable trigger customers_embedded_changes";
    check(damage, "update customers set name = 'Unseen'").await;
}

#[tokio::test]
async fn a_publication_that_was_dropped_and_made_again_has_missed_changes() {
    let again = "select restore_searchable()";
    check("drop publication collections", &format!("update customers set name = 'Unseen'; {again}")).await;
}

#[tokio::test]
async fn a_starting_leader_restores_the_publication() {
    let mut test = started().await;
    test.stop().await;
    test.sql("drop publication collections").await;
    test.sql("update customers set name = 'Unseen'").await;
    test.start().await;
    assert_eq!(epoch(&test).await, 2);
    assert_eq!(test.document("customers", CUSTOMER).await["name"], "Unseen");
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_leader_that_may_restore_nothing_says_which_statement_does() {
    let mut test = started().await;
    test.sql("revoke execute on function restore_searchable() from collections_sync").await;
    test.sql("drop publication collections").await;
    test.sql("update customers set name = 'Unseen'").await;
    expect_problem(&test, &["the publication collections is missing", "run `select restore_searchable()`", "permission denied"])
        .await;
    test.sql("select restore_searchable()").await;
    eventually("a new epoch begins", async || epoch(&test).await == 2).await;
    test.settle().await;
    assert_eq!(test.document("customers", CUSTOMER).await["name"], "Unseen");
    expect_no_problem(&test).await;
    test.expect_equal().await;
    test.stop().await;
}

#[tokio::test]
async fn a_migration_that_publishes_more_misses_nothing() {
    let mut test = started().await;
    test.sql("select make_searchable('payments', summarized => '{amount}')").await;
    test.sql("update customers set name = 'After'").await;
    // Longer than the catalogue is left unread.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    test.settle().await;
    assert_eq!((epoch(&test).await, test.document("customers", CUSTOMER).await["name"].as_str()), (1, Some("After")));
    test.stop().await;
    test.start().await;
    assert_eq!(epoch(&test).await, 1);
    test.expect_equal().await;
    test.stop().await;
}
