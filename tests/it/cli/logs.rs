//! What the log never says, at any level.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{add_user, command, free_port};

const PASSWORD: &str = "correct horse battery";

#[tokio::test]
async fn no_level_brings_what_clients_searched_for_into_the_log() {
    let database = Database::create().await;
    add_user(&database, "ann", "agent", PASSWORD).await;
    for (name, value) in [("LOG_LEVEL", "trace"), ("RUST_LOG", "trace,warp::filters=trace,warp=trace")] {
        let log = traced(&database, name, value).await;
        assert!(log.iter().any(|line| line.contains("DEBUG")), "{name}: other parts of the program log in detail");
        for planted in ["zwickelbauer", "jane@example.org", "+14155552671", "4155552671", "4111111111111111"] {
            let telling: Vec<_> = log.iter().filter(|line| line.to_lowercase().contains(planted)).collect();
            assert!(telling.is_empty(), "{name}: {planted} is in {telling:?}");
        }
    }
}

/// Serves requests with planted names, and returns the whole log.
async fn traced(database: &Database, name: &str, value: &str) -> Vec<String> {
    let port = free_port().await;
    let mut command = command(database);
    command.args(["serve", "--only", "api"]).env("PORT", port.to_string()).env(name, value);
    command.env_remove("ELASTICSEARCH_URL").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reading = tokio::spawn(async move {
        let mut log = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            log.push(line);
        }
        log
    });
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    eventually("the server is ready", async || {
        client.try_send(reqwest::Method::GET, "/health/ready", None).await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    let login = client.post("/auth/login", &json!({ "username": "ann", "password": PASSWORD })).await.expect(200);
    let client = client.with_token(login["token"].as_str().unwrap());
    client.get("/customers/Zwickelbauer").await.expect(404);
    client.get("/Zwickelbauer/jane@example.org/4111111111111111").await.expect(404);
    client.get("/customers?q=Zwickelbauer&phone=%2B14155552671").await;
    client.get("/customers?jane@example.org=4111111111111111").await.expect(400);
    let new = json!({ "name": "Renée Zwickelbauer", "email": "jane@example.org", "phone": "+1 415 555 2671" });
    client.post("/customers", &new).await.expect(201);
    client.post("/customers", &json!({ "name": "Ann", "zwickelbauer": 1 })).await.expect(422);
    child.kill().await.unwrap();
    reading.await.unwrap()
}
