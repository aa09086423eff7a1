//! Who exports, and what the audit log says of it.

use collections::auth::Role;
use serde_json::{Value, json};

use super::COLLECTIONS;
use crate::harness::app::TestApp;

#[tokio::test]
async fn agents_export_once_they_are_granted_it() {
    let test = TestApp::start_api(&[]).await;
    let (agent, viewer, admin) = (test.agent().await, test.client(Role::Viewer).await, test.admin().await);
    for collection in COLLECTIONS {
        let path = format!("/{collection}/export");
        assert_eq!(test.anonymous().get(&path).await.status, 401, "{collection}");
        assert_eq!(viewer.get(&path).await.status, 403, "{collection}");
        assert_eq!(agent.get(&path).await.status, 403, "{collection}");
        assert_eq!(test.client(Role::Manager).await.get(&path).await.status, 200, "{collection}");
    }
    let granted = json!({ "permissions": ["read", "personal", "reveal", "edit", "export"] });
    admin.put("/roles/agent/permissions", &granted).await.expect(200);
    for collection in COLLECTIONS {
        assert_eq!(agent.get(&format!("/{collection}/export")).await.status, 200, "{collection}");
        let deleted = agent.get(&format!("/{collection}/export?includeDeleted=true")).await;
        assert_eq!(deleted.status, 403, "{collection}");
    }
}

#[tokio::test]
async fn every_export_is_in_the_audit_log_without_what_was_typed() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    manager.post("/customers", &json!({ "name": "Jane Canary" })).await.expect(201);
    let path = "/customers/export?q=canary&status=active&format=jsonl&columns=name,status";
    assert_eq!(manager.get(path).await.status, 200);
    let entry: (String, Option<uuid::Uuid>, Value) =
        sqlx::query_as("select kind, actor, details from audit_log where action = 'export'")
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
    let (kind, actor, details) = entry;
    assert_eq!((kind.as_str(), actor.is_some()), ("customers", true));
    assert_eq!(details["columns"], json!(["name", "status"]));
    assert_eq!((&details["format"], &details["rows"]), (&json!("jsonl"), &json!(1)));
    assert!(details["fields"].as_array().unwrap().contains(&json!("status")), "{details}");
    assert!(details["q"].is_string() && !details.to_string().contains("anary"), "{details}");
}

#[tokio::test]
async fn exports_count_as_bulk_requests() {
    let test = TestApp::start_api(&["--rate-limit-bulk", "2"]).await;
    let manager = test.client(Role::Manager).await;
    assert_eq!(manager.get("/payments/export").await.status, 200);
    assert_eq!(manager.get("/payments/export?format=jsonl").await.status, 200);
    let refused = manager.get("/customers/export").await;
    assert_eq!((refused.status, refused.code()), (429, "quota_exceeded"));
    assert_eq!(manager.get("/customers").await.status, 200);
}
