//! Settings of Postgres.

use clap::Args;
use secrecy::SecretString;

/// Settings of Postgres.
#[derive(Args, Clone, Debug)]
pub struct Database {
    /// Postgres of the server: `postgres://user:password@host:port/database`.
    #[arg(id = "database-url", long = "database-url", env = "DATABASE_URL", hide_env_values = true)]
    pub url: SecretString,
    /// Postgres as the owner of the schema, for `migrate`; `DATABASE_URL` if absent.
    #[arg(id = "database-owner-url", long = "database-owner-url", env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub owner_url: Option<SecretString>,
    /// Connections for requests.
    #[arg(id = "db-pool-size", long = "db-pool-size", env = "DB_POOL_SIZE", default_value_t = 16)]
    pub pool_size: u32,
    /// Connections for searches that Postgres answers; small, so that an outage of the index cannot take the database with it.
    #[arg(id = "db-search-pool-size", long = "db-search-pool-size", env = "DB_SEARCH_POOL_SIZE", default_value_t = 6)]
    pub search_pool_size: u32,
    /// Connections for the sync task.
    #[arg(id = "db-sync-pool-size", long = "db-sync-pool-size", env = "DB_SYNC_POOL_SIZE", default_value_t = 8)]
    pub sync_pool_size: u32,
    /// Longest wait of a request for a connection, in milliseconds.
    #[arg(id = "db-acquire-timeout-ms", long = "db-acquire-timeout-ms", env = "DB_ACQUIRE_TIMEOUT_MS", default_value_t = 250)]
    pub acquire_timeout_ms: u64,
    /// Longest wait of a list that Postgres answers for a connection, in milliseconds: when Elasticsearch stalls, all come at once.
    #[arg(
        id = "db-search-acquire-timeout-ms",
        long = "db-search-acquire-timeout-ms",
        env = "DB_SEARCH_ACQUIRE_TIMEOUT_MS",
        default_value_t = 2_000
    )]
    pub search_acquire_timeout_ms: u64,
    /// Longest wait of the sync task and the imports for a connection, in milliseconds: nobody waits for their answer.
    #[arg(
        id = "db-background-acquire-timeout-ms",
        long = "db-background-acquire-timeout-ms",
        env = "DB_BACKGROUND_ACQUIRE_TIMEOUT_MS",
        default_value_t = 10_000
    )]
    pub background_acquire_timeout_ms: u64,
    /// Longest run of one statement of the sync task, in milliseconds.
    #[arg(
        id = "db-background-statement-timeout-ms",
        long = "db-background-statement-timeout-ms",
        env = "DB_BACKGROUND_STATEMENT_TIMEOUT_MS",
        default_value_t = 60_000
    )]
    pub background_statement_timeout_ms: u64,
    /// Longest run of one statement, in milliseconds.
    #[arg(
        id = "db-statement-timeout-ms",
        long = "db-statement-timeout-ms",
        env = "DB_STATEMENT_TIMEOUT_MS",
        default_value_t = 5_000
    )]
    pub statement_timeout_ms: u64,
    /// Longest wait for a row lock, in milliseconds.
    #[arg(id = "db-lock-timeout-ms", long = "db-lock-timeout-ms", env = "DB_LOCK_TIMEOUT_MS", default_value_t = 2_000)]
    pub lock_timeout_ms: u64,
}
