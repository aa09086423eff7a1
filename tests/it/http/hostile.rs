//! Hostile clients: while one does its worst in a loop, another is served as if it were alone, and the server stays small.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, join_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::Indices;
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{Server, add_user, command, free_port};
use crate::harness::raw_socket::Wire;

/// How long each attack goes on.
const ATTACK: Duration = Duration::from_secs(4);

/// Resident memory that the server never needs, in MiB.
const MEMORY: u64 = 300;

const HOSTILE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const PASSWORD: &str = "correct horse battery";

/// A server with two clients, one of whom is hostile.
struct Stage {
    server: Server,
    address: SocketAddr,
    /// With the token of an agent.
    client: Client,
    token: String,
    /// The payments of the account that is attacked, and of another one.
    payments: [String; 2],
}

impl Stage {
    async fn set(database: &Database) -> Self {
        add_user(database, "ann", "agent", PASSWORD).await;
        let mut command = command(database);
        // Elasticsearch is shared with all other tests, and may be slow.
        command.env("SEARCH_TIMEOUT", "30s").env("HTTP_MAX_IN_FLIGHT", "64");
        // Lists wait for what their user has written, and so for the sync.
        command.env("SYNC_WAIT", "20s").env("STALE_AFTER", "1m");
        let server = Server::start(command, free_port().await).await;
        let answer = server.client().post("/auth/login", &json!({ "username": "ann", "password": PASSWORD })).await.expect(200);
        let token = answer["token"].as_str().unwrap().to_owned();
        let client = server.client().with_token(&token);
        let mut payments = [String::new(), String::new()];
        for address in &mut payments {
            let new = json!({ "customer": { "name": "Ann" }, "amountDue": 100_000, "currency": "EUR" });
            let account = client.post("/accounts", &new).await.expect(201);
            *address = format!("/accounts/{}/payments", account["id"].as_str().unwrap());
        }
        for n in 0..100 {
            client.post("/customers", &json!({ "name": format!("Customer {n}"), "tags": ["x".repeat(50)] })).await.expect(201);
        }
        eventually("lists come from the index", async || {
            let list = client.get("/customers").await.expect(200);
            list["engine"] == "elasticsearch" && list["total"] == 102
        })
        .await;
        let address = (Ipv4Addr::LOCALHOST, server.port).into();
        Self { server, address, client, token, payments }
    }

    /// Runs an attack again and again, and meanwhile what every client may expect to work.
    async fn withstand(self: &Arc<Self>, name: &str, attack: impl Fn(Arc<Self>) -> BoxFuture<'static, ()> + Send + 'static) {
        let stage = Arc::clone(self);
        let attacking = tokio::spawn(async move {
            let began = Instant::now();
            while began.elapsed() < ATTACK {
                attack(Arc::clone(&stage)).await;
            }
        });
        let (mut served, mut most) = (0, 0);
        while !attacking.is_finished() || served == 0 {
            let list = self.client.get("/customers?limit=5").await;
            assert_eq!((list.status, &list.body["degraded"]), (200, &Value::Null), "{name}: {}", list.body);
            let live = self.client.get("/health/live").await;
            assert_eq!(live.status, 200, "{name}: {}", live.body);
            let paid = self.client.post(&self.payments[1], &json!({ "amount": 1, "method": "card" })).await;
            assert_eq!(paid.status, 201, "{name}: {}", paid.body);
            most = most.max(self.server.resident_mib());
            served += 1;
        }
        attacking.await.unwrap();
        assert!(most < MEMORY, "{name}: {most} MiB");
    }

    async fn wires(&self, count: usize, request: &str) -> Vec<Wire> {
        let mut wires = Vec::new();
        for _ in 0..count {
            let mut wire = Wire::open_from(HOSTILE, self.address).await;
            wire.send(request).await;
            wires.push(wire);
        }
        wires
    }

    /// Sends a body several times at once, and wants each refused.
    async fn refused(&self, method: Method, path: &str, body: &Value) {
        let send = || async {
            let answer = self.client.send(method.clone(), path, Some(body)).await;
            assert!(matches!(answer.status, 422 | 503), "{}", answer.body);
            assert!(answer.body.to_string().len() < 64 * 1024);
        };
        join_all((0..3).map(|_| send())).await;
    }
}

async fn long_lists(stage: Arc<Stage>) {
    let words: Vec<String> = (0..90_000).map(|n| format!("w{n}")).collect();
    stage.refused(Method::POST, "/customers", &json!({ "name": "Ann", "tags": words })).await;
    let points: Vec<Value> = (0..22_000).map(|n| json!({ "kind": "email", "value": format!("{n}@b.c") })).collect();
    stage.refused(Method::POST, "/customers", &json!({ "name": "Ann", "contactPoints": points })).await;
    let account = stage.payments[0].trim_end_matches("/payments");
    stage.refused(Method::PATCH, account, &json!({ "tags": words })).await;
}

async fn many_faults(stage: Arc<Stage>) {
    stage.refused(Method::POST, "/customers", &json!({ "contactPoints": vec![json!({}); 340_000] })).await;
    let answer = stage.client.get(&format!("/customers?{}", "a&".repeat(7_000))).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.to_string().len() < 64 * 1024);
}

async fn unfinished_log_ins(stage: Arc<Stage>) {
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000\r\n\r\n{";
    let _waiting = stage.wires(520, head).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn many_log_ins(stage: Arc<Stage>) {
    let wrong = json!({ "username": "ann", "password": "wrong password" });
    let log_in = || async {
        let answer = stage.server.client().post("/auth/login", &wrong).await;
        assert!(matches!(answer.status, 401 | 503), "{}", answer.body);
    };
    join_all((0..100).map(|_| log_in())).await;
}

async fn payments_on_one_account(stage: Arc<Stage>) {
    let pay = || async {
        let answer = stage.client.post(&stage.payments[0], &json!({ "amount": 1, "method": "card", "status": "success" })).await;
        assert!(matches!(answer.status, 201 | 503), "{}", answer.body);
    };
    join_all((0..48).map(|_| pay())).await;
}

async fn slow_readers(stage: Arc<Stage>) {
    let head = format!("GET /api/v1/customers?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", stage.token);
    let mut wires = Vec::new();
    for _ in 0..50 {
        let mut wire = Wire::open_narrow(stage.address).await;
        wire.send(&head).await;
        wires.push(wire);
    }
    for _ in 0..20 {
        join_all(wires.iter_mut().map(|wire| wire.read_some(10))).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_client_does_not_keep_another_from_being_served() {
    let database = Database::create().await;
    let _indices = Indices(database.name.clone());
    let stage = Arc::new(Stage::set(&database).await);
    stage.withstand("long lists", |stage| long_lists(stage).boxed()).await;
    stage.withstand("many faults", |stage| many_faults(stage).boxed()).await;
    stage.withstand("unfinished log-ins", |stage| unfinished_log_ins(stage).boxed()).await;
    stage.withstand("many log-ins", |stage| many_log_ins(stage).boxed()).await;
    stage.withstand("payments on one account", |stage| payments_on_one_account(stage).boxed()).await;
    stage.withstand("slow readers", |stage| slow_readers(stage).boxed()).await;
}
