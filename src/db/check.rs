//! Whether the program can work with a database, and what the operator has to do if not.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::{MIGRATIONS, SERVER_ROLE, SYNC_ROLE, options};
use crate::config::Database;
use crate::error::is_away;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why the program cannot work with a database.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It does not answer now, which passes.
    #[error("postgres cannot be reached: {0}")]
    Away(String),
    /// The operator has to act; says how.
    #[error("{0}")]
    Wrong(String),
}

/// Checks the address, the roles, the schema and, where the sync will run, the write-ahead log.
pub async fn check(config: &Database, with_sync: bool) -> Result<(), Trouble> {
    let mut connection = connect(config, SERVER_ROLE).await?;
    check_schema(&mut connection).await?;
    if with_sync {
        check_log(&mut connect(config, SYNC_ROLE).await?).await?;
    }
    Ok(())
}

async fn connect(config: &Database, role: &str) -> Result<PgConnection, Trouble> {
    let options = options(config, role, "collections check").map_err(|error| Trouble::Wrong(format!("DATABASE_URL: {error}")))?;
    match timeout(TIMEOUT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(classify(&error, role)),
        Err(_) => Err(Trouble::Away("no connection within 5 s".into())),
    }
}

/// Tells what passes by itself from what the operator has to correct.
fn classify(error: &sqlx::Error, role: &str) -> Trouble {
    let message = error.as_database_error().map_or_else(|| error.to_string(), |cause| cause.message().to_owned());
    if is_away(error) {
        return Trouble::Away(message);
    }
    let sqlx::Error::Database(cause) = error else {
        return Trouble::Wrong(format!("cannot connect to Postgres: {message}"));
    };
    match cause.code().as_deref() {
        Some("3D000") => Trouble::Wrong(format!("{message}; create it, or correct DATABASE_URL")),
        Some("28000" | "28P01") => Trouble::Wrong(format!("{message}; correct the user or the password in DATABASE_URL")),
        Some("22023") => Trouble::Wrong(format!("{message}; run `collections migrate up`, which makes the role")),
        Some("42501") => Trouble::Wrong(format!(
            "the user of DATABASE_URL may not act as {role}; as a superuser: grant {role} to the user ({message})"
        )),
        _ => Trouble::Wrong(format!("cannot connect to Postgres: {message}")),
    }
}

async fn check_schema(connection: &mut PgConnection) -> Result<(), Trouble> {
    let migrate = |what: &str| Trouble::Wrong(format!("{what}: run `collections migrate up`"));
    let has_history: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| classify(&error, SERVER_ROLE))?;
    if !has_history {
        return Err(migrate("the database has no schema yet"));
    }
    let applied: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations where success")
        .fetch_all(&mut *connection)
        .await
        .map_err(|_| migrate("the schema's history cannot be read"))?;
    let pending = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    if pending > 0 {
        return Err(migrate(&format!("the schema lacks {pending} migrations")));
    }
    let has_trigrams: bool = sqlx::query_scalar("select exists (select from pg_extension where extname = 'pg_trgm')")
        .fetch_one(connection)
        .await
        .map_err(|error| classify(&error, SERVER_ROLE))?;
    if has_trigrams { Ok(()) } else { Err(Trouble::Wrong("the extension pg_trgm is missing: create extension pg_trgm".into())) }
}

async fn check_log(connection: &mut PgConnection) -> Result<(), Trouble> {
    let level: String =
        sqlx::query_scalar("show wal_level").fetch_one(&mut *connection).await.map_err(|error| classify(&error, SYNC_ROLE))?;
    if level != "logical" {
        return Err(Trouble::Wrong(format!(
            "postgres runs with wal_level={level} and the sync needs logical: alter system set wal_level = logical, then restart it"
        )));
    }
    let may: bool = sqlx::query_scalar("select rolreplication or rolsuper from pg_roles where rolname = session_user")
        .fetch_one(connection)
        .await
        .map_err(|error| classify(&error, SYNC_ROLE))?;
    if may {
        Ok(())
    } else {
        Err(Trouble::Wrong("the user of DATABASE_URL may not replicate, which the sync needs: alter role … replication".into()))
    }
}
