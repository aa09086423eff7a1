//! Downloads under way: what is written meanwhile is not in them, they hold no slot, and a client that goes leaves nothing open.

use collections::auth::Role;
use serde_json::Value;
use sqlx::Executor as _;

use crate::harness::app::{Engine, TestApp, elasticsearch};
use crate::harness::eventually::eventually;
use crate::harness::people::crowd;
use crate::harness::raw_socket::Wire;

/// Far more than the server sends before it waits for its client.
const CROWD: i64 = 20_000;

/// Starts a server that works on one request at a time, and a download that its client does not take yet.
async fn download(engine: Engine) -> (TestApp, String, Wire) {
    let one = ["--http-max-in-flight", "1"];
    let test = match engine {
        Engine::Elasticsearch => TestApp::start_with(&one).await,
        Engine::Postgres => TestApp::start_api(&one).await,
    };
    test.database.pool.execute(sqlx::AssertSqlSafe(crowd(CROWD, "Jane").sql)).await.unwrap();
    test.settle().await;
    let token = test.token(Role::Manager).await;
    let mut wire = Wire::open_narrow(test.address()).await;
    let request = "GET /api/v1/customers/export?format=jsonl&sort=name HTTP/1.1\r\nhost: it\r\nconnection: close\r\n";
    wire.send(format!("{request}authorization: Bearer {token}\r\n\r\n")).await;
    assert!(wire.read_some(1024).await > 0);
    (test, token, wire)
}

/// How many points in time and snapshots are open.
async fn open(test: &TestApp) -> i64 {
    let stats = elasticsearch(reqwest::Method::GET, &format!("/{}-*/_stats/search", test.database.name), None).await;
    let points = stats.pointer("/_all/total/search/open_contexts").and_then(Value::as_i64).unwrap_or_default();
    let sql = "select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'collections exports' and state <> 'idle'";
    points + sqlx::query_scalar::<_, i64>(sql).fetch_one(&test.database.pool).await.unwrap()
}

async fn shows_one_moment(engine: Engine) {
    let (test, token, mut wire) = download(engine).await;
    let changed = "update customers set name = 'Changed ' || name where name like '%7'; update customers set deleted_at = now() where name like '%5'";
    test.database.pool.execute(changed).await.unwrap();
    test.database.pool.execute(sqlx::AssertSqlSafe(crowd(100, "Added").sql)).await.unwrap();
    test.settle().await;
    let others = test.anonymous().with_token(&token).get("/customers?limit=1&count=exact").await;
    assert_eq!(others.status, 200, "the download holds no slot: {}", others.text);
    let rest = wire.rest().await;
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "it is complete");
    assert!(!rest.contains("Changed") && !rest.contains("Added"), "it shows what was there when it began");
    assert!(rest.contains("Jane 9999"));
    eventually("nothing is open", async || open(&test).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_shows_one_moment_on_elasticsearch() {
    shows_one_moment(Engine::Elasticsearch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_shows_one_moment_on_postgres() {
    shows_one_moment(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_nothing_open() {
    for engine in [Engine::Elasticsearch, Engine::Postgres] {
        let (test, _, wire) = download(engine).await;
        assert_eq!(open(&test).await, 1, "{engine:?}");
        drop(wire);
        eventually("nothing is open", async || open(&test).await == 0).await;
    }
}
