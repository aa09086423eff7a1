//! Log-in and the profile.

use collections::auth::Role;
use serde_json::json;

use super::bare;
use crate::harness::app::{PASSWORD, TestApp};
use crate::harness::eventually::eventually;

#[tokio::test]
async fn login_returns_the_token_under_all_names() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Manager).await;
    sqlx::query("update users set email = 'Jane@Example.org'").execute(&test.database.pool).await.unwrap();
    for (member, value) in
        [("username", "JANE"), ("login", "jane"), ("email", "jane@example.org"), ("username", "jane@example.org")]
    {
        let body = json!({ member: value, "password": PASSWORD });
        let answer = test.anonymous().post("/api/auth/login", &body).await.expect(200);
        assert!(answer["access_token"].is_string(), "{answer}");
        assert_eq!(answer["access_token"], answer["accessToken"]);
        assert_eq!(answer["access_token"], answer["token"]);
        assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(900)));
        assert_eq!((&answer["user"]["username"], &answer["user"]["role"]), (&json!("jane"), &json!("manager")));
        assert!(!answer.to_string().contains("argon2"), "{answer}");
    }
}

#[tokio::test]
async fn every_failed_login_looks_the_same() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    test.user("joan", Role::Agent).await;
    sqlx::query("update users set disabled_at = now() where username = 'joan'").execute(&test.database.pool).await.unwrap();
    let cases = [
        json!({ "username": "jane", "password": "wrong password" }),
        json!({ "username": "unknown", "password": PASSWORD }),
        json!({ "username": "joan", "password": PASSWORD }),
        json!({ "username": "jane", "password": "" }),
        json!({ "username": "", "password": "" }),
        json!({ "username": "jane", "password": "x".repeat(2000) }),
        json!({ "username": "' or 1=1 --", "password": PASSWORD }),
    ];
    let mut bodies = Vec::new();
    for body in &cases {
        let answer = test.anonymous().post("/auth/login", body).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{body}");
        bodies.push(bare(answer.body));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
}

#[tokio::test]
async fn two_names_for_one_identifier_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let both = json!({ "username": "jane", "email": "joan@example.org", "password": "x" });
    assert_eq!(test.anonymous().post("/auth/login", &both).await.status, 422);
}

#[tokio::test]
async fn a_profile_shows_the_user_and_its_permissions() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    for path in ["/auth/me", "/auth/profile", "/api/auth/profile"] {
        let profile = manager.get(path).await.expect(200);
        assert_eq!(
            (&profile["role"], &profile["permissions"]),
            (&json!("manager"), &json!(["read", "personal", "reveal", "edit", "manage", "import", "export", "supervise"]))
        );
        assert!(profile["id"].is_string() && profile["createdAt"].is_string() && profile["username"].is_string());
    }
}

#[tokio::test]
async fn a_sign_in_with_the_password_before_starts_no_session() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let mut change = test.database.pool.begin().await.unwrap();
    sqlx::query("update users set password_hash = 'another'").execute(&mut *change).await.unwrap();
    let login = json!({ "username": "jane", "password": PASSWORD });
    let (anonymous, waiting) = (
        test.anonymous(),
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    let (answer, ()) = tokio::join!(anonymous.post("/auth/login", &login), async {
        eventually("the sign-in waits for the change", async || {
            // Not in the transaction, which would see the activity of its first look for ever.
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(&test.database.pool).await.unwrap() > 0
        })
        .await;
        change.commit().await.unwrap();
    });
    assert_eq!(answer.status, 401, "{}", answer.body);
}
