//! Hashes of passwords that were made elsewhere, or long ago.

use collections::auth::Role;
use serde_json::json;

use super::log_in;
use crate::harness::app::{PASSWORD, TestApp};
use crate::harness::eventually::eventually;

/// Gives every user another hash, as an import does.
async fn import(test: &TestApp, hash: &str) {
    sqlx::query("update users set password_hash = $1").bind(hash).execute(&test.database.pool).await.unwrap();
}

async fn stored(test: &TestApp) -> String {
    sqlx::query_scalar("select password_hash from users").fetch_one(&test.database.pool).await.unwrap()
}

#[tokio::test]
async fn a_log_in_upgrades_an_imported_hash_and_ends_no_session() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let strong = stored(&test).await;
    let bcrypt = bcrypt();
    let weak = argon2id("m=4096,t=1,p=1");
    for imported in [bcrypt.clone(), bcrypt.replace("$2b$", "$2y$"), bcrypt.replace("$2b$", "$2a$"), weak] {
        import(&test, &imported).await;
        let wrong = json!({ "username": "jane", "password": "wrong password" });
        test.anonymous().post("/auth/login", &wrong).await.expect(401);
        assert_eq!(stored(&test).await, imported);
        let first = test.sign_in("jane").await;
        first.get("/auth/me").await.expect(200);
        let upgraded = stored(&test).await;
        assert!(upgraded.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{upgraded}");
        test.sign_in("jane").await;
        assert_eq!(stored(&test).await, upgraded, "once");
        first.get("/auth/me").await.expect(200);
    }
    import(&test, &strong).await;
    test.sign_in("jane").await;
    assert_eq!(stored(&test).await, strong);
}

/// The bcrypt hash of [`PASSWORD`], of a low cost.
fn bcrypt() -> String {
    bcrypt::hash_with_salt(PASSWORD, 5, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoB)
}

/// The hash of [`PASSWORD`] with other parameters than those of today.
fn argon2id(params: &str) -> String {
    use argon2::password_hash::PasswordHasher;
    let value = |name: &str| params.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap();
    let params = argon2::Params::new(value("m"), value("t"), value("p"), None).unwrap();
    argon2::Argon2::from(params).hash_password(PASSWORD.as_bytes()).unwrap().to_string()
}

#[tokio::test]
async fn an_upgrade_leaves_the_sessions_of_other_devices() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let before = test.sign_in("jane").await;
    let weak = argon2id("m=8192,t=1,p=1");
    let mut quiet = test.database.pool.begin().await.unwrap();
    sqlx::query("select set_config('collections.password_is_unchanged', 'on', true)").execute(&mut *quiet).await.unwrap();
    sqlx::query("update users set password_hash = $1").bind(&weak).execute(&mut *quiet).await.unwrap();
    quiet.commit().await.unwrap();
    log_in(&test, "jane").await;
    assert_ne!(stored(&test).await, weak);
    before.get("/auth/me").await.expect(200);
    import(&test, &weak).await;
    eventually("another hash ends the session", async || before.get("/auth/me").await.status == 401).await;
}

#[tokio::test]
async fn a_hash_that_costs_too_much_is_not_computed() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let expensive = bcrypt().replace("$05$", "$31$");
    for hash in [expensive.as_str(), "$argon2id$v=19$m=4194304,t=9,p=1$c29tZXNhbHQ$aGFzaGhhc2g", "plain text", ""] {
        import(&test, hash).await;
        let answer = test.anonymous().post("/auth/login", &json!({ "username": "jane", "password": PASSWORD })).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"), "{hash}");
    }
}
