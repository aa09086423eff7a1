//! Linger: documents that change faster than they can be written.

use std::time::Duration;

use collections::sync::leader::follower;
use collections::sync::store::checkpoint;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::eventually::eventually;
use crate::harness::people::crowd;
use crate::harness::synced::Synced;

#[tokio::test]
async fn changes_beyond_the_write_budget_are_coalesced_and_the_last_one_wins() {
    let test = Synced::started().await;
    let (rows, rounds) = (1_000, 50);
    test.insert(crowd(rows, "First")).await;
    test.settle().await;
    let before = writes(&test).await;
    test.sql(&rewrites(rounds)).await;
    eventually("the last change can be found", async || shown(&test, &format!("Change {rounds}")).await == rows).await;
    let written = writes(&test).await - before;
    assert!(written < rows * rounds / 5, "{} changes are {written} writes", rows * rounds);
    test.expect_equal().await;
}

#[tokio::test]
async fn any_process_reads_its_writes_while_documents_linger() {
    let test = Synced::started().await;
    test.insert(crowd(1_000, "First")).await;
    let follower = Synced::beside(&test);
    let stop = CancellationToken::new();
    let following = tokio::spawn(follower::run(follower.app.clone(), stop.clone()));
    for round in 1..=3 {
        test.sql(&rewrites(5)).await;
        for process in [&test, &follower] {
            let name = format!("Round {round}");
            test.sql(&format!("update customers set name = '{name}'")).await;
            let wanted = checkpoint::heartbeat(&test.app.db.sync).await.unwrap();
            assert!(process.app.watermark.reached("customers", wanted, Duration::from_secs(60)).await);
            assert_eq!(shown(&test, &name).await, 1_000);
        }
    }
    stop.cancel();
    following.await.unwrap();
}

#[tokio::test]
async fn lingering_documents_survive_a_killed_leader() {
    let mut test = Synced::started().await;
    test.insert(crowd(1_000, "First")).await;
    test.settle().await;
    test.sql(&rewrites(20)).await;
    // Something else is written and confirmed meanwhile.
    test.insert(crowd(2, "Other")).await;
    test.kill();
    test.launch();
    test.settle().await;
    test.expect_equal().await;
}

/// Changes every customer in so many commits, as fast as the server can.
fn rewrites(rounds: i64) -> String {
    format!("do $$ begin for round in 1..{rounds} loop update customers set name = 'Change ' || round; commit; end loop; end $$")
}

/// The number of customers of that name that can be found now.
async fn shown(test: &Synced, name: &str) -> i64 {
    let index = test.index("customers").await;
    let body = json!({ "query": { "term": { "search.sort": name.to_lowercase() } } });
    let answer = test.raw(reqwest::Method::POST, &format!("{index}/_search"), Some(body)).await;
    answer["hits"]["total"]["value"].as_i64().unwrap()
}

/// The number of writes to the index of customers.
async fn writes(test: &Synced) -> i64 {
    let index = test.index("customers").await;
    let stats = test.raw(reqwest::Method::GET, &format!("{index}/_stats/indexing"), None).await;
    stats["_all"]["primaries"]["indexing"]["index_total"].as_i64().unwrap()
}
