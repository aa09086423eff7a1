//! Changes that are made while the client waits.

use collections::auth::Role;
use serde_json::{Value, json};

use super::{ABSENT, accounts, id, own_id, results, start};
use crate::harness::app::TestApp;
use crate::harness::client::Client;

#[tokio::test]
async fn accounts_are_assigned_to_an_agent_at_once() {
    let test = start().await;
    let (manager, agent) = (test.client(Role::Manager).await, test.agent().await);
    let (ids, assignee) = (accounts(&manager, 3).await, own_id(&agent).await);
    let assign = json!({ "ids": ids, "set": { "assigneeId": assignee, "tags": ["handed over"] } });
    let answer = manager.post("/accounts/bulk-update", &assign).await;
    assert!(!answer.header("x-sync-token").is_empty());
    let request = answer.header("x-request-id").to_owned();
    let changed = answer.expect(200);
    assert_eq!(
        (&changed["total"], &changed["updated"], &changed["unchanged"], &changed["failed"]),
        (&json!(3), &json!(3), &json!(0), &json!(0))
    );
    let listed: Vec<&str> = changed["results"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(listed, ids, "in the order of the request");
    for account in &ids {
        let account = manager.get(&format!("/accounts/{account}")).await.expect(200);
        assert_eq!((&account["assigneeId"], &account["tags"]), (&json!(assignee), &json!(["handed over"])));
        assert_eq!(account["updatedBy"], own_id(&manager).await);
        assert_eq!(account["balance"], 100.0);
        let entries =
            "select count(*) from audit_log where subject = $1::uuid and action = 'change' and request = $2 and actor = $3::uuid
            and details ->> 'assigneeId' is null and details -> 'assignee_id' is not null";
        let logged: i64 = sqlx::query_scalar(entries)
            .bind(account["id"].as_str().unwrap())
            .bind(&request)
            .bind(own_id(&manager).await)
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
        assert_eq!(logged, 1);
    }
    let version = manager.get(&format!("/accounts/{}", ids[0])).await.expect(200)["version"].clone();
    let again = manager.post("/accounts/bulk-update", &assign).await.expect(200);
    assert_eq!((&again["updated"], &again["unchanged"]), (&json!(0), &json!(3)));
    assert_eq!(manager.get(&format!("/accounts/{}", ids[0])).await.expect(200)["version"], version);
}

#[tokio::test]
async fn what_is_refused_of_one_record_stops_no_other() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    let ids = accounts(&manager, 7).await;
    manager.delete(&format!("/accounts/{}", ids[1])).await.expect(204);
    let number = manager.get(&format!("/accounts/{}", ids[0])).await.expect(200)["accountNumber"].clone();
    let items = json!({ "items": [
        { "id": ids[0], "version": 2, "creditor": "ACME" },
        { "id": ids[1], "creditor": "ACME" },
        { "id": ids[2], "version": 1, "creditor": "ACME" },
        { "id": ABSENT, "creditor": "ACME" },
        { "id": ids[3], "assigneeId": ABSENT },
        { "id": ids[4], "accountNumber": number },
        { "id": ids[5], "accountNumber": "NEW-1", "status": "paused" },
        { "id": ids[6], "customerId": ABSENT },
    ]});
    let answer = manager.post("/accounts/bulk-update", &items).await.expect(200);
    assert_eq!(
        results(&answer),
        [
            ("updated", ""),
            ("failed", "not_found"),
            ("failed", "stale"),
            ("failed", "not_found"),
            ("failed", "invalid"),
            ("failed", "duplicate"),
            ("updated", ""),
            ("failed", "invalid"),
        ]
    );
    assert_eq!((&answer["total"], &answer["updated"], &answer["failed"]), (&json!(8), &json!(2), &json!(6)));
    assert_eq!(answer["results"][4]["error"]["errors"][0]["code"], "unknown_user");
    assert_eq!(answer["results"][5]["error"]["errors"][0]["pointer"], "/accountNumber");
    assert_eq!(answer["results"][7]["error"]["errors"][0]["code"], "unknown_customer");
    let changed = manager.get(&format!("/accounts/{}", ids[5])).await.expect(200);
    assert_eq!((&changed["accountNumber"], &changed["status"]), (&json!("NEW-1"), &json!("paused")));
    assert_eq!(manager.get(&format!("/accounts/{}", ids[0])).await.expect(200)["creditor"], "ACME");
    assert_eq!(manager.get(&format!("/accounts/{}", ids[2])).await.expect(200)["creditor"], Value::Null);
}

#[tokio::test]
async fn a_filter_selects_what_the_client_has_seen_or_nothing() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    let ids = accounts(&manager, 3).await;
    let set = json!({ "items": [{ "id": ids[0], "portfolio": "north" }, { "id": ids[1], "portfolio": "north" }] });
    manager.post("/accounts/bulk-update", &set).await.expect(200);
    let north = json!({ "field": "portfolio", "value": "north" });
    let body = |filter: &Value, expected: Value| json!({ "filter": filter, "expected": expected, "set": { "status": "paused" } });
    let changed = manager.post("/accounts/bulk-update", &body(&north, json!(3))).await;
    assert_eq!((changed.status, changed.code()), (409, "count_changed"));
    assert_eq!((&changed.body["expected"], &changed.body["count"]), (&json!(3), &json!(2)));
    for (filter, expected) in [(&north, json!(2)), (&north, Value::Null)] {
        let answer = manager.post("/accounts/bulk-update", &body(filter, expected)).await.expect(200);
        assert_eq!(answer["total"], 2);
    }
    assert_eq!(manager.get("/accounts?status=paused&count=exact").await.expect(200)["total"], 2);

    for all in [json!({}), json!({ "field": "balance", "op": "gt", "value": 1 })] {
        let refused = manager.post("/accounts/bulk-update", &body(&all, Value::Null)).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/expected")), "{all}");
        let answer = manager.post("/accounts/bulk-update", &body(&all, json!(3))).await.expect(200);
        assert_eq!(answer["total"], 3);
    }
    let none = json!({ "and": [{ "field": "portfolio", "value": "south" }, { "not": north }] });
    assert_eq!(manager.post("/accounts/bulk-update", &body(&none, json!(0))).await.expect(200)["results"], json!([]));
    let overdue = json!({ "filter": { "field": "isOverdue", "value": true }, "tz": "Asia/Tokyo", "set": { "tags": [] } });
    assert_eq!(manager.post("/accounts/bulk-update", &overdue).await.expect(200)["total"], 0);
    let wrong = manager.post("/accounts/bulk-update", &body(&json!({ "field": "colour", "value": 1 }), Value::Null)).await;
    assert_eq!((wrong.status, &wrong.body["errors"][0]["pointer"]), (400, &json!("/filter")));
}

#[tokio::test]
async fn payments_keep_their_rules_and_the_ledger_in_bulk() {
    let test = start().await;
    let manager = test.client(Role::Manager).await;
    let ids = accounts(&manager, 2).await;
    let mut payments = Vec::new();
    for (account, status) in [(&ids[1], "pending"), (&ids[0], "pending"), (&ids[1], "pending"), (&ids[0], "success")] {
        let new = json!({ "amount": 10, "method": "cash", "status": status });
        payments.push(id(&manager.post(&format!("/accounts/{account}/payments"), &new).await.expect(201)));
    }
    let free = id(&manager.post("/payments", &json!({ "amount": 5, "method": "cash", "currency": "EUR" })).await.expect(201));
    let body = json!({ "ids": payments, "set": { "status": "success", "description": "counted" } });
    let answer = manager.patch("/payments/batch", &body).await.expect(200);
    assert_eq!(results(&answer), [("updated", ""); 4]);
    let balance = async |account: &str| manager.get(&format!("/accounts/{account}")).await.expect(200)["balance"].clone();
    assert_eq!((balance(&ids[0]).await, balance(&ids[1]).await), (json!(80.0), json!(80.0)));
    let items = json!({ "items": [
        { "id": payments[0], "status": "pending" },
        { "id": payments[1], "amount": 11 },
        { "id": payments[2], "status": "reversed" },
        { "id": free, "accountId": ids[0], "status": "success" },
    ]});
    let answer = manager.patch("/payments/batch", &items).await.expect(200);
    let expected = [("failed", "status_not_allowed"), ("failed", "payment_settled"), ("updated", ""), ("updated", "")];
    assert_eq!(results(&answer), expected);
    assert_eq!((balance(&ids[0]).await, balance(&ids[1]).await), (json!(75.0), json!(90.0)));
    let agent = test.agent().await;
    let refund = json!({ "ids": [payments[0]], "set": { "status": "refunded" } });
    assert_eq!(results(&agent.patch("/payments/batch", &refund).await.expect(200)), [("failed", "forbidden")]);
}

#[tokio::test]
async fn customers_change_in_bulk_with_their_contact_points() {
    let test = start().await;
    let agent = test.agent().await;
    let mut ids = Vec::new();
    for name in ["Ann", "Ben", "Cleo"] {
        ids.push(id(&agent.post("/customers", &json!({ "name": name, "externalId": format!("X-{name}") })).await.expect(201)));
    }
    let body = json!({ "ids": ids, "set": { "language": "de", "metadata": { "score": 1.10 } } });
    assert_eq!(agent.patch("/customers/batch", &body).await.expect(200)["updated"], 3);
    let items = json!({ "items": [
        { "id": ids[0], "phone": "+1 415 555 2671" },
        { "id": ids[1], "externalId": "X-Ann" },
        { "id": ids[2], "contactPoints": [{ "kind": "email", "value": "cleo@example.org" }], "givenName": "Cleo" },
    ]});
    let answer = agent.patch("/customers/batch", &items).await.expect(200);
    assert_eq!(results(&answer), [("updated", ""), ("failed", "duplicate"), ("updated", "")]);
    assert_eq!(agent.get(&format!("/customers/{}", ids[0])).await.expect(200)["phone"], "+1 415 555 2671");
    assert_eq!(agent.get(&format!("/customers/{}", ids[2])).await.expect(200)["email"], "cleo@example.org");
    let plain = agent.get(&format!("/customers/{}", ids[1])).await;
    assert!(plain.text.contains(r#""metadata":{"score":1.1}"#) && plain.body["language"] == "de", "{}", plain.text);
}

#[tokio::test]
async fn activities_change_in_bulk_and_those_of_others_are_corrected_by_managers_alone() {
    let test = start().await;
    let (manager, agent) = (test.client(Role::Manager).await, test.agent().await);
    let account = accounts(&manager, 1).await.remove(0);
    let note = async |by: &Client, note: &str| {
        let new = json!({ "type": "note", "note": note });
        id(&by.post(&format!("/accounts/{account}/activities"), &new).await.expect(201))
    };
    let (own, others) = (note(&agent, "called").await, note(&manager, "wrote").await);
    let pin = json!({ "ids": [own, others], "set": { "isPinned": true } });
    assert_eq!(results(&agent.patch("/activities/batch", &pin).await.expect(200)), [("updated", ""); 2]);
    let items = json!({ "items": [
        { "id": own, "type": "call", "occurredAt": "2026-01-31T10:00:00Z", "note": "called, no answer" },
        { "id": others, "note": "wrote a letter" },
    ]});
    assert_eq!(results(&agent.patch("/activities/batch", &items).await.expect(200)), [("updated", ""), ("failed", "forbidden")]);
    let contact = manager.get(&format!("/accounts/{account}")).await.expect(200)["lastContactAt"].clone();
    assert_eq!(contact, "2026-01-31T10:00:00.000Z");
    let corrected = manager.patch("/activities/batch", &json!({ "items": [items["items"][1]] })).await.expect(200);
    assert_eq!(corrected["updated"], 1);
}

#[tokio::test]
async fn the_same_key_changes_records_once_and_ten_bulk_changes_a_minute_are_admitted() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "10"]).await;
    let agent = test.agent().await;
    let ids = accounts(&agent, 1).await;
    let body = json!({ "ids": ids, "set": { "product": "loan" } });
    let keyed = agent.with("idempotency-key", "once");
    let first = keyed.post("/accounts/bulk-update", &body).await;
    let again = keyed.post("/accounts/bulk-update", &body).await;
    assert_eq!((first.status, &first.body), (200, &again.body));
    assert_eq!(again.header("idempotent-replayed"), "true");
    for _ in 0..8 {
        agent.post("/accounts/bulk-update", &body).await.expect(200);
    }
    let refused = agent.post("/accounts/bulk-update", &body).await;
    assert_eq!((refused.status, refused.code()), (429, "quota_exceeded"));
}
