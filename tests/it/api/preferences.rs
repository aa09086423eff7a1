//! `Prefer`: a client that does not want back what it has written.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::TestApp;

#[tokio::test]
async fn a_write_answers_without_a_body_if_the_client_prefers_that() {
    let test = TestApp::start_api(&[]).await;
    let whole = test.client(Role::Manager).await;
    let minimal = whole.with("prefer", "respond-async, return=minimal");
    let created = minimal.post("/customers", &json!({ "name": "Ann" })).await;
    assert_eq!((created.status, &*created.text, created.header("content-type")), (201, "", ""));
    let path = created.header("location").to_owned();
    let read = whole.get(&path).await;
    assert_eq!(created.header("etag"), read.header("etag"), "the tag is that of the record");
    let changed = minimal.with("if-match", created.header("etag")).patch(&path, &json!({ "name": "Ben" })).await;
    let replaced = minimal.put(&path, &json!({ "name": "Cleo" })).await;
    let removed = minimal.delete(&path).await;
    let restored = minimal.post(&format!("{path}/restore"), &json!({})).await;
    let read = whole.get(&path).await;
    assert_eq!((restored.header("etag"), &read.body["name"]), (read.header("etag"), &json!("Cleo")));
    for answer in [changed, replaced, removed, restored] {
        assert_eq!((answer.status, &*answer.text), (204, ""));
        assert_eq!(answer.header("preference-applied"), "return=minimal");
        assert!(!answer.header("x-sync-token").is_empty());
    }
    let refused = minimal.patch(&path, &json!({ "name": 1 })).await;
    assert_eq!((refused.status, refused.code(), refused.header("preference-applied")), (422, "invalid", ""));
}

#[tokio::test]
async fn reads_and_other_preferences_change_nothing() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let minimal = agent.with("prefer", "return=minimal");
    assert_eq!(minimal.get("/customers").await.expect(200)["data"], json!([]));
    assert_eq!(minimal.post("/customers/search", &json!({})).await.expect(200)["data"], json!([]));
    for ignored in ["return=nothing", "respond-async, wait=10", "handling=strict", "\"", ";;,,=", ""] {
        let answer = agent.with("prefer", ignored).post("/customers", &json!({ "name": "Ann" })).await;
        assert_eq!((answer.status, &answer.body["name"]), (201, &json!("Ann")), "{ignored}");
        assert_eq!(answer.header("preference-applied"), "");
    }
    let asked = agent.with("prefer", "return=representation").post("/customers", &json!({ "name": "Ann" })).await;
    assert_eq!((&asked.body["name"], asked.header("preference-applied")), (&json!("Ann"), "return=representation"));
}

#[tokio::test]
async fn a_repeated_request_may_prefer_another_answer() {
    let test = TestApp::start_api(&[]).await;
    let keyed = test.agent().await.with("idempotency-key", "once");
    let new = json!({ "name": "Ann" });
    let first = keyed.with("prefer", "return=minimal").post("/customers", &new).await;
    let again = keyed.post("/customers", &new).await;
    assert_eq!((first.body, &again.body["name"], again.header("idempotent-replayed")), (Value::Null, &json!("Ann"), "true"));
    assert_eq!(keyed.with("prefer", "return=minimal").post("/customers", &new).await.header("idempotent-replayed"), "true");
}
