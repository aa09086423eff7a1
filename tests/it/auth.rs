//! Sign-in, tokens, sessions and roles.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use collections::auth::Role;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;

const KEY: &str = "a key of the tests that has more than 32 bytes";
const HEADER: &str = r#"{"typ":"at+jwt","alg":"HS256"}"#;

fn base64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// Signs any header and claims with the right key.
fn forge(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", base64(header), base64(claims));
    format!("{signed}.{}", base64(mac(KEY.as_bytes(), &signed)))
}

/// A signed-in user's token, and its claims.
async fn sign_in(test: &TestApp) -> (String, Value) {
    let token = test.token(Role::Agent).await;
    let claims = token.split('.').nth(1).unwrap();
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    (token, claims)
}

#[tokio::test]
async fn hostile_tokens_are_all_refused_with_one_body() {
    let test = TestApp::start_api(&["--jwt-secret", KEY]).await;
    let (good, claims) = sign_in(&test).await;
    test.anonymous().with_token(&good).get("/auth/me").await.expect(200);
    let (_, other) = sign_in(&test).await;
    let text = claims.to_string();
    assert_eq!(status(&test, &forge(HEADER, &text)).await, 200, "the forger's tools work");

    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let now = claims["iat"].as_i64().unwrap();
    let mut tokens: Vec<String> = vec![
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "x".repeat(10_000),
        format!("{head}.{body}"),
        format!("{head}.{body}."),
        format!("{head}.{body}.{}", &signature[..20]),
        format!("{head}.{body}.{signature}."),
        format!("{head}.{body}.{signature}.x"),
        format!("{head}.{body}.{signature}.{signature}.{signature}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature}%00"),
        format!("{head}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}.{body}.{}", base64(mac(b"another key that also has more than 32 bytes", &format!("{head}.{body}")))),
        format!("{head}.{body}.{}", base64(mac(b"", &format!("{head}.{body}")))),
        format!("{head}.{body}.{}", base64([0_u8; 32])),
        format!("{head}.{body}.{}", STANDARD.encode(mac(KEY.as_bytes(), &format!("{head}.{body}")))),
        format!("{head}.{}.{signature}", base64(json!({ "role": "admin" }).to_string())),
        non_canonical(&good),
        "only-for-development-and-publicly-known".into(),
    ];
    for algorithm in ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "", "hs256"] {
        tokens.push(forge(&json!({ "typ": "at+jwt", "alg": algorithm }).to_string(), &text));
    }
    for member in [
        json!({ "kid": "../../dev/null" }),
        json!({ "kid": "' or 1=1 --" }),
        json!({ "kid": "" }),
        json!({ "jku": "http://127.0.0.1/keys" }),
        json!({ "x5u": "http://127.0.0.1/keys" }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "jwk": { "kty": "oct", "k": "AA" } }),
        json!({ "crit": ["exp"] }),
        json!({ "b64": false }),
        json!({ "typ": "JWT" }),
        json!({ "typ": null }),
        json!({ "zip": "DEF" }),
    ] {
        tokens.push(forge(&merged(&serde_json::from_str(HEADER).unwrap(), &member).to_string(), &text));
    }
    tokens.push(forge(r#"{"alg":"HS256"}"#, &text));
    for member in [
        json!({ "exp": now - 3600 }),
        json!({ "exp": "9999999999" }),
        json!({ "exp": 9_999_999_999.5 }),
        json!({ "exp": -1 }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": null }),
        json!({ "nbf": now + 3600 }),
        json!({ "nbf": "0" }),
        json!({ "nbf": null }),
        json!({ "iss": "another" }),
        json!({ "iss": null }),
        json!({ "iss": ["collections"] }),
        json!({ "aud": "another-api" }),
        json!({ "aud": ["collections-api"] }),
        json!({ "aud": null }),
        json!({ "sub": "" }),
        json!({ "sub": "admin" }),
        json!({ "sub": null }),
        json!({ "sub": other["sub"] }),
        json!({ "jti": collections::values::ids::new().to_string() }),
        json!({ "jti": "x" }),
        json!({ "jti": null }),
        json!({ "role": "root" }),
        json!({ "use": "refresh" }),
    ] {
        tokens.push(forge(HEADER, &merged(&claims, &member).to_string()));
    }
    for claim in ["exp", "nbf", "iss", "aud", "sub", "jti"] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(claim);
        tokens.push(forge(HEADER, &without.to_string()));
    }
    let repeated = format!(r#"{{"exp":9999999999,{}"#, &text[1..]);
    tokens.extend([forge(HEADER, &repeated), forge(HEADER, "[]"), forge(HEADER, "null"), forge(HEADER, "{}")]);
    assert!(tokens.len() >= 60, "{}", tokens.len());

    let expected = bare(test.anonymous().get("/auth/me").await.expect(401));
    for token in tokens {
        let answer = test.anonymous().with_token(&token).get("/auth/me").await;
        assert_eq!((answer.status, bare(answer.body)), (401, expected.clone()), "{token}");
    }
    test.anonymous().with_token(&good).get("/auth/me").await.expect(200);
}

async fn status(test: &TestApp, token: &str) -> u16 {
    test.anonymous().with_token(token).get("/auth/me").await.status
}

fn merged(base: &Value, more: &Value) -> Value {
    let mut all = base.as_object().unwrap().clone();
    all.extend(more.as_object().unwrap().clone());
    all.into()
}

/// Another base64 spelling of the same bytes: the last letter of 32 encoded bytes has two unused bits.
fn non_canonical(token: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(token.chars().last().unwrap()).unwrap();
    format!("{}{}", &token[..token.len() - 1], alphabet.chars().nth(at ^ 1).unwrap())
}

/// A problem without the members that differ between requests.
fn bare(mut problem: Value) -> Value {
    for member in ["requestId", "timestamp"] {
        problem.as_object_mut().unwrap().remove(member);
    }
    problem
}

#[tokio::test]
async fn only_one_authorization_header_is_accepted() {
    let test = TestApp::start_api(&[]).await;
    let (token, _) = sign_in(&test).await;
    let twice = format!(
        "GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(crate::harness::raw_socket::status(&crate::harness::raw_socket::Wire::exchange(test.address(), twice).await), 401);
    assert_eq!(test.anonymous().get(&format!("/auth/me?access_token={token}&token={token}")).await.status, 401);
    for value in [format!("Basic {token}"), token.clone(), format!("Bearer  {token}"), "Bearer".into()] {
        assert_eq!(test.anonymous().with("authorization", &value).get("/auth/me").await.status, 401, "{value}");
    }
    assert_eq!(test.anonymous().with("authorization", &format!("bearer {token}")).get("/auth/me").await.status, 200);
}

#[tokio::test]
async fn a_token_expires_after_its_lifetime() {
    let test = TestApp::start_api(&["--jwt-expires-in", "15m"]).await;
    let (token, _) = sign_in(&test).await;
    test.clock.advance(TimeDelta::minutes(14));
    assert_eq!(status(&test, &token).await, 200);
    test.clock.advance(TimeDelta::minutes(2));
    assert_eq!(status(&test, &token).await, 401);
    test.clock.advance(TimeDelta::minutes(-17));
    assert_eq!(status(&test, &token).await, 401, "a token is not valid before it was made");
}

#[tokio::test]
async fn login_returns_the_token_under_all_names() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Manager).await;
    sqlx::query("update users set email = 'Jane@Example.org'").execute(&test.database.pool).await.unwrap();
    for (member, value) in
        [("username", "JANE"), ("login", "jane"), ("email", "jane@example.org"), ("username", "jane@example.org")]
    {
        let body = json!({ member: value, "password": crate::harness::app::PASSWORD });
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
        json!({ "username": "unknown", "password": crate::harness::app::PASSWORD }),
        json!({ "username": "joan", "password": crate::harness::app::PASSWORD }),
        json!({ "username": "jane", "password": "" }),
        json!({ "username": "", "password": "" }),
        json!({ "username": "jane", "password": "x".repeat(2000) }),
        json!({ "username": "' or 1=1 --", "password": crate::harness::app::PASSWORD }),
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
            (&json!("manager"), &json!(["read", "personal", "reveal", "edit", "manage"]))
        );
        assert!(profile["id"].is_string() && profile["createdAt"].is_string() && profile["username"].is_string());
    }
}

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
    let login = json!({ "username": "jane", "password": crate::harness::app::PASSWORD });
    test.anonymous().post("/auth/login", &login).await.expect(401);
    command(&["enable", "jane"]).await;
    test.sign_in("jane").await.get("/auth/me").await.expect(200);
    jane.get("/auth/me").await.expect(401);
}

#[tokio::test]
async fn a_sign_in_with_the_password_before_starts_no_session() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let mut change = test.database.pool.begin().await.unwrap();
    sqlx::query("update users set password_hash = 'another'").execute(&mut *change).await.unwrap();
    let login = json!({ "username": "jane", "password": crate::harness::app::PASSWORD });
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
