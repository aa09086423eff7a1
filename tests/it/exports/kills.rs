//! Workers are killed while they export: the file has each record once.

use std::process::Stdio;

use collections::auth::Role;
use serde_json::json;
use sqlx::Executor as _;
use tokio::process::{Child, Command};

use super::download;
use crate::harness::app::{Engine, TestApp, elasticsearch_url};
use crate::harness::eventually::eventually;
use crate::harness::people::crowd;
use crate::harness::process;

/// Several chunks.
const CROWD: i64 = 30_000;

/// A worker process that other tests do not share.
fn worker(test: &TestApp, engine: Engine) -> Child {
    let mut command: Command = process::command(&test.database);
    if engine == Engine::Elasticsearch {
        command.env("ELASTICSEARCH_URL", elasticsearch_url());
    } else {
        command.env_remove("ELASTICSEARCH_URL");
    }
    command.args(["serve", "--only", "worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

async fn survives_kills(engine: Engine, format: &str) {
    let test = TestApp::start_on(engine).await;
    test.database.pool.execute(sqlx::AssertSqlSafe(crowd(CROWD, "Jane").sql)).await.unwrap();
    test.settle().await;
    let manager = test.client(Role::Manager).await;
    let path = format!("/customers/export?format={format}&sort=name&columns=name,id,createdAt");
    let begun = manager.with("prefer", "respond-async").get(&path).await.expect(202);
    let job = format!("/jobs/{}", begun["jobId"].as_str().unwrap());
    let mut last = -1;
    for _ in 0..2 {
        let mut killed = worker(&test, engine);
        eventually("it is at work", async || {
            let job = manager.get(&job).await.expect(200);
            let is_further = engine == Engine::Postgres || job["processed"].as_i64().unwrap() > last.max(0);
            job["status"] == "succeeded" || (job["status"] == "running" && is_further)
        })
        .await;
        last = manager.get(&job).await.expect(200)["processed"].as_i64().unwrap();
        killed.kill().await.unwrap();
        // Another one takes it over when the lease has lapsed.
        let lapse = "update jobs set due = now() where state = 'running'";
        test.database.pool.execute(lapse).await.unwrap();
    }
    let mut survivor = worker(&test, engine);
    eventually("it is done", async || manager.get(&job).await.expect(200)["status"] == "succeeded").await;
    survivor.kill().await.unwrap();
    let export = manager.get(&format!("/exports/{}", begun["id"].as_str().unwrap())).await.expect(200);
    assert_eq!([&export["rows"], &export["processed"]], [&json!(CROWD); 2]);
    let file = download(&manager, &format!("/exports/{}/file", begun["id"].as_str().unwrap())).await;
    assert!(file == download(&manager, &path).await, "the same as without a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_elasticsearch_goes_on_where_a_killed_worker_was() {
    survives_kills(Engine::Elasticsearch, "csv").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_postgres_begins_again_after_a_kill() {
    survives_kills(Engine::Postgres, "jsonl").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_begins_again_when_what_was_frozen_is_gone() {
    let test = TestApp::start().await;
    test.database.pool.execute(sqlx::AssertSqlSafe(crowd(12_000, "Jane").sql)).await.unwrap();
    test.settle().await;
    let manager = test.client(Role::Manager).await;
    let begun = manager.with("prefer", "respond-async").get("/customers/export?raw=true").await.expect(202);
    let job = format!("/jobs/{}", begun["jobId"].as_str().unwrap());
    let mut killed = worker(&test, Engine::Elasticsearch);
    eventually("a chunk is done", async || manager.get(&job).await.expect(200)["processed"].as_i64().unwrap() > 0).await;
    killed.kill().await.unwrap();
    let cursor: Option<serde_json::Value> =
        sqlx::query_scalar("select cursor from jobs where kind = 'export'").fetch_one(&test.database.pool).await.unwrap();
    if let Some(point) = cursor.as_ref().and_then(|cursor| cursor.pointer("/Behind/bookmark/point")) {
        crate::harness::app::elasticsearch(reqwest::Method::DELETE, "/_pit", Some(json!({ "id": point }))).await;
    }
    test.database.pool.execute("update jobs set due = now() where state = 'running'").await.unwrap();
    let mut survivor = worker(&test, Engine::Elasticsearch);
    eventually("it is done", async || manager.get(&job).await.expect(200)["status"] == "succeeded").await;
    survivor.kill().await.unwrap();
    let done = manager.get(&job).await.expect(200);
    assert_eq!([&done["total"], &done["processed"]], [&json!(12_000); 2]);
    let file = download(&manager, &format!("/exports/{}/file", begun["id"].as_str().unwrap())).await;
    assert!(file == download(&manager, "/customers/export?raw=true").await, "each record is there once");
}
