//! The headers that the description names are those that the handlers honour.

use std::collections::BTreeSet;

use collections::server;
use reqwest::Method;
use serde_json::{Value, json};

use super::{document, operations};
use crate::harness::app::TestApp;
use crate::http::matrix::ABSENT;

/// The names of the parameters of an operation.
fn parameters(document: &Value, operation: &Value) -> BTreeSet<String> {
    let all = operation["parameters"].as_array().unwrap().iter();
    let resolved = all.map(|one| one["$ref"].as_str().map_or(one, |name| document.pointer(&name[1..]).unwrap()));
    resolved.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn if_match_is_described_where_it_is_honoured() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let admin = test.admin().await;
    let id = |made: &Value| made["id"].as_str().unwrap().to_owned();
    let customer = json!({
        "givenName": "Ana", "familyName": "Lopez", "phone": "+1 415 555 2671", "amountDue": "10", "currency": "USD",
        "dueDate": "2026-01-31", "accountNumber": "A-1",
    });
    let customer = id(&admin.post("/customers", &customer).await.expect(201));
    let account = id(&admin.get("/accounts?accountNumber=A-1").await.expect(200)["data"][0]);
    let payment = json!({ "amount": 1, "method": "cash", "status": "pending" });
    let payment = id(&admin.post(&format!("/accounts/{account}/payments"), &payment).await.expect(201));
    let activity = id(&admin
        .post(&format!("/accounts/{account}/activities"), &json!({ "type": "call", "note": "Called" }))
        .await
        .expect(201));
    let search = json!({ "name": "Mine", "collection": "accounts", "query": "status=open" });
    let search = id(&admin.post("/saved-searches", &search).await.expect(201));
    let user = json!({ "username": "maria", "password": "a purple bicycle", "role": "agent" });
    let user = id(&admin.post("/users", &user).await.expect(201));
    let ids = [
        ("{customerId}", &*customer),
        ("{accountId}", &*account),
        ("{paymentId}", &*payment),
        ("{activityId}", &*activity),
        ("{savedSearchId}", &*search),
        ("{userId}", &*user),
        ("{roleName}", "viewer"),
    ];
    let other = admin.with("if-match", "\"v999999\"");
    let mut count = 0;
    for ((method, path), operation) in operations(&document) {
        let is_described = parameters(&document, operation).contains("If-Match");
        // Passwords and log-outs end the session; an import needs a file.
        if method == "GET" || path.starts_with("/auth/password") || path.starts_with("/auth/log") || path.starts_with("/imports")
        {
            continue;
        }
        let address = ids.iter().fold(path.clone(), |path, (name, id)| path.replace(name, id));
        let address = address.replace("{contactPointId}", ABSENT).replace("{addressId}", ABSENT);
        let body = match operation["operationId"].as_str().unwrap() {
            "replaceRolePermission" => json!({ "permissions": ["read"] }),
            "replaceNotificationsPreference" => json!({ "preferences": [] }),
            "readNotification" => json!({ "all": true }),
            "passwordUser" => json!({ "password": "another purple bicycle" }),
            _ => json!({}),
        };
        if !is_described && address.contains('{') {
            continue;
        }
        let answer = other.send(Method::from_bytes(method.as_bytes()).unwrap(), &address, Some(&body)).await;
        assert_eq!(answer.status == 412, is_described, "{method} {path}: {} {}", answer.status, answer.text);
        count += usize::from(is_described);
    }
    assert!(count > 25, "{count}");
}

#[tokio::test]
async fn every_read_refuses_a_wrong_sync_token_alike() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let admin = test.admin().await;
    let mut reads: Vec<String> = Vec::new();
    for row in server::routes(&test.app).table() {
        if row.method == "GET" && row.access != "public" {
            let segments = row.path.split('/').map(|segment| if segment.starts_with('{') { ABSENT } else { segment });
            reads.push(segments.collect::<Vec<_>>().join("/"));
        }
    }
    assert!(reads.len() > 80, "{}", reads.len());
    for path in &reads {
        for query in ["syncToken=", "syncToken=yesterday", "syncToken=0%2F1&syncToken=0%2F1"] {
            let answer = admin.get(&format!("{path}?{query}")).await;
            assert_eq!((answer.status, answer.code()), (400, "bad_sync_token"), "{path}?{query}");
        }
        for token in ["", "yesterday", "0/1, 0/1"] {
            let answer = admin.with("x-sync-token", token).get(path).await;
            assert_eq!((answer.status, answer.code()), (400, "bad_sync_token"), "{path} {token}");
        }
        let answer = admin.with("x-sync-token", "0/1").get(&format!("{path}?syncToken=0%2F1")).await;
        assert!(!answer.text.contains("syncToken: "), "{path}: {}", answer.text);
    }
    for collection in ["customers", "accounts", "payments", "activities"] {
        let answer = admin.post(&format!("/{collection}/search?syncToken="), &json!({})).await;
        assert_eq!((answer.status, answer.code()), (400, "bad_sync_token"), "{collection}");
    }
    for ((method, path), operation) in operations(&document) {
        let is_read = method == "GET" && operation["security"].is_null() && path != "/events";
        let names = parameters(&document, operation);
        let takes = names.contains("syncToken") && names.contains("X-Sync-Token");
        assert_eq!(takes, is_read || (path.ends_with("/search") && method == "POST"), "{method} {path}");
    }
}

#[tokio::test]
async fn headers_that_servers_ignore_have_no_limits() {
    let test = TestApp::start_api(&[]).await;
    let document = document(&test).await;
    let admin = test.admin().await;
    for (name, component) in [("if-none-match", "IfNoneMatch"), ("prefer", "Prefer"), ("prefer", "PreferAsync")] {
        assert_eq!(document["components"]["parameters"][component]["schema"], json!({ "type": "string" }));
        for value in ["", &"0".repeat(300)] {
            let client = admin.with(name, value);
            client.get("/api/openapi.json").await.expect(200);
            client.post("/notifications/read", &json!({ "all": true })).await.expect(200);
        }
    }
}
