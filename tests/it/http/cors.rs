//! Pages of other origins: those of the settings may read every answer, and no others.

use reqwest::Method;
use serde_json::json;

use super::matrix::{ORIGIN, addresses};
use crate::harness::app::TestApp;
use crate::harness::client::{Answer, Client};
use crate::harness::raw_socket::Wire;

async fn preflight(client: &Client, path: &str, method: &str) -> Answer {
    let client = client.with("access-control-request-method", method);
    client.with("access-control-request-headers", "authorization,content-type").send(Method::OPTIONS, path, None).await
}

/// What a browser reads of an answer.
fn granted(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn a_preflight_names_the_methods_of_its_address() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN]).await;
    let page = test.anonymous().with("origin", ORIGIN);
    for address in addresses(&test) {
        for method in address.access.keys() {
            let answer = preflight(&page, &format!("/api/..{}", address.path), method).await;
            assert_eq!((answer.status, &*answer.text), (204, ""), "{}", address.path);
            assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
            assert_eq!(answer.header("access-control-allow-methods"), address.allow(), "{}", address.path);
            assert!(address.allow().split(", ").any(|allowed| allowed == method), "{} {method}", address.path);
            assert_eq!((answer.header("access-control-max-age"), answer.header("vary")), ("600", "Origin, Accept-Encoding"));
            let headers = answer.header("access-control-allow-headers").to_lowercase();
            for header in [
                "accept",
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "if-none-match",
                "prefer",
                "x-api-key",
                "x-request-id",
                "x-sync-token",
            ] {
                assert!(headers.split(", ").any(|allowed| allowed == header), "{header}");
            }
        }
    }
    assert!(preflight(&page, "/customers/1", "PATCH").await.header("access-control-allow-methods").contains("PATCH"));
    assert_eq!(preflight(&page, "/nowhere", "GET").await.status, 404);
}

#[tokio::test]
async fn pages_of_the_settings_read_refusals_too() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN, "--http-body-limit", "1000"]).await;
    let page = test.anonymous().with("origin", ORIGIN);
    let answers = [
        (200, page.get("/health/live").await),
        (404, page.get("/nowhere").await),
        (401, page.get("/auth/me").await),
        (405, page.delete("/auth/login").await),
        (413, page.post("/auth/login", &json!({ "username": "x".repeat(2_000) })).await),
        (415, page.send(Method::POST, "/auth/login", None).await),
        (422, page.post("/auth/login", &json!({})).await),
    ];
    for (status, answer) in answers {
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (status, ORIGIN), "{}", answer.body);
        assert!(answer.header("access-control-expose-headers").contains("X-Request-Id"), "{status}");
    }
    let agent = test.agent().await.with("origin", ORIGIN);
    let created = agent.post("/customers", &json!({ "name": "Ann" })).await;
    let exposed = created.header("access-control-expose-headers").to_owned();
    for header in ["ETag", "Location", "X-Sync-Token"] {
        assert!(!created.header(header).is_empty() && exposed.split(", ").any(|known| known == header), "{header}");
    }
}

#[tokio::test]
async fn a_server_that_is_full_says_so_to_pages() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN, "--http-max-connections", "1"]).await;
    let _only = Wire::open(test.address()).await;
    let refused = test.anonymous().with("origin", ORIGIN).get("/customers").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (503, ORIGIN));
    assert_eq!((refused.header("retry-after"), refused.header("x-content-type-options")), ("1", "nosniff"));
}

#[tokio::test]
async fn pages_of_other_origins_read_nothing() {
    let test = TestApp::start_api(&["--cors-origin", ORIGIN]).await;
    let agent = test.agent().await;
    let without = agent.get("/customers").await;
    for foreign in [
        "null",
        "",
        "https://evil.example",
        "https://app.example.org.evil.example",
        "https://evilapp.example.org",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://APP.example.org",
        "https://app.example.org/",
        "https://app.example.org, https://evil.example",
        "https://app.example.org%60.evil.example",
        "*",
        "file://",
    ] {
        let page = agent.with("origin", foreign);
        let answer = page.get("/customers").await;
        assert_eq!(granted(&answer), Vec::<&str>::new(), "{foreign}");
        assert_eq!((answer.status, &answer.body["data"]), (200, &without.body["data"]), "{foreign}: nothing else changes");
        assert_eq!(answer.header("vary"), "Origin, Accept-Encoding");
        let answer = preflight(&page, "/customers", "POST").await;
        assert_eq!((answer.status, granted(&answer)), (204, Vec::new()), "{foreign}");
    }
    assert_eq!((granted(&without), without.header("vary")), (Vec::new(), "Origin, Accept-Encoding"), "what is not cross-origin");
}

#[tokio::test]
async fn three_settings_name_origins_and_none_is_the_default() {
    let test = TestApp::start_api(&[]).await;
    for origin in [ORIGIN, "http://localhost:3000", "http://localhost:8080"] {
        assert_eq!(granted(&test.anonymous().with("origin", origin).get("/health/live").await), Vec::<&str>::new());
    }
    let settings = [
        "--cors-origin",
        "http://localhost:8080, https://one.example.org:443",
        "--allowed-origins",
        "https://two.example.org/",
        "--frontend-url",
        "https://Three.example.org/debtors",
    ];
    let test = TestApp::start_api(&settings).await;
    for origin in ["http://localhost:8080", "https://one.example.org", "https://two.example.org", "https://three.example.org"] {
        let answer = test.anonymous().with("origin", origin).get("/health/live").await;
        assert_eq!(answer.header("access-control-allow-origin"), origin);
    }
}

#[tokio::test]
async fn a_star_opens_the_answers_to_all_pages_outside_of_production() {
    let test = TestApp::start_api(&["--cors-origin", "*"]).await;
    for origin in ["null", "https://evil.example"] {
        let answer = test.anonymous().with("origin", origin).get("/auth/me").await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "*"));
        assert_eq!(answer.header("access-control-allow-credentials"), "");
    }
    let mut production = test.app.config.clone();
    production.environment = collections::config::Environment::Production;
    production.access.jwt_secret = Some("0123456789abcdef0123456789abcdef".to_owned().into());
    let refused = production.check().unwrap_err();
    assert!(refused.contains("CORS_ORIGIN") && refused.contains('*'), "{refused}");
    production.http.cors_origin = Some(ORIGIN.parse().unwrap());
    production.check().unwrap();
}

/// Without them a page of any origin could send a write without a preflight.
#[tokio::test]
async fn no_body_is_read_that_a_form_could_send() {
    let test = TestApp::start_api(&[]).await;
    let mut admin = test.admin().await;
    let mut refused = 0;
    for address in addresses(&test) {
        for method in address.access.keys().filter(|method| !matches!(method.as_str(), "GET" | "DELETE")) {
            let path = format!("/api/..{}", address.path);
            let send = async |media_type: Option<&str>| admin.send_as(media_type, method.parse().unwrap(), &path, "{").await;
            if send(Some("application/json")).await.body["code"] != "bad_json" {
                // It takes no body, and has perhaps ended the session.
                admin = test.admin().await;
                continue;
            }
            for media_type in [
                None,
                Some("text/plain"),
                Some("text/plain; application/json"),
                Some("application/x-www-form-urlencoded"),
                Some("multipart/form-data; boundary=x"),
                Some("application/jsonp"),
                Some(""),
            ] {
                let answer = send(media_type).await;
                assert_eq!(answer.status, 415, "{method} {path} {media_type:?}: {}", answer.body);
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
