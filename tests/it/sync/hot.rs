//! Documents that change again and again.

use std::time::Duration;

use collections::sync::leader::follower;
use collections::sync::store::checkpoint;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::eventually::eventually;
use crate::harness::synced::Synced;

#[tokio::test]
async fn documents_rewritten_beyond_the_budget_are_written_seldom_and_show_their_last_change() {
    let test = Synced::started().await;
    let (rows, rounds) = (1_000, 50);
    test.sql(&format!("{CUSTOMERS} generate_series(1, {rows}) n")).await;
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
    test.sql(&format!("{CUSTOMERS} generate_series(1, 1000) n")).await;
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
async fn documents_that_linger_survive_their_leader() {
    let mut test = Synced::started().await;
    test.sql(&format!("{CUSTOMERS} generate_series(1, 1000) n")).await;
    test.settle().await;
    test.sql(&rewrites(20)).await;
    // Something else is written and confirmed meanwhile.
    test.sql(&format!("{CUSTOMERS} generate_series(5001, 5002) n")).await;
    test.kill();
    test.launch();
    test.settle().await;
    test.expect_equal().await;
}

const CUSTOMERS: &str = "insert into customers (id, name) select lpad(n::text, 32, '0')::uuid, 'First' from";

/// Changes every customer so often, each time in a commit of its own, as fast as the server can.
fn rewrites(rounds: i64) -> String {
    format!("do $$ begin for round in 1..{rounds} loop update customers set name = 'Change ' || round; commit; end loop; end $$")
}

/// How many customers of that name a search finds. It does not wait for anything.
async fn shown(test: &Synced, name: &str) -> i64 {
    let index = test.index("customers").await;
    let body = json!({ "query": { "term": { "search.sort": name.to_lowercase() } } });
    let answer = test.raw(reqwest::Method::POST, &format!("{index}/_search"), Some(body)).await;
    answer["hits"]["total"]["value"].as_i64().unwrap()
}

/// How many documents the index of customers has written so far.
async fn writes(test: &Synced) -> i64 {
    let index = test.index("customers").await;
    let told = test.raw(reqwest::Method::GET, &format!("{index}/_stats/indexing"), None).await;
    told["_all"]["primaries"]["indexing"]["index_total"].as_i64().unwrap()
}
