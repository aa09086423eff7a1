//! Settings: one small group per concern, each setting with its environment variable, default and meaning in one place.

mod access;
mod database;
mod feed;
mod http;
mod imports;
mod reindex;
mod search;
mod sync;
mod writes;

use clap::Args;
use secrecy::SecretString;

pub use access::Access;
pub use database::Database;
pub use feed::Feed;
pub use http::Http;
pub use imports::Imports;
pub use reindex::Rebuild;
pub use search::Search;
pub use sync::Sync;
pub use writes::Writes;

/// Every setting of the program.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// What is asked of a deployment: `production` refuses weak secrets.
    #[arg(long, env = "APP_ENV", default_value = "development")]
    pub environment: Environment,
    /// Currency of amounts that name none (ISO 4217).
    #[arg(long, env = "DEFAULT_CURRENCY", default_value = "USD")]
    pub default_currency: crate::values::money::Currency,
    /// Region by which phone numbers without a country code are read (ISO 3166-1 alpha-2).
    #[arg(long, env = "DEFAULT_REGION", default_value = "US")]
    pub default_region: String,
    /// Postgres.
    #[command(flatten)]
    pub database: Database,
    /// Elasticsearch and the Postgres engine.
    #[command(flatten)]
    pub search: Search,
    /// The HTTP server.
    #[command(flatten)]
    pub http: Http,
    /// Sign-in and tokens.
    #[command(flatten)]
    pub access: Access,
    /// Writes.
    #[command(flatten)]
    pub writes: Writes,
    /// The change-data sync.
    #[command(flatten)]
    pub sync: Sync,
    /// Announcements of what has changed.
    #[command(flatten)]
    pub feed: Feed,
    /// Rebuilds of the index.
    #[command(flatten)]
    pub reindex: Rebuild,
    /// Files that come in.
    #[command(flatten)]
    pub imports: Imports,
    /// Redis, through which servers hear at once of changed rows and ended sessions: `redis://host:port`. The server works without.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<SecretString>,
    /// Least important lines of the log that are written: `error`, `warn`, `info`, `debug` or `trace`; `RUST_LOG` is finer.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

impl Config {
    /// Refuses settings that a deployment must not run with.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn check(&self) -> Result<(), String> {
        self.access.check(self.environment)
    }
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// On somebody's desk: a missing secret is replaced by a fixed one.
    Development,
    /// In an automated test.
    Test,
    /// Before real debtors: weak or missing secrets are refused.
    Production,
}
