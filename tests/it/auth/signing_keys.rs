//! Signing keys: two are in use while one replaces the other.

use collections::auth::Role;
use reqwest::Method;
use serde_json::json;

use super::{log_in, text};
use crate::harness::app::TestApp;
use crate::harness::client::Client;

const OLD: &str = "the old key of these tests, of more than 32 bytes";
const NEW: &str = "the new key of these tests, of more than 32 bytes";

#[tokio::test]
async fn a_rotation_of_keys_fails_no_request() {
    let first = TestApp::start_api(&["--jwt-secret", OLD]).await;
    first.user("jane", Role::Agent).await;
    for name in ["Ann", "Bob"] {
        let agent = first.sign_in("jane").await;
        agent.post("/customers", &json!({ "name": name })).await.expect(201);
    }
    // The servers of each step, and those of the step before, which are restarted one by one.
    let prepared = first.beside(&["--jwt-secret", OLD, "--jwt-secret-previous", NEW]).await;
    let switched = first.beside(&["--jwt-secret", NEW, "--jwt-secret-previous", OLD]).await;
    let finished = first.beside(&["--jwt-secret", NEW, "--jwt-secret-previous", ""]).await;
    let running = [&prepared, &switched, &finished].map(|server| Client::new(format!("http://{}", server.address)));
    let (before, [prepared, switched, finished]) = (first.anonymous(), running);
    for (one, other) in [(&before, &prepared), (&prepared, &switched), (&switched, &finished)] {
        for (issuer, reader) in [(one, other), (other, one)] {
            check(issuer, reader).await;
        }
    }
    let login = log_in(&first, "jane").await;
    for client in [&switched, &finished] {
        let status = client.with_token(text(&login, "token")).get("/auth/me").await.status;
        assert_eq!(status, if std::ptr::eq(client, &switched) { 200 } else { 401 }, "a retired key is refused");
    }
    let refreshed = finished.post("/auth/refresh", &json!({ "token": login["refresh_token"] })).await.expect(200);
    let finished = finished.with_token(text(&refreshed, "token"));
    finished.get("/auth/me").await.expect(200);
    // The digest of a request is keyed, so that it cannot be told from one by a retired key.
    let (before, payment) = (before.with_token(text(&login, "token")), json!({ "amount": 1, "method": "cash" }));
    let [before, finished] = [before, finished].map(|client| client.with("idempotency-key", "retired"));
    before.post("/payments", &payment).await.expect(201);
    assert_eq!(finished.post("/payments", &payment).await.code(), "idempotency_key_reused");
}

/// Uses at one server what another has issued: an access token, a refresh token, its repetition, a cursor, and a stored answer.
async fn check(issuer: &Client, reader: &Client) {
    let body = json!({ "username": "jane", "password": crate::harness::app::PASSWORD });
    let login = issuer.post("/auth/login", &body).await.expect(200);
    let [issuer, reader] = [issuer, reader].map(|client| client.with_token(text(&login, "token")));
    reader.get("/auth/me").await.expect(200);
    let page = issuer.get("/customers?limit=1&sort=name").await.expect(200);
    let next = format!("/customers?limit=1&sort=name&cursor={}", text(&page, "nextCursor"));
    assert_eq!(reader.get(&next).await.expect(200)["data"][0]["name"], "Bob");
    let key = collections::values::ids::new().to_string();
    let [first, again] = [&issuer, &reader].map(|client| client.with("idempotency-key", &key));
    let payment = json!({ "amount": 1, "method": "cash" });
    first.post("/payments", &payment).await.expect(201);
    assert_eq!(again.post("/payments", &payment).await.header("idempotent-replayed"), "true");
    let token = json!({ "token": login["refresh_token"] });
    let successor = issuer.post("/auth/refresh", &token).await.expect(200);
    let repeated = reader.send(Method::POST, "/auth/refresh", Some(&token)).await.expect(200);
    assert_eq!(repeated["refresh_token"], successor["refresh_token"]);
}
