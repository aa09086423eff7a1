//! Customers through HTTP: what is taken, what is refused and where, and that no write overwrites another unseen.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Answer;

/// The violations of a refused request, as `pointer code`.
fn violations(answer: &Answer) -> Vec<String> {
    let violations = answer.body["errors"].as_array().unwrap_or_else(|| panic!("no violations in {}", answer.body));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    violations.iter().map(|violation| format!("{} {}", text(&violation["pointer"]), text(&violation["code"]))).collect()
}

#[tokio::test]
async fn a_customer_comes_back_as_it_was_made() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let new = json!({
        "externalId": " C-1 ", "givenName": "Zoë", "familyName": "Nuñez", "dateOfBirth": "1980-02-29", "language": "es",
        "timeZone": "America/Bogota", "tags": ["vip", "vip", "late"], "metadata": { "source": { "file": 7 } },
        "phone": "(415) 555-2671", "email": "Zoe@Example.com",
        "addresses": [{ "line1": "1 Main St", "city": "Springfield", "country": "us" }],
    });
    let made = agent.post("/customers", &new).await;
    assert!(made.header("etag").starts_with("\"v1-"), "{}", made.header("etag"));
    assert!(made.header("x-sync-token").contains('/'), "a write tells its position");
    let location = made.header("location").to_owned();
    let body = made.expect(201);
    assert_eq!(body["name"], "Zoë Nuñez");
    assert_eq!(body["externalId"], "C-1");
    assert_eq!(body["tags"], json!(["vip", "late"]));
    assert_eq!(body["phone"], "(415) 555-2671");
    assert_eq!(body["contactPoints"][0]["normalized"], "+14155552671");
    assert_eq!(body["addresses"][0]["country"], "US");
    assert_eq!(agent.get(&location).await.expect(200), body);
    assert_eq!(agent.get(&location.replace("/api/v1", "/api")).await.expect(200), body);
    let created_by: Option<uuid::Uuid> =
        sqlx::query_scalar("select created_by from customers").fetch_one(&test.database.pool).await.unwrap();
    assert!(created_by.is_some());
}

#[tokio::test]
async fn every_fault_is_named_at_once_with_its_place() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let refused = agent
        .post(
            "/customers",
            &json!({
                "name": "x".repeat(201), "kind": "robot", "dateOfBirth": "1980-02-30", "language": "english", "timeZone": "a b",
                "tags": ["x".repeat(51)], "metadata": { "": 1 }, "taxId": "", "phone": "none",
                "addresses": [{ "line1": "1 Main St", "country": "USA" }, { "city": "Nowhere" }],
                "amountDue": "1.234", "currency": "usd", "dueDate": "soon",
            }),
        )
        .await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    let mut found = violations(&refused);
    found.sort();
    assert_eq!(
        found,
        [
            "/addresses/0/country not_a_country",
            "/addresses/1/line1 required",
            "/amountDue too_many_decimals",
            "/dateOfBirth not_a_day",
            "/dueDate not_a_day",
            "/kind unknown_value",
            "/language not_a_language",
            "/metadata not_plain",
            "/name too_long",
            "/phone not_a_contact",
            "/tags/0 too_long",
            "/taxId too_short",
            "/timeZone not_a_time_zone",
        ]
    );
    assert_eq!(agent.post("/customers", &json!({ "name": "Ann", "balance": 1 })).await.status / 100, 4);
    assert_eq!(agent.post("/customers", &json!({ "name": "nul\u{0}" })).await.status / 100, 4);
    assert_eq!(violations(&agent.post("/customers", &json!({})).await), ["/name required"]);
    let rows: i64 = sqlx::query_scalar("select count(*) from customers").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn absent_members_stay_and_null_clears_them() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let new = json!({ "givenName": "Ann", "familyName": "Lee", "taxId": "T1", "tags": ["a"], "metadata": { "a": 1, "b": 2 } });
    let id = agent.post("/customers", &new).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/customers/{id}");
    let patch = json!({ "taxId": null, "metadata": { "a": null, "c": 3 } });
    let patched = agent.patch(&path, &patch).await.expect(200);
    assert_eq!(patched["taxId"], Value::Null);
    assert_eq!(patched["metadata"], json!({ "b": 2, "c": 3 }));
    assert_eq!((&patched["name"], &patched["tags"]), (&json!("Ann Lee"), &json!(["a"])));
    assert_eq!(patched["version"], 2);

    let same = agent.patch(&path, &patch).await;
    assert!(same.header("etag").starts_with("\"v2-"), "a change that changes nothing keeps the version");
    let merged = agent.put(&format!("/api{path}"), &json!({ "taxId": "T2" })).await.expect(200);
    assert_eq!((&merged["givenName"], &merged["taxId"]), (&json!("Ann"), &json!("T2")));
    let replaced = agent.put(&path, &json!({ "name": "Other" })).await.expect(200);
    assert_eq!((&replaced["givenName"], &replaced["tags"]), (&Value::Null, &json!([])));
    assert_eq!(agent.put(&path, &json!({ "taxId": "T3" })).await.expect(422)["code"], "invalid");
}

#[tokio::test]
async fn a_set_of_contact_points_is_replaced_and_counted_as_a_version() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let set = json!([
        { "kind": "phone", "value": "415 555 2671", "label": "home" },
        { "kind": "Phone", "value": "415 555 2672", "isPrimary": true, "state": "valid" },
        { "kind": "email", "value": "a@example.com" },
    ]);
    let made = agent.post("/customers", &json!({ "name": "Ann", "contactPoints": set })).await.expect(201);
    assert_eq!(made["phone"], "415 555 2672");
    let path = format!("/customers/{}", made["id"].as_str().unwrap());
    let home = made["contactPoints"].as_array().unwrap().iter().find(|point| point["label"] == "home").unwrap()["id"].clone();

    let kept = json!({ "contactPoints": [{ "id": home, "isPrimary": true }, { "kind": "email", "value": "b@example.com" }] });
    let changed = agent.patch(&path, &kept).await.expect(200);
    assert_eq!(changed["version"], 2);
    assert_eq!(changed["contactPoints"].as_array().unwrap().len(), 2);
    assert_eq!((&changed["phone"], &changed["email"]), (&json!("415 555 2671"), &json!("b@example.com")));
    assert!(changed["contactPoints"].as_array().unwrap().iter().any(|point| point["id"] == home && point["label"] == "home"));

    let sent_back = json!({ "contactPoints": changed["contactPoints"], "addresses": changed["addresses"] });
    assert_eq!(agent.patch(&path, &sent_back).await.expect(200)["version"], 2);
    let twice = json!({ "contactPoints": [{ "kind": "email", "value": "A@x.y" }, { "kind": "email", "value": "a@X.Y" }] });
    assert_eq!(violations(&agent.patch(&path, &twice).await), ["/contactPoints/1/value duplicate"]);
    let cleared = agent.patch(&path, &json!({ "contactPoints": [] })).await.expect(200);
    assert_eq!((&cleared["phone"], &cleared["contactPoints"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn an_external_id_belongs_to_one_customer() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    agent.post("/customers", &json!({ "name": "Ann", "externalId": "C-1" })).await.expect(201);
    let refused = agent.post("/customers", &json!({ "name": "Bob", "externalId": "C-1", "amountDue": 5 })).await;
    assert_eq!((refused.status, refused.code()), (409, "duplicate"));
    assert_eq!(violations(&refused), ["/externalId duplicate"]);
    assert!(!refused.body.to_string().contains("Bob"), "an error repeats no personal data");
    let accounts: i64 = sqlx::query_scalar("select count(*) from accounts").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(accounts, 0, "nothing of a refused request stays");
}

#[tokio::test]
async fn of_many_changes_of_one_version_a_single_one_is_taken() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let id = agent.post("/customers", &json!({ "name": "Ann" })).await.expect(201)["id"].as_str().unwrap().to_owned();
    let path = format!("/customers/{id}");
    let editor = agent.with("if-match", "\"v1\"");
    let answers = join_all((0..10).map(|n| {
        let (editor, path) = (editor.clone(), path.clone());
        async move { editor.patch(&path, &json!({ "name": format!("Ann {n}") })).await }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for stale in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!((stale.status, stale.code()), (412, "stale"), "{}", stale.body);
        assert!(stale.body["detail"].as_str().unwrap().contains("version 2"), "{}", stale.body);
    }
    for (tags, status) in [
        ("v1", 400),
        ("\"v1\" \"v2\"", 400),
        ("*, \"v2\"", 400),
        ("W/\"v2\"", 412),
        ("\"v1\", W/\"v2\"", 412),
        ("\"another\"", 412),
        ("\"v1\", \"v2\"", 200),
        ("\"another\",, \"v2-5c1f2a90\"", 200),
    ] {
        assert_eq!(agent.with("if-match", tags).patch(&path, &json!({})).await.status, status, "{tags}");
    }
    assert_eq!(agent.with("if-match", "*").patch(&path, &json!({ "name": "Bea" })).await.expect(200)["version"], 3);
}

#[tokio::test]
async fn a_deleted_customer_is_gone_until_it_is_restored_with_its_accounts() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let made =
        manager.post("/customers", &json!({ "name": "Ann", "amountDue": "12.50", "dueDate": "2026-01-31" })).await.expect(201);
    assert_eq!((&made["accountCount"], &made["balance"]), (&json!(1), &json!(12.5)));
    let path = format!("/customers/{}", made["id"].as_str().unwrap());
    assert_eq!(test.agent().await.delete(&path).await.status, 403);
    assert_eq!(manager.with("if-match", "\"v9\"").delete(&path).await.status, 412);
    let refused = manager.delete(&path).await;
    assert_eq!((refused.status, refused.code()), (409, "open_accounts"));
    let problem = refused.expect(409);
    assert_eq!((&problem["openAccountCount"], &problem["openAccounts"][0]["balance"]), (&json!(1), &json!(12.5)));
    assert_eq!(manager.delete(&format!("{path}?force=perhaps")).await.status, 400);
    manager.delete(&format!("{path}?force=true")).await.expect(204);
    manager.delete(&path).await.expect(404);
    manager.get(&path).await.expect(404);
    manager.patch(&path, &json!({ "name": "Bea" })).await.expect(404);
    let deleted = manager.get(&format!("{path}?includeDeleted=true")).await.expect(200);
    assert!(deleted["deletedAt"].is_string());
    assert_eq!(deleted["accountCount"], 0);
    let refused = manager.post("/accounts", &json!({ "customerId": made["id"] })).await;
    assert_eq!(violations(&refused), ["/customerId unknown_customer"]);
    let restore = format!("{path}/restore");
    let tag = manager.get(&format!("{path}?includeDeleted=true")).await.header("etag").to_owned();
    assert_eq!(manager.with("if-match", "\"v1\"").post(&restore, &json!({})).await.code(), "stale");
    let restored = manager.with("if-match", &tag).post(&restore, &json!({})).await.expect(200);
    assert_eq!((&restored["deletedAt"], &restored["accountCount"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn a_viewer_reads_and_writes_nothing() {
    let test = TestApp::start_api(&[]).await;
    let made = test.agent().await.post("/customers", &json!({ "name": "Ann" })).await.expect(201);
    let path = format!("/customers/{}", made["id"].as_str().unwrap());
    let viewer = test.client(Role::Viewer).await;
    viewer.get(&path).await.expect(200);
    viewer.post("/customers", &json!({ "name": "Bob" })).await.expect(403);
    viewer.patch(&path, &json!({ "name": "Bob" })).await.expect(403);
    viewer.put(&path, &json!({ "name": "Bob" })).await.expect(403);
    viewer.delete(&path).await.expect(403);
    test.anonymous().get(&path).await.expect(401);
    viewer.get("/customers/00000000-0000-7000-8000-000000000000").await.expect(404);
    viewer.get("/customers/not-an-id").await.expect(404);
}

#[tokio::test]
async fn single_contact_points_and_addresses_have_their_own_address() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let made = agent.post("/customers", &json!({ "name": "Ann", "phone": "415 555 2671" })).await.expect(201);
    let path = format!("/customers/{}", made["id"].as_str().unwrap());
    let new = json!({ "kind": "phone", "value": "415 555 2672", "isPrimary": true });
    let added = agent.post(&format!("{path}/contact-points"), &new).await;
    assert_eq!((added.status, added.header("etag").starts_with("\"v2-")), (201, true), "{}", added.body);
    let location = added.header("location").to_owned();
    let customer = agent.get(&path).await.expect(200);
    assert_eq!((&customer["phone"], &customer["version"]), (&json!("415 555 2672"), &json!(2)));
    let again = agent.post(&format!("{path}/contact-points"), &json!({ "kind": "phone", "value": "+1 415 555 2671" })).await;
    assert_eq!(violations(&again), ["/value duplicate"]);
    assert_eq!(agent.patch(&location, &json!({ "state": "wrong" })).await.expect(200)["state"], "wrong");
    assert_eq!(violations(&agent.patch(&location, &json!({ "value": "x" })).await), ["/value too_short"]);
    agent.with("if-match", "\"v2\"").delete(&location).await.expect(412);
    agent.delete(&location).await.expect(204);
    agent.delete(&location).await.expect(404);
    assert_eq!(agent.get(&path).await.expect(200)["phone"], "415 555 2671");

    let added = agent.post(&format!("{path}/addresses"), &json!({ "line1": "1 Main St" })).await;
    let location = added.header("location").to_owned();
    assert_eq!(added.expect(201)["isPrimary"], true);
    assert_eq!(agent.patch(&location, &json!({ "city": "Bonn", "country": "de" })).await.expect(200)["country"], "DE");
    agent.patch(&location, &json!({ "line1": null })).await.expect(422);
    agent.delete(&location).await.expect(204);
    assert_eq!(agent.get(&path).await.expect(200)["addresses"], json!([]));
}

#[tokio::test]
async fn a_known_customer_is_sent_again_once_it_owes_something_else() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let customer = agent.post("/customers", &json!({ "name": "Ann", "amountDue": "10", "currency": "USD" })).await;
    let path = format!("/customers/{}", customer.body["id"].as_str().unwrap());
    let seen = agent.get(&path).await;
    let knowing = agent.with("if-none-match", seen.header("etag"));
    assert_eq!(knowing.get(&path).await.status, 304);
    let accounts = agent.get(&format!("/accounts?customerId={}", customer.body["id"].as_str().unwrap())).await.expect(200);
    let payment = json!({ "amount": "4", "method": "cash", "status": "success", "receiver": "Front desk" });
    let account = accounts["data"][0]["id"].as_str().unwrap();
    agent.post(&format!("/accounts/{account}/payments"), &payment).await.expect(201);
    assert_eq!(knowing.get(&path).await.expect(200)["balance"].to_string(), "6.0");
    agent.with("if-match", seen.header("etag")).patch(&path, &json!({ "tags": ["vip"] })).await.expect(200);
}
