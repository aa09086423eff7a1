//! The addresses of jobs: who sees which, filters and pages.

use collections::auth::Role;
use collections::jobs::Terms;
use collections::values::ids::UserId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::kinds::{Count, Quick, Workers, enqueue, enqueue_as, prepare, until};
use crate::harness::app::TestApp;
use crate::harness::client::Client;

async fn id_of(client: &Client) -> UserId {
    let profile = client.get("/auth/profile").await.expect(200);
    UserId(profile["id"].as_str().unwrap().parse::<Uuid>().unwrap())
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn users_see_and_control_their_own_jobs_and_managers_all() {
    let test = TestApp::start_api(&[]).await;
    prepare(&test.database).await;
    let (agent, other) = (test.agent().await, test.agent().await);
    let (manager, admin) = (test.client(Role::Manager).await, test.admin().await);
    let own = enqueue_as(&test.database, &Quick::default(), Terms::default().by(id_of(&agent).await)).await.id().to_string();
    let scheduled = enqueue(&test.database, &Quick::default()).await.to_string();
    for (client, visible) in
        [(&agent, vec![&own]), (&other, vec![]), (&manager, vec![&scheduled, &own]), (&admin, vec![&scheduled, &own])]
    {
        let list = client.get("/jobs").await.expect(200);
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), visible);
        for id in [&own, &scheduled] {
            let status = if visible.contains(&id) { 200 } else { 404 };
            client.get(&format!("/jobs/{id}")).await.expect(status);
            client.get(&format!("/jobs/{id}/items")).await.expect(status);
            client.post(&format!("/jobs/{id}/pause"), &json!({})).await.expect(status);
            client.post(&format!("/jobs/{id}/resume"), &json!({})).await.expect(status);
        }
    }
}

#[tokio::test]
async fn a_job_has_stable_members() {
    let test = TestApp::start_api(&[]).await;
    prepare(&test.database).await;
    let manager = test.client(Role::Manager).await;
    let id = enqueue_as(&test.database, &Count { items: 2, chunk: 1, ..Count::default() }, Terms::default().of(2)).await.id();
    let queued = manager.get(&format!("/jobs/{id}")).await.expect(200);
    let members: Vec<_> = queued.as_object().unwrap().keys().cloned().collect();
    let mut always =
        ["id", "kind", "status", "total", "processed", "succeeded", "failed", "createdAt", "startedAt", "finishedAt"].to_vec();
    always.sort_unstable();
    assert_eq!(
        {
            let mut members = members;
            members.sort();
            members
        },
        always
    );
    assert_eq!((&queued["status"], &queued["total"], &queued["startedAt"]), (&json!("queued"), &json!(2), &json!(null)));
    let _workers = Workers::start(&test.database);
    until(&test.database, id, collections::jobs::State::Succeeded).await;
    let done = manager.get(&format!("/jobs/{id}")).await.expect(200);
    assert_eq!((&done["kind"], &done["resultUrl"], &done["processed"]), (&json!("it_count"), &json!("/counted"), &json!(2)));
    assert!(done["finishedAt"].as_str().unwrap().ends_with('Z'), "{done}");
}

#[tokio::test]
async fn jobs_are_listed_the_newest_first_by_kind_and_status() {
    let test = TestApp::start_api(&[]).await;
    prepare(&test.database).await;
    let manager = test.client(Role::Manager).await;
    let mut all = Vec::new();
    for at in 0..5 {
        all.push(match at % 2 {
            0 => enqueue(&test.database, &Quick::default()).await.to_string(),
            _ => enqueue(&test.database, &Count::default()).await.to_string(),
        });
    }
    all.reverse();
    let mut walked = Vec::new();
    let mut path = "/jobs?limit=2".to_owned();
    loop {
        let page = manager.get(&path).await.expect(200);
        walked.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/jobs?limit=2&cursor={cursor}");
    }
    assert_eq!(walked, all);
    manager.post(&format!("/jobs/{}/cancel", all[0]), &json!({})).await.expect(200);
    assert_eq!(ids(&manager.get("/jobs?kind=it_count").await.expect(200)), [all[1].clone(), all[3].clone()]);
    assert_eq!(ids(&manager.get("/jobs?status=cancelled").await.expect(200)), [all[0].clone()]);
    assert_eq!(ids(&manager.get("/jobs?status=queued&kind=it_quick").await.expect(200)), [all[2].clone(), all[4].clone()]);
    for query in ["status=lost", "limit=0", "limit=1001", "cursor=x", "colour=red"] {
        let refused = manager.get(&format!("/jobs?{query}")).await;
        assert!(refused.status == 400, "{query}: {}", refused.body);
    }
    let refused = manager.get(&format!("/jobs/{}/items?kind=it_quick", all[0])).await;
    assert_eq!((refused.status, refused.code()), (400, "bad_parameter"));
}
