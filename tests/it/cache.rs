//! The cache, and its invalidation by Postgres, without which everything works.

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
    eventually(what, async || app.feed.is_connected() == Some(wanted)).await;
}

/// A session on both servers, and a value under its key that does not expire while the test runs.
async fn session_on_both(test: &TestApp, other: &App, client: &Client) -> (String, String) {
    let token = test.token(Role::Agent).await;
    for client in [&test.anonymous(), client] {
        client.with_token(&token).get("/auth/me").await.expect(200);
    }
    let id: uuid::Uuid = sqlx::query_scalar("select id from sessions order by created_at desc limit 1")
        .fetch_one(&test.database.pool)
        .await
        .unwrap();
    let key = format!("session:{id}");
    for app in [&test.app, other] {
        app.cache.forget(&key);
        put(&app.cache, &key, Duration::from_secs(600)).await;
    }
    (token, key)
}

/// Waits until both servers have forgotten a key, after which the token is refused by both.
async fn expect_ended(test: &TestApp, other: &App, client: &Client, (token, key): (String, String)) {
    for app in [&test.app, other] {
        eventually("the server forgets the session", async || app.cache.get::<u8>(&key).is_none()).await;
    }
    for client in [&test.anonymous(), client] {
        client.with_token(&token).get("/auth/me").await.expect(401);
    }
}

/// Waits until Postgres notifies a server.
async fn until_notified(test: &TestApp, app: &App) {
    eventually("postgres notifies the server", async || {
        put(&app.cache, "probe", Duration::from_secs(600)).await;
        sqlx::query("select pg_notify('collections_forget', 'probe')").execute(&test.database.pool).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        app.cache.get::<u8>("probe").is_none()
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_in_any_way_is_forgotten_by_every_server_at_once() {
    let test = TestApp::start_api(&[]).await;
    let (other, client) = second(&test).await;
    for app in [&test.app, &other] {
        until_notified(&test, app).await;
    }
    for change in [
        "update users set disabled_at = now() where disabled_at is null",
        "update users set role = 'manager' where role = 'agent'",
        "update users set password_hash = 'another' where disabled_at is null",
    ] {
        let session = session_on_both(&test, &other, &client).await;
        sqlx::query(change).execute(&test.database.pool).await.unwrap();
        expect_ended(&test, &other, &client, session).await;
    }
    let session = session_on_both(&test, &other, &client).await;
    // A name is no reason to sign in again.
    sqlx::query("update users set name = 'Jane'").execute(&test.database.pool).await.unwrap();
    assert!(other.cache.get::<u8>(&session.1).is_some());
    other.cache.forget(&session.1);
    client.with_token(&session.0).post("/auth/logout", &json!({})).await.expect(204);
    expect_ended(&test, &other, &client, session).await;
    other.stop.cancel();
}

#[tokio::test]
async fn a_server_that_could_not_be_notified_forgets_everything_when_it_can_again() {
    let test = TestApp::start_api(&[]).await;
    until_notified(&test, &test.app).await;
    put(&test.app.cache, "a", Duration::from_secs(600)).await;
    let listening = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'collections listen' and datname = current_database()";
    sqlx::query(listening).execute(&test.database.pool).await.unwrap();
    eventually("the server forgets", async || test.app.cache.get::<u8>("a").is_none()).await;
    until_notified(&test, &test.app).await;
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
    cache.forget("a");
    assert_eq!(cache.get::<u8>("a"), None);
}

#[tokio::test]
async fn a_value_that_is_invalidated_while_it_is_read_is_not_kept() {
    let cache = Cache::default();
    let read = async {
        cache.forget("a");
        Ok::<_, Infallible>(1_u8)
    };
    assert_eq!(cache.get_or_read("a".into(), Duration::from_secs(600), read).await, Ok(1));
    assert_eq!(cache.get::<u8>("a"), None);
}
