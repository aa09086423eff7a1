//! A server that is killed between a commit and its answer: the same key gets the answer, and there is one effect.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::PASSWORD;
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{Server, add_user, command, free_port};
use crate::harness::raw_socket::Wire;

/// A server process with a signed-in agent.
struct Stage {
    database: Database,
    port: u16,
    token: String,
}

impl Stage {
    async fn start() -> (Self, Server) {
        let database = Database::create().await;
        add_user(&database, "ann", "agent", PASSWORD).await;
        let port = free_port().await;
        let mut stage = Self { database, port, token: String::new() };
        let server = stage.serve(None).await;
        let answer = server.client().post("/auth/login", &json!({ "username": "ann", "password": PASSWORD })).await.expect(200);
        stage.token = answer["access_token"].as_str().unwrap().to_owned();
        (stage, server)
    }

    /// Starts the server, which aborts at a failpoint if there is one.
    async fn serve(&self, failpoint: Option<&str>) -> Server {
        let mut command = command(&self.database);
        command.envs(failpoint.map(|name| ("FAILPOINTS", format!("{name}=return"))));
        Server::start_with(command, self.port, &["serve", "--only", "api"]).await
    }

    fn agent(&self, server: &Server) -> Client {
        server.client().with_token(&self.token)
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database.pool).await.unwrap()
    }

    /// The stored answers, as they were committed.
    async fn stored(&self) -> i64 {
        self.count("select count(*) from idempotency_keys").await
    }

    async fn stored_body(&self, key: &str) -> Value {
        let sql = "select convert_from(response, 'utf8')::json ->> 'body' from idempotency_keys where key = $1";
        let body: String = sqlx::query_scalar(sql).bind(key).fetch_one(&self.database.pool).await.unwrap();
        serde_json::from_str(&body).unwrap_or_default()
    }

    /// Sends a request that a killed server has committed, once more and at once many times: all get the one answer.
    async fn repeat(&self, server: &Server, key: &str, path: &str, body: &Value) {
        let keyed = self.agent(server).with("idempotency-key", key);
        let mut answers = vec![keyed.post(path, body).await];
        answers.extend(join_all((0..20).map(|_| keyed.post(path, body))).await);
        let stored = self.stored_body(key).await;
        let mut replayed = 0;
        for answer in answers {
            // While one of them reads the stored answer, the key is taken.
            if answer.status == 409 {
                assert_eq!((answer.code(), answer.header("retry-after")), ("idempotency_in_progress", "1"));
                continue;
            }
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, "true"), "{path}: {}", answer.body);
            assert_eq!(answer.body, stored, "{path}");
            replayed += 1;
        }
        assert!(replayed > 0);
        // The same values in another order are another body.
        let members = body.as_object().unwrap().iter().rev();
        let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\": {value}")).collect();
        let other = keyed.send_text(Method::POST, path, &format!("{{ {} }}", members.join(", "))).await;
        assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    }
}

/// An account to pay on, and its address.
async fn account(agent: &Client) -> String {
    let account = agent.post("/accounts", &json!({ "customer": { "name": "Ann" }, "amountDue": 100 })).await.expect(201);
    format!("/accounts/{}", account["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_with_its_server_is_answered_by_the_next() {
    let (stage, server) = Stage::start().await;
    let account = account(&stage.agent(&server)).await;
    let writes = [
        ("pay", format!("{account}/payments"), json!({ "amount": 10, "method": "cash", "status": "success" })),
        ("open", "/customers".to_owned(), json!({ "name": "Ben" })),
        ("save", "/saved-searches".to_owned(), json!({ "name": "Late", "collection": "accounts" })),
    ];
    let mut unread = Vec::new();
    for (key, path, body) in &writes {
        let mut wire = Wire::open(server.address()).await;
        let body = body.to_string();
        let head = format!(
            "POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json",
            stage.token
        );
        wire.send(format!("{head}\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
        unread.push(wire);
    }
    eventually("all are committed", async || stage.stored().await == 3).await;
    server.kill().await;
    drop(unread);
    let server = stage.serve(None).await;
    for (key, path, body) in &writes {
        stage.repeat(&server, key, path, body).await;
    }
    assert_eq!(stage.count("select count(*) from payments").await, 1);
    assert_eq!(stage.count("select balance from accounts").await, 9_000);
    assert_eq!(stage.count("select count(*) from customers").await, 2);
    assert_eq!(stage.count("select count(*) from saved_searches").await, 1);
}

/// The process dies at the statement behind the commit, so that no answer can have left it.
#[tokio::test]
async fn a_server_that_dies_behind_the_commit_has_answered_for_the_next() {
    let (stage, server) = Stage::start().await;
    let account = account(&stage.agent(&server)).await;
    server.kill().await;
    let pay = json!({ "amount": 10, "method": "cash", "status": "success" });
    let path = format!("{account}/payments");
    for round in 1..=3 {
        let key = format!("attempt-{round}");
        let failing = stage.serve(Some("write-committed")).await;
        let keyed = stage.agent(&failing).with("idempotency-key", &key);
        keyed.try_send(Method::POST, &path, Some(&pay)).await.unwrap_err();
        assert_eq!(stage.stored().await, round, "it was committed");
        drop(failing);
        let server = stage.serve(None).await;
        stage.repeat(&server, &key, &path, &pay).await;
        server.kill().await;
        assert_eq!(stage.count("select count(*) from payments").await, round);
        assert_eq!(stage.count("select balance from accounts").await, 10_000 - round * 1_000);
    }
}

/// Before the commit there is neither effect nor answer.
#[tokio::test]
async fn a_server_that_dies_before_the_commit_has_done_nothing() {
    let (stage, server) = Stage::start().await;
    server.kill().await;
    let failing = stage.serve(Some("write-worked")).await;
    let keyed = |server: &Server| stage.agent(server).with("idempotency-key", "attempt");
    let new = json!({ "name": "Ben" });
    keyed(&failing).try_send(Method::POST, "/customers", Some(&new)).await.unwrap_err();
    drop(failing);
    let server = stage.serve(None).await;
    let answer = keyed(&server).post("/customers", &new).await;
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, ""));
    assert_eq!(stage.count("select count(*) from customers").await, 1);
}
