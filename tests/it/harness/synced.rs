//! A sync task of its own for a test: its own database, slot and index prefix.

use std::time::Duration;

use clap::Parser;
use collections::app::App;
use collections::collections::{find, indexed};
use collections::config::Config;
use collections::search::{Elastic, inventory};
use collections::sync;
use collections::sync::integrity::verify;
use collections::sync::store::{checkpoint, generations};
use collections::sync::writer::Writer;
use collections::values::clock::Clock;
use secrecy::ExposeSecret;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool, Postgres};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::cluster::Cluster;
use crate::harness::database::{Database, finally};
use crate::harness::eventually::eventually;
use crate::harness::people::People;

/// A sync task; everything it made is gone when this value is.
pub(crate) struct Synced {
    pub(crate) app: App,
    /// Connections as the owner.
    pub(crate) pool: PgPool,
    pub(crate) name: String,
    _database: Option<Database>,
    pub(crate) elastic: Elastic,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

#[derive(Parser)]
#[command(args_override_self = true)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// An application whose names are kept apart by the database's.
pub(crate) fn open(url: &str, name: &str, more: &[&str]) -> App {
    open_tuned(url, name, more, |_| ())
}

/// The same with changes of what is not a setting.
fn open_tuned(url: &str, name: &str, more: &[&str], tune: impl FnOnce(&mut Config)) -> App {
    let fixed = [
        "it",
        "--database-url",
        url,
        "--index-prefix",
        name,
        "--sync-slot",
        name,
        "--search-timeout",
        "10s",
        // It would repair what a test has damaged on purpose.
        "--sync-sweep-rate",
        "0",
    ];
    let mut config = Settings::parse_from(fixed.iter().chain(more)).config;
    config.database.acquire_timeout = Duration::from_secs(5);
    tune(&mut config);
    App::open(config, Clock::default()).unwrap()
}

impl Synced {
    /// Prepares one that does not run yet.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Starts one, with every index live.
    pub(crate) async fn started() -> Self {
        Self::started_with(&[]).await
    }

    /// Starts one with more settings.
    pub(crate) async fn started_with(more: &[&str]) -> Self {
        Self::started_tuned(more, |_| ()).await
    }

    /// Starts one with changes of what is not a setting.
    pub(crate) async fn started_tuned(more: &[&str], tune: impl FnOnce(&mut Config)) -> Self {
        let mut test = Self::tuned(more, tune).await;
        test.start().await;
        test
    }

    pub(crate) async fn with(more: &[&str]) -> Self {
        Self::tuned(more, |_| ()).await
    }

    /// Prepares one with changes of what is not a setting.
    pub(crate) async fn tuned(more: &[&str], tune: impl FnOnce(&mut Config)) -> Self {
        let database = Database::create().await;
        let (url, name) = (database.url.clone(), database.name.clone());
        let mut test = Self::at_tuned(&url, &name, more, tune);
        test._database = Some(database);
        test
    }

    /// Prepares one on the test's own server.
    pub(crate) async fn on(cluster: &Cluster, more: &[&str]) -> Self {
        collections::db::MIGRATIONS.run_direct(None, &mut cluster.connect().await, false).await.unwrap();
        Self::at(&cluster.url(), &format!("it_{}", collections::values::ids::new().simple()), more)
    }

    /// Prepares one on a migrated database that its creator removes.
    pub(crate) fn at(url: &str, name: &str, more: &[&str]) -> Self {
        Self::at_tuned(url, name, more, |_| ())
    }

    /// The same with changes of what is not a setting.
    pub(crate) fn at_tuned(url: &str, name: &str, more: &[&str], tune: impl FnOnce(&mut Config)) -> Self {
        let app = open_tuned(url, name, more, tune);
        let elastic = Elastic::open(&app.config.search).unwrap().expect("ELASTICSEARCH_URL names the server; bin/test sets it");
        let pool = PgPoolOptions::new().max_connections(4).connect_lazy(url).unwrap();
        Self { app, pool, name: name.to_owned(), _database: None, elastic, running: None }
    }

    /// Prepares a second process on the database of the first.
    pub(crate) fn beside(other: &Self) -> Self {
        Self::beside_with(other, &[])
    }

    /// Prepares one with more settings.
    pub(crate) fn beside_with(other: &Self, more: &[&str]) -> Self {
        Self::at(other.url(), &other.name, more)
    }

    fn url(&self) -> &str {
        self.app.config.database.url.expose_secret()
    }

    /// Runs the program on the same database, index and slot, and returns its exit code and what it printed.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_collections"));
        command.args(arguments).env("APP_ENV", "test").env("DATABASE_URL", self.url()).env("NO_COLOR", "1");
        command.env("INDEX_PREFIX", &self.name).env("SYNC_SLOT", &self.name).kill_on_drop(true);
        let running = tokio::time::timeout(Duration::from_secs(100), command.output());
        let output = running.await.expect("the program ends").unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), said.concat())
    }

    /// Runs statements as the owner.
    pub(crate) async fn sql(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// Returns the value of a query with one row and column.
    pub(crate) async fn scalar<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    /// Waits until a condition in SQL is true.
    pub(crate) async fn wait_for(&self, condition: &str) {
        let sql = format!("select coalesce(({condition}), false)");
        eventually(condition, async || self.scalar(&sql).await).await;
    }

    /// Inserts rows as the owner.
    pub(crate) async fn insert(&self, people: People) {
        self.sql(&people.sql).await;
    }

    /// Starts, and waits until what is committed can be found.
    pub(crate) async fn start(&mut self) {
        self.launch();
        self.settle().await;
    }

    /// Starts without waiting.
    pub(crate) fn launch(&mut self) {
        let stop = CancellationToken::new();
        self.running = Some((stop.clone(), tokio::spawn(sync::run(self.app.clone(), stop))));
    }

    /// Stops as a signal would.
    pub(crate) async fn stop(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        stop.cancel();
        task.await.unwrap();
        // A busy server notices a little later that the connection has gone.
        let slot = format!("from pg_replication_slots where slot_name = '{}'", self.name);
        self.wait_for(&format!("not exists (select {slot} and active)")).await;
    }

    /// Stops as a kill would: in the middle of whatever is under way.
    pub(crate) fn kill(&mut self) {
        let (_, task) = self.running.take().unwrap();
        task.abort();
    }

    /// Waits until everything that is committed can be found.
    pub(crate) async fn settle(&self) {
        let mut wanted = None;
        // A server that was restarted has ended the connections that the pool still believes in.
        eventually("the database answers", async || {
            wanted = checkpoint::heartbeat(&self.app.db.sync).await.ok();
            wanted.is_some()
        })
        .await;
        let wanted = wanted.unwrap();
        for collection in indexed(self.app.config.search.analytics) {
            let is_reached = self.app.watermark.reached(collection.name, wanted, Duration::from_secs(180)).await;
            assert!(is_reached, "{} do not reach {wanted}: {:?}", collection.name, self.app.watermark.status.report());
            if !collection.is_listed() {
                // The sync leaves these to Elasticsearch, which takes seconds.
                self.try_raw(reqwest::Method::POST, &format!("{}-{}/_refresh", self.name, collection.name), None).await;
            }
        }
    }

    /// The live index.
    pub(crate) async fn index(&self, collection: &str) -> String {
        generations::live(&self.app.db.sync, collection).await.unwrap().expect("the collection has a live index")
    }

    /// Waits until lists read another index than this one.
    pub(crate) async fn expect_replaced(&self, collection: &str, before: &str) {
        eventually("another index is live", async || {
            let live = generations::live(&self.app.db.sync, collection).await.unwrap();
            live.is_some_and(|live| live != before)
        })
        .await;
    }

    /// What is stored of a document; null if there is none.
    pub(crate) async fn document(&self, collection: &str, id: Uuid) -> Value {
        let index = self.index(collection).await;
        let held = inventory::read(&self.elastic, &index, &[id]).await.unwrap();
        held.first().map_or(Value::Null, |held| serde_json::from_str(held.source.get()).unwrap())
    }

    /// The version of a document.
    pub(crate) async fn version(&self, collection: &str, id: Uuid) -> i64 {
        let index = self.index(collection).await;
        inventory::read(&self.elastic, &index, &[id]).await.unwrap().first().expect("there is a document").version.0
    }

    /// What differs between a collection's rows and its documents.
    pub(crate) async fn differences(&self, collection: &str) -> verify::Differences {
        let index = self.index(collection).await;
        let found = verify::contents(&self.app, &self.elastic, find(collection).unwrap(), &index).await.unwrap();
        assert_eq!(found.strays.len(), 0, "{collection} of another program");
        found.differences
    }

    /// Repairs, and returns what differs still.
    pub(crate) async fn repair(&self, collection: &str, found: &verify::Differences) -> verify::Differences {
        let epoch = checkpoint::read(&self.app.db.sync).await.unwrap().epoch;
        let elastic = Elastic::open(&self.app.config.search).unwrap().unwrap();
        let writer = Writer::new(self.app.db.sync.clone(), elastic, epoch, &self.app.config);
        let index = self.index(collection).await;
        verify::repair(&self.app, &writer, find(collection).unwrap(), &index, found).await.unwrap()
    }

    /// Every document equals its row.
    pub(crate) async fn expect_equal(&self) {
        for collection in indexed(self.app.config.search.analytics) {
            assert_eq!(self.differences(collection.name).await.len(), 0, "{} differ", collection.name);
        }
    }

    /// Calls Elasticsearch past the product.
    pub(crate) async fn raw(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).await;
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap_or_default());
        answer.json().await.unwrap()
    }

    /// The same with whatever comes of it; returns the status.
    pub(crate) async fn try_raw(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> u16 {
        self.call(method, path, body).await.status().as_u16()
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> reqwest::Response {
        let url = format!("{}/{path}", std::env::var("ELASTICSEARCH_URL").unwrap());
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }
}

impl Drop for Synced {
    fn drop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            stop.cancel();
            task.abort();
        }
        let (url, prefix) = (std::env::var("ELASTICSEARCH_URL").unwrap(), self.name.clone());
        finally(async move {
            let client = reqwest::Client::new();
            let listed = client.get(format!("{url}/{prefix}-*/_settings?filter_path=*.settings.index.uuid")).send().await;
            let Ok(listed) = listed else { return };
            let indices: Value = listed.json().await.unwrap_or_default();
            for name in indices.as_object().into_iter().flatten().map(|(name, _)| name) {
                client.delete(format!("{url}/{name}")).send().await.ok();
            }
            client.delete(format!("{url}/_index_template/{prefix}-*")).send().await.ok();
        });
    }
}
