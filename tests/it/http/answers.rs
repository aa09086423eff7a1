//! What all responses share: problem details, methods, headers, request ids.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use collections::api::{Reply, Request, json as reply};
use collections::app::App;
use collections::auth::{Role, public};
use collections::error::{Error, Result};
use collections::http::{self, Routes};
use collections::operation::{NoContent, Nothing};
use collections::{routes, server};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::raw_socket::{Wire, status};

/// Serves routes of a test.
pub async fn serve(app: &App, routes: Routes) -> SocketAddr {
    let socket = http::bind(&app.config.http).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(http::listen(app.clone(), socket, routes));
    address
}

async fn explode(_: Request) -> Result<Reply> {
    panic!("4111 1111 1111 1111");
}

async fn fail(_: Request) -> Result<Reply> {
    Err(Error::internal("postgres://user:secret@host/db refused"))
}

async fn tagged(_: Request) -> Result<Reply> {
    Ok(reply(&json!({ "n": 1 }))?.with_version(7))
}

fn odd(app: &App) -> Routes {
    routes! { app, "odd";
        get  ("explode") public => explode: Nothing -> NoContent;
        get  ("fail")    public => fail:    Nothing -> NoContent;
        get  ("tagged")  public => tagged:  Nothing -> NoContent;
        post ("tagged")  public => tagged:  Nothing -> NoContent;
    }
}

#[track_caller]
fn check_problem(answer: &crate::harness::client::Answer, expected: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (expected, code), "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = &answer.body;
    for (member, same) in [("status", "statusCode"), ("detail", "message"), ("instance", "path")] {
        assert_eq!(body[member], body[same], "{body}");
        assert!(!body[member].is_null(), "{body}");
    }
    assert_eq!(body["requestId"], answer.header("x-request-id"));
    assert!(body["type"].as_str().unwrap().ends_with(code) && body["errors"].is_array() && body["title"].is_string());
    chrono::DateTime::parse_from_rfc3339(body["timestamp"].as_str().unwrap()).unwrap();
}

#[tokio::test]
async fn all_errors_are_problem_details_of_one_shape() {
    let test = TestApp::start_api(&["--http-body-limit", "1000"]).await;
    let (anonymous, admin) = (test.anonymous(), test.admin().await);
    check_problem(&anonymous.get("/nowhere").await, 404, "not_found");
    check_problem(&anonymous.get("/health/nowhere").await, 404, "not_found");
    check_problem(&anonymous.get("/auth/me").await, 401, "unauthenticated");
    check_problem(&admin.delete("/auth/me").await, 405, "method_not_allowed");
    check_problem(&anonymous.send(Method::POST, "/auth/login", None).await, 415, "unsupported_media_type");
    check_problem(&anonymous.post("/auth/login", &json!([])).await, 422, "invalid");
    check_problem(&anonymous.post("/auth/login", &json!({ "username": "x".repeat(2000) })).await, 413, "too_large");
    let plain = anonymous.with("content-type", "text/plain");
    check_problem(&plain.send(Method::POST, "/auth/login", None).await, 415, "unsupported_media_type");
}

#[tokio::test]
async fn requests_that_are_not_valid_http_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
        ("GET /health/live HTTP/1.1\r\n\r\n".to_owned(), 400),
    ];
    for (request, expected) in cases {
        let mut wire = Wire::open(test.address()).await;
        wire.send(&request).await;
        let answer = wire.answer().await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
}

#[tokio::test]
async fn internal_errors_reveal_no_cause() {
    let test = TestApp::start_api(&[]).await;
    let odd = Client::new(format!("http://{}", serve(&test.app, odd(&test.app)).await)).undescribed();
    for path in ["/api/../odd/explode", "/api/../odd/fail"] {
        let answer = odd.get(path).await;
        check_problem(&answer, 500, "internal");
        let text = answer.body.to_string();
        assert!(!text.contains("4111") && !text.contains("secret") && !text.contains("panic"), "{text}");
    }
    assert_eq!(odd.get("/api/../odd/tagged").await.status, 200, "a panic ends only its request");
}

#[tokio::test]
async fn a_405_lists_the_allowed_methods() {
    let test = TestApp::start_api(&[]).await;
    let admin = test.admin().await;
    let answer = admin.patch("/auth/login", &json!({})).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "OPTIONS, POST"));
    let answer = admin.send(Method::OPTIONS, "/auth/me", None).await;
    assert_eq!((answer.status, answer.header("allow")), (204, "GET, HEAD, OPTIONS"));
    assert_eq!(admin.send(Method::OPTIONS, "/nowhere", None).await.status, 404);
    assert_eq!(admin.send(Method::TRACE, "/auth/me", None).await.status, 405);
}

#[tokio::test]
async fn every_route_exists_at_both_prefixes() {
    let test = TestApp::start_api(&[]).await;
    let table = server::routes(&test.app).table();
    let canonical: Vec<_> = table.iter().filter_map(|row| row.path.strip_prefix("/api/v1/")).collect();
    assert!(canonical.len() > 30, "the tables have rows");
    for path in canonical {
        assert!(table.iter().any(|row| row.path == format!("/api/{path}")), "{path}");
    }
}

/// A request goes to the routes of one address, and a literal one comes before those with ids.
#[tokio::test]
async fn no_path_is_of_two_addresses_with_ids() {
    let test = TestApp::start_api(&[]).await;
    let paths: BTreeSet<String> = server::routes(&test.app).table().into_iter().map(|row| row.path).collect();
    let typed: Vec<&String> = paths.iter().filter(|path| path.contains('{')).collect();
    assert!(typed.len() > 30, "the tables have ids");
    let is_one = |(a, b): (&str, &str)| a == b || a.starts_with('{') || b.starts_with('{');
    for (at, a) in typed.iter().enumerate() {
        for b in &typed[at + 1..] {
            let is_same_length = a.matches('/').count() == b.matches('/').count();
            assert!(!is_same_length || !a.split('/').zip(b.split('/')).all(is_one), "{a} and {b}");
        }
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let test = TestApp::start_api(&[]).await;
    let address = test.address();
    let get = Wire::exchange(address, "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let head = Wire::exchange(address, "HEAD /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((status(&get), status(&head)), (200, 200));
    assert!(
        head.ends_with("\r\n\r\n") && head.contains("content-length: 15\r\n") && get.ends_with("{\"status\":\"ok\"}"),
        "{head}"
    );
}

#[tokio::test]
async fn a_matching_etag_yields_304() {
    let test = TestApp::start_api(&[]).await;
    let odd = Client::new(format!("http://{}", serve(&test.app, odd(&test.app)).await)).undescribed();
    let path = "/api/../odd/tagged";
    let tag = odd.get(path).await.header("etag").to_owned();
    assert!(tag.starts_with("\"v7-"), "{tag}");
    for known in [tag.clone(), format!("W/{tag}"), format!("\"v6\", {tag}"), "*".into()] {
        let answer = odd.with("if-none-match", &known).get(path).await;
        assert_eq!((answer.status, answer.body), (304, Value::Null), "{known}");
    }
    assert_eq!(odd.with("if-none-match", "\"v6\"").get(path).await.status, 200);
    assert_eq!(odd.with("if-none-match", "*").post(path, &json!({})).await.status, 200, "only reads are conditional");
}

#[tokio::test]
async fn a_request_id_is_repeated_if_it_is_a_plain_word() {
    let test = TestApp::start_api(&[]).await;
    let anonymous = test.anonymous();
    let echoed = anonymous.with("x-request-id", "abc-123").get("/health/live").await;
    assert_eq!(echoed.header("x-request-id"), "abc-123");
    for unfit in ["a b", "<script>", &"x".repeat(65), "{\"a\":1}"] {
        let answer = anonymous.with("x-request-id", unfit).get("/health/live").await;
        assert_eq!(answer.header("x-request-id").len(), 36, "{unfit}");
    }
}

#[tokio::test]
async fn health_shows_every_dependency() {
    let test = TestApp::start_api(&[]).await;
    let health = test.anonymous().get("/health").await.expect(200);
    assert_eq!((&health["status"], &health["environment"]), (&json!("ok"), &json!("test")));
    assert!(health["uptime"].is_number() && health["timestamp"].is_string(), "{health}");
    let checks = &health["checks"];
    assert_eq!(checks["postgres"]["status"], "up");
    assert_eq!((&checks["elasticsearch"]["status"], &checks["redis"]["status"]), (&json!("absent"), &json!("absent")));
    assert_eq!(health["reasons"], json!([]), "without elasticsearch there is nothing to be late");
    assert!(checks["sync"]["deadLetters"].is_number() && checks["sync"]["lagMs"].is_null(), "{health}");
    test.anonymous().get("/health/live").await.expect(200);
    test.anonymous().get("/health/ready").await.expect(200);
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready() {
    let test = TestApp::start_api(&["--shutdown-delay", "20s"]).await;
    test.app.stop.cancel();
    let answer = test.anonymous().get("/health/ready").await;
    assert_eq!((answer.status, &answer.body["reasons"]), (503, &json!(["stopping"])));
    test.anonymous().get("/health/live").await.expect(200);
}

#[tokio::test]
async fn metrics_count_requests_by_route() {
    let test = TestApp::start_api(&[]).await;
    test.client(Role::Viewer).await.get("/auth/me").await.expect(200);
    test.anonymous().get("/nowhere/jane@example.org").await.expect(404);
    let metrics = test.anonymous().get("/metrics").await.expect(200);
    let metrics = metrics.as_str().unwrap();
    assert!(
        metrics.contains(r#"collections_http_seconds_count{method="GET",route="/api/v1/auth/me",status="2xx"}"#),
        "{metrics}"
    );
    assert!(metrics.contains(r#"route="unmatched""#) && !metrics.contains("jane"), "{metrics}");
    for name in ["process_resident_memory_bytes", "collections_postgres_connections", "collections_sync_backlog"] {
        assert!(metrics.contains(name), "{name}");
    }
}
