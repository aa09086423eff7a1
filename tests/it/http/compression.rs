//! Compression: for clients that ask for it, of bodies that are worth it, and never of secrets.

use std::io::Read;

use collections::auth::Role;
use flate2::read::GzDecoder;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::app::{PASSWORD, TestApp};

/// An answer as it came.
struct Raw {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    bytes: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn is_compressed(&self) -> bool {
        self.header("content-encoding") == "gzip"
    }

    /// The body of a compressed answer.
    #[track_caller]
    fn unpacked(&self) -> String {
        assert!(self.is_compressed(), "{}", String::from_utf8_lossy(&self.bytes));
        let mut text = String::new();
        GzDecoder::new(self.bytes.as_slice()).read_to_string(&mut text).unwrap();
        text
    }
}

/// A caller of one server who accepts gzip.
struct Gzip<'a> {
    test: &'a TestApp,
    token: String,
}

impl Gzip<'_> {
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Raw {
        let http = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
        let mut request = http.request(method, format!("{}{path}", self.test.base())).bearer_auth(&self.token);
        if !headers.iter().any(|(name, _)| *name == "accept-encoding") {
            request = request.header("accept-encoding", "br;q=1, gzip;q=0.9");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        Raw { status, headers, bytes: answer.bytes().await.unwrap().into() }
    }

    async fn get(&self, path: &str) -> Raw {
        self.send(Method::GET, path, &[], None).await
    }
}

/// A server with customers, and a manager.
async fn start<'a>(test: &'a TestApp, customers: i64) -> Gzip<'a> {
    let sql = "insert into customers (id, name) select gen_random_uuid(), 'Customer ' || n from generate_series(1, $1) n";
    sqlx::query(sql).bind(customers).execute(&test.database.pool).await.unwrap();
    Gzip { test, token: test.token(Role::Manager).await }
}

#[tokio::test]
async fn lists_are_compressed_for_clients_that_accept_it() {
    let test = TestApp::start_api(&[]).await;
    let client = start(&test, 500).await;
    let data = |text: &str| serde_json::from_str::<Value>(text).unwrap()["data"].clone();
    for limit in [5, 500] {
        let path = format!("/api/v1/customers?sort=name&limit={limit}");
        let plain = client.send(Method::GET, &path, &[("accept-encoding", "identity")], None).await;
        assert!(!plain.is_compressed());
        let packed = client.get(&path).await;
        assert_eq!(data(&packed.unpacked()), data(std::str::from_utf8(&plain.bytes).unwrap()));
        assert!(packed.bytes.len() * 2 < plain.bytes.len(), "{} of {}", packed.bytes.len(), plain.bytes.len());
        assert_eq!(packed.header("content-length"), packed.bytes.len().to_string());
        for answer in [plain, packed] {
            assert_eq!(answer.header("vary"), "Origin, Accept-Encoding");
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
    let body = json!({ "limit": 500 });
    assert_eq!(
        data(&client.send(Method::POST, "/api/v1/customers/search", &[], Some(&body)).await.unpacked()).as_array().unwrap().len(),
        500
    );
    assert!(client.get("/metrics").await.unpacked().contains("collections_http_seconds"));
}

#[tokio::test]
async fn what_is_small_or_empty_or_secret_is_not_compressed() {
    let test = TestApp::start_api(&[]).await;
    let client = start(&test, 50).await;
    let list = "/api/v1/customers?limit=50";
    let head = client.send(Method::HEAD, list, &[], None).await;
    assert!(!head.is_compressed() && head.header("content-length").parse::<usize>().unwrap() > 1_400);
    for path in ["/health/live", "/api/v1/nowhere", "/api/v1/customers?limit=1&fields=name"] {
        assert!(!client.get(path).await.is_compressed(), "{path}");
    }
    test.user("ann", Role::Viewer).await;
    let long = "x".repeat(2_000);
    let answers = [
        client.send(Method::POST, "/api/v1/auth/login", &[], Some(&json!({ "username": "ann", "password": PASSWORD }))).await,
        client.send(Method::POST, "/api/auth/login", &[], Some(&json!({ "username": long, "password": "x" }))).await,
        client.get("/api/v1/auth/profile").await,
    ];
    for answer in answers {
        assert_eq!((answer.header("content-encoding"), answer.header("cache-control")), ("", "no-store, no-transform"));
    }
}

#[tokio::test]
async fn a_compressed_record_has_a_tag_of_its_own_that_means_the_same_version() {
    let test = TestApp::start_api(&[]).await;
    let client = start(&test, 0).await;
    let new = json!({ "name": "Ann", "metadata": { "note": "late ".repeat(1_000) } });
    let created = client.send(Method::POST, "/api/v1/customers", &[], Some(&new)).await;
    assert_eq!(created.status, 201);
    let path = created.header("location").to_owned();
    let packed = client.get(&path).await;
    let plain = client.send(Method::GET, &path, &[("accept-encoding", "gzip;q=0")], None).await;
    assert_eq!(packed.unpacked().as_bytes(), plain.bytes);
    let (packed, plain) = (packed.header("etag"), plain.header("etag"));
    assert_eq!(packed, format!("{}-gzip\"", plain.trim_end_matches('"')));
    assert_eq!(created.header("etag"), packed);

    // What is not modified is what the client has, in whichever form.
    for coding in ["gzip", "identity"] {
        for (known, expected) in [
            (plain.to_owned(), plain),
            (packed.to_owned(), packed),
            (format!("W/{packed}"), packed),
            (format!("\"v0-gzip\", {packed}"), packed),
            ("*".into(), plain),
        ] {
            let headers = [("accept-encoding", coding), ("if-none-match", &known)];
            let answer = client.send(Method::GET, &path, &headers, None).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, expected), "{coding} {known}");
            assert!(answer.bytes.is_empty() && answer.header("content-encoding").is_empty());
        }
        for other in ["\"v1-gzip\"", "\"v1-00000000-gzip\"", "\"-gzip\""] {
            let answer = client.send(Method::GET, &path, &[("accept-encoding", coding), ("if-none-match", other)], None).await;
            assert_eq!(answer.status, 200, "{other}");
        }
    }
    let changed = client.send(Method::PATCH, &path, &[("if-match", packed)], Some(&json!({ "name": "Ben" }))).await;
    assert_eq!(changed.status, 200);
    let stale = client.send(Method::PATCH, &path, &[("if-match", packed)], Some(&json!({ "name": "Cleo" }))).await;
    assert_eq!(stale.status, 412);
}

#[tokio::test]
async fn a_setting_leaves_compression_to_a_proxy() {
    let test = TestApp::start_api(&["--http-compression", "false"]).await;
    assert!(!start(&test, 50).await.get("/api/v1/customers?limit=50").await.is_compressed());
}
