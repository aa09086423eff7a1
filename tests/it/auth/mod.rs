//! Sign-in, tokens, sessions, keys and roles.

mod api_keys;
mod login;
mod passwords;
mod refresh;
mod sessions;
mod signing_keys;
mod timing;
mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use collections::auth::Role;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::app::{PASSWORD, TestApp};

const KEY: &str = "a key of the tests that has more than 32 bytes";

/// The header of a key's tokens.
fn header(key: &str) -> String {
    let kid = Sha256::digest(key).iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{kid}"}}"#)
}

fn base64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// Signs any header and claims with the right key.
fn forge(header: &str, claims: &str) -> String {
    sign(KEY, header, claims)
}

fn sign(key: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", base64(header), base64(claims));
    format!("{signed}.{}", base64(mac(key.as_bytes(), &signed)))
}

/// The claims of an access token.
fn claims(token: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A signed-in user's token, and its claims.
async fn sign_in(test: &TestApp) -> (String, Value) {
    let token = test.token(Role::Agent).await;
    let claims = claims(&token);
    (token, claims)
}

/// The answer to a log-in.
async fn log_in(test: &TestApp, username: &str) -> Value {
    test.anonymous().post("/auth/login", &json!({ "username": username, "password": PASSWORD })).await.expect(200)
}

/// Takes a text out of an answer.
#[track_caller]
fn text<'a>(answer: &'a Value, member: &str) -> &'a str {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}"))
}

async fn status(test: &TestApp, token: &str) -> u16 {
    test.anonymous().with_token(token).get("/auth/me").await.status
}

/// A problem without the members that differ between requests.
fn bare(mut problem: Value) -> Value {
    for member in ["requestId", "timestamp"] {
        problem.as_object_mut().unwrap().remove(member);
    }
    problem
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}
