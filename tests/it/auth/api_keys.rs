//! API keys: what machines sign in with, and what a key can do.

use chrono::{SecondsFormat, TimeDelta};
use collections::auth::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{bare, text};
use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{self, Wire};

/// A new key of a signed-in user, and the machine that holds it.
async fn machine(test: &TestApp, owner: &Client, scopes: &[&str]) -> (Value, Client) {
    let key = owner.post("/auth/keys", &json!({ "name": "nightly import", "scopes": scopes })).await.expect(201);
    let machine = test.anonymous().with("x-api-key", text(&key, "key"));
    (key, machine)
}

#[tokio::test]
async fn a_key_is_shown_once_and_stored_as_a_hash() {
    let test = TestApp::start_api(&[]).await;
    let jane = test.client(Role::Agent).await;
    let expires = (test.clock.now() + TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let body = json!({ "name": "nightly", "scopes": ["edit", "read"], "expiresAt": expires });
    let answer = jane.post("/auth/keys", &body).await;
    assert_eq!(answer.header("location"), format!("/api/v1/auth/keys/{}", text(&answer.body, "id")));
    let created = answer.expect(201);
    let key = text(&created, "key");
    let id = text(&created, "id").replace('-', "");
    assert!(key.starts_with(&format!("col_{id}_")) && key.len() == 61, "{key}");
    assert_eq!((&created["name"], &created["scopes"]), (&json!("nightly"), &json!(["edit", "read"])));
    assert_eq!((&created["expiresAt"], &created["lastUsedAt"]), (&json!(expires), &Value::Null));
    let listed = jane.get("/auth/keys").await.expect(200);
    assert!(!listed.to_string().contains(&key[37..]), "{listed}");
    let mut expected = created.clone();
    expected.as_object_mut().unwrap().remove("key");
    assert_eq!(listed["data"], json!([expected]));
    let stored: String = sqlx::query_scalar("select k::text from api_keys k").fetch_one(&test.database.pool).await.unwrap();
    assert!(!stored.contains(&key[37..]), "{stored}");
}

#[tokio::test]
async fn a_key_is_taken_from_either_header_and_only_from_one() {
    let test = TestApp::start_api(&[]).await;
    let (jane, anonymous) = (test.client(Role::Agent).await, test.anonymous());
    let (key, machine) = machine(&test, &jane, &["read"]).await;
    let key = text(&key, "key");
    machine.get("/customers").await.expect(200);
    anonymous.with_token(key).get("/customers").await.expect(200);
    let refused = bare(anonymous.get("/customers").await.expect(401));
    machine.with_token(key).get("/customers").await.expect(401);
    machine.with_token(&test.token(Role::Agent).await).get("/customers").await.expect(401);
    anonymous.with("x-api-key", &test.token(Role::Agent).await).get("/customers").await.expect(401);
    anonymous.get(&format!("/customers?api_key={key}")).await.expect(401);
    let twice =
        format!("GET /api/v1/customers HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nX-API-Key: {key}\r\nConnection: close\r\n\r\n");
    assert_eq!(raw_socket::status(&Wire::exchange(test.address(), twice).await), 401);
    let (beginning, secret) = key.split_at("col_".len() + 32 + 1);
    for wrong in [
        String::new(),
        "col_".into(),
        "col__".into(),
        beginning.to_owned(),
        format!("{beginning}{}", secret.to_uppercase()),
        format!("{beginning}{}x", secret),
        format!("{beginning}{}", &secret[1..]),
        format!("col_{}_{secret}", "0".repeat(32)),
        key.to_uppercase(),
        format!(" {key}"),
        secret.to_owned(),
    ] {
        for client in [anonymous.with("x-api-key", &wrong), anonymous.with_token(&wrong)] {
            let answer = client.get("/customers").await;
            let is_trimmed = wrong.trim() == key && answer.status == 200;
            assert!(is_trimmed || bare(answer.expect(401)) == refused, "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_key_may_do_what_both_its_scopes_and_its_owner_may() {
    let test = TestApp::start_api(&[]).await;
    let person = json!({ "name": "Ann" });
    let statuses = async |client: &Client| {
        let created = client.post("/customers", &person).await;
        let path = format!("/customers/{}", created.body["id"].as_str().unwrap_or("00000000-0000-7000-8000-000000000000"));
        let read = client.get("/customers").await.status;
        (read, created.status, client.delete(&path).await.status, client.get("/sync/reindex").await.status)
    };
    let manager = test.client(Role::Manager).await;
    let owner = manager.get("/auth/me").await.expect(200);
    for (scopes, expected) in [
        (vec!["read"], (200, 403, 403, 403)),
        (vec!["edit"], (403, 201, 403, 403)),
        (vec!["read", "edit"], (200, 201, 403, 403)),
        (vec!["read", "edit", "manage"], (200, 201, 204, 403)),
    ] {
        let (_, machine) = machine(&test, &manager, &scopes).await;
        assert_eq!(statuses(&machine).await, expected, "{scopes:?}");
    }
    let refused = manager.post("/auth/keys", &json!({ "name": "x", "scopes": ["read", "operate"] })).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));

    // The owner becomes a viewer: so does every key, at once.
    let (_, machine) = machine(&test, &manager, &["read", "edit", "manage"]).await;
    assert_eq!(statuses(&machine).await, (200, 201, 204, 403));
    let become_role = async |role: &str| {
        let change = sqlx::query("update users set role = $2 where id = $1::uuid").bind(text(&owner, "id")).bind(role);
        change.execute(&test.database.pool).await.unwrap();
    };
    become_role("viewer").await;
    eventually("the key may read only", async || statuses(&machine).await == (200, 403, 403, 403)).await;
    become_role("manager").await;
    eventually("the key may do more again", async || statuses(&machine).await == (200, 201, 204, 403)).await;
}

#[tokio::test]
async fn a_key_dies_with_its_deletion_its_time_and_its_owner() {
    let test = TestApp::start_api(&[]).await;
    test.user("jane", Role::Agent).await;
    let jane = test.sign_in("jane").await;
    let (key, deleted) = machine(&test, &jane, &["read"]).await;
    deleted.get("/customers").await.expect(200);
    let path = format!("/auth/keys/{}", text(&key, "id"));
    test.client(Role::Manager).await.delete(&path).await.expect(404);
    jane.delete(&path).await.expect(204);
    deleted.get("/customers").await.expect(401);
    jane.delete(&path).await.expect(404);

    let expires = test.clock.now() + TimeDelta::minutes(5);
    let body = json!({ "name": "short", "scopes": ["read"], "expiresAt": expires.to_rfc3339() });
    let short = jane.post("/auth/keys", &body).await.expect(201);
    let short = test.anonymous().with_token(text(&short, "key"));
    short.get("/customers").await.expect(200);
    test.clock.advance(TimeDelta::minutes(6));
    short.get("/customers").await.expect(401);

    let (_, orphan) = machine(&test, &jane, &["read"]).await;
    orphan.get("/customers").await.expect(200);
    sqlx::query("update users set disabled_at = now() where username = 'jane'").execute(&test.database.pool).await.unwrap();
    eventually("the key of a disabled user is refused", async || orphan.get("/customers").await.status == 401).await;
    sqlx::query("update users set disabled_at = null").execute(&test.database.pool).await.unwrap();
    eventually("an enabled user's key works again", async || orphan.get("/customers").await.status == 200).await;
}

#[tokio::test]
async fn a_key_manages_neither_keys_nor_sessions_nor_the_password() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let scopes = ["read", "edit", "manage", "operate", "administer"];
    let (key, machine) = machine(&test, &admin, &scopes).await;
    let body = json!({ "name": "another", "scopes": ["read"] });
    let own = format!("/auth/keys/{}", text(&key, "id"));
    for (method, path) in [
        (Method::POST, "/auth/keys"),
        (Method::GET, "/auth/keys"),
        (Method::DELETE, own.as_str()),
        (Method::GET, "/auth/sessions"),
        (Method::DELETE, "/auth/sessions/00000000-0000-7000-8000-000000000000"),
        (Method::POST, "/auth/password"),
    ] {
        let answer = machine.send(method.clone(), path, Some(&body)).await;
        assert_eq!((answer.status, answer.code()), (403, "session_required"), "{method} {path}");
    }
    for path in ["/auth/logout", "/auth/logout?all=true"] {
        machine.post(path, &json!({})).await.expect(401);
    }
    let profile = machine.get("/auth/me").await.expect(200);
    assert_eq!(profile["id"], admin.get("/auth/me").await.expect(200)["id"]);
}

#[tokio::test]
async fn users_see_their_keys_and_administrators_all() {
    let test = TestApp::start_api(&[]).await;
    let (jane, joan, admin) = (test.agent().await, test.agent().await, test.admin().await);
    for client in [&jane, &joan, &jane] {
        machine(&test, client, &["read"]).await;
    }
    let owners = async |client: &Client, query: &str| {
        let answer = client.get(&format!("/auth/keys{query}")).await.expect(200);
        let owners: Vec<Value> = answer["data"].as_array().unwrap().iter().map(|key| key["ownerId"].clone()).collect();
        owners
    };
    let id = async |client: &Client| client.get("/auth/me").await.expect(200)["id"].clone();
    let (jane_id, joan_id) = (id(&jane).await, id(&joan).await);
    assert_eq!(owners(&jane, "").await, [jane_id.clone(), jane_id.clone()]);
    assert_eq!(owners(&admin, "").await, Vec::<Value>::new());
    assert_eq!(owners(&admin, "?all=true").await, [jane_id.clone(), joan_id, jane_id]);
    assert_eq!(jane.get("/auth/keys?all=true").await.code(), "forbidden");
    let page = admin.get("/auth/keys?all=true&limit=2").await.expect(200);
    let rest = owners(&admin, &format!("?all=true&limit=2&cursor={}", text(&page, "nextCursor"))).await;
    assert_eq!(rest.len(), 1);
    let key = joan.get("/auth/keys").await.expect(200)["data"][0]["id"].as_str().unwrap().to_owned();
    jane.delete(&format!("/auth/keys/{key}")).await.expect(404);
    admin.delete(&format!("/auth/keys/{key}")).await.expect(204);
}

#[tokio::test]
async fn a_new_key_has_a_name_known_scopes_and_an_end_in_the_future() {
    let test = TestApp::start_api(&[]).await;
    let jane = test.agent().await;
    for (body, pointer, code) in [
        (json!({ "name": "", "scopes": ["read"] }), "/name", "too_short"),
        (json!({ "name": "x".repeat(101), "scopes": ["read"] }), "/name", "too_long"),
        (json!({ "name": "x", "scopes": [] }), "/scopes", "too_short"),
        (json!({ "name": "x", "scopes": ["read", "fly"] }), "/scopes/1", "unknown_value"),
        (json!({ "name": "x", "scopes": ["read", "read"] }), "/scopes/1", "duplicate"),
        (json!({ "name": "x", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z" }), "/expiresAt", "out_of_range"),
        (json!({ "name": "x", "scopes": ["read"], "owner": "joan" }), "/owner", "unknown_member"),
        (json!({ "scopes": ["read"] }), "/name", "required"),
    ] {
        let answer = jane.post("/auth/keys", &body).await.expect(422);
        assert_eq!((&answer["errors"][0]["pointer"], &answer["errors"][0]["code"]), (&json!(pointer), &json!(code)), "{answer}");
    }
    for _ in 0..50 {
        machine(&test, &jane, &["read"]).await;
    }
    let one_more = jane.post("/auth/keys", &json!({ "name": "x", "scopes": ["read"] })).await;
    assert_eq!((one_more.status, one_more.code()), (409, "too_many_api_keys"));
}

#[tokio::test]
async fn the_last_use_of_a_key_is_noted_once_a_minute() {
    let test = TestApp::start_api(&[]).await;
    let jane = test.agent().await;
    let (_, machine) = machine(&test, &jane, &["read"]).await;
    let used = async || jane.get("/auth/keys").await.expect(200)["data"][0]["lastUsedAt"].clone();
    assert_eq!(used().await, Value::Null);
    let use_until = async |before: &Value| {
        eventually("the use is noted", async || {
            machine.get("/customers").await.expect(200);
            used().await != *before
        })
        .await;
        used().await
    };
    let first = use_until(&Value::Null).await;
    for _ in 0..3 {
        machine.get("/customers").await.expect(200);
    }
    assert_eq!(used().await, first);
    test.clock.advance(TimeDelta::minutes(2));
    use_until(&first).await;
}
