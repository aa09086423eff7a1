//! Activities through HTTP: what agents write about an account, what it tells the account, and how it is found again.

use collections::auth::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;

/// An account of a new customer: its id.
async fn account(client: &Client) -> String {
    let new = json!({ "customer": { "name": "Ann Autumn" }, "amountDue": 100, "currency": "EUR" });
    client.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap().to_owned()
}

fn path(activity: &Value) -> String {
    format!("/activities/{}", activity["id"].as_str().unwrap())
}

async fn note(client: &Client, account: &str, note: &str) -> Value {
    client.post(&format!("/accounts/{account}/activities"), &json!({ "type": "note", "note": note })).await.expect(201)
}

#[tokio::test]
async fn a_contact_moves_the_accounts_last_contact_and_a_note_does_not() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let id = account(&agent).await;
    let account = format!("/accounts/{id}");
    note(&agent, &id, "look at the file").await;
    assert_eq!(agent.get(&account).await.expect(200)["lastContactAt"], Value::Null);
    let call = |at: &str| json!({ "type": "Call", "disposition": "No_Answer", "accountId": id, "occurredAt": at });
    let made = agent.post("/activities", &call("2026-01-05T10:00:00Z")).await.expect(201);
    assert_eq!((&made["type"], &made["disposition"], &made["note"]), (&json!("call"), &json!("no_answer"), &Value::Null));
    assert_eq!(
        (&made["customerName"], &made["accountNumber"]),
        (&json!("Ann Autumn"), &agent.get(&account).await.body["accountNumber"])
    );
    assert!(made["userName"].is_string() && made["userId"].is_string(), "{made}");
    assert_eq!(agent.get(&account).await.expect(200)["lastContactAt"], "2026-01-05T10:00:00.000Z");
    // What is told later about an earlier call changes nothing.
    agent
        .post("/activities", &json!({ "type": "sms", "note": "hello", "accountId": id, "occurredAt": "2026-01-04T10:00:00Z" }))
        .await
        .expect(201);
    assert_eq!(agent.get(&account).await.expect(200)["lastContactAt"], "2026-01-05T10:00:00.000Z");
    let later = json!({ "occurredAt": "2026-01-06T10:00:00Z" });
    agent.patch(&path(&made), &later).await.expect(200);
    assert_eq!(agent.get(&account).await.expect(200)["lastContactAt"], "2026-01-06T10:00:00.000Z");
}

#[tokio::test]
async fn bad_activities_are_refused_with_every_fault() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let id = account(&agent).await;
    let faults = async |body: Value| {
        let refused = agent.post(&format!("/accounts/{id}/activities"), &body).await.expect(422);
        let of = |error: &Value| format!("{} {}", error["pointer"].as_str().unwrap(), error["code"].as_str().unwrap());
        refused["errors"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(faults(json!({})).await, ["/type required", "/note required"]);
    assert_eq!(faults(json!({ "type": "note", "note": "x".repeat(10_001) })).await, ["/note too_long"]);
    let tomorrow = (test.clock.now() + chrono::TimeDelta::days(1)).to_rfc3339();
    assert_eq!(faults(json!({ "type": "note", "note": "x".repeat(1_000_000) })).await, ["/note too_long"]);
    let over_the_limit = json!({ "type": "note", "note": "x".repeat(1 << 20) });
    assert_eq!(agent.post(&format!("/accounts/{id}/activities"), &over_the_limit).await.status, 413);
    assert_eq!(faults(json!({ "type": 1, "note": "a" })).await, ["/type wrong_type"]);
    // Each business has its own types.
    assert_eq!(faults(json!({ "type": "x".repeat(101), "note": "a" })).await, ["/type too_long"]);
    assert_eq!(faults(json!({ "type": "note", "note": "a", "occurredAt": tomorrow })).await, ["/occurredAt in_the_future"]);
    assert_eq!(faults(json!({ "type": "note", "note": "a", "userId": "x", "mood": 1 })).await.len(), 2);
    let missing = "00000000-0000-7000-8000-000000000000";
    let body = json!({ "type": "note", "note": "a" });
    assert_eq!(agent.post(&format!("/accounts/{missing}/activities"), &body).await.status, 404);
    assert_eq!(agent.post("/activities", &body).await.expect(422)["errors"][0]["code"], "required");
    let body = json!({ "type": "note", "note": "a", "accountId": missing });
    assert_eq!(agent.post("/activities", &body).await.expect(422)["errors"][0]["code"], "unknown_account");
    assert_eq!(test.client(Role::Viewer).await.post("/activities", &body).await.status, 403);
}

#[tokio::test]
async fn the_same_activity_twice_within_minutes_is_refused_and_shows_the_first() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    let id = account(&agent).await;
    let path = format!("/accounts/{id}/activities");
    let body = json!({ "type": "call", "note": "promises to pay" });
    let answers = join_all((0..6).map(|_| agent.post(&path, &body))).await;
    let made: Vec<&Value> = answers.iter().filter(|answer| answer.status == 201).map(|answer| &answer.body).collect();
    assert_eq!(made.len(), 1);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((refused.status, refused.code()), (409, "repeated_activity"));
        assert_eq!(refused.body["existing"]["id"], made[0]["id"]);
    }
    let other = test.client(Role::Manager).await;
    other.post(&path, &body).await.expect(201);
    agent.post(&path, &json!({ "type": "call", "note": "does not promise to pay" })).await.expect(201);
    let earlier = "update activities set created_at = created_at - interval '6 minutes'";
    sqlx::query(earlier).execute(&test.database.pool).await.unwrap();
    agent.post(&path, &body).await.expect(201);
}

#[tokio::test]
async fn a_correction_keeps_what_stood_there_and_is_the_authors() {
    let test = TestApp::start_api(&[]).await;
    let (agent, manager) = (test.agent().await, test.client(Role::Manager).await);
    test.user("colleague", Role::Agent).await;
    let colleague = test.sign_in("colleague").await;
    let id = account(&agent).await;
    let written = note(&agent, &id, "owes 10").await;
    assert_eq!(colleague.patch(&path(&written), &json!({ "note": "owes nothing" })).await.status, 403);
    agent.patch(&path(&written), &json!({ "note": "owes 100" })).await.expect(200);
    manager.patch(&path(&written), &json!({ "disposition": "dispute" })).await.expect(200);
    // A pin is no correction.
    assert_eq!(colleague.post(&format!("{}/pin", path(&written)), &json!({})).await.expect(200)["isPinned"], true);
    assert_eq!(colleague.post(&format!("{}/unpin", path(&written)), &json!({})).await.expect(200)["isPinned"], false);
    let history = agent.get(&format!("{}/history", path(&written))).await.expect(200);
    let notes: Vec<&Value> = history["data"].as_array().unwrap().iter().map(|state| &state["note"]).collect();
    assert_eq!(notes, ["owes 100", "owes 10"]);
    assert_eq!(history["data"][1]["version"], 1);
    let stale = agent.with("if-match", "\"v1\"").patch(&path(&written), &json!({ "note": "?" })).await;
    assert_eq!(stale.status, 412);
    agent.patch(&path(&written), &json!({ "note": null })).await.expect(200);
    agent.patch(&path(&written), &json!({ "disposition": null })).await.expect(422);

    assert_eq!(agent.delete(&path(&written)).await.status, 403);
    assert_eq!(manager.delete(&path(&written)).await.status, 204);
    assert_eq!(agent.get(&path(&written)).await.status, 404);
    assert_eq!(agent.get(&format!("{}/history", path(&written))).await.status, 404);
    manager.post(&format!("{}/restore", path(&written)), &json!({})).await.expect(200);
}

#[tokio::test]
async fn the_latest_activities_of_many_accounts_come_in_one_answer() {
    let test = TestApp::start_api(&["--default-time-zone", "Europe/Berlin"]).await;
    let agent = test.agent().await;
    let (one, other, empty) = (account(&agent).await, account(&agent).await, account(&agent).await);
    for (account, kind, at) in [
        (&one, "call", "2026-01-05T22:30:00Z"),
        (&one, "note", "2026-01-05T23:30:00Z"),
        (&one, "call", "2026-01-07T12:00:00Z"),
        (&other, "call", "2026-01-06T12:00:00Z"),
    ] {
        let new = json!({ "type": kind, "note": format!("at {at}"), "accountId": account, "occurredAt": at });
        agent.post("/activities", &new).await.expect(201);
    }
    let bulk =
        async |more: &str| agent.get(&format!("/activities/bulk?accountIds={one},{other},{empty}{more}")).await.expect(200);
    let count = |body: &Value, account: &String| body["data"][account].as_array().unwrap().len();
    let all = bulk("").await;
    assert_eq!([&one, &other, &empty].map(|account| count(&all, account)), [3, 1, 0]);
    assert_eq!(all["data"][&one][0]["occurredAt"], "2026-01-07T12:00:00.000Z", "the latest first");
    let latest = bulk("&limitPerAccount=1").await;
    assert_eq!([&one, &other].map(|account| count(&latest, account)), [1, 1]);
    let calls = bulk("&type=call&from=2026-01-06&to=2026-01-06").await;
    assert_eq!([&one, &other].map(|account| count(&calls, account)), [0, 1], "days are those of Berlin");
    let day = bulk("&from=2026-01-06&to=2026-01-06").await;
    assert_eq!([&one, &other].map(|account| count(&day, account)), [1, 1]);
    let utc = bulk("&from=2026-01-05&to=2026-01-05&tz=UTC").await;
    assert_eq!(count(&utc, &one), 2);

    let ids = (0..101).map(|n| format!("00000000-0000-7000-8000-{n:012}")).collect::<Vec<_>>().join(",");
    for wrong in [
        "",
        "accountIds=",
        "accountIds=abc",
        &format!("accountIds={ids}"),
        &format!("accountIds={one}&limitPerAccount=0"),
        &format!("accountIds={one}&limitPerAccount=101"),
        &format!("accountIds={one}&colour=red"),
        &format!("accountIds={one}&from=soon"),
        &format!("accountIds={one}&from=2026-02-01&to=2026-01-01"),
        &format!("accountIds={one}&tz=Mars"),
    ] {
        let refused = agent.get(&format!("/activities/bulk?{wrong}")).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_parameter"), "{wrong}");
    }
}

#[tokio::test]
async fn activities_are_found_by_their_words_their_customer_and_their_account() {
    let test = TestApp::start().await;
    let agent = test.agent().await;
    let id = account(&agent).await;
    let customer = agent.get(&format!("/accounts/{id}")).await.expect(200)["customerId"].as_str().unwrap().to_owned();
    note(&agent, &id, "Promises to pay when the Überweisung arrives").await;
    note(&agent, &account(&agent).await, "something else").await;
    test.settle().await;
    for query in [
        "/activities?q=uberweisung",
        &format!("/accounts/{id}/activities"),
        &format!("/customers/{customer}/activities?type=note&isPinned=false"),
        &format!("/activities?accountId={id}&sort=-occurredAt&include=account"),
    ] {
        let list = agent.get(query).await.expect(200);
        assert_eq!((&list["total"], &list["engine"]), (&json!(1), &json!("elasticsearch")), "{query}: {list}");
    }
    let found = agent.get("/search?q=uberweisung").await.expect(200);
    let group = found["groups"].as_array().unwrap().iter().find(|group| group["type"] == "activities").unwrap();
    assert_eq!(group["total"], 1, "{found}");
    let facets = agent.get("/activities?facets=type&limit=1").await.expect(200);
    assert!(facets["facets"]["type"].is_array() || facets["facets"]["type"].is_object(), "{facets}");
}
