//! Admission: clients that are slow, many or all after one record do not keep others from being served.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};

/// The head of a log-in and the first byte of its body.
const UNFINISHED: &str =
    "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{";

/// Another client than 127.0.0.1, where the tests come from.
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

async fn unfinished(address: SocketAddr, count: usize) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..count {
        let mut wire = Wire::open_from(OTHER, address).await;
        wire.send(UNFINISHED).await;
        wires.push(wire);
    }
    wires
}

#[tokio::test]
async fn unfinished_requests_hold_no_slot() {
    let test = TestApp::start_api(&["--http-max-in-flight", "4"]).await;
    let viewer = test.client(collections::auth::Role::Viewer).await;
    let mut waiting = unfinished(test.address(), 40).await;
    for _ in 0..20 {
        viewer.get("/customers").await.expect(200);
    }
    waiting[0].send(r#""username":"ann","password":"wrong123"}"#).await;
    let answer = waiting[0].answer().await;
    assert_eq!(status(&answer), 401, "a request goes on where it waited: {answer}");
}

#[tokio::test]
async fn unfinished_requests_are_bounded() {
    let test = TestApp::start_api(&["--http-max-in-flight", "2"]).await;
    let viewer = test.client(collections::auth::Role::Viewer).await;
    let _waiting = unfinished(test.address(), 40).await;
    eventually("there is no room for more", async || {
        let mut one = Wire::open(test.address()).await;
        one.send(UNFINISHED.replace("Host: x", "Host: x\r\nConnection: close")).await;
        // Those that wait are not answered before the body timeout.
        tokio::time::timeout(Duration::from_millis(500), one.answer()).await.is_ok_and(|answer| status(&answer) == 503)
    })
    .await;
    viewer.get("/customers").await.expect(200);
}

#[tokio::test]
async fn log_ins_beyond_their_queue_are_refused_and_others_served() {
    let test = TestApp::start_api_tuned(&["--http-max-in-flight", "4"], |config| config.access.log_ins = 3).await;
    let viewer = test.client(collections::auth::Role::Viewer).await;
    let wrong = json!({ "username": "ann", "password": "wrong password" });
    let mut log_ins: Vec<_> = (0..30)
        .map(|_| {
            let (client, wrong) = (test.anonymous(), wrong.clone());
            tokio::spawn(async move {
                let answer = client.post("/auth/login", &wrong).await;
                (answer.status, answer.header("retry-after").to_owned())
            })
        })
        .collect();
    let mut answers = Vec::new();
    while let Some(log_in) = log_ins.pop() {
        // One list at a time fits beside the log-ins, which wait without a slot.
        viewer.get("/customers").await.expect(200);
        answers.push(log_in.await.unwrap());
    }
    assert!(answers.iter().any(|(status, _)| *status == 401), "{answers:?}");
    assert!(answers.iter().any(|(status, retry_after)| *status == 503 && retry_after == "1"), "{answers:?}");
    assert!(answers.iter().all(|(status, _)| matches!(status, 401 | 503)), "{answers:?}");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let test = TestApp::start_api_tuned(&["--http-max-connections-per-address", "5"], |config| {
        config.http.header_timeout = Duration::from_secs(60);
    })
    .await;
    let address = test.address();
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(Wire::open_from(OTHER, address).await);
    }
    let from_other = async |path: &str| {
        let mut wire = Wire::open_from(OTHER, address).await;
        wire.send(get(path)).await;
        wire.rest().await
    };
    eventually("all five are accepted", async || status(&from_other("/nothing").await) == 503).await;
    let refused = from_other("/api/v1/auth/me").await;
    assert_eq!((status(&refused), body(&refused)["code"].as_str()), (503, Some("overloaded")), "{refused}");
    assert_eq!(status(&from_other("/health/live").await), 200, "a probe is answered");
    assert_eq!(status(&Wire::exchange(address, get("/api/v1/auth/me")).await), 401, "and so is another address");
    for _ in 0..100 {
        silent.push(Wire::open_from(OTHER, address).await);
    }
    assert_eq!(status(&from_other("/health/live").await), 200, "however many more are opened");
    silent.clear();
    eventually("the address is served again", async || status(&from_other("/api/v1/auth/me").await) == 401).await;
}

#[tokio::test]
async fn a_full_server_answers_probes_and_refuses_the_rest() {
    let test = TestApp::start_api_tuned(&["--http-max-connections", "2"], |config| {
        config.http.header_timeout = Duration::from_secs(60);
    })
    .await;
    let _silent = [Wire::open_from(OTHER, test.address()).await, Wire::open_from(OTHER, test.address()).await];
    eventually("the server is full", async || status(&Wire::exchange(test.address(), get("/api/v1/auth/me")).await) == 503).await;
    assert_eq!(status(&Wire::exchange(test.address(), get("/health/live")).await), 200);
    assert_eq!(status(&Wire::exchange(test.address(), get("/health/ready")).await), 200);
}

/// An account that owes something: the address of its payments.
async fn payments_of(client: &Client) -> String {
    let new = json!({ "customer": { "name": "Ann" }, "amountDue": 1_000, "currency": "EUR" });
    format!("/accounts/{}/payments", client.post("/accounts", &new).await.expect(201)["id"].as_str().unwrap())
}

fn payment() -> Value {
    json!({ "amount": 1, "method": "card", "status": "success" })
}

/// Sends a request again while there is no slot for it; returns what came of it.
async fn send(client: Client, (method, path, body): (Method, String, Value)) -> u16 {
    for _ in 0..3_000 {
        let answer = client.send(method.clone(), &path, Some(&body)).await;
        if answer.status != 503 {
            return answer.status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    503
}

#[tokio::test]
async fn writes_that_wait_for_one_record_leave_connections_to_others() {
    let test = TestApp::start_api_tuned(&["--db-pool-size", "4", "--http-max-in-flight", "8"], |config| {
        config.database.acquire_timeout = Duration::from_millis(500);
        config.database.lock_timeout = Duration::from_secs(120);
        config.database.statement_timeout = Duration::from_secs(120);
    })
    .await;
    let agent = test.agent().await;
    let (contended, other) = (payments_of(&agent).await, payments_of(&agent).await);
    let mut changed = Vec::new();
    for _ in 0..6 {
        let made = agent.post(&contended, &json!({ "amount": 1, "method": "card" })).await.expect(201);
        changed.push(format!("/payments/{}", made["id"].as_str().unwrap()));
    }
    let mut held = test.database.pool.begin().await.unwrap();
    let account = uuid::Uuid::parse_str(contended.split('/').nth(2).unwrap()).unwrap();
    sqlx::query("select from accounts where id = $1 for update").bind(account).execute(&mut *held).await.unwrap();

    let created = (0..20).map(|_| (Method::POST, contended.clone(), payment()));
    let changed = changed.into_iter().map(|path| (Method::PATCH, path, json!({ "status": "success" })));
    let waiting: Vec<_> = created.chain(changed).map(|write| tokio::spawn(send(agent.clone(), write))).collect();
    eventually("two writes wait for the row", async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from pg_locks l join pg_stat_activity a using (pid) where not granted and a.datname = current_database()")
            .fetch_one(&test.database.pool)
            .await
            .unwrap();
        waiting == 2
    })
    .await;
    for _ in 0..10 {
        assert_eq!(send(agent.clone(), (Method::POST, other.clone(), payment())).await, 201);
        assert_eq!(send(agent.clone(), (Method::GET, "/customers".into(), Value::Null)).await, 200);
    }
    held.rollback().await.unwrap();
    for status in join_all(waiting).await {
        assert!(matches!(status.unwrap(), 200 | 201), "each has its turn");
    }
    let balance = agent.get(contended.trim_end_matches("/payments")).await.expect(200)["balance"].clone();
    assert_eq!(balance, json!(1_000.0 - 26.0));
}
