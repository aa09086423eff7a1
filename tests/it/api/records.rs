//! Reads by id, and what a sync token means to reads.

use collections::app::App;
use collections::auth::Role;
use collections::server;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;

const BEYOND_THE_LOG: &str = "FFFFFFFF/FFFFFFF8";

async fn customer(client: &Client, name: &str) -> String {
    let made = client.post("/customers", &json!({ "name": name })).await.expect(201);
    format!("/customers/{}", made["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_record_has_the_same_tag_in_the_answers_of_reads_and_writes() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    let first = client.get(&path).await;
    assert_eq!(first.header("x-read-source"), "postgres");
    let tag = first.header("etag").to_owned();
    assert_eq!(client.with("if-none-match", &tag).get(&path).await.status, 304);
    let changed = client.patch(&path, &json!({ "name": "Grace" })).await;
    assert_ne!(changed.header("etag"), tag);
    assert_eq!(client.get(&path).await.header("etag"), changed.header("etag"));
    assert_eq!(client.with("if-none-match", &tag).get(&path).await.expect(200)["name"], "Grace");
}

#[tokio::test]
async fn a_deleted_record_is_read_only_on_request() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    client.delete(&path).await.expect(204);
    client.get(&path).await.expect(404);
    assert_ne!(client.get(&format!("{path}?includeDeleted=true")).await.expect(200)["deletedAt"], Value::Null);
}

#[tokio::test]
async fn a_read_by_id_satisfies_every_sync_token_that_can_be_read() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    for token in [BEYOND_THE_LOG, "0/8"] {
        client.with("x-sync-token", token).get(&path).await.expect(200);
        client.get(&format!("{path}?syncToken={}", token.replace('/', "%2F"))).await.expect(200);
    }
    assert_eq!(client.with("x-sync-token", "yesterday").get(&path).await.code(), "bad_sync_token");
    assert_eq!(client.get(&format!("{path}?syncToken=yesterday")).await.code(), "bad_sync_token");
}

#[tokio::test]
async fn a_list_waits_for_its_sync_token_and_refuses_that_of_another_database() {
    // So long that a wait for it would end the test.
    let test = TestApp::start_with(&["--sync-wait", "1h"]).await;
    let client = test.client(Role::Admin).await;
    for round in 0..5 {
        let made = client.post("/customers", &json!({ "name": format!("Round {round}") })).await;
        let list = client.with("x-sync-token", made.header("x-sync-token")).get("/customers?count=exact").await;
        assert_eq!(list.header("x-read-source"), "elasticsearch");
        assert_eq!(list.expect(200)["total"], round + 1);
    }
    let list = client.with("x-sync-token", BEYOND_THE_LOG).get("/customers").await;
    assert_eq!((list.status, list.code()), (400, "bad_sync_token"));
    let made = client.post("/customers", &json!({ "name": "After" })).await;
    let list = client.with("x-sync-token", made.header("x-sync-token")).get("/customers").await;
    assert_eq!(list.header("x-read-source"), "elasticsearch", "the unreachable token delays no other request");
}

/// A server that stops still follows the leader's progress, which it reads from Postgres, until its last answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_satisfies_sync_tokens_until_its_last_answer() {
    let test = TestApp::start_with(&["--shutdown-delay", "1h", "--sync-wait", "60s"]).await;
    let other = App::open(test.app.config.clone(), test.clock.clone()).unwrap();
    let running = server::start(&other).await.unwrap();
    let token = test.token(Role::Admin).await;
    let here = test.anonymous().with_token(&token);
    let there = Client::new(format!("http://{}", running.address)).with_token(&token);
    other.stop.cancel();
    let made = here.post("/customers", &json!({ "name": "Ada" })).await;
    let list = there.with("x-sync-token", made.header("x-sync-token")).get("/customers").await;
    assert_eq!(list.header("x-read-source"), "elasticsearch");
}
