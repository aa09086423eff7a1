//! Rebuilds that have to fail, and rollback targets that are abandoned: the live index stays.

use std::time::Duration;

use collections::config::Config;
use collections::search::{Template, index};
use collections::sync::generations::reconcile;
use collections::sync::store::generations::{self, Generation, State};
use reqwest::Method;
use serde_json::json;

use crate::harness::eventually::eventually;
use crate::harness::people::person;
use crate::harness::synced::Synced;
use crate::sync::reindex::{SMALL, customers, generation, half_built, people, rebuilt, refused, shows_witness};

/// Requests a rebuild of the customers with any name and hash.
async fn request(test: &Synced, index: &str, hash: &str) {
    assert!(generations::request(&test.app.db.sync, "customers", index, hash).await.unwrap());
}

/// Waits for a rebuild to fail, and says why it has.
async fn failure(test: &Synced) -> String {
    eventually("it has failed", async || generation(test, State::Failed).await.is_some()).await;
    generation(test, State::Failed).await.and_then(|failed| failed.reason).unwrap()
}

#[tokio::test]
async fn a_rebuild_touches_no_index_of_another_database() {
    let mut test = Synced::started().await;
    test.stop().await;
    let foreign = format!("{}-v1-of-another", index::alias(&test.elastic, customers()));
    index::create(&test.elastic, customers(), &foreign, "another").await.unwrap();
    // As in a copy of another database, where a rebuild was waiting when the copy was made.
    request(&test, &foreign, &Template::new(customers()).unwrap().hash).await;
    test.launch();
    assert!(failure(&test).await.contains("another database"));
    assert!(index::exists(&test.elastic, &foreign).await.unwrap());
    people(&test, 10).await;
    test.settle().await;
    test.expect_equal().await;
    index::refresh(&test.elastic, &foreign).await.unwrap();
    assert_eq!(index::count(&test.elastic, &foreign).await.unwrap(), 0);
}

#[tokio::test]
async fn a_rebuild_requested_with_another_mapping_fails() {
    let test = Synced::started().await;
    let before = test.index("customers").await;
    let index = index::name(&test.elastic.prefix, customers(), "00000000", test.app.clock.now());
    request(&test, &index, "00000000").await;
    assert!(failure(&test).await.contains("another version"));
    assert!(!index::exists(&test.elastic, &index).await.unwrap());
    assert_eq!(test.index("customers").await, before);
}

/// Makes an index refuse writes, as a full disk would.
async fn block(test: &Synced, index: &str) {
    let blocked = json!({ "index.blocks.write": true });
    test.raw(Method::PUT, &format!("{index}/_settings"), Some(blocked)).await;
}

/// Requests a rebuild of the customers and waits until it is in the middle.
async fn started(test: &Synced) -> Generation {
    people(test, 2_000).await;
    test.settle().await;
    reconcile::request(&test.app, customers()).await.unwrap().expect("a new generation");
    half_built(test, 100).await
}

fn impatient(config: &mut Config) {
    config.reindex.patience = Duration::from_millis(1500);
}

#[tokio::test]
async fn a_rollback_target_that_takes_no_documents_is_abandoned() {
    let test = Synced::started_tuned(&[], impatient).await;
    let (before, after) = rebuilt(&test).await;
    block(&test, &before).await;
    test.insert(person(1, "New")).await;
    eventually("lists read it at once", async || shows_witness(&test, &after).await).await;
    eventually("the rollback target is abandoned", async || generation(&test, State::Retired).await.is_none()).await;
    assert!(!index::exists(&test.elastic, &before).await.unwrap());
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rebuild_whose_index_takes_no_documents_fails() {
    let test = Synced::started_tuned(&[SMALL[0], "20"], impatient).await;
    let building = started(&test).await;
    block(&test, &building.index).await;
    people(&test, 10).await;
    assert!(failure(&test).await.contains("took no documents") || failure(&test).await.contains("takes no documents"));
    assert!(!index::exists(&test.elastic, &building.index).await.unwrap());
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rebuild_is_cancelled_while_its_index_takes_no_documents() {
    let test = Synced::started_with(&[SMALL[0], "20"]).await;
    let building = started(&test).await;
    block(&test, &building.index).await;
    assert!(generations::cancel(&test.app.db.sync, "customers").await.unwrap());
    assert!(failure(&test).await.contains("cancelled"));
    assert!(!index::exists(&test.elastic, &building.index).await.unwrap());
}

#[tokio::test]
async fn a_rebuild_fails_if_its_index_refuses_a_document_of_the_live_index() {
    let test = Synced::started_with(&[SMALL[0], "20"]).await;
    let sql = r#"create function deep() returns trigger language plpgsql as
        $$ begin new.custom = '{"a": {"b": {"c": 1}}}'; return new; end $$;
        create trigger deep before insert on customers for each row execute function deep()"#;
    test.sql(sql).await;
    let building = started(&test).await;
    // As a mapping that has become stricter.
    let shallow = json!({ "properties": { "custom": { "type": "flattened", "ignore_above": 1000, "depth_limit": 1 } } });
    test.raw(Method::PUT, &format!("{}/_mapping", building.index), Some(shallow)).await;
    let reason = failure(&test).await;
    assert!(reason.contains("refuses") && reason.contains("[custom]"), "{reason}");
    assert!(!index::exists(&test.elastic, &building.index).await.unwrap());
    eventually("no document of the live index is quarantined", async || refused(&test).await.is_empty()).await;
    test.expect_equal().await;
}
