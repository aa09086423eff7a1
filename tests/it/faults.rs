//! Faults: servers are killed, go away, freeze and come back; acknowledged writes survive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::task::JoinHandle;

use crate::harness::app::{Indices, TestApp, elasticsearch, elasticsearch_url, redis_url};
use crate::harness::client::Client;
use crate::harness::cluster::Cluster;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{self, Server};
use crate::harness::proxy::{Mode, Proxy};

/// Writers that record payments until they are stopped, and remember which were acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    writers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(client: &Client, account: &str, writers: usize) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers = (0..writers)
            .map(|_| {
                let (client, path) = (client.clone(), format!("/accounts/{account}/payments"));
                let (stop, done) = (stop.clone(), done.clone());
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let payment =
                            json!({ "amount": "0.01", "method": "cash", "status": "success", "receiver": "Front desk" });
                        match client.try_send(Method::POST, &path, Some(&payment)).await {
                            Ok(answer) if answer.status == 201 => {
                                acknowledged.push(answer.body["id"].as_str().unwrap().to_owned());
                                done.fetch_add(1, Ordering::Relaxed);
                            }
                            _ => tokio::time::sleep(Duration::from_millis(10)).await,
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        Self { stop, done, writers }
    }

    /// Waits until one more write was acknowledged.
    async fn progress(&self) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("the load gets through", async || self.done.load(Ordering::Relaxed) > before).await;
    }

    async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut acknowledged = Vec::new();
        for writer in self.writers {
            acknowledged.extend(writer.await.unwrap());
        }
        acknowledged
    }
}

async fn open_account(client: &Client) -> String {
    let body =
        json!({ "accountNumber": "F-1", "currency": "EUR", "originalAmount": "1000000", "customer": { "name": "Maria Muster" } });
    client.post("/accounts", &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

/// The acknowledged payments that are not in the database.
async fn lost(database: &Database, acknowledged: &[String]) -> Vec<String> {
    let present: Vec<String> = sqlx::query_scalar("select id::text from payments").fetch_all(&database.pool).await.unwrap();
    acknowledged.iter().filter(|id| !present.contains(id)).cloned().collect()
}

async fn assert_balanced(database: &Database) {
    let unbalanced: i64 = sqlx::query_scalar(
        "select count(*) from accounts a where balance <> (select coalesce(sum(amount), 0) from ledger_entries where account_id = a.id)",
    )
    .fetch_one(&database.pool)
    .await
    .unwrap();
    assert_eq!(unbalanced, 0);
}

/// `collections sync verify` finds the index equal to the database.
async fn assert_verified(command: impl Fn() -> tokio::process::Command) {
    let mut text = String::new();
    for _ in 0..300 {
        let output = command().args(["sync", "verify", "--deep"]).output().await.unwrap();
        text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.code() {
            Some(0) => return,
            // A server that was always killed too soon is still building its first index.
            Some(2) => tokio::time::sleep(Duration::from_millis(100)).await,
            _ => break,
        }
    }
    panic!("{text}");
}

async fn sign_in(client: &Client) -> Client {
    let body = json!({ "username": "boss", "password": "correct horse" });
    let answer = client.post("/auth/login", &body).await.expect(200);
    client.with_token(answer["access_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_in_twenty_kills_under_load() {
    let database = Database::create().await;
    let _indices = Indices(database.name.clone());
    process::add_user(&database, "boss", "admin", "correct horse").await;
    let command = || {
        let mut command = process::command(&database);
        command.env("ELASTICSEARCH_URL", elasticsearch_url());
        command
    };
    let port = process::free_port().await;
    let mut server = Server::start(command(), port).await;
    let client = sign_in(&server.client()).await;
    let account = open_account(&client).await;

    let load = Load::start(&client, &account, 4);
    for kill in 0..20_u64 {
        load.progress().await;
        tokio::time::sleep(Duration::from_millis(37 * kill % 300)).await;
        server.kill().await;
        server = Server::start(command(), port).await;
    }
    let acknowledged = load.finish().await;

    assert!(acknowledged.len() > 20, "the load got through: {}", acknowledged.len());
    assert_eq!(lost(&database, &acknowledged).await, Vec::<String>::new());
    assert_balanced(&database).await;
    assert_verified(command).await;
}

/// Lists and writes while Elasticsearch is down, then up again.
async fn outage_of_elasticsearch(mode: Mode) {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let test = TestApp::start_with(&["--elasticsearch-url", &url, "--search-timeout", "1s"]).await;
    let client = test.agent().await;
    let account = open_account(&client).await;
    test.settle().await;
    assert_eq!(client.get("/accounts").await.expect(200)["engine"], "elasticsearch");

    proxy.set(mode);
    let load = Load::start(&client, &account, 2);
    for _ in 0..30 {
        let answer = client.get("/accounts?limit=5").await.expect(200);
        assert_eq!((&answer["engine"], &answer["total"]), (&json!("postgres"), &json!(1)), "{answer}");
        assert_eq!(answer["degraded"], json!(true));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let acknowledged = load.finish().await;
    assert!(!acknowledged.is_empty());

    proxy.set(Mode::Pass);
    test.settle().await;
    assert_eq!(lost(&test.database, &acknowledged).await, Vec::<String>::new());
    let mut answer = Value::Null;
    for _ in 0..100 {
        answer = client.get("/payments?limit=1").await.expect(200);
        if answer["engine"] == "elasticsearch" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((&answer["engine"], &answer["total"]), (&json!("elasticsearch"), &json!(acknowledged.len())), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_writes_go_on_while_elasticsearch_refuses() {
    outage_of_elasticsearch(Mode::Refuse).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_writes_go_on_while_elasticsearch_hangs() {
    outage_of_elasticsearch(Mode::Hang).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_writes_go_on_while_elasticsearch_takes_ten_seconds() {
    outage_of_elasticsearch(Mode::Late(Duration::from_secs(10))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_writes_go_on_while_elasticsearch_is_overloaded() {
    outage_of_elasticsearch(Mode::OVERLOADED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_failed_shard_or_out_of_time_is_no_empty_list() {
    for mode in [Mode::HALF, Mode::TIMED_OUT] {
        outage_of_elasticsearch(mode).await;
    }
}

/// While lists of customers cannot end, as many lists wait for Postgres as may, and others are refused at once.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_lists_without_elasticsearch_leave_room_for_writes() {
    let (proxy, url) = Proxy::before(&elasticsearch_url()).await;
    let more = ["--elasticsearch-url", &url, "--search-timeout", "1s", "--http-max-in-flight", "240"];
    let test = TestApp::start_with(&more).await;
    let client = test.agent().await;
    let account = open_account(&client).await;
    let mut users = Vec::new();
    for _ in 0..20 {
        users.push(test.client(collections::auth::Role::Viewer).await);
    }
    proxy.set(Mode::Refuse);
    eventually("lists come from postgres", async || client.get("/customers").await.expect(200)["engine"] == "postgres").await;

    let mut lock = test.database.pool.begin().await.unwrap();
    // Lists of customers read addresses, payments do not.
    lock.execute("lock table addresses in access exclusive mode").await.unwrap();
    let lists = tokio::spawn(join_all(users.into_iter().flat_map(|user| {
        (0..10).map(move |_| {
            let user = user.clone();
            async move { user.get("/customers").await }
        })
    })));
    let waiting = async || -> i64 {
        let sql = "select count(*) from pg_locks join pg_database d on d.oid = database
            where datname = current_database() and relation = 'addresses'::regclass and not granted";
        sqlx::query_scalar(sql).fetch_one(&test.database.pool).await.unwrap()
    };
    eventually("the lists hold all connections for lists", async || waiting().await == 6).await;
    let payment = json!({ "amount": "0.01", "method": "cash", "status": "success", "receiver": "Front desk" });
    for _ in 0..20 {
        client.post(&format!("/accounts/{account}/payments"), &payment).await.expect(201);
    }
    lock.rollback().await.unwrap();
    let answers = lists.await.unwrap();
    for answer in &answers {
        match answer.status {
            200 => assert_eq!(answer.body["engine"], "postgres"),
            503 => assert!(!answer.header("retry-after").is_empty(), "{}", answer.body),
            other => panic!("{other}: {}", answer.body),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 503 && answer.code() == "overloaded"), "some are refused at once");
}

/// Drops the slot under the running sync. It takes a few tries where the sync is back at once.
async fn drop_slot(test: &TestApp) {
    let (pool, slot) = (&test.database.pool, &test.database.name);
    let sent_away = "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active";
    eventually("the slot is dropped", async || {
        sqlx::query(sent_away).bind(slot).execute(pool).await.unwrap();
        sqlx::query("select pg_drop_replication_slot($1)").bind(slot).execute(pool).await.is_ok()
    })
    .await;
}

async fn live_index(test: &TestApp) -> Option<String> {
    let sql = "select index_name from index_generations where collection = 'customers' and state = 'live'";
    sqlx::query_scalar(sql).fetch_optional(&test.database.pool).await.unwrap()
}

/// Writes and lists until another index than the lost one answers; each list has to show all that was written before it.
async fn expect_every_write_until_replaced(test: &TestApp, client: &Client, lost: &str) {
    let (mut written, mut engines) = (0, std::collections::BTreeSet::new());
    let before = client.get("/customers?count=exact").await.expect(200)["total"].as_u64().unwrap();
    eventually("another index answers", async || {
        let answer = client.post("/customers", &json!({ "name": format!("Customer {written}") })).await;
        let seeing = client.with("x-sync-token", answer.header("x-sync-token"));
        answer.expect(201);
        written += 1;
        let body = seeing.get("/customers?count=exact").await.expect(200);
        assert_eq!((&body["total"], &body["totalRelation"]), (&json!(before + written), &json!("eq")), "{body}");
        let engine = body["engine"].as_str().unwrap().to_owned();
        let is_replaced = engine == "elasticsearch" && live_index(test).await.is_some_and(|live| live != lost);
        engines.insert(engine);
        is_replaced
    })
    .await;
    assert!(engines.contains("postgres"), "who answered while {lost} was lost?");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_every_write_while_a_slot_or_an_index_is_lost() {
    let test = TestApp::start_with(&["--sync-wait", "300ms"]).await;
    let client = test.admin().await;
    let lost = live_index(&test).await.unwrap();
    drop_slot(&test).await;
    expect_every_write_until_replaced(&test, &client, &lost).await;

    let lost = live_index(&test).await.unwrap();
    elasticsearch(Method::DELETE, &format!("/{lost}"), None).await;
    expect_every_write_until_replaced(&test, &client, &lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_postgres_loses_nothing_and_ends_by_itself() {
    let cluster = Cluster::start().await;
    let database = Database::create_on(cluster.url()).await;
    let _indices = Indices(database.name.clone());
    process::add_user(&database, "boss", "admin", "correct horse").await;
    let command = || {
        let mut command = process::command(&database);
        command.env("ELASTICSEARCH_URL", elasticsearch_url());
        command
    };
    let server = Server::start(command(), process::free_port().await).await;
    let client = sign_in(&server.client()).await;
    let account = open_account(&client).await;

    let load = Load::start(&client, &account, 2);
    for mode in ["fast", "immediate"] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.stop(mode);
        let refused = client.post("/customers", &json!({ "name": "Erika Muster" })).await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(!refused.header("retry-after").is_empty());
        cluster.launch();
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let acknowledged = load.finish().await;

    assert!(!acknowledged.is_empty());
    assert_eq!(lost(&database, &acknowledged).await, Vec::<String>::new());
    assert_balanced(&database).await;
    assert_verified(command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_on_without_redis() {
    let Some(redis) = redis_url() else { return };
    let (proxy, url) = Proxy::before(&redis).await;
    let test = TestApp::start_with(&["--redis-url", &url]).await;
    let client = test.agent().await;
    let account = open_account(&client).await;
    for mode in [Mode::Refuse, Mode::Hang] {
        proxy.set(mode);
        let payment = json!({ "amount": "1", "method": "cash", "receiver": "Front desk" });
        client.post(&format!("/accounts/{account}/payments"), &payment).await.expect(201);
        client.get(&format!("/accounts/{account}")).await.expect(200);
        client.get("/accounts").await.expect(200);
    }
}
