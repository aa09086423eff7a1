//! The log: one event is one line, files besides standard output, what was slow and for whom.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::canaries::sinks::{Collector, Folder, Printed};
use crate::harness::app::{Indices, elasticsearch_url};
use crate::harness::client::Client;
use crate::harness::database::Database;
use crate::harness::eventually::eventually;
use crate::harness::process::{add_user, command, free_port};
use crate::harness::raw_socket::Wire;

const PASSWORD: &str = "correct horse battery";

/// A server in production with a folder for its log.
struct Server {
    process: Printed,
    anonymous: Client,
    port: u16,
    folder: Folder,
}

impl Server {
    async fn start(database: &Database, variables: &[(&str, &str)]) -> Self {
        let (folder, port) = (Folder::new(), free_port().await);
        let mut command = command(database);
        command.args(["serve"]).env("APP_ENV", "production").env("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        command.env("SHUTDOWN_DELAY", "0").env("PORT", port.to_string()).env("LOG_DIR", &folder.0);
        command.env_remove("ELASTICSEARCH_URL").env_remove("REDIS_URL").envs(variables.iter().copied());
        let process = Printed::start(command);
        let anonymous = Client::new(format!("http://127.0.0.1:{port}"));
        eventually("the server is ready", async || {
            anonymous.try_send(Method::GET, "/health/ready", None).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        Self { process, anonymous, port, folder }
    }

    async fn sign_in(&self) -> Client {
        let login = self.anonymous.post("/auth/login", &json!({ "username": "ann", "password": PASSWORD })).await.expect(200);
        self.anonymous.with_token(login["token"].as_str().unwrap())
    }

    /// The events of the log, which both of its sinks show alike.
    async fn events(mut self) -> Vec<Value> {
        self.process.stop().await;
        let events = |text: &str| -> Vec<Value> {
            let lines = text.lines().filter(|line| !line.starts_with("first start"));
            lines
                .map(|line| {
                    assert!(line.len() <= 4_096, "{line}");
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
                })
                .collect()
        };
        let (printed, written) = (events(&self.process.stdout.read()), events(&self.folder.read()));
        let messages = |events: &[Value]| events.iter().map(|event| event["message"].to_string()).collect::<BTreeSet<_>>();
        assert_eq!(messages(&printed), messages(&written));
        written
    }
}

#[tokio::test]
async fn whatever_a_client_sends_an_event_is_one_short_line_of_json() {
    let database = Database::create().await;
    let server = Server::start(&database, &[("LOG_LEVEL", "trace")]).await;
    let forged = r#"{"message":"forged"}"#;
    let long = "A".repeat(1 << 20);
    for agent in ["a\r b", "\u{1b}[31mred\u{1b}[0m", "a\u{0}b", "a\n {\"message\":\"forged\"}", forged, &long] {
        let mut wire = Wire::open(([127, 0, 0, 1], server.port).into()).await;
        let request = format!(
            "GET /api/v1/customers?q={0} HTTP/1.1\r\nhost: a\r\nuser-agent: {agent}\r\nx-request-id: {0}\r\n\r\n",
            "%0d%0a%1b"
        );
        wire.try_send(request.as_bytes()).await;
        wire.finish().await;
        wire.try_answer(false).await;
    }
    let body = format!("{{\"username\": \"x\\r\\n{}\", \"password\": \"y\"}}", forged.replace('"', "\\\""));
    server.anonymous.send_text(Method::POST, "/auth/login", &body).await;
    let events = server.events().await;
    assert!(events.len() > 20 && events.iter().all(|event| event["message"] != "forged"), "{}", events.len());
}

#[tokio::test]
async fn slow_statements_and_searches_are_logged_with_their_request() {
    let database = Database::create().await;
    let _indices = Indices(database.name.clone());
    add_user(&database, "ann", "admin", PASSWORD).await;
    let elasticsearch = elasticsearch_url();
    let variables = [("SLOW_LOG", "1ms"), ("ELASTICSEARCH_URL", elasticsearch.as_str()), ("SEARCH_TIMEOUT", "10s")];
    let server = Server::start(&database, &variables).await;
    let client = server.sign_in().await;
    eventually("elasticsearch answers lists", async || client.get("/customers").await.expect(200)["engine"] == "elasticsearch")
        .await;
    let slow = client.with("x-request-id", "the-slow-one");
    for n in 0..30 {
        slow.post("/customers", &json!({ "name": format!("Ann {n}") })).await.expect(201);
        slow.get("/customers?q=ann&sort=name").await.expect(200);
    }
    let metrics = client.get("/api/metrics").await.expect(200);
    let events = server.events().await;
    let of_request = |message: &str| {
        let found = events.iter().find(|event| event["message"] == message && event["request_id"] == "the-slow-one");
        found.unwrap_or_else(|| panic!("{message}")).clone()
    };
    let statement = of_request("slow statement");
    assert!(statement["statement"].as_str().is_some_and(|class| class.len() < 60), "{statement}");
    let search = of_request("slow request to elasticsearch");
    assert_eq!((&search["operation"], &search["outcome"]), (&json!("search"), &json!("ok")), "{search}");
    assert!(search["ms"].as_f64().is_some_and(|ms| ms >= 1.0), "{search}");
    assert!(events.iter().all(|event| event["target"] != "sqlx::query"), "the text of statements is for the level debug");
    let timed = |list: &Value, of: &[(&str, &str)]| {
        let found = list.as_array().unwrap().iter().find(|one| of.iter().all(|(label, value)| one[label] == *value));
        let time = &found.unwrap_or_else(|| panic!("{of:?} in {list}"))["time"];
        let figures = ["meanMs", "p50Ms", "p95Ms", "p99Ms"].map(|figure| time[figure].as_f64().unwrap());
        assert!(time["count"].as_u64() >= Some(30) && figures.iter().all(|ms| *ms > 0.0) && figures[1..].is_sorted(), "{time}");
    };
    timed(&metrics["http"]["routes"], &[("method", "POST"), ("route", "/api/v1/customers")]);
    timed(&metrics["postgres"]["statements"], &[("statement", "insert customers")]);
    timed(&metrics["elasticsearch"]["operations"], &[("operation", "search"), ("outcome", "ok")]);
    assert!(
        metrics["process"]["residentBytes"].as_f64() > Some(1e6) && metrics["elasticsearch"]["breakerOpen"] == false,
        "{metrics}"
    );
}

#[tokio::test]
async fn traces_go_to_the_collector_and_follow_the_caller() {
    let database = Database::create().await;
    add_user(&database, "ann", "admin", PASSWORD).await;
    let collector = Collector::start().await;
    let server =
        Server::start(&database, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url), ("OTEL_SERVICE_NAME", "debts")]).await;
    let client = server.sign_in().await;
    let traced = client.with("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    traced.get("/customers?q=ann").await.expect(200);
    server.events().await;
    let received = collector.received.bytes();
    let has = |wanted: &[u8]| received.windows(wanted.len()).any(|window| window == wanted);
    for wanted in
        ["POST /v1/traces", "debts", "GET /api/v1/customers", "postgresql select customers", "http.response.status_code"]
    {
        assert!(has(wanted.as_bytes()), "{wanted}");
    }
    assert!(has(&0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()), "the id of the caller's trace");
}

#[tokio::test]
async fn a_collector_that_is_away_changes_no_answer() {
    let database = Database::create().await;
    add_user(&database, "ann", "admin", PASSWORD).await;
    let endpoint = format!("http://127.0.0.1:{}", free_port().await);
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_BSP_MAX_QUEUE_SIZE", "8")];
    let server = Server::start(&database, &variables).await;
    let client = server.sign_in().await;
    for _ in 0..50 {
        client.get("/customers").await.expect(200);
    }
    let events = server.events().await;
    let told = events.iter().filter(|event| event["message"] == "cannot send traces to the collector").count();
    assert_eq!(told, 1);
}
