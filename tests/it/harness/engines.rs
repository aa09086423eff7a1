//! Both engines over one database: two servers, of which one has no Elasticsearch.

use collections::auth::Role;
use collections::server::Running;
use sqlx::Executor as _;

use crate::harness::app::TestApp;
use crate::harness::client::Client;
use crate::harness::database::Database;

/// A server that reads the index, and one that reads the tables.
pub(crate) struct Engines {
    searching: TestApp,
    without: Running,
}

impl Engines {
    /// Starts both on the rows that `fill` writes.
    pub(crate) async fn start(fill: impl AsyncFnOnce(&Database)) -> Self {
        let searching = TestApp::start_with(&["--jwt-expires-in", "1d"]).await;
        fill(&searching.database).await;
        // Without statistics Postgres would plan for empty tables.
        searching.database.pool.execute("analyze").await.unwrap();
        searching.settle().await;
        let without = searching.without_elasticsearch().await;
        Self { searching, without }
    }

    /// The one that reads the index.
    pub(crate) fn app(&self) -> &TestApp {
        &self.searching
    }

    pub(crate) fn database(&self) -> &Database {
        &self.searching.database
    }

    /// One new caller of both, of Elasticsearch first.
    pub(crate) async fn clients(&self) -> [Client; 2] {
        let token = self.searching.token(Role::Admin).await;
        let bases = [self.searching.base(), format!("http://{}", self.without.address)];
        bases.map(|base| Client::new(base).with_token(&token))
    }
}

/// Inserts so many seeded customers with their accounts and payments, the same in every run.
pub(crate) async fn seed(database: &Database, customers: &str) {
    let seeded = tokio::process::Command::new(env!("CARGO_BIN_EXE_collections"))
        .args(["seed", "--customers", customers, "--seed", "1", "--today", "2026-01-31"])
        .env("DATABASE_URL", &database.url)
        .env_remove("DATABASE_OWNER_URL")
        .env_remove("APP_ENV")
        .output()
        .await
        .unwrap();
    assert!(seeded.status.success(), "{}", String::from_utf8_lossy(&seeded.stderr));
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.without.stop.cancel();
    }
}
