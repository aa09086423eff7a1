//! What a role may do is data, and counts at once.

use collections::auth::Role;
use serde_json::json;

use super::faults;
use crate::harness::app::TestApp;
use crate::harness::eventually::eventually;

#[tokio::test]
async fn a_permission_counts_from_the_next_request_on() {
    let test = TestApp::start_api(&[]).await;
    let (admin, agent) = (test.admin().await, test.agent().await);
    let customer = json!({ "name": "Ann" });
    agent.post("/customers", &customer).await.expect(201);
    let taken = admin.put("/roles/agent/permissions", &json!({ "permissions": ["read"] })).await.expect(200);
    assert_eq!((&taken["role"], &taken["permissions"]), (&json!("agent"), &json!(["read"])));
    agent.post("/customers", &customer).await.expect(403);
    assert_eq!(agent.get("/auth/me").await.expect(200)["permissions"], json!(["read"]));
    let given = json!({ "permissions": ["manage", "edit", "read", "read"] });
    admin.put("/roles/AGENT/permissions", &given).await.expect(200);
    let customer = agent.post("/customers", &customer).await.expect(201);
    agent.delete(&format!("/customers/{}", customer["id"].as_str().unwrap())).await.expect(204);
    let roles = agent.get("/roles").await.expect(200);
    assert_eq!(roles["data"][1]["permissions"], json!(["read", "edit", "manage"]));

    // Also a change in psql, when Postgres has told the server.
    sqlx::query("delete from permissions where role = 'agent' and permission = 'edit'")
        .execute(&test.database.pool)
        .await
        .unwrap();
    eventually("the permission is gone", async || agent.post("/customers", &json!({ "name": "Bob" })).await.status == 403).await;
}

#[tokio::test]
async fn roles_begin_with_a_ladder_of_permissions() {
    let test = TestApp::start_api(&[]).await;
    let roles = test.client(Role::Viewer).await.get("/roles").await.expect(200);
    let ladder: Vec<_> =
        roles["data"].as_array().unwrap().iter().map(|role| json!([role["role"], role["permissions"]])).collect();
    assert_eq!(
        ladder,
        [
            json!(["viewer", ["read"]]),
            json!(["agent", ["read", "personal", "reveal", "edit"]]),
            json!(["manager", ["read", "personal", "reveal", "edit", "manage", "import", "export", "supervise"]]),
            json!([
                "admin",
                ["read", "personal", "reveal", "edit", "manage", "import", "export", "supervise", "operate", "administer"]
            ]),
        ]
    );
}

#[tokio::test]
async fn a_role_is_changed_only_in_the_version_that_the_admin_has_seen() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let version = admin.get("/roles").await.expect(200)["data"][0]["version"].clone();
    let conditional = admin.with("if-match", &format!("\"v{version}\""));
    let more = json!({ "permissions": ["read", "personal"] });
    let changed = conditional.put("/roles/viewer/permissions", &more).await.expect(200);
    let stale = conditional.put("/roles/viewer/permissions", &json!({ "permissions": ["read", "edit"] })).await;
    assert_eq!((stale.status, &stale.body["currentVersion"]), (412, &changed["version"]));
}

#[tokio::test]
async fn every_role_reads_and_only_admins_administer() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    for (role, body, expected) in [
        ("viewer", json!({ "permissions": [] }), &["/permissions required"][..]),
        ("viewer", json!({ "permissions": ["edit"] }), &["/permissions required"]),
        ("manager", json!({ "permissions": ["read", "administer"] }), &["/permissions not_acceptable"]),
        ("admin", json!({ "permissions": ["read", "edit"] }), &["/permissions required"]),
        ("agent", json!({ "permissions": ["read", "fly"] }), &["/permissions/1 unknown_value"]),
        ("agent", json!({ "permissions": "read" }), &["/permissions wrong_type"]),
        ("agent", json!({ "permissions": vec!["read"; 100] }), &["/permissions too_many"]),
        ("agent", json!({}), &["/permissions required"]),
        ("agent", json!({ "permissions": ["read"], "version": 1 }), &["/version unknown_member"]),
    ] {
        assert_eq!(faults(admin.put(&format!("/roles/{role}/permissions"), &body).await), expected, "{role} {body}");
    }
    let body = json!({ "permissions": ["read"] });
    assert_eq!(admin.put("/roles/king/permissions", &body).await.code(), "not_found");
    assert_eq!(test.client(Role::Manager).await.put("/roles/viewer/permissions", &body).await.status, 403);
    // Two at once leave one of both.
    let (one, other) = (json!({ "permissions": ["read", "edit"] }), json!({ "permissions": ["read", "manage"] }));
    for _ in 0..5 {
        tokio::join!(admin.put("/roles/agent/permissions", &one), admin.put("/roles/agent/permissions", &other));
        let left = admin.get("/roles").await.expect(200)["data"][1]["permissions"].clone();
        assert!(left == one["permissions"] || left == other["permissions"], "{left}");
    }
}
