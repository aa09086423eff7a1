//! Settings of Postgres.

use std::time::Duration;

use clap::Args;
use secrecy::SecretString;

use super::range::{MILLISECOND, MINUTE, duration, number};

#[derive(Args, Clone, Debug)]
pub struct Database {
    /// Postgres of the server: `postgres://user:password@host:port/database`.
    #[arg(id = "database-url", long = "database-url", env = "DATABASE_URL", hide_env_values = true)]
    pub url: SecretString,
    /// Postgres as the owner of the schema, for `migrate`; `DATABASE_URL` if absent.
    #[arg(id = "database-owner-url", long = "database-owner-url", env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub owner_url: Option<SecretString>,
    /// Connections for transactions of requests; a server opens as many for reads, and up to 35 for all else.
    #[arg(id = "db-pool-size", long = "db-pool-size", env = "DB_POOL_SIZE", default_value_t = 16, value_parser = number(1..=1_000_u32))]
    pub pool_size: u32,
    /// Longest run of one statement of a request.
    #[arg(
        id = "db-statement-timeout",
        long = "db-statement-timeout",
        env = "DB_STATEMENT_TIMEOUT",
        default_value = "5s",
        value_parser = duration(10 * MILLISECOND..=10 * MINUTE)
    )]
    pub statement_timeout: Duration,
    /// How long a request waits for a connection. Requests that wait longer only make an overloaded database slower.
    #[arg(skip = Duration::from_millis(250))]
    pub acquire_timeout: Duration,
    /// How long a list that Postgres answers waits for a connection: when Elasticsearch stalls, all lists come at once.
    #[arg(skip = Duration::from_secs(2))]
    pub search_acquire_timeout: Duration,
    /// How long a statement waits for a row lock: longer than our transactions take, shorter than clients wait.
    #[arg(skip = Duration::from_secs(2))]
    pub lock_timeout: Duration,
}
