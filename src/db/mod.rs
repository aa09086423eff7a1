//! The Postgres driver: pools that act as a role of least privilege and never lend a connection that is in a transaction.

mod check;
mod log_end;
pub mod rows;

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection, Executor, PgPool, Row};
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::Database;
use crate::turns::Turns;

pub use check::{Trouble, check};
pub use log_end::{LogEnd, log_end};

pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// The role that requests act as; see the migration of the privileges.
pub const SERVER_ROLE: &str = "collections_server";

/// The role that the sync task acts as.
pub const SYNC_ROLE: &str = "collections_sync";

/// Longest wait for an idle connection to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_millis(200);

/// A connection used within this time is lent without a ping.
const FRESH: Duration = Duration::from_secs(1);

/// Connections for searches that Postgres answers: few, so that an outage of Elasticsearch cannot overload the database.
const SEARCH_POOL_SIZE: u32 = 6;

/// Connections for the sync: its writers, its backlog worker and the sweep.
const SYNC_POOL_SIZE: u32 = 8;

/// How long background work waits for a connection, and how long its statements run: no client waits for them.
const BACKGROUND_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const BACKGROUND_STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections for background jobs: as many as run at once, some to renew their leases, one that listens.
const JOBS_POOL_SIZE: u32 = 10;

/// Connections for exports that Postgres answers: each is held for as long as its client takes the file.
const EXPORT_POOL_SIZE: u32 = 4;

const WATCH_POOL_SIZE: u32 = 2;

/// Transactions that write to one record at once: while one works, the next waits at the row, so that the row is never idle.
const WRITES_AT_ONCE: u32 = 2;
/// Requests that may wait for their turn at one record, without a connection that others need.
const WRITES_WAITING: usize = 64;

/// One pool per kind of work, so that no kind can starve another.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Transactions of requests.
    pub server: PgPool,
    /// Reads by id and other single statements that only read. Never begin a transaction here.
    pub read: PgPool,
    /// Searches that Postgres answers.
    pub search: PgPool,
    /// Exports that Postgres answers.
    pub exports: PgPool,
    /// The sync task.
    pub sync: PgPool,
    /// Background jobs.
    pub jobs: PgPool,
    /// Health and metrics, which must work when all other connections are busy.
    pub watch: PgPool,
    /// Who may write to a record now; taken before a connection of `server`.
    pub turns: Turns<Uuid>,
    /// Where the log ends; asked through `read`.
    pub log_end: LogEnd,
    /// The one connection on which Postgres notifies this process.
    pub listen: PgPool,
}

impl Pools {
    /// Makes the pools without connecting; fails only on a URL that cannot be read.
    pub fn open(config: &Database) -> sqlx::Result<Self> {
        Ok(Self {
            server: pool(config, SERVER_ROLE, "collections server", config.pool_size)?,
            read: read_pool(config)?,
            search: pool(&patient(config), SERVER_ROLE, "collections search", SEARCH_POOL_SIZE)?,
            exports: pool(&exporting(config), SERVER_ROLE, "collections exports", EXPORT_POOL_SIZE)?,
            sync: pool(&background(config), SYNC_ROLE, "collections sync", SYNC_POOL_SIZE)?,
            jobs: pool(&background(config), SERVER_ROLE, "collections jobs", JOBS_POOL_SIZE)?,
            watch: pool(config, SERVER_ROLE, "collections watch", WATCH_POOL_SIZE)?,
            turns: Turns::new(WRITES_AT_ONCE, WRITES_WAITING),
            log_end: LogEnd::default(),
            listen: pool(&background(config), SERVER_ROLE, "collections listen", 1)?,
        })
    }
}

fn patient(config: &Database) -> Database {
    Database { acquire_timeout: config.search_acquire_timeout, ..config.clone() }
}

/// Limits for the pages of an export: a client waits for a connection as for a list, but for a page of many rows for longer.
fn exporting(config: &Database) -> Database {
    Database { statement_timeout: BACKGROUND_STATEMENT_TIMEOUT, ..patient(config) }
}

/// Limits for work that no client waits for.
fn background(config: &Database) -> Database {
    Database { acquire_timeout: BACKGROUND_ACQUIRE_TIMEOUT, statement_timeout: BACKGROUND_STATEMENT_TIMEOUT, ..config.clone() }
}

/// A pool whose connections may carry transactions, and are checked for a forgotten one after use.
fn pool(config: &Database, role: &'static str, name: &str, size: u32) -> sqlx::Result<PgPool> {
    let pool = pool_options(config, size).after_release(|connection, _| Box::pin(is_outside_transaction(connection)));
    Ok(pool.connect_lazy_with(options(config, role, name)?))
}

/// A pool of read-only connections without the check after use, which costs as much as the read itself.
///
/// If a transaction were left open here after all, nothing could be lost: each of its statements still sees the latest commits.
fn read_pool(config: &Database) -> sqlx::Result<PgPool> {
    let options = options(config, SERVER_ROLE, "collections read")?.options([
        ("default_transaction_read_only", "on"),
        // Lookups by key: to plan one takes five times as long as to run it, and a plan for the very values is no better.
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    Ok(pool_options(config, config.pool_size).connect_lazy_with(options))
}

fn pool_options(config: &Database, size: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(config.acquire_timeout)
        .max_lifetime(Duration::from_secs(15 * 60))
        // Its ping has no deadline of its own, so one dead connection would use up the caller's whole wait.
        .test_before_acquire(false)
        .before_acquire(|connection, about| Box::pin(is_alive(connection, about)))
}

fn options(config: &Database, role: &str, name: &str) -> sqlx::Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(config.url.expose_secret())?.application_name(name).options([
        ("role", role.to_owned()),
        ("statement_timeout", config.statement_timeout.as_millis().to_string()),
        ("lock_timeout", config.lock_timeout.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", "60000".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_parameter_max_length_on_error", "0".to_owned()),
    ]))
}

/// Before a connection is lent: whether the server at its other end still answers.
async fn is_alive(connection: &mut PgConnection, about: PoolConnectionMetadata) -> sqlx::Result<bool> {
    if about.idle_for < FRESH {
        return Ok(true);
    }
    timeout(PING_TIMEOUT, connection.ping()).await.map_err(|_| timed_out())?.map(|()| true)
}

/// After a connection was returned: whether it is outside of any transaction.
///
/// A future that was dropped while it waited for BEGIN leaves its connection in a transaction that the pool does not know of
/// (transact-rs/sqlx#4385): the next borrower's writes would be acknowledged and rolled back.
async fn is_outside_transaction(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // As one simple message: of a prepared statement each step is a statement with a time of its own.
    let asked = sqlx::raw_sql("select now() = statement_timestamp()").fetch_one(connection);
    // After an error the pool closes the connection at once; a polite goodbye to a dead peer would never end.
    timeout(Duration::from_secs(1), asked).await.map_err(|_| timed_out())??.try_get(0)
}

fn timed_out() -> sqlx::Error {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

/// Connects outside of the pools, for a task that has to know whether its connection has lasted. Its commits wait for no standby.
pub async fn connect(config: &Database, name: &str) -> sqlx::Result<PgConnection> {
    PgConnection::connect_with(&options(config, SERVER_ROLE, name)?.options([("synchronous_commit", "local")])).await
}

/// Connects as the owner of the schema.
pub async fn connect_owner(config: &Database) -> sqlx::Result<PgConnection> {
    let url: &SecretString = config.owner_url.as_ref().unwrap_or(&config.url);
    let mut connection = PgConnection::connect(url.expose_secret()).await?;
    connection.execute("set lock_timeout = '10s'").await?;
    Ok(connection)
}
