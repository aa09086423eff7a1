//! Idempotency keys: one effect and one answer to a key, however often and however many at once.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;

async fn payments(test: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from payments").fetch_one(&test.database.pool).await.unwrap()
}

#[tokio::test]
async fn the_same_key_gets_the_same_answer_and_has_one_effect() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let keyed = agent.with("idempotency-key", "attempt-1");
    let new = json!({ "amount": 10, "method": "cash" });
    let first = keyed.post("/payments", &new).await;
    let again = keyed.post("/payments", &new).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(first.body, again.body);
    assert!(!again.header("x-sync-token").is_empty(), "a repeated answer carries a sync token too");
    for header in ["etag", "location", "content-type"] {
        assert_eq!(first.header(header), again.header(header), "{header}");
    }
    assert_eq!(payments(&test).await, 1);

    let other = keyed.post("/payments", &json!({ "amount": 11, "method": "cash" })).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    let elsewhere = keyed.post("/customers", &json!({ "name": "Ann" })).await;
    assert_eq!((elsewhere.status, elsewhere.code()), (422, "idempotency_key_reused"));
    let other_caller = test.agent().await.with("idempotency-key", "attempt-1");
    assert_eq!(other_caller.post("/payments", &new).await.header("idempotent-replayed"), "", "keys belong to their caller");
    assert_eq!(payments(&test).await, 2);
}

#[tokio::test]
async fn fifty_at_once_with_one_key_have_one_effect() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account = agent.post("/accounts", &json!({ "customer": { "name": "Ann" }, "amountDue": 100 })).await.expect(201);
    let path = format!("/accounts/{}/payments", account["id"].as_str().unwrap());
    let keyed = agent.with("idempotency-key", "attempt-1");
    let new = json!({ "amount": 10, "method": "cash", "status": "success" });
    let answers = join_all((0..50).map(|_| keyed.post(&path, &new))).await;
    let mut bodies: Vec<String> = Vec::new();
    for answer in answers {
        match answer.status {
            201 => bodies.push(answer.body.to_string()),
            409 => {
                assert_eq!(answer.code(), "idempotency_in_progress");
                assert!(!answer.header("retry-after").is_empty());
            }
            503 => assert!(!answer.header("retry-after").is_empty()),
            status => panic!("{status}: {}", answer.body),
        }
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
    assert_eq!(payments(&test).await, 1);
    let balance: i64 = sqlx::query_scalar("select balance from accounts").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(balance, 9000);
}

#[tokio::test]
async fn a_key_whose_first_request_still_works_is_a_conflict() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let account = agent.post("/accounts", &json!({ "customer": { "name": "Ann" } })).await.expect(201);
    let path = format!("/accounts/{}/payments", account["id"].as_str().unwrap());
    let keyed = agent.with("idempotency-key", "attempt-1");
    let new = json!({ "amount": 10, "method": "cash" });
    let mut holder = test.database.pool.begin().await.unwrap();
    sqlx::query("select id from accounts for update").execute(&mut *holder).await.unwrap();
    let (first, second) = tokio::join!(keyed.post(&path, &new), async {
        let locks = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())";
        eventually("the first request holds its key", async || {
            sqlx::query_scalar::<_, i64>(locks).fetch_one(&test.database.pool).await.unwrap() > 0
        })
        .await;
        let second = keyed.post(&path, &new).await;
        holder.rollback().await.unwrap();
        second
    });
    assert_eq!((second.status, second.code()), (409, "idempotency_in_progress"));
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(first.status, 201);
    assert_eq!(payments(&test).await, 1);
}

#[tokio::test]
async fn the_answer_to_a_refused_request_is_not_stored() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let keyed = agent.with("idempotency-key", "attempt-1");
    keyed.post("/payments", &json!({ "amount": 0, "method": "cash" })).await.expect(422);
    keyed.post("/payments", &json!({ "amount": 1, "method": "cash" })).await.expect(201);
    agent
        .with("idempotency-key", &"k".repeat(256))
        .post("/payments", &json!({ "amount": 1, "method": "cash" }))
        .await
        .expect(400);
    agent
        .with("idempotency-key", &"k".repeat(255))
        .post("/payments", &json!({ "amount": 1, "method": "cash" }))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_stored_answer_expires() {
    let test = TestApp::start_api(&["--jwt-expires-in", "72h"]).await;
    let keyed = test.agent().await.with("idempotency-key", "attempt-1");
    let new = json!({ "amount": 10, "method": "cash" });
    keyed.post("/payments", &new).await.expect(201);
    test.clock.advance(TimeDelta::minutes(24 * 60 - 1));
    assert_eq!(keyed.post("/payments", &new).await.header("idempotent-replayed"), "true");
    test.clock.advance(TimeDelta::minutes(2));
    assert_eq!(keyed.post("/payments", &new).await.header("idempotent-replayed"), "");
    assert_eq!(payments(&test).await, 2);
    test.clock.advance(TimeDelta::hours(25));
    keyed.with("idempotency-key", "attempt-2").post("/payments", &new).await.expect(201);
    let kept: i64 = sqlx::query_scalar("select count(*) from idempotency_keys").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(kept, 1, "expired answers are deleted");
}

#[tokio::test]
async fn a_setting_makes_payments_require_a_key() {
    let test = TestApp::start_api(&["--require-idempotency", "true"]).await;
    let agent = test.agent().await;
    let new = json!({ "amount": 10, "method": "cash" });
    let refused = agent.post("/payments", &new).await;
    assert_eq!((refused.status, refused.code()), (400, "idempotency_key_required"));
    agent.post("/api/payments", &new).await.expect(201);
    agent.with("idempotency-key", "1").post("/payments", &new).await.expect(201);
}
