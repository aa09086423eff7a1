//! Documents that change again and again: written seldom, beside everything else, and at once when somebody waits for them.

use std::time::Duration;

use collections::collections::find;
use collections::sync::integrity::wait;
use collections::sync::leader::follower;
use collections::sync::store::checkpoint;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::eventually::eventually;
use crate::harness::synced::Synced;

const HOT: Uuid = Uuid::from_u128(1);
/// After a write a document rests for longer than the test takes.
const REST: [&str; 4] = ["--sync-hot-pause-ms", "3600000", "--sync-hot-limit-ms", "3600000"];

/// One customer, who is in the index and rests.
async fn rested(more: &[&str]) -> Synced {
    let test = Synced::started_with(&[&REST, more].concat()).await;
    test.sql(&format!("insert into customers (id, name) values ('{HOT}', 'First')")).await;
    eventually("the customer can be found", async || is_shown(&test, "First").await).await;
    test
}

async fn rename(test: &Synced, name: &str) {
    test.sql(&format!("update customers set name = '{name}' where id = '{HOT}'")).await;
}

/// Whether a search finds a customer of that name. It does not wait for anything.
async fn is_shown(test: &Synced, name: &str) -> bool {
    let index = test.index("customers").await;
    let body = json!({ "query": { "term": { "name": name } } });
    let answer = test.raw(reqwest::Method::POST, &format!("{index}/_search"), Some(body)).await;
    answer["hits"]["total"]["value"].as_i64().unwrap() == 1
}

#[tokio::test]
async fn a_document_that_never_rests_is_written_seldom_and_shows_its_last_change() {
    let test = Synced::started().await;
    test.sql(&format!("insert into customers (id, name) values ('{HOT}', 'First')")).await;
    let changes = 400;
    for n in 1..=changes {
        rename(&test, &format!("Name {n}")).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    eventually("the last change can be found", async || is_shown(&test, &format!("Name {changes}")).await).await;
    let index = test.index("customers").await;
    let told = test.raw(reqwest::Method::GET, &format!("{index}/_stats/indexing"), None).await;
    let writes = told["_all"]["primaries"]["indexing"]["index_total"].as_i64().unwrap();
    assert!(writes < changes / 10, "{changes} changes are {writes} writes");
    test.expect_equal().await;
}

#[tokio::test]
async fn who_waits_for_a_hot_document_has_it_soon_from_any_process() {
    let test = rested(&[]).await;
    let follower = Synced::beside(&test);
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower::run(follower.app.clone(), stop.clone()));

    rename(&test, "For a list of the leader").await;
    let wanted = checkpoint::beat(&test.app.db.sync).await.unwrap();
    assert!(test.app.watermark.reached("customers", wanted, Duration::from_secs(60)).await);
    assert!(is_shown(&test, "For a list of the leader").await);

    rename(&test, "For a list of another").await;
    let wanted = checkpoint::beat(&test.app.db.sync).await.unwrap();
    assert!(follower.app.watermark.reached("customers", wanted, Duration::from_secs(60)).await);
    assert!(is_shown(&test, "For a list of another").await);

    rename(&test, "For a command").await;
    wait::until_searchable(&test.app, find("customers").unwrap()).await.unwrap();
    assert!(is_shown(&test, "For a command").await);
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn a_hot_document_keeps_no_other_back_and_is_no_lag() {
    let test = rested(&[]).await;
    rename(&test, "Held").await;
    test.sql("insert into customers (id, name) values (gen_random_uuid(), 'Canary')").await;
    eventually("the canary can be found", async || is_shown(&test, "Canary").await).await;
    eventually("nothing else waits", async || test.app.watermark.status.report().lag().is_zero()).await;
    assert!(is_shown(&test, "First").await && !is_shown(&test, "Held").await);
    test.settle().await;
    assert!(is_shown(&test, "Held").await);
}

#[tokio::test]
async fn a_hot_document_is_written_before_the_log_that_is_kept_for_it_grows_too_long() {
    let test = rested(&["--sync-hot-bytes", "20000"]).await;
    rename(&test, "Held").await;
    test.sql("insert into customers (id, name) select gen_random_uuid(), 'Other ' || n from generate_series(1, 200) as n").await;
    eventually("the hot document can be found", async || is_shown(&test, "Held").await).await;
}

#[tokio::test]
async fn a_change_of_a_hot_document_survives_its_leader() {
    let mut test = rested(&[]).await;
    rename(&test, "Held").await;
    test.sql("insert into customers (id, name) values (gen_random_uuid(), 'Canary')").await;
    eventually("what follows can be found", async || is_shown(&test, "Canary").await).await;
    // Long enough for the position to be remembered and told to the server.
    checkpoint::beat(&test.app.db.sync).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    test.kill();
    test.launch();
    eventually("the next leader writes it", async || is_shown(&test, "Held").await).await;
    test.expect_equal().await;
}
