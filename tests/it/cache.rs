//! The cache, and its invalidation between servers, without which everything works.

use std::convert::Infallible;
use std::time::Duration;

use collections::app::App;
use collections::auth::Role;
use collections::cache::Cache;
use collections::server;
use serde_json::json;

use crate::harness::app::{TestApp, redis_url};
use crate::harness::client::Client;
use crate::harness::eventually::eventually;
use crate::harness::proxy::{Mode, Proxy};

/// A second server on the database of a test.
async fn second(test: &TestApp) -> (App, Client) {
    let app = App::open(test.app.config.clone(), test.clock.clone()).unwrap();
    let running = server::start(&app).await.unwrap();
    let client = Client::new(format!("http://{}", running.address));
    (app, client)
}

async fn put(cache: &Cache, key: &str, time_to_live: Duration) {
    cache.get_or_read(key.to_owned(), time_to_live, async { Ok::<_, Infallible>(1_u8) }).await.unwrap();
}

async fn until_connected(app: &App, wanted: bool) {
    let what = if wanted { "redis is connected" } else { "redis is away" };
    eventually(what, async || app.cache.is_connected() == Some(wanted)).await;
}

#[tokio::test]
async fn a_logout_on_one_server_is_known_to_the_others_at_once() {
    let Some(url) = redis_url() else { return };
    let test = TestApp::start_api(&["--redis-url", &url]).await;
    let (other, client) = second(&test).await;
    until_connected(&test.app, true).await;
    until_connected(&other, true).await;
    let token = test.token(Role::Agent).await;
    // The clock stands still, so the cached session does not expire.
    client.with_token(&token).get("/auth/me").await.expect(200);
    let cache = other.cache.clone();
    put(&cache, "a", Duration::from_secs(600)).await;
    test.anonymous().with_token(&token).post("/auth/logout", &json!({})).await.expect(204);
    test.app.cache.invalidate("a");
    eventually("the other server has invalidated it", async || cache.get::<u8>("a").is_none()).await;
    // The channel keeps the order, so the session is invalidated too.
    client.with_token(&token).get("/auth/me").await.expect(401);
    other.stop.cancel();
}

#[tokio::test]
async fn requests_go_on_while_redis_is_frozen_gone_and_back() {
    let Some(url) = redis_url() else { return };
    let (proxy, url) = Proxy::before(&url).await;
    let test = TestApp::start_api(&["--redis-url", &url]).await;
    until_connected(&test.app, true).await;
    for mode in [Mode::Hang, Mode::Refuse] {
        proxy.set(mode);
        for _ in 0..20 {
            let client = test.client(Role::Agent).await;
            client.get("/auth/me").await.expect(200);
            client.post("/auth/logout", &json!({})).await.expect(204);
            client.get("/auth/me").await.expect(401);
        }
        until_connected(&test.app, false).await;
        let health = test.anonymous().get("/health").await.expect(200);
        assert_eq!((&health["status"], &health["checks"]["redis"]["status"]), (&json!("degraded"), &json!("down")));
    }
    proxy.set(Mode::Pass);
    until_connected(&test.app, true).await;
}

#[tokio::test]
async fn values_expire_and_are_invalidated() {
    let cache = Cache::default();
    put(&cache, "a", Duration::from_secs(600)).await;
    put(&cache, "b", Duration::ZERO).await;
    assert_eq!((cache.get::<u8>("a"), cache.get::<u8>("b"), cache.get::<u16>("a")), (Some(1), None, None));
    cache.invalidate("a");
    assert_eq!(cache.get::<u8>("a"), None);
}

#[tokio::test]
async fn a_value_that_is_invalidated_while_it_is_read_is_not_kept() {
    let cache = Cache::default();
    let read = async {
        cache.invalidate("a");
        Ok::<_, Infallible>(1_u8)
    };
    assert_eq!(cache.get_or_read("a".into(), Duration::from_secs(600), read).await, Ok(1));
    assert_eq!(cache.get::<u8>("a"), None);
}
