//! Managers manage agents and viewers, and get no rights by it.

use collections::auth::Role;
use serde_json::json;

use super::{NEW_PASSWORD, make, path};
use crate::harness::app::TestApp;

#[tokio::test]
async fn managers_see_and_manage_agents_and_viewers_only() {
    let test = TestApp::start_api(&[]).await;
    let (admin, manager) = (test.admin().await, test.client(Role::Manager).await);
    for (role, username) in [(Role::Viewer, "vi"), (Role::Agent, "ag"), (Role::Manager, "ma"), (Role::Admin, "ad")] {
        let is_managed = matches!(role, Role::Viewer | Role::Agent);
        let user = make(&admin, username, role).await;
        let seen = manager.get("/users?limit=100").await.expect(200);
        assert_eq!(seen["data"].as_array().unwrap().contains(&user), is_managed, "{role:?} in {seen}");
        let answers = [
            manager.get(&path(&user)).await,
            manager.patch(&path(&user), &json!({ "name": "Named" })).await,
            manager.post(&format!("{}/disable", path(&user)), &json!({})).await,
            manager.post(&format!("{}/enable", path(&user)), &json!({})).await,
        ];
        for answer in answers {
            assert_eq!(answer.status, if is_managed { 200 } else { 404 }, "{role:?}: {}", answer.body);
        }
        let password = json!({ "password": "another long password" });
        let set = manager.post(&format!("{}/password", path(&user)), &password).await;
        assert_eq!(set.status, if is_managed { 204 } else { 404 }, "{role:?}: {}", set.body);

        let new = json!({ "username": format!("{username}2"), "password": NEW_PASSWORD, "role": role.as_str() });
        assert_eq!(manager.post("/users", &new).await.status, if is_managed { 201 } else { 403 }, "{role:?}");
        let invited = json!({ "email": format!("{username}3@example.org"), "role": role.as_str() });
        assert_eq!(manager.post("/users/invitations", &invited).await.status, if is_managed { 201 } else { 403 }, "{role:?}");
    }
    let agent = manager.get("/users?q=ag2").await.expect(200)["data"][0].clone();
    for role in ["manager", "admin"] {
        let raised = manager.patch(&path(&agent), &json!({ "role": role })).await;
        assert_eq!((raised.status, raised.code()), (403, "forbidden"));
    }
    manager.patch(&path(&agent), &json!({ "role": "viewer" })).await.expect(200);
    for client in [test.agent().await, test.client(Role::Viewer).await] {
        assert_eq!(client.get("/users").await.status, 403);
    }
}

/// Else a new password of an agent would give the manager what agents may do.
#[tokio::test]
async fn a_manager_does_not_manage_a_role_that_may_do_more() {
    let test = TestApp::start_api(&[]).await;
    let (admin, manager) = (test.admin().await, test.client(Role::Manager).await);
    let agent = make(&admin, "ag", Role::Agent).await;
    manager.get(&path(&agent)).await.expect(200);
    let more = json!({ "permissions": ["read", "edit", "operate"] });
    admin.put("/roles/agent/permissions", &more).await.expect(200);
    manager.get(&path(&agent)).await.expect(404);
    let password = json!({ "password": "another long password" });
    manager.post(&format!("{}/password", path(&agent)), &password).await.expect(404);
    let new = json!({ "username": "ag2", "password": NEW_PASSWORD, "role": "agent" });
    manager.post("/users", &new).await.expect(403);
    admin.get(&path(&agent)).await.expect(200);
}
