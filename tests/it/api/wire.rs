//! The shape of every resource on the wire, in list, read, create and error.
//!
//! `INSTA_UPDATE=always bin/test api::wire` renews the snapshots.

use collections::auth::Role;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};
use crate::harness::redact::Redaction;

/// Members of a problem that name the request.
const REQUEST: [&str; 2] = ["requestId", "timestamp"];

fn snapshot(name: &str, answer: Answer, status: u16, redaction: &mut Redaction) -> Value {
    let body = answer.expect(status);
    insta::assert_json_snapshot!(name, redaction.redact(&body));
    body
}

/// Creates, reads and lists a resource, then provokes its errors.
async fn walk(test: &TestApp, client: &Client, resource: &str, new: &Value, wrong: &Value, redaction: &mut Redaction) -> Value {
    let created = snapshot(&format!("{resource} create"), client.post(&format!("/{resource}"), new).await, 201, redaction);
    let path = format!("/{resource}/{}", created["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.expect(200), created, "a read shows what the create answered");
    test.settle().await;
    let list = snapshot(&format!("{resource} list"), client.get(&format!("/{resource}?sort=createdAt")).await, 200, redaction);
    assert_eq!(list["data"][0], client.get(&path).await.expect(200), "a list shows what a read shows");
    let invalid = client.post(&format!("/{resource}"), wrong).await.expect(422);
    for member in REQUEST {
        assert!(invalid[member].is_string(), "{member}");
    }
    insta::assert_json_snapshot!(format!("{resource} invalid"), redaction.redact(&invalid));
    let missing = format!("/{resource}/00000000-0000-7000-8000-000000000000");
    assert_eq!(client.get(&missing).await.code(), "not_found");
    assert_eq!(client.get(&format!("/{resource}?sort=nothing")).await.status, 400);
    created
}

#[tokio::test]
async fn every_resource_keeps_its_shape() {
    let test = TestApp::start().await;
    test.user("clerk", Role::Manager).await;
    let client = test.sign_in("clerk").await;
    let redaction = &mut Redaction::default();

    let customer = json!({
        "externalId": "C-1", "givenName": "Renée", "familyName": "Zwickelbauer", "phone": "+1 415 555 2671",
        "email": "renee@example.org", "tags": ["vip"], "dateOfBirth": "1980-02-29",
        "addresses": [{ "line1": "1 Main St", "city": "Springfield", "country": "US" }],
    });
    let wrong = json!({ "name": "", "email": "nowhere", "kind": "robot" });
    let customer = walk(&test, &client, "customers", &customer, &wrong, redaction).await;

    let account = json!({
        "customerId": customer["id"], "accountNumber": "W-1", "amountDue": "129.90", "currency": "USD", "dueDate": "2026-01-31",
    });
    let wrong = json!({ "amountDue": "1.234", "currency": "XXX", "dueDate": "soon" });
    let account = walk(&test, &client, "accounts", &account, &wrong, redaction).await;

    let payment = json!({
        "accountId": account["id"], "amount": 29.9, "method": "card", "receiver": "Front desk", "description": "first rate",
    });
    let wrong = json!({ "accountId": account["id"], "amount": -1, "method": "barter" });
    walk(&test, &client, "payments", &payment, &wrong, redaction).await;

    let activity = json!({
        "accountId": account["id"], "type": "call", "disposition": "promise", "channel": "mobile", "note": "promises to pay on Friday",
        "metadata": { "minutes": 4 },
    });
    let wrong = json!({ "accountId": account["id"], "note": "", "isPinned": "perhaps" });
    walk(&test, &client, "activities", &activity, &wrong, redaction).await;

    let ledger = format!("/accounts/{}/ledger", account["id"].as_str().unwrap());
    snapshot("ledger list", client.get(&ledger).await, 200, redaction);

    test.user("keeper", Role::Viewer).await;
    let keeper = test.sign_in("keeper").await;
    let search =
        json!({ "name": "Late", "collection": "accounts", "query": "status=open", "sort": "dueDate", "columns": ["balance"] });
    snapshot("saved searches create", keeper.post("/saved-searches", &search).await, 201, redaction);
    snapshot("saved searches list", keeper.get("/saved-searches?count=true").await, 200, redaction);

    let profile = client.get("/auth/profile").await.expect(200);
    assert_eq!(profile["role"], "manager");
}
