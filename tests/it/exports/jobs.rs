//! Long exports are jobs: the same file, fetched with a session or by a signed link.

use chrono::TimeDelta;
use collections::auth::Role;
use serde_json::{Value, json};
use sqlx::Executor as _;

use super::download;
use crate::harness::app::{Engine, TestApp};
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::people::{crowd, person};

/// Starts a server with workers.
async fn start(engine: Engine) -> TestApp {
    let few = ["--export-sync-rows", "10"];
    let test = match engine {
        Engine::Elasticsearch => TestApp::start_with(&few).await,
        Engine::Postgres => TestApp::start_api(&few).await,
    };
    tokio::spawn(collections::worker::run(test.app.clone()));
    test
}

async fn fill(test: &TestApp, sql: &str) {
    test.database.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    test.settle().await;
}

/// Waits for the end of an export.
async fn finished(client: &Client, id: &Value) -> Value {
    let path = format!("/exports/{}", id.as_str().unwrap());
    eventually("the export has ended", async || {
        let export = client.get(&path).await.expect(200);
        !["queued", "running"].contains(&export["status"].as_str().unwrap())
    })
    .await;
    client.get(&path).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_the_file_that_a_short_export_answers() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let test = start(engine).await;
        fill(&test, &crowd(25, "Jane").sql).await;
        let direct = test.beside_with_index(&["--export-sync-rows", "1000"]).await;
        let token = test.token(Role::Manager).await;
        let manager = test.anonymous().with_token(&token);
        let direct_manager = Client::new(format!("http://{}", direct.address)).with_token(&token);
        for format in ["csv", "jsonl", "xlsx"] {
            let path = format!("/customers/export?format={format}&sort=name&q=jane");
            let begun = manager.get(&path).await;
            assert_eq!(begun.status, 202, "{engine:?} {format}: {}", begun.text);
            assert_eq!(begun.header("location"), format!("/api/v1/jobs/{}", begun.body["jobId"].as_str().unwrap()));
            let export = finished(&manager, &begun.body["id"]).await;
            assert_eq!(export["status"], "succeeded", "{engine:?} {format}: {export}");
            assert_eq!([&export["total"], &export["processed"], &export["rows"]], [&json!(25); 3], "{export}");
            let file = download(&manager, &format!("/exports/{}/file", export["id"].as_str().unwrap())).await;
            assert_eq!(export["bytes"], file.len(), "{export}");
            let expected = download(&direct_manager, &path).await;
            if format == "xlsx" {
                assert_eq!(cells(file), cells(expected), "{engine:?}");
            } else {
                assert!(file == expected, "{engine:?} {format}");
            }
        }
        let left: i64 = sqlx::query_scalar("select count(*) from stored_files").fetch_one(&test.database.pool).await.unwrap();
        assert_eq!(left, 3, "what was staged is gone");
        direct.stop.cancel();
    }
}

fn cells(book: Vec<u8>) -> Vec<Vec<String>> {
    use calamine::Reader as _;
    let mut book: calamine::Xlsx<_> = calamine::open_workbook_from_rs(std::io::Cursor::new(book)).unwrap();
    book.worksheets()[0].1.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prefers_a_job_gets_one() {
    let test = start(Engine::Postgres).await;
    fill(&test, &person(1, "Jane").sql).await;
    let manager = test.client(Role::Manager).await;
    assert_eq!(manager.get("/customers/export").await.status, 200);
    let begun = manager.with("prefer", "respond-async").get("/customers/export").await;
    assert_eq!((begun.status, begun.header("preference-applied")), (202, "respond-async"));
    let export = finished(&manager, &begun.body["id"]).await;
    assert_eq!((&export["rows"], &export["fileName"]), (&json!(1), &json!("customers.csv")));
    let all = manager.get("/exports").await.expect(200);
    assert_eq!(all["data"][0]["id"], export["id"]);
    let job = manager.get(&format!("/jobs/{}", export["jobId"].as_str().unwrap())).await.expect(200);
    assert_eq!(job["resultUrl"], format!("/api/v1/exports/{}/file", export["id"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_link_is_good_for_its_file_and_for_a_while() {
    let test = start(Engine::Postgres).await;
    fill(&test, &crowd(20, "Jane").sql).await;
    test.user("boss", Role::Manager).await;
    let manager = test.sign_in("boss").await;
    let begun = manager.get("/customers/export").await.expect(202);
    let other = manager.get("/customers/export?format=jsonl").await.expect(202);
    let export = finished(&manager, &begun["id"]).await;
    finished(&manager, &other["id"]).await;
    let link = export["downloadUrl"].as_str().unwrap();
    let anonymous = test.anonymous();
    assert_eq!(
        download(&anonymous, link).await,
        download(&manager, &format!("/exports/{}/file", export["id"].as_str().unwrap())).await
    );
    let user = link.split("user=").nth(1).unwrap().split('&').next().unwrap();
    let id = |export: &Value| export["id"].as_str().unwrap().to_owned();
    for wrong in [
        link.replace(&id(&begun), &id(&other)),
        link.replace(user, "00000000-0000-7000-8000-000000000000"),
        link.replace("until=", "until=9"),
        link.replace("signature=", "signature=x"),
        link.split("signature=").next().unwrap().to_owned() + "signature=",
        link.split("&signature=").next().unwrap().to_owned(),
    ] {
        assert_ne!(wrong, link);
        assert_eq!(anonymous.get(&wrong).await.status, 401, "{wrong}");
    }
    let entries: i64 = sqlx::query_scalar(
        "select count(*) from audit_log where action = 'export' and subject is not null and actor is not null",
    )
    .fetch_one(&test.database.pool)
    .await
    .unwrap();
    assert_eq!(entries, 4, "two were asked for, and one was fetched twice");
    test.clock.advance(TimeDelta::minutes(16));
    assert_eq!(anonymous.get(link).await.status, 401, "it is too old");
    let manager = test.sign_in("boss").await;
    assert_eq!(manager.get(&format!("/exports/{}/file", id(&export))).await.status, 200);
    test.clock.advance(TimeDelta::days(7));
    let manager = test.sign_in("boss").await;
    assert_eq!(manager.get(&format!("/exports/{}", id(&export))).await.status, 404, "it was kept for a week");
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_seen_by_their_users_and_managers_who_may_see_what_is_in_them() {
    let test = start(Engine::Postgres).await;
    fill(&test, &crowd(20, "Jane").sql).await;
    let admin = test.admin().await;
    let granted = json!({ "permissions": ["read", "personal", "edit", "export"] });
    admin.put("/roles/agent/permissions", &granted).await.expect(200);
    admin.put("/roles/viewer/permissions", &json!({ "permissions": ["read", "export", "manage"] })).await.expect(200);
    let (agent, other, viewer) = (test.agent().await, test.agent().await, test.client(Role::Viewer).await);
    let begun = agent.get("/customers/export").await.expect(202);
    let export = finished(&agent, &begun["id"]).await;
    let path = format!("/exports/{}", export["id"].as_str().unwrap());
    let file = format!("{path}/file");
    assert_eq!([other.get(&path).await.status, other.get(&file).await.status], [404, 404]);
    assert_eq!(other.get("/exports").await.expect(200)["data"], json!([]));
    assert_eq!(admin.get(&file).await.status, 200);
    let unlinked = viewer.get(&path).await.expect(200);
    assert!(unlinked["downloadUrl"].is_null(), "the file shows what they get masked");
    assert_eq!(viewer.get(&file).await.status, 403);
    assert_eq!(test.anonymous().get(&file).await.status, 401);
    assert_eq!(other.delete(&path).await.status, 404);
    assert_eq!(agent.delete(&path).await.status, 204);
    assert_eq!([agent.get(&path).await.status, agent.get(&file).await.status], [404, 404]);
    let left: i64 = sqlx::query_scalar("select count(*) from stored_file_parts").fetch_one(&test.database.pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_export_that_is_not_done_can_be_deleted_and_not_fetched() {
    let test = TestApp::start_api(&[]).await;
    let manager = test.client(Role::Manager).await;
    let begun = manager.with("prefer", "respond-async").get("/payments/export").await.expect(202);
    let path = format!("/exports/{}", begun["id"].as_str().unwrap());
    let unfinished = manager.get(&format!("{path}/file")).await;
    assert_eq!((unfinished.status, unfinished.code()), (409, "export_unfinished"));
    assert_eq!(manager.delete(&path).await.status, 204);
    let job = manager.get(&format!("/jobs/{}", begun["jobId"].as_str().unwrap())).await.expect(200);
    assert_eq!(job["status"], "cancelled");
}
