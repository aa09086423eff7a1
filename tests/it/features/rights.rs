//! Who may do what: the permission of every address, and what only managers do is done by no other way.

use collections::api::Authority;
use collections::auth::{Permission, Role};
use collections::imports::intake::Wish;
use collections::imports::run::Task;
use collections::imports::store::{self, Options};
use collections::imports::{Decimal, Target};
use collections::{jobs, server, worker};
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::imports::harness::{start, store_file, wish};

/// What the documents say of an address; none if it is open to all.
fn documented(method: &str, path: &str) -> Option<Permission> {
    if path == "/api/metrics" {
        return Some(Permission::Operate);
    }
    let path = path.trim_start_matches("/api").trim_start_matches("/v1");
    Some(match (method, path) {
        (_, "/auth/login" | "/auth/refresh" | "/auth/refresh-token" | "/auth/logout") => return None,
        (_, "/auth/register" | "/metrics" | "/openapi.json" | "/postman.json" | "-docs") => return None,
        (_, path) if path.starts_with("/auth/password/") => return None,
        (_, path) if path.starts_with("/health") || path.starts_with("/docs") => return None,
        (_, path) if path.starts_with("/sync/") => Permission::Operate,
        // With a session of its own, or by a signed link.
        ("GET", path) if path.starts_with("/exports/") && path.ends_with("/file") => return None,
        (_, path) if path.ends_with("/export") || path.starts_with("/exports") => Permission::Export,
        ("GET", "/audit") => Permission::Administer,
        ("GET", "/analytics/usage") => Permission::Supervise,
        ("POST", path) if path.ends_with("/reveal") => Permission::Reveal,
        (_, path) if path.starts_with("/users") => Permission::Supervise,
        ("PUT", path) if path.starts_with("/roles") => Permission::Administer,
        (_, path) if path.starts_with("/auth/") => Permission::Read,
        ("POST", path) if path.ends_with("/approve") => Permission::Manage,
        (_, path) if path.starts_with("/imports") || path.ends_with("/bulk-upload") => Permission::Import,
        ("GET", _) => Permission::Read,
        ("POST", path) if path.ends_with("/search") => Permission::Read,
        // Who changes one is a matter of its owner.
        (_, path) if path.starts_with("/saved-searches") || path.starts_with("/jobs") => Permission::Read,
        // Their own.
        (_, path) if path.starts_with("/notifications") => Permission::Read,
        // They belong to the customer, so taking one away changes it.
        ("DELETE", path) if path.contains("/contact-points/") || path.contains("/addresses/") => Permission::Edit,
        ("DELETE", _) => Permission::Manage,
        ("POST", path) if path.ends_with("/restore") || path.ends_with("/ledger") => Permission::Manage,
        _ => Permission::Edit,
    })
}

/// What the documents say of roles, before an admin has changed what one may do.
fn has(role: Role, permission: Permission) -> bool {
    match permission {
        Permission::Read => true,
        Permission::Personal | Permission::Reveal | Permission::Edit => role != Role::Viewer,
        Permission::Manage | Permission::Import | Permission::Export | Permission::Supervise => {
            matches!(role, Role::Manager | Role::Admin)
        }
        Permission::Operate | Permission::Administer => role == Role::Admin,
    }
}

#[tokio::test]
async fn every_address_needs_the_documented_permission() {
    let test = TestApp::start_api(&[]).await;
    let table = server::routes(&test.app).table();
    assert!(table.len() > 60, "{}", table.len());
    for row in &table {
        let documented = documented(&row.method, &row.path);
        let access = documented.map_or("public".to_owned(), |permission| format!("{permission:?}"));
        assert_eq!(row.access, access, "{} {}", row.method, row.path);
    }
    for role in Role::ALL {
        let shown = test.client(role).await.get("/auth/profile").await.expect(200)["permissions"].clone();
        let documented: Vec<&str> = Permission::ALL.into_iter().filter(|one| has(role, *one)).map(Permission::name).collect();
        assert_eq!(shown, json!(documented), "{role:?}");
    }
}

/// Sends a body as an agent, who is refused, and then as a manager.
async fn only_managers(test: &TestApp, send: impl AsyncFn(&Client) -> crate::harness::client::Answer) -> Value {
    let refused = send(&test.agent().await).await;
    assert_eq!((refused.status, refused.code()), (403, "forbidden"), "{}", refused.body);
    let answer = send(&test.client(Role::Manager).await).await;
    assert!(answer.status < 300, "{}", answer.body);
    answer.body
}

#[tokio::test]
async fn only_managers_open_with_a_credit_or_beyond_every_payment() {
    let test = TestApp::start_api(&["--payment-max", "1000"]).await;
    for (path, body) in [
        ("/accounts", json!({ "customer": { "name": "Ann" }, "balance": "-0.01" })),
        ("/accounts", json!({ "customer": { "name": "Ann" }, "balance": "1000.01" })),
        ("/accounts", json!({ "customer": { "name": "Ann" }, "amountDue": 1001 })),
        ("/accounts", json!({ "customer": { "name": "Ann" }, "originalAmount": 1001 })),
        ("/accounts", json!({ "customer": { "name": "Ann" }, "amountDue": "1000.001", "currency": "KWD" })),
        ("/customers", json!({ "name": "Ann", "amountDue": "1000.01" })),
    ] {
        only_managers(&test, async |client| client.post(path, &body).await).await;
    }
    let agent = test.agent().await;
    agent.post("/accounts", &json!({ "customer": { "name": "Ann" }, "balance": 1000, "originalAmount": 2000 })).await.expect(201);
    let customers: i64 = sqlx::query_scalar("select count(*) from customers").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(customers, 7, "nothing of what was refused stays");
}

#[tokio::test]
async fn only_managers_write_off_and_refund() {
    let test = TestApp::start_api(&[]).await;
    let (agent, written_off) = (test.agent().await, json!({ "status": "written_off" }));
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 10, "status": "written_off" });
    only_managers(&test, async |client| client.post("/accounts", &new).await).await;
    let open = json!({ "customer": { "name": "Ann" }, "amountDue": 10 });
    let account = agent.post("/accounts", &open).await.expect(201);
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    only_managers(&test, async |client| client.patch(&path, &written_off).await).await;
    agent.patch(&path, &json!({ "creditor": "ACME", "status": "written_off" })).await.expect(200);
    // Back again is a write-off undone.
    only_managers(&test, async |client| client.put(&path, &json!({ "status": "open" })).await).await;
    agent.put(&path, &json!({ "status": "closed" })).await.expect(200);

    let paid = json!({ "amount": 5, "method": "cash", "status": "success" });
    let payment = agent.post(&format!("{path}/payments"), &paid).await.expect(201);
    let payment = format!("/payments/{}", payment["id"].as_str().unwrap());
    only_managers(&test, async |client| client.patch(&payment, &json!({ "status": "refunded" })).await).await;
    let payment = agent.post(&format!("{path}/payments"), &paid).await.expect(201);
    // The bank took it back, and the agent only says so.
    agent.patch(&format!("/payments/{}", payment["id"].as_str().unwrap()), &json!({ "status": "reversed" })).await.expect(200);
}

#[tokio::test]
async fn only_managers_see_deleted_records() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let account = manager.post("/accounts", &json!({ "customer": { "name": "Ann" } })).await.expect(201);
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    manager.delete(&path).await.expect(204);
    for path in [path.as_str(), &format!("{path}/ledger"), "/accounts", "/customers", "/payments", &format!("{path}/payments")] {
        for flag in ["includeDeleted=true", "includeDeleted=1", "includeDeleted", "includeDeleted=false&includeDeleted=true"] {
            only_managers(&test, async |client| client.get(&format!("{path}?{flag}")).await).await;
        }
        let agent = test.agent().await;
        assert_ne!(agent.get(&format!("{path}?includeDeleted=false")).await.status, 403);
        assert_eq!(agent.get(&format!("{path}?includeDeleted=perhaps")).await.status, 400);
    }
}

#[tokio::test]
async fn every_change_of_a_record_asks_for_its_version_if_the_settings_do() {
    let test = TestApp::start_api(&["--require-if-match", "true"]).await;
    let manager = test.client(Role::Manager).await;
    let account = manager.post("/accounts", &json!({ "customer": { "name": "Ann" } })).await;
    let path = format!("/accounts/{}", account.body["id"].as_str().unwrap());
    let restore = format!("{path}/restore");
    let none = json!({});
    for answer in [manager.patch(&path, &none).await, manager.put(&path, &none).await, manager.delete(&path).await] {
        assert_eq!(answer.code(), "precondition_required");
    }
    manager.with("if-match", account.header("etag")).delete(&path).await.expect(204);
    assert_eq!(manager.post(&restore, &none).await.code(), "precondition_required");
    let deleted = manager.get(&format!("{path}?includeDeleted=true")).await;
    manager.with("if-match", deleted.header("etag")).post(&restore, &none).await.expect(200);
}

#[tokio::test]
async fn an_import_obeys_the_rules_of_the_ledger() {
    let test = TestApp::start_api(&["--payment-max", "1000"]).await;
    let file = "accountNumber,customerExternalId,customerName,balance,status\n\
                A1,C1,Ann,1000,open\nA2,C1,Ann,-1,open\nA3,C1,Ann,1000.01,open\nA4,C1,Ann,1,written_off\nA5,C1,Ann,0.999,open\n";
    for (authority, expected) in [
        (Authority::Ordinary, &["3 forbidden", "4 forbidden", "5 forbidden", "6 too_many_decimals"][..]),
        (Authority::Full, &["6 too_many_decimals"]),
    ] {
        let options = Options { decimal: Some(Decimal::Dot), ..Options::default() };
        let import = store_file(&test.app, Wish { options, ..wish(Target::Accounts) }, file).await.unwrap();
        let set = sqlx::query("update imports set authority = $1").bind(authority).execute(&test.app.db.server).await;
        set.unwrap();
        let job = start(&test.app, import.id, Task::Commit).await.unwrap();
        jobs::work(&test.app, worker::kinds(), job).await.unwrap();
        let (issues, _) = store::rows::issues(&test.app.db.server, import.id, 0, 100).await.unwrap();
        let issues: Vec<String> = issues.iter().map(|issue| format!("{} {}", issue.row, issue.code)).collect();
        assert_eq!(issues, expected, "{authority:?}");
    }
}
