//! Cancel, pause, resume and retry through HTTP.

use collections::auth::Role;
use collections::jobs::State;
use collections::values::ids::JobId;
use serde_json::json;

use super::kinds::{Count, Fault, Quick, Workers, assert_counted, enqueue, job, mend, prepare, until};
use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};
use crate::harness::database::Database;
use crate::harness::eventually::eventually;

async fn ask(client: &Client, id: JobId, what: &str) -> Answer {
    client.post(&format!("/jobs/{id}/{what}"), &json!({})).await
}

async fn start() -> (TestApp, Client) {
    let test = TestApp::start_api(&[]).await;
    prepare(&test.database).await;
    let manager = test.client(Role::Manager).await;
    (test, manager)
}

/// A job of 60 items that has begun.
async fn begun(database: &Database) -> JobId {
    let id = enqueue(database, &Count { items: 60, chunk: 3, pause_ms: 50, ..Count::default() }).await;
    eventually("it has done a chunk", async || job(database, id).await.processed > 0).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_cancelled_between_two_chunks() {
    let (test, manager) = start().await;
    let _workers = Workers::start(&test.database);
    let id = begun(&test.database).await;
    let asked = ask(&manager, id, "cancel").await.expect(200);
    assert!(asked["status"] == "cancelled" || asked["requested"] == "cancel", "{asked}");
    let cancelled = until(&test.database, id, State::Cancelled).await;
    assert!(cancelled.processed < 60 && cancelled.finished_at.is_some(), "{cancelled:?}");
    assert_counted(&test.database, id, cancelled.processed).await;
    ask(&manager, id, "cancel").await.expect(200);
    for (what, code) in [("pause", "job_finished"), ("resume", "job_finished"), ("retry", "job_not_failed")] {
        let refused = ask(&manager, id, what).await;
        assert_eq!((refused.status, refused.code()), (409, code), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_goes_on_where_it_was() {
    let (test, manager) = start().await;
    let _workers = Workers::start(&test.database);
    let id = begun(&test.database).await;
    ask(&manager, id, "pause").await.expect(200);
    let paused = until(&test.database, id, State::Paused).await;
    assert!(paused.processed < 60 && paused.finished_at.is_none(), "{paused:?}");
    assert_eq!(ask(&manager, id, "pause").await.expect(200)["status"], "paused");
    assert_eq!(job(&test.database, id).await.processed, paused.processed);
    ask(&manager, id, "resume").await.expect(200);
    until(&test.database, id, State::Succeeded).await;
    assert_counted(&test.database, id, 60).await;
}

#[tokio::test]
async fn a_job_that_waits_is_controlled_at_once() {
    let (test, manager) = start().await;
    let id = enqueue(&test.database, &Count::default()).await;
    for (what, status) in
        [("resume", "queued"), ("pause", "paused"), ("resume", "queued"), ("pause", "paused"), ("cancel", "cancelled")]
    {
        assert_eq!(ask(&manager, id, what).await.expect(200)["status"], status, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_does_the_failed_items_alone() {
    let (test, manager) = start().await;
    let _workers = Workers::start(&test.database);
    let id = enqueue(&test.database, &Count { items: 50, chunk: 8, failing: 10, ..Count::default() }).await;
    let partial = until(&test.database, id, State::Partial).await;
    assert_eq!((partial.total, partial.processed, partial.succeeded, partial.failed), (Some(50), 50, 45, 5));
    let items = manager.get(&format!("/jobs/{id}/items?status=failed&limit=3")).await.expect(200);
    let first = &items["data"][0];
    assert_eq!(
        (&first["item"], &first["code"], &first["message"]),
        (&json!("10"), &json!("it_failed"), &json!("as every so often"))
    );
    let cursor = items["nextCursor"].as_str().unwrap();
    let rest = manager.get(&format!("/jobs/{id}/items?status=failed&limit=3&cursor={cursor}")).await.expect(200);
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["nextCursor"]), (2, &json!(null)));

    let retried = ask(&manager, id, "retry").await.expect(200);
    assert_eq!((&retried["status"], &retried["processed"], &retried["failed"]), (&json!("queued"), &json!(45), &json!(0)));
    let again = until(&test.database, id, State::Partial).await;
    assert_eq!((again.processed, again.failed), (50, 5), "they fail as before");
    mend(&test.database).await;
    ask(&manager, id, "retry").await.expect(200);
    let mended = until(&test.database, id, State::Succeeded).await;
    assert_eq!((mended.total, mended.processed, mended.succeeded, mended.failed), (Some(50), 50, 50, 0));
    assert_counted(&test.database, id, 50).await;
    assert_eq!(manager.get(&format!("/jobs/{id}/items?status=failed")).await.expect(200)["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_an_item_that_succeeded_has_failed_and_can_be_retried() {
    let (test, manager) = start().await;
    let _workers = Workers::start(&test.database);
    let id = enqueue(&test.database, &Count { items: 5, chunk: 2, failing: 1, ..Count::default() }).await;
    assert_eq!(until(&test.database, id, State::Failed).await.failed, 5);
    mend(&test.database).await;
    ask(&manager, id, "retry").await.expect(200);
    until(&test.database, id, State::Succeeded).await;
    assert_counted(&test.database, id, 5).await;
}

#[tokio::test]
async fn a_job_that_was_given_up_is_tried_again_from_where_it_was() {
    let (test, manager) = start().await;
    let workers = Workers::start(&test.database);
    let id = enqueue(&test.database, &Quick { fault: Some(Fault::Refuses) }).await;
    until(&test.database, id, State::Failed).await;
    workers.stop().await;
    let retried = ask(&manager, id, "retry").await.expect(200);
    assert_eq!((&retried["status"], retried.get("error"), &retried["finishedAt"]), (&json!("queued"), None, &json!(null)));
}
