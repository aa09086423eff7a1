//! The record just edited is never shown old to its editor, with or without a sync token.

use serde_json::{Value, json};

use super::Beside;
use crate::harness::amount::amount;
use crate::harness::app::{Engine, TestApp, elasticsearch_url};
use crate::harness::client::Client;
use crate::harness::proxy::{Mode, Proxy};

/// Edits a customer again and again, `EDITS=1000` times or as often as said; the next list of the same caller has to show each edit.
async fn expect_every_edit(client: &Client, id: &str, edits: usize) {
    for edit in 0..amount("EDITS").unwrap_or(edits) {
        let name = format!("Edited {edit}");
        client.patch(&format!("/customers/{id}"), &json!({ "name": name })).await.expect(200);
        let list = client.get("/customers?externalId=E-1").await.expect(200);
        assert_eq!(list["data"][0]["name"], name, "{list}");
        assert_eq!(client.get(&format!("/customers/{id}")).await.expect(200)["name"], name);
    }
}

async fn create(client: &Client) -> String {
    let new = json!({ "name": "New", "externalId": "E-1" });
    client.post("/customers", &new).await.expect(201)["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_sees_each_edit_in_the_next_list_without_a_token() {
    let test = TestApp::start_with(&["--sync-wait", "10s"]).await;
    let client = test.agent().await;
    let id = create(&client).await;
    expect_every_edit(&client, &id, 40).await;
    test.settle().await;
    let list = client.get("/customers?externalId=E-1").await.expect(200);
    assert_eq!(list["engine"], "elasticsearch", "what the index has reached turns no list away from it: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_sees_each_edit_while_elasticsearch_is_away() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let test = TestApp::start_with(&["--elasticsearch-url", &url, "--search-timeout", "1s", "--sync-wait", "200ms"]).await;
    let client = test.agent().await;
    let id = create(&client).await;
    for mode in [Mode::Refuse, Mode::Hang, Mode::OVERLOADED] {
        proxy.set(mode);
        expect_every_edit(&client, &id, 20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_sees_each_edit_while_writes_to_the_index_are_blocked() {
    let test = TestApp::start_with(&["--sync-wait", "200ms", "--stale-after", "2s"]).await;
    let client = test.agent().await;
    let id = create(&client).await;
    test.settle().await;
    let index = super::live(&test).await;
    super::block_writes(&index, true).await;
    expect_every_edit(&client, &id, 20).await;
    let other = test.agent().await;
    super::until_stale(&other).await;
    expect_every_edit(&client, &id, 20).await;
    super::block_writes(&index, false).await;
    super::until_fresh(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_sees_the_edit_on_another_server_by_its_token() {
    let test = TestApp::start_with(&["--sync-wait", "10s"]).await;
    let token = test.token(collections::auth::Role::Agent).await;
    let client = test.anonymous().with_token(&token);
    let other = Beside::start(&test).await;
    let id = create(&client).await;
    for edit in 0..10 {
        let name = format!("Edited {edit}");
        let edited = client.patch(&format!("/customers/{id}"), &json!({ "name": name })).await;
        let seeing = other.client(&token).with("x-sync-token", edited.header("x-sync-token"));
        assert_eq!(seeing.get("/customers?externalId=E-1").await.expect(200)["data"][0]["name"], name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_says_how_old_it_is() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = TestApp::start_on(engine).await;
        let client = test.admin().await;
        let account = json!({ "accountNumber": "L-1", "currency": "EUR", "originalAmount": "1", "customer": { "name": "Ada" } });
        let account = client.post("/accounts", &account).await.expect(201)["id"].as_str().unwrap().to_owned();
        test.settle().await;
        for path in ["/customers", "/accounts?q=ada", "/payments", &format!("/accounts/{account}/ledger")] {
            let list = client.get(path).await.expect(200);
            let lag = list["lagMs"].as_u64().unwrap_or_else(|| panic!("{path}: {list}"));
            let indexed_at: chrono::DateTime<chrono::Utc> = list["indexedAt"].as_str().unwrap().parse().unwrap();
            let age = (test.clock.now() - indexed_at).num_milliseconds();
            assert!(age >= i64::try_from(lag).unwrap(), "{path}: {list}");
            assert!(list["engine"] == "elasticsearch" || lag == 0, "{path}: {list}");
            assert_eq!(list["stale"], Value::Null, "{path}: {list}");
        }
    }
}
