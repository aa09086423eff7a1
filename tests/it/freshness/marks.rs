//! Each fault of the sync is named by the health of every server and by `sync status`, and marks the lists.

use serde_json::json;

use super::{
    Beside, beside_leader, block_writes, create, list, live, sync_status, until_degraded, until_fresh, until_stale, until_status,
    until_well,
};
use crate::harness::app::{TestApp, elasticsearch_url};
use crate::harness::database::Database;
use crate::harness::proxy::{Mode, Proxy};

/// Longer than the sync is late at rest, and short for a test.
const STALE_AFTER: [&str; 2] = ["--stale-after", "3s"];

#[tokio::test(flavor = "multi_thread")]
async fn a_write_block_marks_the_lists_of_every_server_until_it_ends() {
    let test = TestApp::start_with(&STALE_AFTER).await;
    let other = Beside::start(&test).await;
    let token = test.token(collections::auth::Role::Admin).await;
    let clients = [test.anonymous().with_token(&token), other.client(&token)];
    for client in &clients {
        until_fresh(client).await;
        until_well(client).await;
    }

    let index = live(&test).await;
    block_writes(&index, true).await;
    // Its own lists would come from Postgres and show it.
    create(&test.admin().await, "Blocked").await;
    for client in &clients {
        until_stale(client).await;
        until_degraded(client, "changes of customers have waited").await;
        until_degraded(client, "refuses writes: blocked by").await;
    }
    until_status(&test, "changes of customers have waited").await;

    // Nothing is written, so nothing gets younger.
    let mut oldest = 0;
    for _ in 0..20 {
        for client in &clients {
            let list = list(client).await;
            assert_eq!((&list["stale"], &list["total"]), (&json!(true), &json!(0)), "{list}");
            assert!(list["lagMs"].as_u64().unwrap() >= 3_000, "{list}");
        }
        let lag = clients[1].get("/health").await.expect(200)["checks"]["sync"]["lagMs"].as_u64().unwrap();
        assert!(lag >= oldest, "the lag falls from {oldest} to {lag} ms");
        oldest = lag;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }

    block_writes(&index, false).await;
    for client in &clients {
        until_fresh(client).await;
        until_well(client).await;
        assert_eq!(list(client).await["total"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_leader_is_named_and_its_index_gets_old() {
    let (test, mut leader, client) = beside_leader(&STALE_AFTER).await;
    until_well(&client).await;
    let name = leader.name();
    assert!(sync_status(&test).await.contains(&format!("leader       {name}\n")));
    leader.0.kill().await.unwrap();
    until_degraded(&client, &format!("no process leads the sync: {name} was last heard")).await;
    until_stale(&client).await;
    until_status(&test, &format!("leader       none; {name} was last heard")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_leader_is_named_until_it_resumes() {
    let (test, leader, client) = beside_leader(&STALE_AFTER).await;
    leader.signal("STOP");
    until_degraded(&client, &format!("no process leads the sync: {} was last heard", leader.name())).await;
    until_stale(&client).await;
    until_status(&test, "status       degraded").await;
    leader.signal("CONT");
    until_fresh(&client).await;
    until_well(&client).await;
    until_status(&test, "status       ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_place_of_elasticsearch_is_no_answer() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let test = TestApp::start_with(&["--elasticsearch-url", &url]).await;
    let client = test.admin().await;
    create(&client, "Ada").await;
    test.settle().await;
    proxy.set(Mode::GARBAGE);
    create(&client, "Grace").await;
    for _ in 0..30 {
        let list = list(&client).await;
        assert_eq!((&list["engine"], &list["total"]), (&json!("postgres"), &json!(2)), "{list}");
        assert_eq!(list["degraded"], true);
    }
    until_degraded(&client, "elasticsearch does not answer").await;
    until_status(&test, "changes of customers have waited").await;
    proxy.set(Mode::Pass);
    until_fresh(&client).await;
    until_well(&client).await;
    assert_eq!(list(&client).await["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_leader_from_starting_is_told_by_every_server() {
    let database = Database::create().await;
    let broken = "drop publication collections; revoke execute on function restore_searchable() from collections_sync";
    sqlx::raw_sql(broken).execute(&database.pool).await.unwrap();
    let _leader = super::Leader::start(&database);
    let test = TestApp::start_beside_sync(database, &[]).await;
    let client = test.admin().await;
    until_degraded(&client, "run `select restore_searchable()`").await;
    until_degraded(&client, "customers have no live index yet").await;
    until_status(&test, "status       degraded").await;
    assert_eq!(list(&client).await["degraded"], true);
}
