//! Bodies of bulk changes that are refused whole, before anything is done.

use collections::auth::Role;
use serde_json::{Value, json};

use super::{ABSENT, accounts, start};

#[tokio::test]
async fn what_is_wrong_with_a_body_is_said_before_anything_is_done() {
    let test = start().await;
    let agent = test.agent().await;
    let ids = accounts(&agent, 2).await;
    let before = agent.get("/accounts?sort=createdAt").await.expect(200)["data"].clone();
    let many: Vec<String> = (0..10_001).map(|number| format!("00000000-0000-7000-8000-{number:012}")).collect();
    let set = |set: Value| json!({ "ids": ids, "set": set });
    for (body, expected) in [
        (json!({}), &[("/set", "required"), ("", "required")][..]),
        (json!({ "ids": ids, "filter": {}, "set": { "tags": [] } }), &[("", "required")]),
        (json!({ "ids": ids }), &[("/set", "required")]),
        (set(json!({})), &[("/set", "required")]),
        (set(json!([])), &[("/set", "wrong_type"), ("/set", "required")]),
        (set(json!({ "balance": 5 })), &[("/set/balance", "not_changeable")]),
        (
            set(json!({ "balance": "100.00", "version": 1 })),
            &[("/set/balance", "not_changeable"), ("/set/version", "not_changeable")],
        ),
        (set(json!({ "id": ABSENT })), &[("/set/id", "not_changeable")]),
        (
            set(json!({ "colour": "red", "daysPastDue": 1 })),
            &[("/set/colour", "unknown_member"), ("/set/daysPastDue", "unknown_member")],
        ),
        (
            set(json!({ "dueDate": "soon", "tags": "a", "creditor": 5, "status": "gold", "assigneeId": "me" })),
            &[
                ("/set/dueDate", "not_a_day"),
                ("/set/status", "unknown_value"),
                ("/set/assigneeId", "not_acceptable"),
                ("/set/creditor", "wrong_type"),
                ("/set/tags", "wrong_type"),
            ],
        ),
        (json!({ "ids": [], "set": { "tags": [] } }), &[("/ids", "out_of_range")]),
        (json!({ "ids": ids[0], "set": { "tags": [] } }), &[("/ids", "wrong_type")]),
        (json!({ "ids": many, "set": { "tags": [] } }), &[("/ids", "out_of_range")]),
        (
            json!({ "ids": [ids[0], "abc", 7, ids[0]], "set": { "tags": [] } }),
            &[("/ids/1", "wrong_type"), ("/ids/2", "wrong_type"), ("/ids/3", "duplicate")],
        ),
        (
            json!({ "items": [5, {}, { "id": ids[0] }, { "id": ids[1], "version": "x", "balance": 1 }], "expected": 4 }),
            &[
                ("/items/0", "wrong_type"),
                ("/items/1/id", "required"),
                ("/items/1", "required"),
                ("/items/2", "required"),
                ("/items/3/version", "wrong_type"),
                ("/items/3/balance", "not_changeable"),
                ("/expected", "unknown_member"),
            ],
        ),
        (json!({ "items": [{ "id": ids[0], "tags": [] }], "set": { "tags": [] } }), &[("/set", "conflicting")]),
        (
            json!({ "filter": {}, "expected": -1, "set": { "tags": [] }, "colour": 1 }),
            &[("/expected", "wrong_type"), ("/colour", "unknown_member")],
        ),
    ] {
        for path in ["/accounts/bulk-update", "/api/accounts/bulk-update"] {
            let refused = agent.post(path, &body).await;
            assert_eq!((refused.status, refused.code()), (422, "invalid"), "{body}");
            let found: Vec<(&str, &str)> = refused.body["errors"]
                .as_array()
                .unwrap()
                .iter()
                .map(|error| (error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap()))
                .collect();
            assert_eq!(found, expected, "{}", body.to_string().chars().take(200).collect::<String>());
        }
    }
    assert_eq!(agent.get("/accounts?sort=createdAt").await.expect(200)["data"], before);
}

#[tokio::test]
async fn each_resource_checks_its_own_members() {
    let test = start().await;
    let agent = test.agent().await;
    for (path, set, expected) in [
        ("/customers/batch", json!({ "name": null, "timeZone": "Mars", "phone": 5 }), &["/set/phone", "/set/timeZone"][..]),
        ("/customers/batch", json!({ "amountDue": 5, "balances": [] }), &["/set/amountDue", "/set/balances"]),
        (
            "/payments/batch",
            json!({ "amount": "x", "accountId": 5, "method": "gold" }),
            &["/set/accountId", "/set/amount", "/set/method"],
        ),
        ("/payments/batch", json!({ "accountNumber": "1" }), &["/set/accountNumber"]),
        ("/activities/batch", json!({ "accountId": ABSENT, "isPinned": 1 }), &["/set/accountId", "/set/isPinned"]),
        ("/activities/batch", json!({ "type": "x".repeat(101), "note": "x".repeat(1_000_000) }), &["/set/note", "/set/type"]),
    ] {
        let refused = agent.patch(path, &json!({ "ids": [ABSENT], "set": set })).await;
        assert_eq!(refused.status, 422, "{path} {expected:?}: {}", refused.body);
        let mut found: Vec<&str> =
            refused.body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
}

#[tokio::test]
async fn a_mask_is_not_stored_by_a_caller_who_sees_masks() {
    let test = start().await;
    let (admin, manager) = (test.admin().await, test.client(Role::Manager).await);
    let customer = manager.post("/customers", &json!({ "name": "Ann Autumn", "taxId": "12345678901" })).await.expect(201);
    admin.put("/roles/agent/permissions", &json!({ "permissions": ["read", "edit"] })).await.expect(200);
    let agent = test.agent().await;
    let items = json!({ "items": [{ "id": customer["id"], "taxId": "•••9999", "language": "de" }] });
    let answer = agent.patch("/customers/batch", &items).await.expect(200);
    assert_eq!(answer["results"][0]["error"]["errors"][0]["code"], "masked", "{answer}");
    let found_out = json!({ "filter": { "field": "name", "op": "match", "value": "aut" }, "set": { "language": "de" } });
    let refused = agent.patch("/customers/batch", &found_out).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"));
    agent.patch("/customers/batch", &json!({ "items": [{ "id": customer["id"], "language": "de" }] })).await.expect(200);
    assert_eq!(manager.get("/customers").await.expect(200)["data"][0]["taxId"], "12345678901");
}
