//! Rebuilds beside the live path: they resume after a kill, leave no ghosts, can be rolled back, and touch no foreign index.

use std::time::Duration;

use collections::collections::find;
use collections::freshness::status::Role;
use collections::search::Collection;
use collections::search::index::{self, Alias};
use collections::sync::generations::reconcile;
use collections::sync::store::generations::{self, Generation, State};
use collections::sync::store::{checkpoint, dead_letters};
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::harness::eventually::eventually;
use crate::harness::people::{crowd, person};
use crate::harness::synced::Synced;

const WITNESS: Uuid = Uuid::from_u128(1);

/// Small pieces, so that there is a middle to be killed in.
pub(crate) const SMALL: [&str; 2] = ["--sync-batch-size", "80"];

pub(crate) fn customers() -> &'static Collection {
    find("customers").unwrap()
}

pub(crate) async fn people(test: &Synced, count: i64) {
    test.insert(crowd(count, "Customer")).await;
}

pub(crate) async fn generation(test: &Synced, state: State) -> Option<Generation> {
    let generations = generations::all(&test.app.db.sync).await.unwrap();
    generations.into_iter().find(|one| one.collection == "customers" && one.state == state)
}

/// Waits until a rebuild has written more than so many documents, and returns it.
pub(crate) async fn half_built(test: &Synced, documents: i64) -> Generation {
    eventually("the rebuild is in the middle", async || {
        generation(test, State::Building).await.is_some_and(|building| building.documents > documents)
    })
    .await;
    generation(test, State::Building).await.expect("it is not finished")
}

/// Rebuilds the customers and returns the names of the previous and the new index.
pub(crate) async fn rebuilt(test: &Synced) -> (String, String) {
    let before = test.index("customers").await;
    let index = reconcile::request(&test.app, customers()).await.unwrap().expect("a new generation");
    eventually("the new index is live", async || test.index("customers").await == index).await;
    (before, index)
}

/// What lists see, by the alias.
async fn is_behind_alias(test: &Synced, index: &str) -> bool {
    let seen = index::inspect(&test.elastic, customers()).await.unwrap();
    matches!(seen, Alias::Live(found) if found == index)
}

/// Whether a search in an index finds the witness.
pub(crate) async fn shows_witness(test: &Synced, index: &str) -> bool {
    let query = json!({ "query": { "term": { "id": WITNESS } } });
    test.raw(Method::POST, &format!("{index}/_count"), Some(query)).await["count"] == 1
}

#[tokio::test]
async fn a_rebuild_that_is_killed_twice_resumes_at_its_cursor() {
    let mut test = Synced::with(&SMALL).await;
    people(&test, 3_000).await;
    test.launch();
    let mut before = half_built(&test, 300).await;
    for documents in [1_200, 2_000] {
        test.kill();
        let killed = generation(&test, State::Building).await.expect("it is not finished");
        assert_eq!((&killed.index, killed.total), (&before.index, 3_000), "it does not begin another index");
        assert!(killed.cursor >= before.cursor && killed.documents >= before.documents, "{before:?} then {killed:?}");
        test.launch();
        before = half_built(&test, documents).await;
        assert!(before.cursor > killed.cursor);
    }
    test.settle().await;
    let live = generation(&test, State::Live).await.unwrap();
    assert_eq!((live.index, live.documents), (before.index, 3_000), "every document is counted once");
    test.expect_equal().await;
}

#[tokio::test]
async fn deletes_during_a_rebuild_leave_no_ghosts() {
    let test = Synced::started_with(&SMALL).await;
    people(&test, 3_000).await;
    test.settle().await;
    reconcile::request(&test.app, customers()).await.unwrap().expect("a new generation");
    half_built(&test, 0).await;
    eventually("the rebuild ends", async || {
        let Some(building) = generation(&test, State::Building).await else { return true };
        // Just written, about to be read or just read, and far ahead.
        let at = building.cursor.unwrap_or(Uuid::nil());
        test.sql(&format!(
            "delete from customers where id in (
               (select id from customers where id <= '{at}' order by id desc limit 2)
               union all (select id from customers where id > '{at}' order by id limit 2)
               union all (select id from customers where id > '{at}' order by id offset 20 limit 2)
               union all (select id from customers where id > '{at}' order by id offset 40 limit 2)
               union all (select id from customers order by id desc limit 2))"
        ))
        .await;
        false
    })
    .await;
    test.settle().await;
    test.expect_equal().await;
    let rows: i64 = test.scalar("select count(*) from customers").await;
    let live = test.index("customers").await;
    index::refresh(&test.elastic, &live).await.unwrap();
    assert_eq!(index::count(&test.elastic, &live).await.unwrap(), u64::try_from(rows).unwrap());
}

#[tokio::test]
async fn a_rollback_serves_the_previous_generation_with_later_writes() {
    let test = Synced::started().await;
    people(&test, 10).await;
    test.settle().await;
    let (before, after) = rebuilt(&test).await;
    let count = async |index| index::count(&test.elastic, index).await.unwrap();
    eventually("an index that is not live is no longer refreshed", async || {
        people(&test, 1).await;
        test.settle().await;
        count(&before).await < count(&after).await
    })
    .await;
    test.insert(person(1, "Since")).await;
    test.settle().await;
    assert!(shows_witness(&test, &after).await);
    assert!(!shows_witness(&test, &before).await);

    assert_eq!(generations::request_rollback(&test.app.db.sync, "customers").await.unwrap().as_deref(), Some(before.as_str()));
    eventually("the previous index is live", async || test.index("customers").await == before).await;
    assert!(is_behind_alias(&test, &before).await);
    assert!(shows_witness(&test, &before).await);
    assert_eq!(test.document("customers", WITNESS).await["name"], "Since");
    test.expect_equal().await;

    // And forward again, as current as the other.
    test.sql("update customers set name = 'Again' where name = 'Since'").await;
    test.settle().await;
    assert_eq!(generations::request_rollback(&test.app.db.sync, "customers").await.unwrap(), Some(after.clone()));
    eventually("the new index is live again", async || test.index("customers").await == after).await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "Again");
    test.expect_equal().await;
}

/// Quarantined documents.
pub(crate) async fn refused(test: &Synced) -> Vec<Uuid> {
    dead_letters::quarantined(&test.app.db.sync).await.unwrap().into_iter().map(|(_, id)| id).collect()
}

#[tokio::test]
async fn a_document_stays_quarantined_until_the_live_index_accepts_it() {
    let test = Synced::started().await;
    test.insert(person(1, "Deep")).await;
    test.settle().await;
    let live = test.index("customers").await;
    // As an older mapping might be.
    let shallow = json!({ "properties": { "custom": { "type": "flattened", "ignore_above": 1000, "depth_limit": 1 } } });
    test.raw(Method::PUT, &format!("{live}/_mapping"), Some(shallow)).await;
    test.sql(r#"update customers set custom = '{"a": {"b": {"c": 1}}}'"#).await;
    test.settle().await;
    assert_eq!(refused(&test).await, [WITNESS]);

    let (before, after) = rebuilt(&test).await;
    eventually("the new index has accepted it", async || refused(&test).await.is_empty()).await;
    test.settle().await;
    test.expect_equal().await;

    assert_eq!(generations::request_rollback(&test.app.db.sync, "customers").await.unwrap(), Some(before.clone()));
    eventually("the previous index is live", async || test.index("customers").await == before).await;
    eventually("it is quarantined although the other index accepts it", async || {
        test.sql(r#"update customers set custom = '{"a": {"b": {"c": 2}}}'"#).await;
        test.settle().await;
        refused(&test).await == [WITNESS]
    })
    .await;
    assert!(index::exists(&test.elastic, &after).await.unwrap());
}

#[tokio::test]
async fn a_document_that_no_index_accepts_keeps_the_rollback_target() {
    let test = Synced::started().await;
    test.insert(person(1, "Long")).await;
    test.settle().await;
    let (before, _) = rebuilt(&test).await;
    // A keyword longer than Lucene's limit of 32,766 bytes.
    test.sql("update customers set tags = array[repeat('x', 40000)]").await;
    test.settle().await;
    assert_eq!(refused(&test).await, [WITNESS]);
    test.sql("update customers set tags = array[repeat('y', 40000)]").await;
    test.settle().await;
    assert_eq!(generations::request_rollback(&test.app.db.sync, "customers").await.unwrap(), Some(before));
}

#[tokio::test]
async fn a_retired_index_is_removed_when_it_expires() {
    let mut test = Synced::started().await;
    people(&test, 10).await;
    let (before, _) = rebuilt(&test).await;
    test.stop().await;
    test.start().await;
    assert!(index::exists(&test.elastic, &before).await.unwrap(), "it outlives a restart");
    let hours =
        "select extract(epoch from expires_at - now()) / 3600 between 23 and 24 from index_generations where state = 'retired'";
    assert!(test.scalar::<bool>(hours).await);
    test.sql("update index_generations set expires_at = now() where state = 'retired'").await;
    eventually("the retired index is removed", async || !index::exists(&test.elastic, &before).await.unwrap()).await;
    eventually("and forgotten", async || generation(&test, State::Retired).await.is_none()).await;
    assert_eq!(generations::request_rollback(&test.app.db.sync, "customers").await.unwrap(), None);
    people(&test, 10).await;
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn an_alias_moved_by_a_suspended_leader_is_repointed() {
    let test = Synced::started().await;
    let (before, after) = rebuilt(&test).await;
    index::swap(&test.elastic, customers(), &before).await.unwrap();
    eventually("the alias leads to the live index again", async || is_behind_alias(&test, &after).await).await;
}

#[tokio::test]
async fn a_leader_with_an_old_lease_promotes_nothing() {
    let mut test = Synced::started().await;
    let (before, after) = rebuilt(&test).await;
    test.stop().await;
    let lease = collections::sync::store::checkpoint::read(&test.app.db.sync).await.unwrap().lease;
    let retired = generation(&test, State::Retired).await.unwrap();
    assert_eq!(retired.index, before);
    let promoted = generations::promote(&test.app.db.sync, lease - 1, &retired, Duration::from_secs(60)).await;
    assert!(promoted.unwrap_err().to_string().contains("taken over"));
    assert!(collections::sync::store::checkpoint::check_lease(&test.app.db.sync, lease - 1).await.is_err());
    collections::sync::store::checkpoint::check_lease(&test.app.db.sync, lease).await.unwrap();
    assert_eq!(test.index("customers").await, after);
}

#[tokio::test]
async fn an_index_of_another_database_is_neither_removed_nor_read() {
    let mut test = Synced::with(&[]).await;
    let foreign = format!("{}-v1-of-another", index::alias(&test.elastic, customers()));
    index::create(&test.elastic, customers(), &foreign, "another").await.unwrap();
    index::swap(&test.elastic, customers(), &foreign).await.unwrap();
    test.launch();
    let problem = async || test.app.watermark.status.report().problem.unwrap_or_default();
    eventually("the leader reports it", async || problem().await.contains("of another database")).await;
    let problem = problem().await;
    assert!(problem.contains(&foreign) && problem.contains("delete") && problem.contains("INDEX_PREFIX"), "{problem}");
    assert!(index::exists(&test.elastic, &foreign).await.unwrap());
    let wanted = checkpoint::heartbeat(&test.pool).await.unwrap();
    eventually("the stream flows on", async || checkpoint::read(&test.pool).await.unwrap().checkpoint.confirmed >= wanted).await;
    assert_eq!(test.app.watermark.status.report().role, Role::Leading);
    let says = async |text: &str| test.command(&["sync", "status"]).await.1.contains(text);
    eventually("the status shows it too", async || says("problem      the alias").await).await;

    index::remove(&test.elastic, &foreign).await.unwrap();
    test.settle().await;
    assert_eq!(test.app.watermark.status.report().problem, None);
    eventually("and that it is over", async || says("problem      none").await).await;
    test.expect_equal().await;
}

#[tokio::test]
async fn orphaned_indices_of_this_database_are_removed() {
    let mut test = Synced::started().await;
    let owner = generations::owner(&test.app.db.sync).await.unwrap();
    let name = |what: &str| format!("{}-v1-{what}", index::alias(&test.elastic, customers()));
    let (ours, foreign) = (name("orphan"), name("foreign"));
    index::create(&test.elastic, customers(), &ours, &owner).await.unwrap();
    index::create(&test.elastic, customers(), &foreign, "another").await.unwrap();
    test.stop().await;
    test.start().await;
    assert!(index::exists(&test.elastic, &ours).await.unwrap(), "it may belong to something that has just begun");
    test.stop().await;
    test.app.clock.advance(chrono::TimeDelta::minutes(6));
    test.start().await;
    assert!(!index::exists(&test.elastic, &ours).await.unwrap());
    assert!(index::exists(&test.elastic, &foreign).await.unwrap(), "what is not ours stays");
    test.expect_equal().await;
}

/// Rebuilds the customers, and damages the new index by a hand that knows no versions: a written document goes, and with `ghost` one
/// comes that has no row. Returns the new index and the damaged document once it is live.
async fn damaged(test: &Synced, ghost: Option<Uuid>) -> (String, Uuid) {
    people(test, 2_000).await;
    test.settle().await;
    reconcile::request(&test.app, customers()).await.unwrap().expect("a new generation");
    let building = half_built(test, 100).await;
    let written = building.cursor.unwrap();
    test.raw(Method::DELETE, &format!("{}/_doc/{written}", building.index), None).await;
    if let Some(ghost) = ghost {
        let document = json!({ "id": ghost, "name": "Ghost" });
        test.raw(Method::PUT, &format!("{}/_doc/{ghost}", building.index), Some(document)).await;
    }
    eventually("the new index is live", async || test.index("customers").await == building.index).await;
    (building.index, written)
}

#[tokio::test]
async fn a_document_lost_during_a_rebuild_is_repaired_before_the_swap() {
    let test = Synced::started_with(&SMALL).await;
    let (index, written) = damaged(&test, None).await;
    let query = json!({ "query": { "ids": { "values": [written] } } });
    let found = test.raw(Method::POST, &format!("{index}/_search"), Some(query)).await;
    assert_eq!(found["hits"]["hits"][0]["_id"], json!(written), "lists find what was repaired, from the first on");
    test.settle().await;
    test.expect_equal().await;
}

#[tokio::test]
async fn damage_with_equal_counts_is_repaired_by_the_first_sweep_after_the_swap() {
    let sweep = ["--sync-sweep-rate", "1000000"];
    let test = Synced::started_with(&[SMALL, sweep].concat()).await;
    let ghost = Uuid::from_u128(7);
    let (_, written) = damaged(&test, Some(ghost)).await;
    let is_repaired = "select last_found = 2 and last_repaired = 2
                       from sync_sweeps s join index_generations g on g.index_name = s.index_name and g.state = 'live'
                       where s.collection = 'customers' and s.last_started_at is not null";
    test.wait_for(is_repaired).await;
    assert!(!test.document("customers", written).await.is_null());
    assert!(test.document("customers", ghost).await.is_null());
    test.expect_equal().await;
}

#[tokio::test]
async fn a_rollback_target_that_refuses_a_document_is_abandoned() {
    let mut test = Synced::started().await;
    rebuilt(&test).await;
    test.stop().await;
    // As if it came from a program that knew no names; by its own name the template would give it today's mapping.
    let older = format!("{}-older", index::alias(&test.elastic, customers()));
    let mapping = json!({ "mappings": { "dynamic": "strict", "properties": { "id": { "type": "keyword" } } } });
    test.raw(reqwest::Method::PUT, &older, Some(mapping)).await;
    test.sql(&format!("update index_generations set index_name = '{older}' where state = 'retired'")).await;
    test.start().await;
    test.insert(person(1, "New")).await;
    eventually("it is abandoned", async || generation(&test, State::Retired).await.is_none()).await;
    test.settle().await;
    assert_eq!(test.document("customers", WITNESS).await["name"], "New");
    assert_eq!(test.scalar::<i64>("select count(*) from sync_dead_letters").await, 0);
}

#[tokio::test]
async fn a_rollback_moves_the_alias_before_the_index_counts_as_live() {
    let test = Synced::started().await;
    let (before, _) = rebuilt(&test).await;
    generations::request_rollback(&test.app.db.sync, "customers").await.unwrap();
    while test.index("customers").await != before {
        tokio::task::yield_now().await;
    }
    assert!(is_behind_alias(&test, &before).await, "from here on only this index is refreshed");
}
