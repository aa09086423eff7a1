//! Lists are never old or empty without a mark, and every server says why.

mod edits;
mod marks;
mod trust;

use collections::app::App;
use collections::server::{self, Running};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::harness::app::{TestApp, elasticsearch};
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process;

/// Another server on the database and the index of a test, which runs no sync.
struct Beside {
    app: App,
    running: Running,
}

impl Beside {
    async fn start(test: &TestApp) -> Self {
        let app = App::open(test.app.config.clone(), test.clock.clone()).unwrap();
        let running = server::start(&app).await.unwrap();
        Self { app, running }
    }

    fn client(&self, token: &str) -> Client {
        Client::new(format!("http://{}", self.running.address)).with_token(token)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

/// A process that only syncs, which a test can kill and freeze.
struct Leader(Child);

impl Leader {
    fn start(database: &Database) -> Self {
        let mut command = process::command(database);
        command.args(["serve", "--only", "sync"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn name(&self) -> String {
        format!("process {}", self.0.id().unwrap())
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([format!("-{name}"), id]).status().unwrap().success());
    }
}

/// A server beside a leader of its own process, whose index it reads.
async fn beside_leader(more: &[&str]) -> (TestApp, Leader, Client) {
    beside_leader_on(Database::create().await, more).await
}

async fn beside_leader_on(database: Database, more: &[&str]) -> (TestApp, Leader, Client) {
    let leader = Leader::start(&database);
    let test = TestApp::start_beside_sync(database, more).await;
    let client = test.admin().await;
    until_fresh(&client).await;
    (test, leader, client)
}

async fn create(client: &Client, name: &str) {
    client.post("/customers", &json!({ "name": name })).await.expect(201);
}

async fn list(client: &Client) -> Value {
    client.get("/customers?count=exact&sort=name").await.expect(200)
}

/// Whether a list says that it may be old, or that Postgres has answered.
fn is_marked(list: &Value) -> bool {
    list["degraded"] == true || list["stale"] == true
}

async fn until_fresh(client: &Client) {
    eventually("lists come from the index, unmarked", async || {
        let list = list(client).await;
        list["engine"] == "elasticsearch" && !is_marked(&list)
    })
    .await;
}

async fn until_total(client: &Client, total: u64) {
    eventually(&format!("the index has {total} customers"), async || {
        let list = list(client).await;
        list["engine"] == "elasticsearch" && list["total"] == total
    })
    .await;
}

async fn until_stale(client: &Client) {
    eventually("lists are marked as stale", async || list(client).await["stale"] == true).await;
}

/// Waits until health and readiness give a reason, while requests are served.
async fn until_degraded(client: &Client, reason: &str) {
    eventually(&format!("the health names: {reason}"), async || {
        let mut are_all = true;
        for path in ["/health", "/health/ready"] {
            let health = client.get(path).await.expect(200);
            let reasons = health["reasons"].as_array().unwrap();
            are_all &= health["status"] == "degraded" && reasons.iter().any(|one| one.as_str().unwrap().contains(reason));
        }
        are_all
    })
    .await;
}

async fn until_well(client: &Client) {
    eventually("the health is ok", async || client.get("/health").await.expect(200)["status"] == "ok").await;
}

/// What `collections sync status` prints.
async fn sync_status(test: &TestApp) -> String {
    let output = process::command(&test.database).args(["sync", "status"]).output().await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

async fn until_status(test: &TestApp, text: &str) {
    eventually(&format!("the status says: {text}"), async || sync_status(test).await.contains(text)).await;
}

/// The live index of the customers.
async fn live(test: &TestApp) -> String {
    let sql = "select index_name from index_generations where collection = 'customers' and state = 'live'";
    sqlx::query_scalar(sql).fetch_one(&test.database.pool).await.unwrap()
}

async fn block_writes(index: &str, is_blocked: bool) {
    let settings = json!({ "index.blocks.write": is_blocked });
    let answer = elasticsearch(Method::PUT, &format!("/{index}/_settings"), Some(settings)).await;
    assert_eq!(answer["acknowledged"], true, "{answer}");
}
