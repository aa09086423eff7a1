//! A whole application for one test: its own database, slot, index prefix and port.

use std::io::Write;
use std::time::Duration;

use clap::Parser;
use collections::app::App;
use collections::auth::{Role, password};
use collections::config::Config;
use collections::features::users;
use collections::server::{self, Running};
use collections::values::clock::Clock;
use collections::values::lsn::Lsn;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::harness::client::Client;
use crate::harness::database::{Database, finally};
use crate::harness::eventually::eventually;

/// The password of every user of a test.
pub const PASSWORD: &str = "correct horse battery";

/// Which engine answers the lists of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Elasticsearch,
    Postgres,
}

/// A running application; everything of it is gone when this value is.
pub struct TestApp {
    pub app: App,
    pub database: Database,
    pub clock: Clock,
    running: Option<Running>,
    sync: Option<JoinHandle<()>>,
}

#[derive(Parser)]
#[command(args_override_self = true)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// The settings of a test: the documented defaults but for what keeps tests apart.
pub fn config(database: &Database, more: &[&str]) -> Config {
    let fixed = [
        "it",
        "--environment",
        "test",
        "--database-url",
        &database.url,
        "--port",
        "0",
        "--index-prefix",
        &database.name,
        "--sync-slot",
        &database.name,
        "--redis-url",
        "",
        "--db-pool-size",
        "8",
        "--search-timeout",
        "10s",
        // Tests that send much come from one address.
        "--rate-limit-max-requests",
        "0",
        "--rate-limit-auth",
        "0",
        "--rate-limit-bulk",
        "0",
        "--login-max-failures",
        "1000",
        "--login-max-failures-per-address",
        "100000",
    ];
    let mut config = Settings::parse_from(fixed.iter().chain(more)).config;
    config.database.acquire_timeout = Duration::from_secs(5);
    config.imports.sheets.program = env!("CARGO_BIN_EXE_collections").into();
    config
}

impl TestApp {
    /// Starts the API and the sync on Elasticsearch, with an index that is live.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts on one of the engines, for cases that must hold on both.
    pub async fn start_on(engine: Engine) -> Self {
        Self::start_on_with(engine, &[]).await
    }

    /// Starts on one of the engines with more settings.
    pub async fn start_on_with(engine: Engine, more: &[&str]) -> Self {
        match engine {
            Engine::Elasticsearch => Self::start_with(more).await,
            Engine::Postgres => Self::start_api(more).await,
        }
    }

    /// Starts the API and the sync with more settings, given as command-line arguments.
    pub async fn start_with(more: &[&str]) -> Self {
        Self::start_tuned(more, |_| ()).await
    }

    /// Starts the API and the sync with changes of what is not a setting.
    pub async fn start_tuned(more: &[&str], tune: impl FnOnce(&mut Config)) -> Self {
        let elasticsearch = elasticsearch_url();
        let mut more = more.to_vec();
        if !more.contains(&"--elasticsearch-url") {
            more.extend(["--elasticsearch-url", &elasticsearch]);
        }
        let database = Database::create().await;
        let mut config = config(&database, &more);
        tune(&mut config);
        let mut test = Self::serve(database, config).await;
        let sync = collections::sync::run(test.app.clone(), test.app.stop.clone());
        test.sync = Some(tokio::spawn(sync));
        test.settle().await;
        test
    }

    /// Starts the API alone, without Elasticsearch.
    pub async fn start_api(more: &[&str]) -> Self {
        Self::start_api_tuned(more, |_| ()).await
    }

    /// Starts the API alone with changes of what is not a setting.
    pub async fn start_api_tuned(more: &[&str], tune: impl FnOnce(&mut Config)) -> Self {
        let database = Database::create().await;
        let mut config = config(&database, more);
        tune(&mut config);
        config.search.url = None;
        Self::serve(database, config).await
    }

    /// Starts the API alone on a database that is there already.
    pub async fn start_api_on(database: Database) -> Self {
        let mut config = config(&database, &[]);
        config.search.url = None;
        Self::serve(database, config).await
    }

    /// Starts the API alone, on Elasticsearch and a database whose sync another process runs.
    pub async fn start_beside_sync(database: Database, more: &[&str]) -> Self {
        let elasticsearch = elasticsearch_url();
        let config = config(&database, &[&["--elasticsearch-url", &elasticsearch], more].concat());
        Self::serve(database, config).await
    }

    /// Starts a second server on the same database and clock, which has no Elasticsearch.
    pub async fn without_elasticsearch(&self) -> Running {
        self.beside(&[]).await
    }

    /// Starts a second server, with settings of its own, on the same database and clock, which has no Elasticsearch.
    pub async fn beside(&self, more: &[&str]) -> Running {
        let mut config = config(&self.database, more);
        config.search.url = None;
        server::start(&App::open(config, self.clock.clone()).unwrap()).await.unwrap()
    }

    /// Starts a second server, with settings of its own, on the same database and clock, and on the index if there is one.
    pub async fn beside_with_index(&self, more: &[&str]) -> Running {
        let config = config(&self.database, more);
        let config = Config { search: self.app.config.search.clone(), ..config };
        server::start(&App::open(config, self.clock.clone()).unwrap()).await.unwrap()
    }

    async fn serve(database: Database, config: Config) -> Self {
        let clock = Clock::default();
        let app = App::open(config, clock.clone()).unwrap();
        let running = server::start(&app).await.unwrap();
        Self { app, database, clock, running: Some(running), sync: None }
    }

    /// Where the server listens.
    pub fn base(&self) -> String {
        format!("http://{}", self.running.as_ref().unwrap().address)
    }

    /// The port of the server, for raw sockets.
    pub fn address(&self) -> std::net::SocketAddr {
        self.running.as_ref().unwrap().address
    }

    /// A caller without credentials.
    pub fn anonymous(&self) -> Client {
        Client::new(self.base())
    }

    /// A signed-in caller with a role.
    pub async fn client(&self, role: Role) -> Client {
        self.anonymous().with_token(&self.token(role).await)
    }

    /// The access token of a new user.
    pub async fn token(&self, role: Role) -> String {
        let username = format!("{}-{}", role.as_str(), collections::values::ids::new().simple());
        self.user(&username, role).await;
        self.token_of(&username).await
    }

    /// Makes a user with the [`PASSWORD`].
    pub async fn user(&self, username: &str, role: Role) {
        static HASH: OnceCell<String> = OnceCell::const_new();
        let hash = HASH.get_or_init(|| async { password::hash(PASSWORD.to_owned()).await.unwrap() }).await;
        let new = users::store::New { username, email: None, name: None, role, password_hash: hash };
        users::store::insert(&self.database.pool, new, self.clock.now()).await.unwrap();
    }

    /// A caller with a new session of a user.
    pub async fn sign_in(&self, username: &str) -> Client {
        self.anonymous().with_token(&self.token_of(username).await)
    }

    async fn token_of(&self, username: &str) -> String {
        token(&self.anonymous(), username).await
    }

    /// The access token of a new session, through a proxy that names the client's address.
    pub async fn token_from(&self, username: &str, forwarded_for: &str) -> String {
        token(&self.anonymous().with("x-forwarded-for", forwarded_for), username).await
    }

    pub async fn admin(&self) -> Client {
        self.client(Role::Admin).await
    }

    pub async fn agent(&self) -> Client {
        self.client(Role::Agent).await
    }

    /// Waits until every change up to now can be found in the index. Without a sync there is nothing to wait for.
    pub async fn settle(&self) {
        if self.sync.is_none() {
            return;
        }
        let lsn: String =
            sqlx::query_scalar("select pg_current_wal_insert_lsn()::text").fetch_one(&self.database.pool).await.unwrap();
        let position: Lsn = lsn.parse().unwrap();
        for collection in collections::collections::ALL {
            let reached = self.app.watermark.reached(collection.name, position, Duration::from_secs(180)).await;
            assert!(reached, "{} reach {position}; they are at {}", collection.name, self.app.watermark.get());
            eventually("lists read the index", async || self.app.watermark.live_index(collection.name).await.is_some()).await;
        }
    }
}

async fn token(client: &Client, username: &str) -> String {
    let body = json!({ "username": username, "password": PASSWORD });
    let answer = client.post("/auth/login", &body).await.expect(200);
    answer["access_token"].as_str().unwrap().to_owned()
}

/// Where the Elasticsearch of the tests is.
pub fn elasticsearch_url() -> String {
    std::env::var("ELASTICSEARCH_URL").expect("ELASTICSEARCH_URL names the Elasticsearch of the tests; bin/test sets it")
}

/// Where the Redis of the tests is. On a machine without one the test is skipped, and says so; in CI there has to be one.
pub fn redis_url() -> Option<String> {
    let url = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        assert!(std::env::var_os("CI").is_none(), "REDIS_URL names the Redis of the tests; bin/test sets it");
        let thread = std::thread::current();
        // What macros print is not shown of a test that passes.
        writeln!(std::io::stderr(), "without Redis (REDIS_URL) skipped: {}", thread.name().unwrap_or("a test")).ok();
    }
    url
}

/// Calls Elasticsearch itself, past the product.
pub async fn elasticsearch(method: reqwest::Method, path: &str, body: Option<serde_json::Value>) -> serde_json::Value {
    let mut request =
        reqwest::Client::builder().no_proxy().build().unwrap().request(method, format!("{}{path}", elasticsearch_url()));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    request.send().await.unwrap().json().await.unwrap_or_default()
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.app.stop.cancel();
        if let Some(sync) = &self.sync {
            sync.abort();
        }
        if self.app.config.search.url.is_some() {
            remove_indices(&self.database.name);
        }
    }
}

/// Every index with a prefix, for tests whose server is a process of its own; deleted when this value is dropped.
pub struct Indices(pub String);

impl Drop for Indices {
    fn drop(&mut self) {
        remove_indices(&self.0);
    }
}

/// Deletes every index of a test, and the templates that they were made from.
pub fn remove_indices(prefix: &str) {
    let prefix = prefix.to_owned();
    finally(async move {
        let names = elasticsearch(reqwest::Method::GET, &format!("/{prefix}*/_alias"), None).await;
        for name in names.as_object().into_iter().flat_map(serde_json::Map::keys) {
            elasticsearch(reqwest::Method::DELETE, &format!("/{name}"), None).await;
        }
        elasticsearch(reqwest::Method::DELETE, &format!("/_index_template/{prefix}-*"), None).await;
    });
}
