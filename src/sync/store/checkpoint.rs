//! The state of the sync in Postgres: its checkpoint, its origin, its leader.

use std::collections::BTreeMap;

use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};

use super::backlog;
use crate::freshness::Watermark;
use crate::values::lsn::{Epoch, Lsn};

impl State {
    /// Whether the index may be relied on as far as the checkpoint says: no change was missed, and the database has not gone back.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.publication.is_some() && self.unverified_since.is_none()
    }
}

/// Where the stream comes from. If any of it has changed, LSNs may have gone back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's system identifier.
    pub system: String,
    /// Increments with each fail-over and restore of the cluster.
    pub timeline: i32,
    pub slot: String,
}

/// For each collection with a backlog the first LSN whose changes may be in it.
pub type Backlogged = BTreeMap<String, Lsn>;

/// For each collection the moment before which searches find every change of it, by the clock of Postgres.
pub type SearchableAt = BTreeMap<String, DateTime<Utc>>;

/// How far the sync is, as the leader saves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Every change up to here is in the index or in the backlog, so that the slot may forget it.
    pub confirmed: Lsn,
    /// Searches find every change up to here, except those of the backlog.
    pub searchable: Lsn,
    pub backlog_since: Backlogged,
}

impl Checkpoint {
    /// Whether searches find every change of a collection up to an LSN.
    #[must_use]
    pub fn includes(&self, collection: &str, wanted: Lsn) -> bool {
        Watermark::includes(self.searchable, &self.backlog_since, collection, wanted)
    }
}

/// The one row of `sync_state`.
#[derive(Clone, Debug)]
pub struct State {
    /// Absent before the first start.
    pub origin: Option<Origin>,
    /// What the stream follows; absent before the first start, and once it was found broken: changes were missed.
    pub publication: Option<String>,
    pub epoch: Epoch,
    pub checkpoint: Checkpoint,
    /// Where a leader began that could not read the high-water mark, until the mark is compared with it.
    pub unverified_since: Option<Lsn>,
    /// Fencing token: every leader increments it.
    pub lease: i64,
    /// The process that leads or led last.
    pub leader: Option<String>,
    /// Why it cannot work.
    pub problem: Option<String>,
}

pub async fn read(executor: impl PgExecutor<'_>) -> sqlx::Result<State> {
    let row = sqlx::query!(
        r#"
        select
          system_identifier,
          timeline,
          slot,
          publication,
          epoch,
          confirmed_lsn,
          searchable_lsn,
          unverified_since,
          backlog_since as "backlog_since: Json<BTreeMap<String, i64>>",
          lease,
          leader,
          problem
        from sync_state
        "#
    )
    .fetch_one(executor)
    .await?;
    let origin = match (row.system_identifier, row.timeline, row.slot) {
        (Some(system), Some(timeline), Some(slot)) => Some(Origin { system, timeline, slot }),
        _ => None,
    };
    Ok(State {
        origin,
        publication: row.publication,
        epoch: Epoch(u16::try_from(row.epoch).unwrap_or(u16::MAX)),
        checkpoint: Checkpoint {
            confirmed: from_sql(row.confirmed_lsn),
            searchable: from_sql(row.searchable_lsn),
            backlog_since: row.backlog_since.0.into_iter().map(|(collection, since)| (collection, from_sql(since))).collect(),
        },
        unverified_since: row.unverified_since.map(from_sql),
        lease: row.lease,
        leader: row.leader,
        problem: row.problem,
    })
}

/// Takes the lease, which fences off every earlier leader.
pub async fn take_lease(executor: impl PgExecutor<'_>, leader: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!("update sync_state set lease = lease + 1, leader = $1, heard_at = now() returning lease", leader)
        .fetch_one(executor)
        .await
}

/// Saves why a leader cannot work, unless another one has taken over.
pub async fn save_problem(executor: impl PgExecutor<'_>, lease: i64, problem: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!("update sync_state set problem = $1 where lease = $2", problem, lease).execute(executor).await.map(drop)
}

/// Records that the publication was found broken: changes are missed until an epoch starts.
pub async fn forget_publication(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<()> {
    let forgotten = sqlx::query!("update sync_state set publication = null where lease = $1", lease).execute(executor).await?;
    require_lease(forgotten.rows_affected())
}

/// Records that from the checkpoint on, or from an earlier one, the high-water mark is unknown. Before anything new is saved.
pub async fn begin_unverified(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<()> {
    let begun = sqlx::query!(
        "update sync_state set unverified_since = coalesce(unverified_since, confirmed_lsn) where lease = $1",
        lease,
    );
    require_lease(begun.execute(executor).await?.rows_affected())
}

/// Records that the high-water mark was compared. Before it is raised: a mark that this database has raised itself is behind it.
pub async fn end_unverified(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<()> {
    let ended = sqlx::query!("update sync_state set unverified_since = null where lease = $1", lease).execute(executor).await?;
    require_lease(ended.rows_affected())
}

/// Starts an epoch at an LSN of an origin and retires every index.
///
/// # Errors
/// Also if there are no epochs left.
pub async fn start_epoch(
    pool: &PgPool,
    lease: i64,
    origin: &Origin,
    publication: &str,
    epoch: Epoch,
    lsn: Lsn,
) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    let started = sqlx::query!(
        r#"
        update sync_state
        set system_identifier = $1, timeline = $2, slot = $3, publication = $4, epoch = $5, confirmed_lsn = $6, searchable_lsn = $6,
          unverified_since = null, backlog_since = '{}', heard_at = now()
        where lease = $7
        "#,
        origin.system,
        origin.timeline,
        origin.slot,
        publication,
        i32::from(epoch.0),
        to_sql(lsn),
        lease,
    )
    .execute(&mut *transaction)
    .await
    .context("cannot start a new epoch")?;
    require_lease(started.rows_affected())?;
    // A requested rebuild that has not begun belongs to the new epoch.
    sqlx::query!(
        r#"
        update index_generations
        set state = 'retired', wanted = null, expires_at = now(), updated_at = now()
        where state <> 'building' or cursor is not null
        "#
    )
    .execute(&mut *transaction)
    .await?;
    backlog::clear(&mut transaction).await?;
    Ok(transaction.commit().await?)
}

/// Fails with [`Superseded`] if another leader has taken over.
pub async fn check_lease(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<()> {
    let held = sqlx::query_scalar!("select lease from sync_state").fetch_one(executor).await?;
    require_lease(u64::from(held == lease))
}

/// Saves the checkpoint, before the slot is told: a slot that is further was moved by another program. Collections that
/// `searchable_at` lacks keep their moments.
///
/// # Errors
/// [`Superseded`].
pub async fn save(
    executor: impl PgExecutor<'_>,
    lease: i64,
    checkpoint: &Checkpoint,
    searchable_at: &SearchableAt,
) -> anyhow::Result<()> {
    let backlog_since: BTreeMap<&str, i64> =
        checkpoint.backlog_since.iter().map(|(collection, since)| (collection.as_str(), to_sql(*since))).collect();
    let saved = sqlx::query!(
        r#"
        update sync_state
        set confirmed_lsn = $1,
          searchable_lsn = $2,
          backlog_since = $3,
          searchable_at = searchable_at || $4,
          heard_at = now()
        where lease = $5
        "#,
        to_sql(checkpoint.confirmed),
        to_sql(checkpoint.searchable),
        Json(backlog_since) as _,
        Json(searchable_at) as _,
        lease,
    )
    .execute(executor)
    .await?;
    require_lease(saved.rows_affected())
}

/// Content of a flush request.
pub(crate) const FLUSH: &str = "flush";

/// Writes the leader's heartbeat: into the stream, and into the row that shows that it is alive. Returns an LSN and a moment by the
/// clock of Postgres, before which every commit has a lower LSN.
///
/// # Errors
/// [`Superseded`].
pub async fn leader_heartbeat(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<(Lsn, DateTime<Utc>)> {
    let written = sqlx::query!(
        r#"
        update sync_state
        set heard_at = now()
        where lease = $1
        returning now() as "at!", (pg_logical_emit_message(true, 'collections', '') - '0/0')::bigint as "lsn!"
        "#,
        lease,
    );
    let written = written.fetch_optional(executor).await?.ok_or(Superseded)?;
    Ok((from_sql(written.lsn), written.at))
}

/// Writes a heartbeat into the stream, which shows that the stream is alive; returns its LSN.
pub async fn heartbeat(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    emit_message(executor, "").await
}

/// Sends a heartbeat that also asks the leader to end the linger up to its LSN, because a request waits.
pub async fn request_flush(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    emit_message(executor, FLUSH).await
}

async fn emit_message(executor: impl PgExecutor<'_>, content: &str) -> sqlx::Result<Lsn> {
    // Transactional, because only a commit is flushed, and so streamed, at once.
    let lsn = sqlx::query_scalar!(
        r#"select (pg_logical_emit_message(true, 'collections', $1::text) - '0/0')::bigint as "lsn!""#,
        content
    );
    lsn.fetch_one(executor).await.map(from_sql)
}

/// Whether [`log_snapshot`] exists, as in Postgres 16 and later, and is allowed.
pub async fn may_log_snapshots(executor: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    let allowed = sqlx::query_scalar!(
        r#"select coalesce(has_function_privilege(to_regprocedure('pg_log_standby_snapshot()'), 'execute'), false) as "is_allowed!""#
    );
    allowed.fetch_one(executor).await
}

/// Writes the list of running transactions into the log.
///
/// The LSN from which a slot keeps the log moves only with such lists. Postgres itself writes one every 15 seconds
/// (`LOG_SNAPSHOT_INTERVAL_MS` in its `bgwriter.c`).
pub async fn log_snapshot(executor: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_log_standby_snapshot() is not null as "is_written!""#).fetch_one(executor).await.map(drop)
}

/// A statement with the lease of an earlier leader.
#[derive(Debug, thiserror::Error)]
#[error("another process has taken over the sync")]
pub struct Superseded;

pub(crate) fn require_lease(rows: u64) -> anyhow::Result<()> {
    if rows == 1 { Ok(()) } else { Err(Superseded.into()) }
}

fn to_sql(lsn: Lsn) -> i64 {
    i64::try_from(lsn.0).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(lsn: i64) -> Lsn {
    Lsn(u64::try_from(lsn).unwrap_or_default())
}
