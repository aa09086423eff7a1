//! Rows read by id: remembered, never older than what was heard or written, and never trusted in silence.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use collections::app::App;
use collections::auth::Role;
use collections::feed::{Changes, Source, log_end};
use collections::server;
use collections::values::lsn::{Epoch, Lsn};
use serde_json::{Value, json};

use crate::harness::app::{TestApp, redis_url};
use crate::harness::client::{Answer, Client};

async fn customer(client: &Client, name: &str) -> String {
    let made = client.post("/customers", &json!({ "name": name })).await.expect(201);
    format!("/customers/{}", made["id"].as_str().unwrap())
}

async fn account(client: &Client, customer: &str) -> String {
    let owner = customer.rsplit('/').next().unwrap();
    let body = json!({ "customerId": owner, "currency": "EUR", "originalAmount": "100.00" });
    let made = client.post("/accounts", &body).await.expect(201);
    format!("/accounts/{}", made["id"].as_str().unwrap())
}

fn sources(answer: &Answer) -> (&str, &str) {
    (answer.header("x-read-source"), answer.header("x-cache"))
}

/// Reads until the row comes from memory, which it does as soon as the changes before are all announced.
async fn remembered(client: &Client, path: &str) -> Value {
    for _ in 0..400 {
        let answer = client.get(path).await;
        if answer.header("x-cache") == "hit" {
            return answer.expect(200);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{path} is never remembered");
}

/// Reads until a member is what it should be; the row is remembered before, so only an announcement can change what is shown.
async fn becomes(client: &Client, path: &str, member: &str, expected: &Value) {
    let mut last = Value::Null;
    for _ in 0..400 {
        last = client.get(path).await.expect(200);
        if &last[member] == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{member} of {path} never becomes {expected}: {last}");
}

#[tokio::test]
async fn a_row_is_read_once_and_then_remembered_until_it_changes() {
    let test = TestApp::start().await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    let first = remembered(&client, &path).await;
    let hit = client.get(&path).await;
    assert_eq!(sources(&hit), ("cache", "hit"));
    let tag = hit.header("etag").to_owned();
    assert_eq!(client.with("if-none-match", &tag).get(&path).await.status, 304);
    assert_eq!(hit.expect(200), first);

    let changed = client.patch(&path, &json!({ "name": "Grace" })).await;
    let answer = client.get(&path).await;
    assert_eq!(sources(&answer), ("postgres", "miss"), "an own change is known at once");
    assert_ne!(answer.header("etag"), tag);
    assert_eq!(answer.header("etag"), changed.header("etag"), "the same row has the same tag wherever it comes from");
    remembered(&client, &path).await;
    assert_eq!(client.get(&path).await.header("etag"), changed.header("etag"));

    client.delete(&path).await.expect(204);
    client.get(&path).await.expect(404);
    let deleted = format!("{path}?includeDeleted=true");
    assert_ne!(remembered(&client, &deleted).await["deletedAt"], Value::Null);
    client.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_change_of_whatever_a_row_shows_makes_it_old() {
    let test = TestApp::start().await;
    let client = test.client(Role::Admin).await;
    let customer = customer(&client, "Ada").await;
    let account = account(&client, &customer).await;
    let account_id = account.rsplit('/').next().unwrap();
    let user: uuid::Uuid = sqlx::query_scalar("select id from users limit 1").fetch_one(&test.database.pool).await.unwrap();
    client.patch(&account, &json!({ "assigneeId": user })).await.expect(200);
    let body = json!({ "accountId": account_id, "amount": "10.00", "currency": "EUR", "method": "cash", "status": "success" });
    for path in [&customer, &account] {
        remembered(&client, path).await;
    }
    let made = client.post("/payments", &body).await.expect(201);
    let payment = format!("/payments/{}", made["id"].as_str().unwrap());
    // The sums of account and customer, at once, because the payment was made here.
    let shown = [client.get(&account).await.expect(200), client.get(&customer).await.expect(200)];
    assert_eq!(shown.map(|one| one["balance"].to_string()), ["90.00", "90.00"].map(|sum| shown_amount(sum, &made)));
    for path in [&customer, &account, &payment] {
        remembered(&client, path).await;
    }
    // Behind the server's back, so that only the stream can tell.
    let sql = async |statement: &str| {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&test.database.pool).await.unwrap();
    };
    sql("update customers set name = 'Grace'").await;
    for (path, member) in [(&customer, "name"), (&account, "customerName"), (&payment, "customerName")] {
        becomes(&client, path, member, &json!("Grace")).await;
    }
    sql("update accounts set account_number = 'N-1', status = 'paused'").await;
    becomes(&client, &account, "accountNumber", &json!("N-1")).await;
    becomes(&client, &payment, "accountNumber", &json!("N-1")).await;
    becomes(&client, &customer, "openAccountCount", &json!(0)).await;
    sql("update users set name = 'Worker'").await;
    becomes(&client, &account, "assigneeName", &json!("Worker")).await;
    remembered(&client, &customer).await;
    let id = customer.rsplit('/').next().unwrap();
    sql(&format!(
        "insert into contact_points (id, customer_id, kind, value, normalized) values (gen_random_uuid(), '{id}', 'email', 'a@b.c', 'a@b.c')"
    ))
    .await;
    becomes(&client, &customer, "email", &json!("a@b.c")).await;
}

/// An amount as the API writes it: as it writes those of a payment.
fn shown_amount(decimal: &str, payment: &Value) -> String {
    if payment["amount"].is_string() { json!(decimal).to_string() } else { decimal.trim_end_matches('0').to_owned() + "0" }
}

#[tokio::test]
async fn without_announcements_every_row_comes_from_postgres() {
    let test = TestApp::start_api(&[]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    for _ in 0..3 {
        assert_eq!(sources(&client.get(&path).await), ("postgres", "bypass"));
    }
}

#[tokio::test]
async fn a_stream_that_falls_silent_is_not_trusted() {
    let test = TestApp::start_with(&["--feed-silence-ms", "0"]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(sources(&client.get(&path).await), ("postgres", "bypass"));
    }
}

#[tokio::test]
async fn a_stream_that_speaks_and_is_behind_is_not_trusted() {
    let test = TestApp::start_api(&["--feed-silence-ms", "1500"]).await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    let feed = &test.app.feed;
    let _leading = feed.lead(Epoch(1), Lsn(0));
    let is_behind = AtomicBool::new(false);
    // As a leader that says all the time where it is, and is in the middle of a large transaction in the end.
    let speak = async {
        let mut at = Lsn(0);
        loop {
            if !is_behind.load(Ordering::Relaxed) {
                at = log_end(&test.database.pool).await.unwrap();
            }
            feed.announce(&Changes::default(), at);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let read = async {
        remembered(&client, &path).await;
        is_behind.store(true, Ordering::Relaxed);
        sqlx::query("update customers set name = 'Grace'").execute(&test.database.pool).await.unwrap();
        becomes(&client, &path, "name", &json!("Grace")).await;
        assert_eq!(sources(&client.get(&path).await), ("postgres", "bypass"));
    };
    tokio::select! {
        () = speak => {}
        () = read => {}
    }
}

#[tokio::test]
async fn a_token_that_is_ahead_of_the_announcements_reads_past_the_memory() {
    let test = TestApp::start().await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    remembered(&client, &path).await;
    let ahead = client.with("x-sync-token", "FFFFFFFF/FFFFFFF8");
    for _ in 0..3 {
        assert_eq!(sources(&ahead.get(&path).await), ("postgres", "miss"));
    }
    let behind = client.with("x-sync-token", "0/8");
    assert_eq!(sources(&behind.get(&path).await), ("cache", "hit"));
    assert_eq!(client.with("x-sync-token", "yesterday").get(&path).await.code(), "bad_sync_token");
    assert_eq!(client.get(&format!("{path}?syncToken=yesterday")).await.code(), "bad_sync_token");
    assert_eq!(sources(&client.get(&format!("{path}?syncToken=0%2F8")).await), ("cache", "hit"));
}

#[tokio::test]
async fn a_list_waits_for_its_token_and_not_for_one_of_another_database() {
    // So long that a wait for it would end the test.
    let test = TestApp::start_with(&["--sync-wait-ms", "3600000"]).await;
    let client = test.client(Role::Admin).await;
    for round in 0..5 {
        let made = client.post("/customers", &json!({ "name": format!("Round {round}") })).await;
        let list = client.with("x-sync-token", made.header("x-sync-token")).get("/customers?count=exact").await;
        assert_eq!(list.header("x-read-source"), "elasticsearch");
        assert_eq!(list.expect(200)["total"], round + 1);
    }
    let list = client.with("x-sync-token", "FFFFFFFF/FFFFFFF8").get("/customers").await;
    assert_eq!(list.header("x-read-source"), "postgres", "the position is beyond the log, so nobody will ever reach it");
    assert_eq!(list.expect(200)["degraded"], true);
    let made = client.post("/customers", &json!({ "name": "After" })).await;
    let list = client.with("x-sync-token", made.header("x-sync-token")).get("/customers").await;
    assert_eq!(list.header("x-read-source"), "elasticsearch", "and nobody else waits longer for it");
}

/// A second server on the database of a test, without the sync.
async fn second(test: &TestApp) -> (App, Client) {
    let app = App::open(test.app.config.clone(), test.clock.clone()).unwrap();
    let running = server::start(&app).await.unwrap();
    (app, Client::new(format!("http://{}", running.address)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_hears_of_changes_until_its_last_answer() {
    let Some(redis) = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty()) else { return };
    // So long that only announcements, and only what the leader has stored, can be why.
    let long = ["--shutdown-delay-ms", "3600000", "--feed-silence-ms", "3600000", "--sync-wait-ms", "60000"];
    let test = TestApp::start_with(&[&long[..], &["--redis-url", &redis]].concat()).await;
    let (other, client) = second(&test).await;
    let token = test.token(Role::Admin).await;
    let (here, there) = (test.anonymous().with_token(&token), client.with_token(&token));
    let path = customer(&here, "Ada").await;
    remembered(&there, &path).await;
    other.stop.cancel();
    let changed = here.patch(&path, &json!({ "name": "Grace" })).await;
    becomes(&there, &path, "name", &json!("Grace")).await;
    remembered(&there, &path).await;
    let list = there.with("x-sync-token", changed.header("x-sync-token")).get("/customers").await;
    assert_eq!(list.header("x-read-source"), "elasticsearch");
}

/// Writers and readers of one row: nobody sees a version go back, and a writer sees at least what it has written.
async fn history_of(writers: &[Client], readers: &[Client], path: &str) {
    let mut tasks = tokio::task::JoinSet::new();
    for client in writers {
        let client = client.clone();
        let path = path.to_owned();
        tasks.spawn(async move {
            for round in 0..25 {
                let changed = client.patch(&path, &json!({ "name": format!("Round {round}") })).await;
                // Two at once may meet; the one that lost has written nothing.
                let Some(written) = changed.body["version"].as_i64() else { continue };
                for _ in 0..3 {
                    let seen = client.get(&path).await.expect(200)["version"].as_i64().unwrap();
                    assert!(seen >= written, "{seen} is read after {written} was written");
                }
            }
        });
    }
    for (number, client) in readers.iter().cloned().enumerate() {
        let path = path.to_owned();
        tasks.spawn(async move {
            let mut newest = 0;
            for round in 0..150 {
                // Some ask past the memory, and what they saw must be remembered too.
                let ahead = client.with("x-sync-token", "FFFFFFFF/FFFFFFF8");
                let client = if (round + number) % 7 == 0 { &ahead } else { &client };
                let seen = client.get(&path).await.expect(200)["version"].as_i64().unwrap();
                assert!(seen >= newest, "{seen} is read after {newest}");
                newest = seen;
            }
        });
    }
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_never_go_back_on_one_server() {
    let test = TestApp::start().await;
    let client = test.client(Role::Admin).await;
    let path = customer(&client, "Ada").await;
    let clients = vec![client; 4];
    history_of(&clients[..2], &clients, &path).await;
    remembered(&clients[0], &path).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_never_go_back_on_two_servers() {
    let Some(redis) = redis_url() else { return };
    let test = TestApp::start_with(&["--redis-url", &redis]).await;
    let (other, client) = second(&test).await;
    let token = test.token(Role::Admin).await;
    let (here, there) = (test.anonymous().with_token(&token), client.with_token(&token));
    let path = customer(&here, "Ada").await;
    remembered(&there, &path).await;
    assert_eq!(other.feed.source(), Source::Other);
    let writers = [here.clone(), there.clone()];
    let readers = [here.clone(), there.clone(), here.clone(), there.clone()];
    history_of(&writers, &readers, &path).await;
    // In the end both show the same.
    let newest = here.get(&path).await.expect(200)["version"].clone();
    becomes(&there, &path, "version", &newest).await;
    assert_eq!(Arc::clone(&other.feed).source(), Source::Other);
    other.stop.cancel();
}
