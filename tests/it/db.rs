//! The Postgres driver: connections that break, transactions that are left open, pools that are exhausted.

use std::time::Duration;

use collections::auth::Role;
use collections::db::{self, Pools, Trouble};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tokio::task::JoinSet;

use crate::harness::app::{TestApp, config, elasticsearch_url};
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::proxy::{Mode, Proxy};

/// Lets other tasks run a number of times, so that a future is dropped at each of its stages.
async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_table_is_documented_with_what_bounds_it() {
    let database = Database::create().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'public' and tablename <> '_sqlx_migrations' order by 1",
    )
    .fetch_all(&database.pool)
    .await
    .unwrap();
    let (_, section) = include_str!("../../docs/operations.md").split_once("## What bounds each table").unwrap();
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1).take_while(|line| line.starts_with('|'));
    let listed = rows.filter_map(|row| row.split('|').nth(1)).flat_map(|names| names.split('`').skip(1).step_by(2));
    let mut listed: Vec<&str> = listed.collect();
    listed.sort_unstable();
    assert_eq!(listed, tables);
}

async fn insert(pool: &PgPool, key: &str) -> bool {
    let insert = "insert into idempotency_keys (caller, key, request_hash, status, response, expires_at) \
                  values ('it', $1, '', 200, '', now())";
    let insert = sqlx::query(insert).bind(key).execute(pool);
    tokio::time::timeout(Duration::from_secs(15), insert).await.is_ok_and(|inserted| inserted.is_ok())
}

#[tokio::test]
async fn a_cancelled_begin_loses_no_acknowledged_write() {
    let database = Database::create().await;
    let mut config = config(&database, &["--db-pool-size", "4"]);
    config.database.acquire_timeout = Duration::from_secs(10);
    let pool = Pools::open(&config.database).unwrap().server;
    let mut acknowledged = 0;
    for round in 0..500 {
        let begin = async { drop(pool.begin().await) };
        tokio::select! {
            biased;
            () = begin => {}
            () = turns(round % 40) => {}
        }
        acknowledged += i64::from(insert(&pool, &round.to_string()).await);
    }
    assert!(acknowledged > 400, "{acknowledged}");
    pool.close().await;
    let present: i64 = sqlx::query_scalar("select count(*) from idempotency_keys").fetch_one(&database.pool).await.unwrap();
    assert_eq!(present, acknowledged);
}

#[tokio::test]
async fn a_connection_to_a_peer_that_is_gone_is_not_lent_again() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::before(&database.url).await;
    let mut config = config(&database, &["--db-pool-size", "1"]);
    config.database.url = url.into();
    config.database.acquire_timeout = Duration::from_secs(10);
    let pool = Pools::open(&config.database).unwrap().server;
    assert!(insert(&pool, "before").await);
    // Long enough for a ping before it is lent.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    proxy.set(Mode::Abandon);
    assert!(insert(&pool, "after").await, "the one connection was replaced by a new one");
}

#[tokio::test]
async fn an_exhausted_pool_refuses_soon_and_says_when_to_retry() {
    let test = TestApp::start_api_tuned(&["--db-pool-size", "1"], |config| {
        config.database.acquire_timeout = Duration::from_millis(200);
    })
    .await;
    let held = test.app.db.server.acquire().await.unwrap();
    let answer = test.anonymous().post("/auth/login", &json!({ "username": "a", "password": "b" })).await;
    assert_eq!((answer.status, answer.code(), answer.header("retry-after")), (503, "database_unavailable", "1"));
    test.anonymous().get("/health/ready").await.expect(200);
    assert_eq!(test.anonymous().get("/health").await.expect(200)["checks"]["postgres"]["status"], "up");
    drop(held);
    let answer = test.anonymous().post("/auth/login", &json!({ "username": "a", "password": "b" })).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn reads_by_id_do_not_wait_for_transactions_and_cannot_write() {
    let test = TestApp::start_api(&["--db-pool-size", "1"]).await;
    let client = test.client(Role::Admin).await;
    let made = client.post("/customers", &json!({ "name": "Ada" })).await.expect(201);
    let held = test.app.db.server.acquire().await.unwrap();
    client.get(&format!("/customers/{}", made["id"].as_str().unwrap())).await.expect(200);
    drop(held);
    let refused = sqlx::query("delete from idempotency_keys").execute(&test.app.db.read).await.unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
}

#[tokio::test]
async fn a_burst_of_lists_waits_for_its_turn_while_elasticsearch_hangs() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let test = TestApp::start_tuned(&["--elasticsearch-url", &url, "--search-timeout", "500ms"], |config| {
        config.database.acquire_timeout = Duration::from_millis(250);
        // So long that a slow machine cannot be why a list is refused.
        config.database.search_acquire_timeout = Duration::from_secs(60);
    })
    .await;
    // One caller alone may not have all connections.
    let clients = [test.agent().await, test.agent().await];
    proxy.set(Mode::Hang);
    let mut lock = test.database.pool.begin().await.unwrap();
    sqlx::query("lock table customers in access exclusive mode").execute(&mut *lock).await.unwrap();
    let mut lists = JoinSet::new();
    for client in clients.iter().cycle().take(60) {
        let client = client.clone();
        lists.spawn(async move { client.get("/customers").await });
    }
    eventually("as many lists as may are asked of postgres", async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and application_name = 'collections search' and wait_event_type = 'Lock'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&test.database.pool).await.unwrap() == 6
    })
    .await;
    // What these take; it is longer than other requests would wait for a connection.
    tokio::time::sleep(Duration::from_millis(400)).await;
    lock.rollback().await.unwrap();
    for list in lists.join_all().await {
        assert_eq!(list.expect(200)["engine"], "postgres");
    }
}

#[tokio::test]
async fn postgres_away_is_503_until_it_is_back() {
    let database = Database::create().await;
    let (proxy, url) = Proxy::before(&database.url).await;
    let test = TestApp::start_api_tuned(&[], |config| config.database.acquire_timeout = Duration::from_millis(500)).await;
    let mut config = test.app.config.clone();
    config.database.url = url.into();
    let app = collections::app::App::open(config, test.clock.clone()).unwrap();
    let server = collections::server::start(&app).await.unwrap();
    let client = crate::harness::client::Client::new(format!("http://{}", server.address));
    let login = json!({ "username": "a", "password": "b" });
    assert_eq!(client.post("/auth/login", &login).await.status, 401);
    let gauge = async |name: &str| {
        let metrics = client.get("/metrics").await.expect(200);
        let mut lines = metrics.as_str().unwrap().lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok())
    };
    assert_eq!(gauge("collections_sync_known").await, Some(1.0));
    assert!(gauge("collections_sync_backlog").await.is_some());
    proxy.set(Mode::Refuse);
    let answer = client.post("/auth/login", &login).await;
    assert_eq!((answer.status, answer.code()), (503, "database_unavailable"));
    assert_eq!(client.get("/health/ready").await.status, 503);
    assert_eq!(client.get("/health").await.expect(503)["checks"]["postgres"]["status"], "down");
    assert_eq!(client.get("/health/live").await.status, 200);
    eventually("the state of the sync is not known", async || gauge("collections_sync_known").await == Some(0.0)).await;
    assert_eq!(gauge("collections_sync_backlog").await, None);
    proxy.set(Mode::Pass);
    for _ in 0..200 {
        if client.get("/health/ready").await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.post("/auth/login", &login).await.status, 401);
    server.stop.cancel();
}

#[tokio::test]
async fn what_the_operator_has_to_correct_is_said_in_a_sentence() {
    let database = Database::create().await;
    let good = config(&database, &[]).database;
    db::check(&good, true).await.unwrap();
    let mut missing = good.clone();
    missing.url = format!("{}_not_there", database.url).into();
    check_wrong(db::check(&missing, true).await, &["does not exist", "DATABASE_URL"]);
    let mut away = good.clone();
    away.url = "postgres://postgres@127.0.0.1:1/nothing".into();
    assert!(matches!(db::check(&away, true).await, Err(Trouble::Away(_))));

    // Roles belong to the whole cluster, so this one has the name of the test's database.
    let powerless_role = format!("{}_powerless", database.name);
    sqlx::query(AssertSqlSafe(format!("create role {powerless_role} login"))).execute(&database.pool).await.unwrap();
    let mut powerless = good.clone();
    let (_, host) = database.url.split_once('@').unwrap();
    powerless.url = format!("postgres://{powerless_role}@{host}").into();
    check_wrong(db::check(&powerless, true).await, &["may not act as collections_server", "grant"]);
    sqlx::query("delete from _sqlx_migrations where version = (select max(version) from _sqlx_migrations)")
        .execute(&database.pool)
        .await
        .unwrap();
    check_wrong(db::check(&good, true).await, &["lacks 1 migration", "collections migrate up"]);
    sqlx::query("drop table _sqlx_migrations").execute(&database.pool).await.unwrap();
    check_wrong(db::check(&good, true).await, &["no schema", "collections migrate up"]);
    sqlx::query(AssertSqlSafe(format!("drop role {powerless_role}"))).execute(&database.pool).await.unwrap();
}

#[track_caller]
fn check_wrong(outcome: Result<(), Trouble>, words: &[&str]) {
    let Err(Trouble::Wrong(sentence)) = outcome else { panic!("{outcome:?}") };
    for word in words {
        assert!(sentence.contains(word), "{sentence}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_returned_outside_a_transaction_is_lent_again() {
    let test = TestApp::start_api(&["--db-pool-size", "1"]).await;
    let pool = &test.app.db.server;
    let pid = || sqlx::query_scalar::<_, i32>("select pg_backend_pid()").fetch_one(pool);
    let first = pid().await.unwrap();
    for _ in 0..20 {
        // The check runs in a task of its own after a connection is returned.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert_eq!(pid().await.unwrap(), first);
    }
    let transaction = pool.begin().await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(pid().await.unwrap(), first);
}
