//! The replication slot as a change stream: connects, creates the slot if it is missing, explains what is wrong.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use percent_encoding::percent_decode_str;
use pgwire_replication::{PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent, SslMode, TlsConfig};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::{ChangeStream, publication};
use crate::app::App;
use crate::sync::store::checkpoint::Origin;
use crate::values::lsn::Lsn;

/// The application name of the stream's connection, by which a leader finds those of earlier leaders.
const APPLICATION: &str = "collections sync stream";
/// Longest wait in milliseconds for the end of such a connection.
const TERMINATION_MS: u32 = 5_000;
/// The client has no time limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often Postgres is told the confirmed LSN.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);

pub struct Source {
    client: ReplicationClient,
}

/// A slot that is ready to stream.
pub struct Opened {
    /// [`Source::start`] starts the stream.
    pub source: Source,
    pub origin: Origin,
    /// The slot's own confirmed LSN.
    pub confirmed: Lsn,
    /// Whether the slot was missing or lost and has been created.
    pub is_new: bool,
}

impl Source {
    /// Connects and ensures that the slot exists, without streaming yet.
    ///
    /// # Errors
    /// They tell an operator what to do: settings of Postgres, rights of the user, a slot that another process holds.
    pub async fn open(app: &App) -> anyhow::Result<Opened> {
        require_logical_log(app).await?;
        let slot = &app.config.sync.slot;
        let opening = async {
            let mut client = ReplicationClient::connect_gated(settings(app)?).await.map_err(explain)?;
            let system = client.identify_system().await.map_err(explain)?;
            let mut source = Self { client };
            source.terminate(slot).await?;
            let found = find_slot(app).await?;
            let is_new = match &found {
                Some(found) if found.lost => {
                    source.command(&format!(r#"DROP_REPLICATION_SLOT "{slot}" WAIT"#)).await?;
                    true
                }
                found => found.is_none(),
            };
            if is_new {
                // Replication commands are upper case only. This one waits for every running transaction of the cluster.
                source.command(&format!(r#"CREATE_REPLICATION_SLOT "{slot}" LOGICAL pgoutput NOEXPORT_SNAPSHOT"#)).await?;
            }
            let confirmed = match found {
                Some(found) if !is_new => found.confirmed,
                _ => find_slot(app).await?.context("the replication slot vanished")?.confirmed,
            };
            let timeline = i32::try_from(system.timeline)?;
            let origin = Origin { system: system.system_id, timeline, slot: slot.clone() };
            Ok(Opened { source, origin, confirmed, is_new })
        };
        // Creating a slot can take long, so the limit is generous.
        tokio::time::timeout(CONNECT_TIMEOUT * 6, opening).await.context("postgres does not answer")?
    }

    /// Moves the slot to the end of the log, past changes that were not published, and returns its confirmed LSN. Before Postgres 18
    /// the stream could not go on otherwise.
    pub async fn skip(&mut self, app: &App) -> anyhow::Result<Lsn> {
        let slot = &app.config.sync.slot;
        self.command(&format!("select pg_replication_slot_advance('{slot}', pg_current_wal_flush_lsn())")).await?;
        Ok(find_slot(app).await?.context("the replication slot vanished")?.confirmed)
    }

    /// Starts the stream at the slot's confirmed LSN.
    ///
    /// # Errors
    /// Another process holds the slot, or it has become invalid.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let starting = async {
            self.client.start().await.map_err(explain)?;
            self.client.wait_started().await.map_err(explain)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, starting).await.context("postgres does not start the stream")?
    }

    /// Ends the stream of an earlier leader that is frozen or unreachable. It has lost the lock, but still holds the slot.
    async fn terminate(&mut self, slot: &str) -> anyhow::Result<()> {
        let ending = format!(
            "select pg_terminate_backend(pid, {TERMINATION_MS})
            from pg_stat_activity
            where application_name = '{APPLICATION}'
            and pid = (
              select active_pid from pg_replication_slots where slot_name = '{slot}' and database = current_database()
            )"
        );
        self.command(&ending).await
    }

    async fn command(&mut self, command: &str) -> anyhow::Result<()> {
        self.client.simple_query(command).await.map_err(explain).map(drop)
    }
}

impl ChangeStream for Source {
    async fn next(&mut self) -> anyhow::Result<ReplicationEvent> {
        self.client.recv().await.map_err(explain)?.context("postgres has ended the change stream")
    }

    /// Postgres is told within about a second.
    fn confirm(&self, lsn: Lsn) {
        self.client.update_applied_lsn(pgwire_replication::Lsn::from_u64(lsn.0));
    }

    async fn stop(mut self) {
        let stopped = tokio::time::timeout(Duration::from_secs(2), self.client.shutdown()).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::debug!("the change stream did not end in order; unconfirmed changes come again");
        }
    }
}

struct Slot {
    confirmed: Lsn,
    lost: bool,
}

async fn find_slot(app: &App) -> anyhow::Result<Option<Slot>> {
    let slot = &app.config.sync.slot;
    let row = sqlx::query!(
        r#"
        select
          database = current_database() as "ours?",
          plugin = 'pgoutput' as "pgoutput?",
          wal_status = 'lost' as "lost?",
          active_pid,
          confirmed_flush_lsn::text as confirmed
        from pg_replication_slots
        where slot_name = $1
        "#,
        slot,
    )
    .fetch_optional(&app.db.sync)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.ours != Some(true) || row.pgoutput != Some(true) {
        bail!("the replication slot {slot} belongs to another database or purpose: set SYNC_SLOT to a free name");
    }
    if let Some(pid) = row.active_pid {
        bail!("the replication slot {slot} is in use by the server process {pid}; waiting for it");
    }
    let confirmed = row.confirmed.context("the replication slot has no confirmed LSN")?;
    Ok(Some(Slot { confirmed: Lsn::from_str(&confirmed)?, lost: row.lost == Some(true) }))
}

async fn require_logical_log(app: &App) -> anyhow::Result<()> {
    let level = sqlx::query_scalar!(r#"select current_setting('wal_level') as "wal_level!""#);
    let level = level.fetch_one(&app.db.sync).await.context("cannot reach postgres")?;
    if level != "logical" {
        bail!("postgres runs with wal_level = {level}: as a superuser run `alter system set wal_level = logical` and restart it");
    }
    Ok(())
}

fn settings(app: &App) -> anyhow::Result<ReplicationConfig> {
    let url = app.config.database.url.expose_secret();
    let options = PgConnectOptions::from_str(url).context("DATABASE_URL cannot be read")?;
    let slot = &app.config.sync.slot;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if slot.is_empty() || slot.len() > 63 || !slot.bytes().all(is_plain) {
        bail!("SYNC_SLOT may have lower-case letters, digits and underscores, at most 63");
    }
    let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let database = options.get_database().unwrap_or(options.get_username());
    let mode = match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => SslMode::Disable,
        PgSslMode::Prefer => SslMode::Prefer,
        PgSslMode::Require => SslMode::Require,
        PgSslMode::VerifyCa => SslMode::VerifyCa,
        PgSslMode::VerifyFull => SslMode::VerifyFull,
    };
    let mut settings = ReplicationConfig::new(host, options.get_username(), password(url), database, slot, publication::NAME);
    settings.port = options.get_port();
    settings.tls = TlsConfig { mode, ..TlsConfig::default() };
    settings.status_interval = STATUS_INTERVAL;
    // Short, so that the slot of a dead leader is soon free.
    settings.options = Some("-c wal_sender_timeout=10s".into());
    settings.application_name = Some(APPLICATION.into());
    Ok(settings)
}

/// Adds advice to an error. The client passes on the text of Postgres with its SQLSTATE, and has no code of its own.
fn explain(error: PgWireError) -> anyhow::Error {
    let text = error.to_string();
    let hint = |code: &str| text.contains(&format!("SQLSTATE {code}"));
    if hint("55006") {
        anyhow!("another process holds the replication slot; waiting for it ({text})")
    } else if hint("42501") {
        anyhow!("the user of DATABASE_URL may not replicate: as a superuser run `alter role … replication` ({text})")
    } else if hint("53400") {
        anyhow!("postgres has no free replication slot: raise max_replication_slots ({text})")
    } else if hint("28P01") || hint("28000") || error.is_auth() {
        anyhow!("postgres refuses the user of DATABASE_URL, or no line of pg_hba.conf lets it replicate ({text})")
    } else {
        anyhow!(error)
    }
}

/// Reads the password from the URL, or as sqlx does from the environment: sqlx does not expose it.
fn password(url: &str) -> String {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let Some((_, encoded)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return std::env::var("PGPASSWORD").unwrap_or_default();
    };
    percent_decode_str(encoded).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_read_from_the_url() {
        assert_eq!(password("postgres://user:p%40ss%2Fw%@host:5432/db?sslmode=disable"), "p@ss/w%");
        assert_eq!(password("postgres://user:plain@/db"), "plain");
    }
}
