//! Refresh tokens: one successor each, reuse ends the session, and nothing is lost on the way.

use chrono::TimeDelta;
use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{bare, claims, log_in, status, text};
use crate::harness::app::TestApp;
use crate::harness::client::Answer;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::Wire;

async fn refresh(test: &TestApp, token: &str) -> Answer {
    test.anonymous().post("/auth/refresh", &json!({ "refresh_token": token })).await
}

/// A signed-in user's answer to the log-in.
async fn signed_in(test: &TestApp) -> Value {
    test.user("jane", Role::Agent).await;
    log_in(test, "jane").await
}

async fn count(test: &TestApp, what: &'static str) -> i64 {
    sqlx::query_scalar(what).fetch_one(&test.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_refresh_answers_as_a_log_in_does() {
    let test = TestApp::start_api(&[]).await;
    let first = signed_in(&test).await;
    let mut token = text(&first, "refresh_token").to_owned();
    for path in ["/auth/refresh", "/auth/refresh-token", "/api/auth/refresh-token"] {
        for member in ["refresh_token", "refreshToken", "token"] {
            let answer = test.anonymous().post(path, &json!({ member: token })).await.expect(200);
            assert_eq!(answer["refresh_token"], answer["refreshToken"]);
            assert_eq!((&answer["access_token"], &answer["access_token"]), (&answer["accessToken"], &answer["token"]));
            assert_eq!(
                (&answer["token_type"], &answer["expires_in"], &answer["user"]),
                (&first["token_type"], &json!(900), &first["user"])
            );
            let members = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(members(&answer), members(&first));
            assert_eq!(claims(text(&answer, "token"))["jti"], claims(text(&first, "token"))["jti"], "the session is the same");
            assert_eq!(status(&test, text(&answer, "token")).await, 200);
            assert_ne!(answer["refresh_token"], token);
            token = text(&answer, "refresh_token").to_owned();
        }
    }
    assert_eq!(status(&test, text(&first, "token")).await, 200, "an access token lasts as long as it says");
}

#[tokio::test]
async fn only_hashes_of_refresh_tokens_are_stored() {
    let test = TestApp::start_api(&[]).await;
    let first = signed_in(&test).await;
    let second = refresh(&test, text(&first, "refresh_token")).await.expect(200);
    let stored: Vec<String> =
        sqlx::query_scalar("select t::text from refresh_tokens t").fetch_all(&test.database.pool).await.unwrap();
    assert_eq!(stored.len(), 2);
    for token in [&first, &second].map(|answer| text(answer, "refresh_token")) {
        let hex: String = super::decode(token).iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(stored.iter().all(|row| !row.contains(token) && !row.contains(&hex)), "{stored:?}");
    }
    let may_read = "select has_table_privilege('collections_sync', 'refresh_tokens', 'select')";
    assert!(!sqlx::query_scalar::<_, bool>(may_read).fetch_one(&test.database.pool).await.unwrap(), "the sync reads no hashes");
}

#[tokio::test]
async fn parallel_refreshes_get_one_successor() {
    let test = TestApp::start_api(&["--db-pool-size", "8"]).await;
    let token = text(&signed_in(&test).await, "refresh_token").to_owned();
    let answers = join_all((0..50).map(|_| refresh(&test, &token))).await;
    let successors: Vec<Value> = answers.into_iter().map(|answer| answer.expect(200)["refresh_token"].clone()).collect();
    assert!(successors.iter().all(|successor| *successor == successors[0]), "{successors:?}");
    assert_eq!(count(&test, "select count(*) from refresh_tokens").await, 2);
    assert_eq!(count(&test, "select count(*) from sessions where revoked_at is null").await, 1);
    refresh(&test, successors[0].as_str().unwrap()).await.expect(200);
}

#[tokio::test]
async fn a_repeated_refresh_gets_the_same_successor_for_ten_seconds() {
    let test = TestApp::start_api(&[]).await;
    let first = signed_in(&test).await;
    let second = refresh(&test, text(&first, "refresh_token")).await.expect(200);
    test.clock.advance(TimeDelta::seconds(8));
    let repeated = refresh(&test, text(&first, "refresh_token")).await.expect(200);
    assert_eq!(repeated["refresh_token"], second["refresh_token"]);
    let third = refresh(&test, text(&second, "refresh_token")).await.expect(200);
    let late = refresh(&test, text(&first, "refresh_token")).await.expect(200);
    assert_eq!(late["refresh_token"], second["refresh_token"], "also when it was used already");
    test.clock.advance(TimeDelta::minutes(10));
    refresh(&test, text(&third, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn a_used_token_after_the_grace_period_ends_the_session() {
    let test = TestApp::start_api(&[]).await;
    let (first, other) = (signed_in(&test).await, log_in(&test, "jane").await);
    let second = refresh(&test, text(&first, "refresh_token")).await.expect(200);
    assert_eq!(status(&test, text(&second, "token")).await, 200);
    test.clock.advance(TimeDelta::seconds(11));
    let refused = refresh(&test, text(&first, "refresh_token")).await;
    assert_eq!((refused.status, refused.code()), (401, "unauthenticated"));
    assert_eq!(status(&test, text(&second, "token")).await, 401, "at once");
    for token in [&second, &first] {
        let again = refresh(&test, text(token, "refresh_token")).await;
        assert_eq!(bare(again.expect(401)), bare(refused.body.clone()));
    }
    assert_eq!(status(&test, text(&other, "token")).await, 200, "other sessions go on");
    refresh(&test, text(&other, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn tokens_of_ended_sessions_and_changed_users_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let first = signed_in(&test).await;
    test.anonymous().with_token(text(&first, "token")).post("/auth/logout", &json!({})).await.expect(204);
    let expected = bare(refresh(&test, text(&first, "refresh_token")).await.expect(401));
    for change in ["set role = 'viewer'", "set disabled_at = now()"] {
        sqlx::query("update users set disabled_at = null").execute(&test.database.pool).await.unwrap();
        let login = log_in(&test, "jane").await;
        let rotated = refresh(&test, text(&login, "refresh_token")).await.expect(200);
        let change = sqlx::AssertSqlSafe(format!("update users {change}"));
        sqlx::query(change).execute(&test.database.pool).await.unwrap();
        for answer in [&rotated, &login] {
            assert_eq!(bare(refresh(&test, text(answer, "refresh_token")).await.expect(401)), expected);
        }
    }
    let access = text(&first, "token");
    for token in ["", "x", &"A".repeat(43), &"A".repeat(2_000), access, "col_1_x"] {
        assert_eq!(bare(refresh(&test, token).await.expect(401)), expected, "{token}");
    }
    for body in [json!({}), json!({ "refresh_token": 1 }), json!({ "refresh_token": "a", "token": "b" }), json!([])] {
        test.anonymous().post("/auth/refresh", &body).await.expect(422);
    }
}

#[tokio::test]
async fn a_session_lasts_while_it_is_refreshed_and_for_thirty_days_at_most() {
    let test = TestApp::start_api(&["--jwt-refresh-expires-in", "7d"]).await;
    let mut answer = signed_in(&test).await;
    test.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(1));
    refresh(&test, text(&answer, "refresh_token")).await.expect(401);
    answer = log_in(&test, "jane").await;
    for _ in 0..4 {
        test.clock.advance(TimeDelta::days(6));
        answer = refresh(&test, text(&answer, "refresh_token")).await.expect(200);
    }
    test.clock.advance(TimeDelta::days(6) - TimeDelta::minutes(5));
    answer = refresh(&test, text(&answer, "refresh_token")).await.expect(200);
    let rest = answer["expires_in"].as_u64().unwrap();
    assert!((1..=300).contains(&rest), "an access token ends with its session: {rest}");
    test.clock.advance(TimeDelta::minutes(6));
    refresh(&test, text(&answer, "refresh_token")).await.expect(401);
}

#[tokio::test]
async fn a_rotation_that_dies_half_way_leaves_the_token_usable() {
    let test = TestApp::start_api(&[]).await;
    let token = text(&signed_in(&test).await, "refresh_token").to_owned();
    // The rotation has its token locked and waits for the session.
    let mut held = test.database.pool.begin().await.unwrap();
    sqlx::query("select from sessions for update").execute(&mut *held).await.unwrap();
    let (answer, ()) = tokio::join!(refresh(&test, &token), async {
        eventually("the rotation waits, and is killed", async || {
            let killed: i64 = sqlx::query_scalar(
                "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
            killed > 0
        })
        .await;
    });
    assert_eq!((answer.status, answer.code()), (503, "database_unavailable"));
    held.rollback().await.unwrap();
    let usable = "select count(*) from refresh_tokens where used_at is null";
    assert_eq!((count(&test, usable).await, count(&test, "select count(*) from refresh_tokens").await), (1, 1));
    let successor = refresh(&test, &token).await.expect(200);
    refresh(&test, text(&successor, "refresh_token")).await.expect(200);
    assert_eq!(count(&test, usable).await, 1);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_gets_it_when_it_asks_again() {
    let test = TestApp::start_api(&[]).await;
    let token = text(&signed_in(&test).await, "refresh_token").to_owned();
    let body = json!({ "token": token }).to_string();
    let request = format!(
        "POST /api/v1/auth/refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut wire = Wire::open(test.address()).await;
    wire.send(&request).await;
    drop(wire);
    eventually("the token is used", async || {
        count(&test, "select count(*) from refresh_tokens where used_at is not null").await == 1
    })
    .await;
    let successor = refresh(&test, &token).await.expect(200);
    test.clock.advance(TimeDelta::minutes(1));
    refresh(&test, text(&successor, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn expired_tokens_and_old_sessions_are_removed() {
    let test = TestApp::start_api(&[]).await;
    let first = signed_in(&test).await;
    refresh(&test, text(&first, "refresh_token")).await.expect(200);
    let remove = async || {
        let mut connection = test.app.db.server.acquire().await.unwrap();
        collections::auth::session::remove_ended(&mut connection, test.clock.now()).await.unwrap()
    };
    let tokens = "select count(*) from refresh_tokens";
    assert_eq!((remove().await, count(&test, tokens).await), (0, 2), "a used token stays, so that its reuse is noticed");
    test.clock.advance(TimeDelta::days(8));
    assert_eq!((remove().await, count(&test, tokens).await), (0, 0));
    test.clock.advance(TimeDelta::days(30));
    assert_eq!((remove().await, count(&test, "select count(*) from sessions").await), (1, 0));
}
