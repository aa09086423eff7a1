//! The servers of the long run: a Postgres of its own, proxies before the index and the cache, and processes that can be killed.

use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use collections::collections::indexed;
use collections::config::Analytics;
use collections::sync::leader::follower;
use collections::sync::store::generations::{self, State};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;

use super::writers::{Tally, Written};
use crate::harness::client::Client;
use crate::harness::cluster::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::process;
use crate::harness::proxy::{Mode, Proxy};
use crate::harness::synced::Synced;
use crate::sync::oracle;

pub(super) struct Stage {
    pub(super) cluster: Cluster,
    pub(super) search: Proxy,
    pub(super) cache: Proxy,
    /// A follower that compares index and rows.
    pub(super) observer: Synced,
    pub(super) tally: Tally,
    /// The acknowledged writes of the HTTP writers.
    pub(super) written: Mutex<Written>,
    /// Writers hold it for reading, so that a comparison finds everything idle.
    pub(super) pause: RwLock<()>,
    servers: Vec<Mutex<Option<Child>>>,
    ports: Vec<u16>,
    urls: [String; 2],
    following: CancellationToken,
}

impl Stage {
    pub(super) async fn start(servers: usize) -> Self {
        let cluster = Cluster::start_with("max_prepared_transactions = 5").await;
        let (search, search_url) = Proxy::before(&std::env::var("ELASTICSEARCH_URL").unwrap()).await;
        let (cache, cache_url) = Proxy::before(&std::env::var("REDIS_URL").unwrap()).await;
        let observer = Synced::on(&cluster, &["--analytics", "on"]).await;
        let following = CancellationToken::new();
        tokio::spawn(follower::run(observer.app.clone(), following.clone()));
        let mut ports = Vec::new();
        for _ in 0..servers {
            ports.push(process::free_port().await);
        }
        let stage = Self {
            cluster,
            search,
            cache,
            observer,
            tally: Tally::default(),
            written: Mutex::default(),
            pause: RwLock::default(),
            servers: ports.iter().map(|_| Mutex::default()).collect(),
            ports,
            urls: [search_url, cache_url],
            following,
        };
        for server in 0..servers {
            stage.launch(server, "").await;
        }
        stage.settle().await;
        stage
    }

    pub(super) fn servers(&self) -> usize {
        self.servers.len()
    }

    pub(super) fn client(&self, server: usize) -> Client {
        Client::new(format!("http://127.0.0.1:{}", self.ports[server]))
    }

    pub(super) fn command(&self) -> Command {
        let mut command = process::command_at(&self.cluster.url(), &self.observer.name);
        command
            .env("ELASTICSEARCH_URL", &self.urls[0])
            .env("REDIS_URL", &self.urls[1])
            .env("BULK_TIMEOUT", "3s")
            // Small, so that outages of seconds reach the backlog, and renames become fan-outs.
            .env("ANALYTICS", "on")
            .env("SYNC_BUFFER_KEYS", "200")
            .env("SYNC_FANOUT_INLINE", "2")
            .env("SYNC_BATCH_SIZE", "50");
        command
    }

    pub(super) async fn add_user(&self, username: &str, password: &str) {
        process::add_user_with(self.command(), username, "admin", password).await;
    }

    /// Starts a server without waiting until it is ready.
    async fn launch(&self, server: usize, failpoints: &str) {
        let mut command = self.command();
        command.arg("serve").env("PORT", self.ports[server].to_string());
        if !failpoints.is_empty() {
            command.env("FAILPOINTS", failpoints);
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        *self.servers[server].lock().await = Some(child);
    }

    /// Starts servers that have ended.
    pub(super) async fn restart(&self) {
        for server in 0..self.servers() {
            if self.has_ended(server).await {
                self.launch(server, "").await;
            }
        }
    }

    async fn has_ended(&self, server: usize) -> bool {
        self.servers[server].lock().await.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// Kills a server as a power cut would.
    pub(super) async fn kill(&self, server: usize) {
        if let Some(mut child) = self.servers[server].lock().await.take() {
            child.kill().await.unwrap();
        }
        self.tally.kills.fetch_add(1, Ordering::Relaxed);
    }

    /// Freezes a server for a while.
    pub(super) async fn freeze(&self, server: usize, pause: Duration) {
        let Some(process) = self.servers[server].lock().await.as_ref().and_then(Child::id) else { return };
        let signal = |name: &str| std::process::Command::new("kill").args([name, &process.to_string()]).status().unwrap();
        signal("-STOP");
        tokio::time::sleep(pause).await;
        signal("-CONT");
        self.tally.freezes.fetch_add(1, Ordering::Relaxed);
    }

    /// Kills the first server at a failpoint, after it has passed there some times. Returns whether it was reached.
    pub(super) async fn kill_at(&self, point: &str, passes: u64) -> bool {
        self.kill(0).await;
        self.launch(0, &format!("{point}={passes}*off->return")).await;
        for round in 0..180 {
            if self.has_ended(0).await {
                self.tally.kills.fetch_add(1, Ordering::Relaxed);
                self.launch(0, "").await;
                return true;
            }
            if point.contains("store") || point.contains("drain") {
                // An outage fills the backlog, which is drained afterwards.
                let mode = if round % 12 < 8 { Mode::Refuse } else { Mode::Pass };
                self.search.set(mode);
            } else if round % 20 == 5 && (point.contains("rebuild") || point.contains("promotion")) {
                self.reindex().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.search.set(Mode::Pass);
        false
    }

    /// Requests a new generation of every index, without waiting for it.
    pub(super) async fn reindex(&self) {
        for collection in indexed(Analytics::On) {
            collections::sync::generations::reconcile::request(&self.observer.app, collection).await.ok();
        }
    }

    /// Waits until every commit can be found, every index is live and the backlog is empty.
    async fn settle(&self) {
        eventually("the sync has caught up and nothing is being built", async || {
            self.restart().await;
            let generations = generations::all(&self.observer.pool).await.unwrap_or_default();
            let live = generations.iter().filter(|one| one.state == State::Live).count();
            let building = generations.iter().any(|one| one.state == State::Building);
            let wanted = indexed(Analytics::On);
            let caught_up = wanted
                .iter()
                .map(|collection| collections::sync::integrity::wait::until_searchable(&self.observer.app, collection));
            live == wanted.len() && !building && futures_util::future::join_all(caught_up).await.iter().all(Result::is_ok)
        })
        .await;
        // The sync leaves those for analysts to Elasticsearch, which takes seconds.
        for collection in indexed(Analytics::On).into_iter().filter(|collection| !collection.is_listed()) {
            let index = self.observer.index(collection.name).await;
            collections::search::index::refresh(&self.observer.elastic, &index).await.unwrap();
        }
    }

    /// Pauses the writers, waits until the index has caught up, and compares acknowledged writes, rows and documents.
    pub(super) async fn check(&self, seed: u64) {
        self.search.set(Mode::Pass);
        self.cache.set(Mode::Pass);
        let _at_rest = self.pause.write().await;
        self.settle().await;
        self.tally.check(&self.observer.pool, &*self.written.lock().await).await;
        let (compared, differing) = oracle::compare(&self.observer, seed).await;
        self.tally.checked.fetch_add(compared as u64, Ordering::Relaxed);
        self.tally.differences.fetch_add(differing as u64, Ordering::Relaxed);
        for collection in indexed(Analytics::On) {
            let found = self.observer.differences(collection.name).await.len();
            self.tally.differences.fetch_add(found as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.following.cancel();
    }
}
