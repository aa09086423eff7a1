//! Messages: what HTTP asks of a request, and what the answers say of it.

use std::net::SocketAddr;

use serde_json::json;

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::raw_socket::{Wire, body, status};

async fn ask(address: SocketAddr, headers: &str) -> String {
    Wire::exchange(address, format!("GET /health/live HTTP/1.1\r\nConnection: close\r\n{headers}\r\n")).await
}

fn code(answer: &str) -> (u16, Option<String>) {
    (status(answer), body(answer)["code"].as_str().map(str::to_owned))
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn a_request_names_one_host() {
    let test = TestApp::start_api(&[]).await;
    assert_eq!(status(&ask(test.address(), "Host: example.org:80\r\n").await), 200);
    for headers in ["Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: http://a/\r\n", "Host:\r\n"] {
        assert_eq!(code(&ask(test.address(), headers).await), refused(400, "bad_host"), "{headers}");
    }
    assert_eq!(code(&ask(test.address(), "").await), refused(400, "missing_host"));
}

#[tokio::test]
async fn transfer_codings_other_than_chunked_are_not_implemented() {
    let test = TestApp::start_api(&[]).await;
    let send = async |coding: &str| {
        let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n";
        Wire::exchange(test.address(), format!("{head}Transfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")).await
    };
    assert_eq!(code(&send("chunked").await), refused(422, "invalid"));
    assert_eq!(code(&send("gzip, chunked").await), refused(501, "unknown_transfer_coding"));
    assert_eq!(code(&send("chunked, chunked, identity, chunked").await), refused(501, "unknown_transfer_coding"));
    // Where the body ends cannot be told, so the request cannot be read at all (RFC 9112, 6.3).
    assert_eq!(status(&send("gzip").await), 400);
}

#[tokio::test]
async fn encoded_bodies_and_other_charsets_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let login = json!({ "username": "ann", "password": "wrong" });
    let send = async |client: Client| client.post("/auth/login", &login).await.status;
    assert_eq!(send(test.anonymous().with("content-encoding", "identity")).await, 401);
    assert_eq!(send(test.anonymous().with("content-encoding", "gzip")).await, 415);
    let with_type = async |content_type: &str| {
        let body = login.to_string();
        let request = format!(
            "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        status(&Wire::exchange(test.address(), request).await)
    };
    assert_eq!(with_type("application/json; charset=\"UTF-8\"").await, 401);
    assert_eq!(with_type("application/json; charset=iso-8859-1").await, 415);
    assert_eq!(with_type("application/json; charset=utf-16").await, 415);
}

#[tokio::test]
async fn two_idempotency_keys_are_refused() {
    let test = TestApp::start_api(&[]).await;
    let token = test.token(collections::auth::Role::Agent).await;
    let send = async |keys: &str| {
        let head =
            format!("POST /api/v1/customers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
        let body = r#"{"name":"Ann"}"#;
        let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n{keys}\r\n{body}", body.len());
        Wire::exchange(test.address(), format!("{head}{rest}")).await
    };
    for keys in ["Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n"] {
        assert_eq!(code(&send(keys).await), refused(400, "bad_idempotency_key"), "{keys}");
    }
    assert_eq!(status(&send("Idempotency-Key: a\r\n").await), 201);
}

#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let test = TestApp::start_api(&[]).await;
    // Signing in takes far longer than the end of the request takes to arrive.
    let body = r#"{"username":"ann","password":"wrong"}"#;
    let head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let mut wire = Wire::open(test.address()).await;
    wire.send(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    wire.finish().await;
    let answer = wire.rest().await;
    assert_eq!(status(&answer), 401, "{answer}");
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_counted() {
    let test = TestApp::start_api(&[]).await;
    assert_eq!(status(&Wire::exchange(test.address(), "GARBAGE\r\n\r\n").await), 400);
    eventually("it is counted", async || {
        let metrics = test.anonymous().get("/metrics").await.expect(200);
        metrics.as_str().unwrap().contains(r#"collections_http_seconds_count{method="other",route="unreadable",status="4xx"}"#)
    })
    .await;
}

#[tokio::test]
async fn the_link_to_the_next_page_drops_what_it_replaces_however_it_was_written() {
    let test = TestApp::start_api(&[]).await;
    let agent = test.agent().await;
    for name in ["Ann", "Ben", "Cleo"] {
        agent.post("/customers", &json!({ "name": name, "tags": ["a b&c"] })).await.expect(201);
    }
    let mut path = "/api/v1/customers?%70age=1&tags=a+b%26c&sort=name&limit=1".to_owned();
    let mut names = Vec::new();
    for _ in 0..2 {
        let answer = agent.get(&path).await;
        names.push(answer.body["data"][0]["name"].as_str().unwrap().to_owned());
        let link = answer.header("link");
        let (next, _) = link.strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\"")).expect("a link");
        path = next.to_owned();
        assert_eq!((path.matches("cursor=").count(), path.contains("age=")), (1, false), "{path}");
        path = path.replace("cursor=", "%63ursor=");
    }
    names.push(agent.get(&path).await.expect(200)["data"][0]["name"].as_str().unwrap().to_owned());
    assert_eq!(names, ["Ann", "Ben", "Cleo"]);
}

#[tokio::test]
async fn a_port_for_operators_keeps_details_from_the_public_one() {
    let database = crate::harness::database::Database::create().await;
    let config = crate::harness::app::config(&database, &["--admin-port", "0"]);
    let app = collections::app::App::open(config, collections::values::clock::Clock::default()).unwrap();
    let running = collections::server::start(&app).await.unwrap();
    let public = Client::new(format!("http://{}", running.address)).undescribed();
    let admin = Client::new(format!("http://{}", running.admin_address.unwrap()));
    for path in ["/health", "/health/ready"] {
        assert_eq!(public.get(path).await.expect(200), json!({ "status": "degraded" }), "no process leads the sync");
    }
    public.get("/metrics").await.expect(404);
    public.get("/api/metrics").await.expect(404);
    for path in ["/health/live", "/health/ready"] {
        public.get(path).await.expect(200);
        admin.get(path).await.expect(200);
    }
    assert_eq!(admin.get("/health").await.expect(200)["checks"]["postgres"]["status"], "up");
    assert!(admin.get("/metrics").await.expect(200).as_str().unwrap().contains("collections_http_seconds"));
    assert!(admin.get("/api/metrics").await.expect(200)["http"]["routes"].is_array());
    admin.undescribed().get("/auth/me").await.expect(404);
    app.stop.cancel();
    running.ended.await.unwrap();
}
