//! What readers want of notifications: their own, read or not, masked, and only the kinds that they like.

use collections::auth::Role;
use serde_json::json;

use super::{account_of, kinds, list, person, tell};
use crate::harness::app::TestApp;

#[tokio::test]
async fn each_reads_and_marks_only_the_own_notifications() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent, other) =
        (person(&test, Role::Manager).await, person(&test, Role::Agent).await, person(&test, Role::Agent).await);
    for _ in 0..3 {
        let account = account_of(&manager.client, &agent.id).await;
        let pay = json!({ "amount": 1, "method": "cash", "status": "success" });
        manager.client.post(&format!("/accounts/{account}/payments"), &pay).await.expect(201);
    }
    tell(&test).await;
    let unread = async || agent.client.get("/notifications/count").await.expect(200);
    assert_eq!(unread().await["unread"], 6);
    let first = agent.client.get("/notifications?limit=4&unread=true").await.expect(200);
    let next = first["nextCursor"].as_str().unwrap();
    let rest = agent.client.get(&format!("/notifications?limit=4&unread=true&cursor={next}")).await.expect(200);
    assert_eq!((first["data"].as_array().unwrap().len(), rest["data"].as_array().unwrap().len()), (4, 2));

    let id = &first["data"][0]["id"];
    let marked = |answer: serde_json::Value| answer["marked"].clone();
    assert_eq!(marked(other.client.post("/notifications/read", &json!({ "ids": [id] })).await.expect(200)), 0);
    assert_eq!(marked(agent.client.post("/notifications/read", &json!({ "ids": [id] })).await.expect(200)), 1);
    assert_eq!(marked(agent.client.post("/notifications/read", &json!({ "ids": [id] })).await.expect(200)), 0);
    assert_eq!(marked(agent.client.post("/notifications/read", &json!({ "group": "account.assigned" })).await.expect(200)), 3);
    let counted = unread().await;
    assert_eq!((&counted["unread"], &counted["byKind"][0]["kind"]), (&json!(2), &json!("payment.received")));
    assert_eq!(marked(agent.client.post("/notifications/read", &json!({ "all": true })).await.expect(200)), 2);
    assert_eq!(unread().await["unread"], 0);
    assert_eq!(list(&agent).await.len(), 6, "those that were read stay");

    for body in [json!({}), json!({ "all": true, "ids": [] }), json!({ "group": "weather" }), json!({ "all": true, "x": 1 })] {
        agent.client.post("/notifications/read", &body).await.expect(422);
    }
    for query in ["unread=maybe", "kind=weather", "before=1"] {
        assert_eq!(agent.client.get(&format!("/notifications?{query}")).await.code(), "bad_parameter", "{query}");
    }
}

#[tokio::test]
async fn names_are_masked_for_those_who_see_no_personal_data() {
    let test = TestApp::start_api(&[]).await;
    let (manager, viewer) = (person(&test, Role::Manager).await, person(&test, Role::Viewer).await);
    account_of(&manager.client, &viewer.id).await;
    tell(&test).await;
    let told = list(&viewer).await;
    let text = told[0]["text"].as_str().unwrap();
    assert!(text.contains("J••• S•••") && !text.contains("Smith"), "{text}");
}

#[tokio::test]
async fn what_a_user_does_not_want_to_be_told_is_not_told() {
    let test = TestApp::start_api(&[]).await;
    let (manager, agent) = (person(&test, Role::Manager).await, person(&test, Role::Agent).await);
    let preferences = agent.client.get("/notifications/preferences").await.expect(200);
    assert!(preferences["preferences"].as_array().unwrap().iter().all(|one| one["isEnabled"] == true));
    let wanted =
        |is_enabled: bool| json!({ "preferences": [{ "kind": "account.assigned", "channel": "app", "isEnabled": is_enabled }] });
    agent.client.put("/notifications/preferences", &wanted(false)).await.expect(200);
    let account = account_of(&manager.client, &agent.id).await;
    let pay = json!({ "amount": 1, "method": "cash", "status": "success" });
    manager.client.post(&format!("/accounts/{account}/payments"), &pay).await.expect(201);
    tell(&test).await;
    assert_eq!(kinds(&list(&agent).await), ["payment.received"]);
    agent.client.put("/notifications/preferences", &wanted(true)).await.expect(200);
    account_of(&manager.client, &agent.id).await;
    tell(&test).await;
    assert_eq!(kinds(&list(&agent).await), ["account.assigned", "payment.received"]);
    for body in [
        json!({ "preferences": [{ "kind": "weather", "channel": "app", "isEnabled": true }] }),
        json!({ "preferences": [{ "kind": "job.ended", "channel": "smoke", "isEnabled": true }] }),
        json!({ "preferences": [{ "kind": "job.ended" }] }),
    ] {
        agent.client.put("/notifications/preferences", &body).await.expect(422);
    }
}
