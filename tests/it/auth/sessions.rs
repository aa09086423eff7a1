//! Sessions: their end, and the list of them.

use chrono::TimeDelta;
use collections::auth::Role;
use serde_json::{Value, json};

use super::{log_in, text};
use crate::harness::app::{PASSWORD, TestApp};
use crate::harness::client::Client;
use crate::harness::eventually::eventually;

#[tokio::test]
async fn a_logout_ends_only_its_own_session() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let (one, two) = (test.sign_in("jane").await, test.sign_in("jane").await);
    one.get("/auth/me").await.expect(200);
    one.post("/auth/logout", &json!({})).await.expect(204);
    one.get("/auth/me").await.expect(401);
    two.get("/auth/me").await.expect(200);
}

#[tokio::test]
async fn a_changed_user_is_signed_out_and_signs_in_as_changed() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let command = async |arguments: &[&str]| {
        let status = crate::harness::process::command(&test.database).arg("user").args(arguments).status().await.unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    let jane = test.sign_in("jane").await;
    jane.get("/auth/me").await.expect(200);
    command(&["role", "JANE", "viewer"]).await;
    eventually("the session has ended", async || jane.get("/auth/me").await.status == 401).await;
    let jane = test.sign_in("jane").await;
    jane.post("/customers", &json!({})).await.expect(403);
    command(&["disable", "jane"]).await;
    eventually("the session has ended", async || jane.get("/auth/me").await.status == 401).await;
    let login = json!({ "username": "jane", "password": PASSWORD });
    test.anonymous().post("/auth/login", &login).await.expect(401);
    command(&["enable", "jane"]).await;
    test.sign_in("jane").await.get("/auth/me").await.expect(200);
    jane.get("/auth/me").await.expect(401);
}

#[tokio::test]
async fn sessions_are_cached_for_seconds() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Viewer).await;
    client.post("/customers", &json!({})).await.expect(403);
    let held = hold_all(&test).await;
    client.post("/customers", &json!({})).await.expect(403);
    drop(held);
}

/// All connections of the request pool.
async fn hold_all(test: &TestApp) -> Vec<sqlx::pool::PoolConnection<sqlx::Postgres>> {
    let mut held = Vec::new();
    for _ in 0..test.app.config.database.pool_size {
        held.push(test.app.db.read.acquire().await.unwrap());
    }
    held
}

/// The caller's sessions, newest first.
async fn list(client: &Client) -> Vec<Value> {
    client.get("/auth/sessions").await.expect(200)["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_user_sees_where_it_is_signed_in() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let body = json!({ "username": "jane", "password": PASSWORD });
    let phone = test.anonymous().with("user-agent", &format!("Phone {}", "x".repeat(300)));
    phone.post("/auth/login", &body).await.expect(200);
    let jane = test.sign_in("jane").await;
    test.client(Role::Agent).await;
    let sessions = list(&jane).await;
    assert_eq!(sessions.len(), 2, "no other user's");
    assert_eq!((&sessions[0]["isCurrent"], &sessions[1]["isCurrent"]), (&json!(true), &json!(false)));
    assert_eq!(sessions[1]["device"], format!("Phone {}", "x".repeat(194)));
    assert_eq!(sessions[1]["address"], "127.0.0.1");
    for member in ["createdAt", "lastSeenAt", "expiresAt"] {
        assert!(sessions[1][member].is_string(), "{member} of {}", sessions[1]);
    }
    let page = jane.get("/auth/sessions?limit=1").await.expect(200);
    assert_eq!(page["data"], json!([sessions[0]]));
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = jane.get(&format!("/auth/sessions?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((&page["data"], &page["nextCursor"]), (&json!([sessions[1]]), &Value::Null));
    assert_eq!(jane.get("/auth/sessions?limit=0").await.code(), "bad_parameter");
    assert_eq!(jane.get("/auth/sessions?sort=device").await.code(), "bad_parameter");
}

#[tokio::test]
async fn a_user_ends_its_sessions_one_by_one_and_no_others() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let (one, two, other) = (test.sign_in("jane").await, test.sign_in("jane").await, test.admin().await);
    let id = |sessions: &[Value], at: usize| sessions[at]["id"].as_str().unwrap().to_owned();
    let first = id(&list(&two).await, 1);
    other.delete(&format!("/auth/sessions/{first}")).await.expect(404);
    one.get("/auth/me").await.expect(200);
    two.delete(&format!("/auth/sessions/{first}")).await.expect(204);
    one.get("/auth/me").await.expect(401);
    two.delete(&format!("/auth/sessions/{first}")).await.expect(404);
    let sessions = list(&two).await;
    assert_eq!(sessions.len(), 1);
    two.delete(&format!("/auth/sessions/{}", id(&sessions, 0))).await.expect(204);
    two.get("/auth/me").await.expect(401);
}

#[tokio::test]
async fn a_log_out_everywhere_ends_all_sessions_of_the_user() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let (one, two, other) = (test.sign_in("jane").await, test.sign_in("jane").await, test.agent().await);
    for client in [&one, &two] {
        client.get("/auth/me").await.expect(200);
    }
    assert_eq!(one.post("/auth/logout?all=perhaps", &json!({})).await.code(), "bad_parameter");
    one.post("/auth/logout?all=true", &json!({})).await.expect(204);
    one.get("/auth/me").await.expect(401);
    eventually("the other session has ended", async || two.get("/auth/me").await.status == 401).await;
    other.get("/auth/me").await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_logs_out_when_the_access_token_has_expired() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let logout = async |token: Option<&str>, body: Value| {
        let client = token.map_or(test.anonymous(), |token| test.anonymous().with_token(token));
        client.post("/auth/logout", &body).await.status
    };
    let live = async || {
        let live = "select count(*) from sessions where revoked_at is null";
        sqlx::query_scalar::<_, i64>(live).fetch_one(&test.database.pool).await.unwrap()
    };
    let login = log_in(&test, "jane").await;
    let rotated = test.anonymous().post("/auth/refresh", &json!({ "token": login["refresh_token"] })).await.expect(200);
    test.clock.advance(TimeDelta::minutes(20));
    assert_eq!(logout(Some(text(&rotated, "token")), json!({})).await, 401);
    assert_eq!(logout(None, json!({})).await, 401);
    assert_eq!(live().await, 1);
    // A token that was used already names the session as well.
    let used = json!({ "refreshToken": login["refresh_token"] });
    assert_eq!(logout(Some(text(&rotated, "token")), used.clone()).await, 204);
    assert_eq!(live().await, 0);
    assert_eq!(logout(None, used).await, 204, "there is nothing left to end");
    assert_eq!(logout(None, json!({ "token": "unknown" })).await, 204);
    log_in(&test, "jane").await;
    let login = log_in(&test, "jane").await;
    let all = test.anonymous().post("/auth/logout?all=true", &json!({ "token": login["refresh_token"] })).await;
    assert_eq!((all.status, live().await), (204, 0));
}

#[tokio::test]
async fn the_last_use_of_a_session_is_noted_once_a_minute() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Agent).await;
    let seen = async || {
        let seen = sqlx::query_as::<_, (chrono::DateTime<chrono::Utc>, i64)>("select last_seen_at, version from sessions");
        seen.fetch_one(&test.database.pool).await.unwrap()
    };
    let (first, _) = seen().await;
    for _ in 0..3 {
        client.get("/auth/me").await.expect(200);
    }
    assert_eq!(seen().await, (first, 1));
    test.clock.advance(TimeDelta::minutes(2));
    eventually("the use is noted", async || {
        client.get("/auth/me").await.expect(200);
        seen().await.0 > first
    })
    .await;
    let noted = seen().await;
    client.get("/auth/me").await.expect(200);
    assert_eq!((seen().await, noted.1), (noted, 2));
}
