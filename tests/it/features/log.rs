//! The log of Postgres: no violated constraint puts personal data into it.

use collections::auth::Role;
use collections::features::users::store;
use futures_util::future::join_all;
use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;

#[tokio::test]
async fn values_that_are_taken_stay_out_of_the_log_of_postgres() {
    let cluster = Cluster::start().await;
    let test = TestApp::start_api_on(Database::create_on(cluster.url()).await).await;
    let agent = test.agent().await;
    let id = |body: &serde_json::Value| body["id"].as_str().unwrap().to_owned();

    let first = json!({ "name": "Planted Name", "externalId": "planted-id", "amountDue": 1, "accountNumber": "planted-number" });
    agent.post("/customers", &first).await.expect(201);
    for again in [
        json!({ "name": "Planted Name", "externalId": "planted-id" }),
        json!({ "name": "Planted Name", "amountDue": 1, "accountNumber": "planted-number" }),
    ] {
        assert_eq!(agent.post("/customers", &again).await.expect(409)["code"], "duplicate");
    }
    let account = json!({ "customer": { "name": "Planted Name" }, "accountNumber": "planted-number" });
    assert_eq!(agent.post("/accounts", &account).await.expect(409)["errors"][0]["pointer"], "/accountNumber");
    let account = json!({ "customer": { "name": "Planted Name", "externalId": "planted-id" } });
    assert_eq!(agent.post("/accounts", &account).await.expect(409)["errors"][0]["pointer"], "/customer/externalId");

    let other = agent.post("/accounts", &json!({ "customer": { "name": "Other", "phone": "4155552671" } })).await.expect(201);
    let (account, customer) =
        (format!("/accounts/{}", id(&other)), format!("/customers/{}", other["customerId"].as_str().unwrap()));
    let refused = agent.patch(&account, &json!({ "accountNumber": "planted-number" })).await.expect(409);
    assert_eq!(refused["errors"][0]["pointer"], "/accountNumber");
    let refused = agent.patch(&customer, &json!({ "externalId": "planted-id" })).await.expect(409);
    assert_eq!(refused["errors"][0]["pointer"], "/externalId");
    agent.patch(&account, &json!({ "accountNumber": "free-number" })).await.expect(200);
    agent.patch(&customer, &json!({ "externalId": "free-id" })).await.expect(200);

    // Of ten at once nine wait for the first, and then find the value taken.
    let many = (0..10).map(async |n| {
        let new = json!({ "name": format!("Planted {n}"), "externalId": "planted-race" });
        agent.post("/customers", &new).await.status
    });
    let statuses = join_all(many).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 409].contains(status)), "{statuses:?}");

    let new = store::New {
        username: "planted-user",
        email: Some("planted@example.com"),
        name: Some("Planted Name"),
        role: Role::Viewer,
        password_hash: "planted-hash",
    };
    let add =
        async |new: store::New<'_>| store::insert(&test.database.pool, new, test.clock.now()).await.map_err(|error| error.code());
    assert!(add(store::New { ..new }).await.is_ok());
    assert_eq!(add(store::New { username: "PLANTED-USER", ..new }).await, Err("username_taken"));
    assert_eq!(add(store::New { username: "planted-other", ..new }).await, Err("email_taken"));
    assert_eq!(add(store::New { username: "p", ..new }).await, Err("invalid"));

    sqlx::query("select 'the log is read' / 0").execute(&test.database.pool).await.unwrap_err();
    let log = cluster.log();
    assert!(log.contains("the log is read"), "{log}");
    let planted = log.lines().find(|line| line.to_lowercase().contains("planted"));
    assert_eq!(planted, None);
}

#[tokio::test]
async fn contact_points_exchange_their_values() {
    let cluster = Cluster::start().await;
    let test = TestApp::start_api_on(Database::create_on(cluster.url()).await).await;
    let agent = test.agent().await;
    let (one, two) = (
        json!({ "kind": "email", "value": "planted-1@example.com" }),
        json!({ "kind": "email", "value": "planted-2@example.com" }),
    );
    let made = agent.post("/customers", &json!({ "name": "Ann", "contactPoints": [one, two] })).await.expect(201);
    let path = format!("/customers/{}", made["id"].as_str().unwrap());
    let ids = [&made["contactPoints"][0]["id"], &made["contactPoints"][1]["id"]];
    let values = [&made["contactPoints"][1]["value"], &made["contactPoints"][0]["value"]];
    let exchanged = json!({ "contactPoints": [{ "id": ids[0], "value": values[0] }, { "id": ids[1], "value": values[1] }] });
    let changed = agent.patch(&path, &exchanged).await.expect(200);
    for point in changed["contactPoints"].as_array().unwrap() {
        let at = ids.iter().position(|id| **id == point["id"]).unwrap();
        assert_eq!((&point["value"], &point["normalized"]), (values[at], values[at]));
    }
    let twice = json!({ "contactPoints": [{ "id": ids[0], "value": "same@planted.com" }, { "id": ids[1], "value": "same@planted.com" }] });
    assert_eq!(agent.patch(&path, &twice).await.expect(422)["errors"][0]["code"], "duplicate");
    assert!(!cluster.log().contains("planted"), "{}", cluster.log());
}
