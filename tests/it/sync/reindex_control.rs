//! Requests for a rebuild, its cancellation and a rollback: over HTTP, by the command, and automatically.

use collections::auth::Role;
use collections::collections::find;
use collections::sync::generations::reconcile;
use collections::sync::store::generations::{self, State};
use serde_json::{Value, json};

use crate::harness::app::{Indices, TestApp, elasticsearch_url};
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process;
use crate::harness::synced::Synced;

/// The index of the customers in a state, as the API tells.
fn index_of(answer: &Value, state: &str) -> Option<String> {
    let generations = answer["generations"].as_array().unwrap();
    let found = generations.iter().find(|one| one["collection"] == "customers" && one["state"] == state)?;
    Some(found["index"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_admin_starts_a_reindex_and_rolls_it_back_over_http() {
    let test = TestApp::start().await;
    let admin = test.admin().await;
    assert_eq!(test.client(Role::Manager).await.get("/sync/reindex").await.status, 403);
    let before = index_of(&admin.get("/sync/reindex").await.expect(200), "live").unwrap();

    // With the table locked the rebuild cannot end before it is observed.
    let mut hold = test.database.pool.begin().await.unwrap();
    sqlx::query("lock table customers in access exclusive mode").execute(&mut *hold).await.unwrap();
    let only = json!({ "collection": "customers" });
    let answer = admin.post("/sync/reindex", &only).await.expect(202);
    let building = index_of(&answer, "building").expect("it has begun");
    let again = admin.post("/sync/reindex", &only).await;
    assert_eq!((again.status, again.code()), (409, "reindex_running"));
    let all = admin.post("/sync/reindex", &json!({})).await;
    assert_eq!((all.status, all.code()), (409, "reindex_running"));
    let listed = admin.get("/sync/reindex").await.expect(200);
    let one = listed["generations"].as_array().unwrap().iter().find(|one| one["state"] == "building").unwrap().clone();
    for member in ["collection", "index", "hash", "documents", "total", "rate", "etaSeconds", "reason", "createdAt", "expiresAt"]
    {
        assert!(one.get(member).is_some(), "{member} in {one}");
    }
    hold.rollback().await.unwrap();
    let is_live = async |index: &str| index_of(&admin.get("/sync/reindex").await.expect(200), "live").as_deref() == Some(index);
    eventually("the new index is live", async || is_live(&building).await).await;

    let back = json!({ "collection": "customers", "rollback": true });
    admin.post("/sync/reindex", &back).await.expect(202);
    eventually("the previous index is live", async || is_live(&before).await).await;
}

#[tokio::test]
async fn impossible_reindex_requests_are_refused() {
    let test = TestApp::start().await;
    let admin = test.admin().await;
    let refused = async |body: Value| {
        let answer = admin.post("/sync/reindex", &body).await;
        (answer.status, answer.code().to_owned())
    };
    assert_eq!(refused(json!({ "collection": "debts" })).await, (422, "invalid".to_owned()));
    assert_eq!(refused(json!({ "colection": "customers" })).await.0, 422);
    assert_eq!(refused(json!({ "rollback": true })).await, (409, "nothing_to_roll_back".to_owned()));
    let without = TestApp::start_api(&[]).await;
    let answer = without.admin().await.post("/sync/reindex", &json!({})).await;
    assert_eq!((answer.status, answer.code()), (409, "no_index"));
}

#[tokio::test]
async fn a_cancelled_rebuild_keeps_the_live_index_and_records_its_reason() {
    let test = Synced::started().await;
    let before = test.index("customers").await;
    let mut hold = test.pool.begin().await.unwrap();
    sqlx::query("lock table customers in access exclusive mode").execute(&mut *hold).await.unwrap();
    let index = reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().unwrap();
    assert!(generations::cancel(&test.app.db.sync, "customers").await.unwrap());
    hold.rollback().await.unwrap();
    let reason = async || {
        let generations = generations::all(&test.app.db.sync).await.unwrap();
        generations.into_iter().find(|one| one.index == index && one.state == State::Failed).and_then(|one| one.reason)
    };
    eventually("it has failed", async || reason().await.as_deref() == Some("it was cancelled")).await;
    assert!(!collections::search::index::exists(&test.elastic, &index).await.unwrap());
    assert_eq!(test.index("customers").await, before);
    assert!(!generations::cancel(&test.app.db.sync, "customers").await.unwrap(), "nothing is left to cancel");
    // What failed is forgotten as soon as the next begins.
    reconcile::request(&test.app, find("customers").unwrap()).await.unwrap().expect("another");
    assert_eq!(reason().await, None);
}

#[tokio::test]
async fn a_changed_mapping_is_rebuilt_without_a_request_if_configured() {
    let test = Synced::started_with(&["--sync-auto-reindex", "true"]).await;
    let before = test.index("customers").await;
    test.sql("update index_generations set hash = '00000000' where collection = 'customers'").await;
    eventually("a new index is live", async || test.index("customers").await != before).await;
    let after = test.index("customers").await;
    // After a rollback the program does not insist.
    generations::request_rollback(&test.app.db.sync, "customers").await.unwrap().expect("the previous index is kept");
    eventually("the previous index is live", async || test.index("customers").await == before).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    let generations = generations::all(&test.app.db.sync).await.unwrap();
    let own: Vec<_> = generations.iter().filter(|one| one.collection == "customers").map(|one| &one.index).collect();
    assert_eq!(own, [&before, &after]);
}

#[tokio::test]
async fn the_command_prints_lines_of_json_and_fails_when_there_is_nothing_to_do() {
    let database = Database::create().await;
    let _indices = Indices(database.name.clone());
    let run = async |arguments: &[&str]| {
        let mut command = process::command(&database);
        command.env("ELASTICSEARCH_URL", elasticsearch_url()).arg("reindex").args(arguments);
        let output = command.output().await.unwrap();
        let lines: Vec<Value> =
            String::from_utf8(output.stdout).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (output.status.success(), lines, String::from_utf8(output.stderr).unwrap())
    };
    let (is_fine, lines, errors) = run(&["--collection", "customers"]).await;
    assert!(is_fine, "{errors}");
    let last = lines.last().unwrap();
    assert_eq!((&last["collection"], &last["state"], &last["documents"]), (&json!("customers"), &json!("live"), &json!(0)));
    let first = last["index"].clone();
    run(&["--collection", "customers"]).await;
    let (is_fine, lines, errors) = run(&["--collection", "customers", "--rollback"]).await;
    assert!(is_fine, "{errors}");
    assert_eq!(lines.last().unwrap()["index"], first);

    let (is_fine, _, errors) = run(&["--collection", "accounts", "--rollback"]).await;
    assert!(!is_fine && errors.contains("SYNC_KEEP"), "{errors}");
    let (is_fine, _, errors) = run(&["--cancel"]).await;
    assert!(!is_fine && errors.contains("nothing is being built"), "{errors}");
}
