//! Access tokens: what is refused, and for how long one is valid.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use collections::auth::Role;
use serde_json::{Value, json};

use super::{KEY, bare, base64, forge, header, log_in, mac, sign, sign_in, status, text as text_of};
use crate::harness::app::TestApp;
use crate::harness::raw_socket::{self, Wire};

#[tokio::test]
async fn hostile_tokens_are_all_refused_with_one_body() {
    let test = TestApp::start_api(&["--jwt-secret", KEY]).await;
    let right = header(KEY);
    let (good, claims) = sign_in(&test).await;
    test.anonymous().with_token(&good).get("/auth/me").await.expect(200);
    let (_, other) = sign_in(&test).await;
    let text = claims.to_string();
    assert_eq!(status(&test, &forge(&right, &text)).await, 200, "the forger's tools work");

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
    let another = "another key that also has more than 32 bytes";
    tokens.extend([sign(another, &right, &text), sign(another, &header(another), &text), forge(&header(another), &text)]);
    // A retired key, and the form of tokens before keys had names.
    tokens.push(forge(r#"{"typ":"at+jwt","alg":"HS256"}"#, &text));
    test.user("jane", Role::Agent).await;
    tokens.push(text_of(&log_in(&test, "jane").await, "refresh_token").to_owned());
    let known: Value = serde_json::from_str(&right).unwrap();
    for algorithm in ["none", "None", "NONE", "nOnE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "", "hs256"] {
        tokens.push(forge(&right.replace("HS256", algorithm), &text));
    }
    for member in [
        json!({ "kid": "../../dev/null" }),
        json!({ "kid": "' or 1=1 --" }),
        json!({ "kid": "" }),
        json!({ "kid": "x".repeat(9_000) }),
        json!({ "kid": null }),
        json!({ "jku": "http://127.0.0.1/keys" }),
        json!({ "x5u": "http://127.0.0.1/keys" }),
        json!({ "x5c": ["MIIB"] }),
        json!({ "jwk": { "kty": "oct", "k": "AA" } }),
        json!({ "crit": ["exp"] }),
        json!({ "b64": false }),
        json!({ "typ": "JWT" }),
        json!({ "typ": "refresh" }),
        json!({ "typ": null }),
        json!({ "zip": "DEF" }),
    ] {
        let appended = format!("{},{}", right.strip_suffix('}').unwrap(), member.to_string().strip_prefix('{').unwrap());
        tokens.extend([forge(&merged(&known, &member).to_string(), &text), forge(&appended, &text)]);
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
        tokens.push(forge(&right, &merged(&claims, &member).to_string()));
    }
    for claim in ["exp", "nbf", "iss", "aud", "sub", "jti"] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(claim);
        tokens.push(forge(&right, &without.to_string()));
    }
    let repeated = format!(r#"{{"exp":9999999999,{}"#, &text[1..]);
    tokens.extend([forge(&right, &repeated), forge(&right, "[]"), forge(&right, "null"), forge(&right, "{}")]);
    assert!(tokens.len() >= 100, "{}", tokens.len());

    let expected = bare(test.anonymous().get("/auth/me").await.expect(401));
    for token in tokens {
        let answer = test.anonymous().with_token(&token).get("/auth/me").await;
        assert_eq!((answer.status, bare(answer.body)), (401, expected.clone()), "{token}");
    }
    test.anonymous().with_token(&good).get("/auth/me").await.expect(200);
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

#[tokio::test]
async fn only_one_authorization_header_is_accepted() {
    let test = TestApp::start_api(&[]).await;
    let (token, _) = sign_in(&test).await;
    let twice = format!(
        "GET /api/v1/auth/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(raw_socket::status(&Wire::exchange(test.address(), twice).await), 401);
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
