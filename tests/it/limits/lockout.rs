//! Failed log-ins: what they lock, whom not, and that no answer tells which users there are.

use chrono::TimeDelta;
use collections::auth::{Role, lockout};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::app::{PASSWORD, TestApp};
use crate::harness::client::Answer;
use crate::harness::process::command;

const WRONG: &str = "wrong password";

/// Starts a server with the default limits of failures, behind a proxy on this machine.
async fn start(more: &[&str]) -> TestApp {
    let usual = ["--login-max-failures", "5", "--login-max-failures-per-address", "100", "--trusted-proxies", "127.0.0.1"];
    let test = TestApp::start_api(&[&usual, more].concat()).await;
    test.user("jane", Role::Agent).await;
    sqlx::query("update users set email = 'jane@example.org'").execute(&test.database.pool).await.unwrap();
    test
}

async fn log_in(test: &TestApp, address: &str, username: &str, password: &str) -> Answer {
    let client = test.anonymous().with("x-forwarded-for", address);
    client.post("/auth/login", &json!({ "username": username, "password": password })).await
}

async fn statuses(test: &TestApp, address: &str, username: &str, passwords: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for password in passwords {
        statuses.push(log_in(test, address, username, password).await.status);
    }
    statuses
}

/// A problem without the members that differ between requests.
fn bare(mut problem: Value) -> Value {
    for member in ["requestId", "timestamp"] {
        problem.as_object_mut().unwrap().remove(member);
    }
    problem
}

#[tokio::test]
async fn an_account_is_locked_after_five_failures_whether_it_exists_or_not() {
    let test = start(&[]).await;
    let mut answers = Vec::new();
    for username in ["jane", "unknown"] {
        let mut one = Vec::new();
        for _ in 0..6 {
            let answer = log_in(&test, "192.0.2.1", username, WRONG).await;
            let has_retry_after = answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| (600..=900).contains(&seconds));
            one.push((answer.status, has_retry_after, bare(answer.body)));
        }
        assert_eq!(one.iter().map(|one| one.0).collect::<Vec<_>>(), [401, 401, 401, 401, 401, 423]);
        assert!(one[5].1 && one[5].2["code"] == "locked", "{:?}", one[5]);
        answers.push(one);
    }
    assert_eq!(answers[0], answers[1]);
    let right = log_in(&test, "192.0.2.1", "jane", PASSWORD).await;
    assert_eq!((right.status, bare(right.body)), (423, answers[0][5].2.clone()), "the right password is not told");
    let locked: Option<bool> =
        sqlx::query_scalar("select locked_until > now() from users").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(locked, Some(true), "the lock is in the row of the user");
    test.clock.advance(TimeDelta::minutes(16));
    log_in(&test, "192.0.2.1", "jane", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn all_names_of_an_account_share_one_count() {
    let test = start(&[]).await;
    let names = ["jane", "JANE", "jane@example.org", "Jane@Example.org", "jane"];
    for (number, name) in names.into_iter().enumerate() {
        log_in(&test, &format!("192.0.2.{number}"), name, WRONG).await.expect(401);
    }
    for name in &names[1..3] {
        log_in(&test, "192.0.2.99", name, PASSWORD).await.expect(423);
    }
    assert_eq!(statuses(&test, "192.0.2.1", "Joe", &[WRONG; 3]).await, [401; 3]);
    assert_eq!(statuses(&test, "192.0.2.1", "JOE", &[WRONG; 3]).await, [401, 401, 423]);
}

#[tokio::test]
async fn the_right_password_ends_the_count() {
    let test = start(&[]).await;
    let some = [WRONG, WRONG, WRONG, WRONG, PASSWORD];
    for _ in 0..2 {
        assert_eq!(statuses(&test, "192.0.2.1", "jane", &some).await, [401, 401, 401, 401, 200]);
    }
    assert_eq!(statuses(&test, "192.0.2.1", "jane", &some[..4]).await, [401; 4]);
    test.clock.advance(TimeDelta::minutes(16));
    assert_eq!(statuses(&test, "192.0.2.1", "jane", &some[..4]).await, [401; 4], "old failures do not count");
}

#[tokio::test]
async fn guesses_at_once_count_like_guesses_one_after_the_other() {
    let test = TestApp::start_api_tuned(&["--login-max-failures", "5"], |config| config.access.log_ins = 100).await;
    test.user("jane", Role::Agent).await;
    let guess = |number: usize| {
        let password = if number == 20 { PASSWORD } else { WRONG };
        let client = test.anonymous();
        async move { client.post("/auth/login", &json!({ "username": "jane", "password": password })).await.status }
    };
    let statuses = join_all((0..40).map(guess)).await;
    let failed = statuses.iter().filter(|status| **status == 401).count();
    assert!(statuses.iter().all(|status| matches!(status, 200 | 401 | 423)), "{statuses:?}");
    // The right one is told if it comes before the lock, and ends the count.
    assert!(failed == 5 || statuses[20] == 200 && failed <= 9, "{statuses:?}");
}

#[tokio::test]
async fn strangers_cannot_lock_a_user_out_of_a_familiar_address() {
    let test = start(&["--login-max-failures-per-address", "20"]).await;
    let home = "2001:db8:1:1::1";
    log_in(&test, home, "jane", PASSWORD).await.expect(200);
    for attacker in 1..=3 {
        statuses(&test, &format!("203.0.113.{attacker}"), "jane", &[WRONG; 2]).await;
    }
    log_in(&test, "203.0.113.9", "jane", PASSWORD).await.expect(423);
    log_in(&test, "2001:db8:1:1::2", "jane", PASSWORD).await.expect(200);
    assert_eq!(statuses(&test, home, "jane", &[WRONG; 6]).await, [401, 401, 401, 401, 401, 423], "guesses are limited there too");
    test.clock.advance(TimeDelta::minutes(16));
    log_in(&test, home, "jane", PASSWORD).await.expect(200);
    // A stranger in the same network uses up what its address may fail.
    for number in 0..20 {
        log_in(&test, home, &format!("unknown{number}"), WRONG).await.expect(401);
    }
    log_in(&test, home, "unknown20", WRONG).await.expect(429);
    log_in(&test, home, "jane", PASSWORD).await.expect(200);
    test.clock.advance(TimeDelta::days(31));
    assert_eq!(statuses(&test, "203.0.113.1", "jane", &[WRONG; 5]).await, [401; 5]);
    log_in(&test, home, "jane", PASSWORD).await.expect(423);
}

#[tokio::test]
async fn one_person_does_not_lock_an_office() {
    let test = start(&[]).await;
    test.user("joan", Role::Agent).await;
    assert_eq!(statuses(&test, "192.0.2.1", "jane", &[WRONG; 8]).await, [401, 401, 401, 401, 401, 423, 423, 423]);
    log_in(&test, "192.0.2.1", "joan", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_address_that_guesses_many_names_is_locked() {
    let test = start(&["--login-max-failures-per-address", "10"]).await;
    for number in 0..10 {
        let address = format!("2001:db8:1:1::{number}");
        log_in(&test, &address, &format!("unknown{number}"), WRONG).await.expect(401);
    }
    let refused = log_in(&test, "2001:db8:1:1::99", "jane", PASSWORD).await;
    assert_eq!((refused.status, &refused.body["violated-policies"]), (429, &json!(["failures"])), "{}", refused.body);
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| (600..=900).contains(&seconds)));
    let client = "2001:db8:1:1::7".parse().unwrap();
    assert_eq!(lockout::check_address(&test.app, client).await.unwrap_err().status(), 429, "tokens share the budget");
    log_in(&test, "2001:db8:1:2::1", "jane", PASSWORD).await.expect(200);
    test.clock.advance(TimeDelta::minutes(16));
    for _ in 0..10 {
        lockout::check_address(&test.app, client).await.unwrap();
        lockout::count_failure(&test.app, client).await.unwrap();
    }
    log_in(&test, "2001:db8:1:1::1", "jane", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn wrong_tokens_count_like_wrong_passwords_of_their_address() {
    let test = start(&["--login-max-failures-per-address", "6", "--registration", "invite"]).await;
    let client = test.anonymous().with("x-forwarded-for", "192.0.2.1");
    let (reset, register) = (json!({ "token": "x", "password": WRONG }), json!({ "invitation": "x", "username": "joan" }));
    for _ in 0..3 {
        client.post("/auth/password/reset", &reset).await.expect(422);
        client.post("/auth/register", &register).await.expect(422);
    }
    client.post("/auth/register", &register).await.expect(429);
    client.post("/auth/password/reset", &reset).await.expect(429);
    log_in(&test, "192.0.2.2", "jane", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn an_operator_unlocks_an_account() {
    let test = start(&[]).await;
    assert_eq!(statuses(&test, "192.0.2.1", "jane", &[WRONG; 6]).await[5], 423);
    assert!(command(&test.database).args(["user", "unlock", "JANE"]).status().await.unwrap().success());
    let locked: Option<bool> =
        sqlx::query_scalar("select locked_until > now() from users").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(locked, None);
    log_in(&test, "192.0.2.1", "jane", PASSWORD).await.expect(200);
    assert!(!command(&test.database).args(["user", "unlock", "joe"]).status().await.unwrap().success());
}

#[tokio::test]
async fn nothing_is_kept_of_failures_when_their_time_has_come() {
    let test = start(&[]).await;
    for name in ["jane", "unknown", "a secret typed in the wrong place"] {
        log_in(&test, "192.0.2.1", name, WRONG).await.expect(401);
    }
    let dump: String =
        sqlx::query_scalar("select json_agg(f)::text from login_failures f").fetch_one(&test.database.pool).await.unwrap();
    assert!(!dump.contains("jane") && !dump.contains("secret") && !dump.contains("192.0.2"), "{dump}");
    let removed = async |app: &collections::app::App| lockout::remove_expired(&app.db.server, app.clock.now()).await.unwrap();
    assert_eq!(removed(&test.app).await, 0);
    test.clock.advance(TimeDelta::minutes(16));
    assert_eq!(removed(&test.app).await, 4, "three accounts and an address");
}
