//! The page that shows the description.

use crate::harness::app::TestApp;
use crate::harness::client::Client;

/// The addresses that a page loads from.
fn loaded(page: &str) -> Vec<&str> {
    let attributes = page.split(['"']).collect::<Vec<_>>();
    let is_loaded = |pair: &&[&str]| pair[0].ends_with("src=") || pair[0].ends_with("href=");
    attributes.windows(2).filter(is_loaded).map(|pair| pair[1]).collect()
}

#[tokio::test]
async fn the_page_loads_only_from_its_own_server() {
    let test = TestApp::start_api(&[]).await;
    let client = test.anonymous();
    let page = client.get("/api/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let loaded = loaded(&page.text);
    assert!(loaded.len() >= 4, "{loaded:?}");
    for address in loaded {
        assert!(address.starts_with("/api/"), "{address}");
        let answer = client.get(address).await;
        assert_eq!(answer.status, 200, "{address}");
        assert!(!answer.text.is_empty() && !answer.header("etag").is_empty(), "{address}");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!page.text.contains("<script>"), "no script is in the page itself");
}

#[tokio::test]
async fn files_of_a_version_are_kept_for_ever_and_the_page_is_asked_for_again() {
    let test = TestApp::start_api(&[]).await;
    let client = test.anonymous();
    let page = client.get("/api/docs").await;
    assert_eq!(page.header("cache-control"), "no-cache");
    let known = client.with("if-none-match", page.header("etag"));
    assert_eq!(known.get("/api/docs").await.status, 304);
    let loaded = loaded(&page.text);
    let file = loaded.iter().find(|address| address.ends_with("swagger-ui.css")).unwrap();
    let answer = client.get(file).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=31536000, immutable");
    assert!(answer.header("content-type").starts_with("text/css"));
    for other in [file.replace("/docs/", "/docs/0"), file.replace("swagger-ui.css", "index.html")] {
        client.get(&other).await.expect(404);
    }
}

#[tokio::test]
async fn the_older_address_leads_to_the_page() {
    let test = TestApp::start_api(&[]).await;
    let policy = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().no_proxy().redirect(policy).build().unwrap();
    let answer = http.get(format!("{}/api-docs", test.base())).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, "/api/docs"));
}

#[tokio::test]
async fn other_answers_keep_the_strict_policy() {
    let test = TestApp::start_api(&[]).await;
    let client: Client = test.anonymous();
    for path in ["/api/openapi.json", "/health/live", "/api/docs/nothing"] {
        let answer = client.get(path).await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; frame-ancestors"), "{path}");
    }
}
