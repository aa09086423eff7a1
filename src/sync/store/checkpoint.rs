//! What the sync task knows about itself, in Postgres: where it is, who leads, what the index refused.

use std::collections::BTreeMap;

use anyhow::Context;
use sqlx::types::Json;
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

use super::backlog;
use crate::freshness::Watermark;
use crate::values::lsn::{Epoch, Lsn, Version};

/// Where the stream comes from. If any of it is another than the last time, positions may have gone back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cluster's own number.
    pub system: String,
    /// Counts the cluster's fail-overs and restores.
    pub timeline: i32,
    /// The replication slot.
    pub slot: String,
}

/// Where a collection stopped being true: documents with changes from there on wait in the backlog.
pub type Backlogged = BTreeMap<String, Lsn>;

/// How far the index is, as it is remembered and told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Everything up to here is in the index or in the backlog, and the slot may forget it.
    pub confirmed: Lsn,
    /// Everything up to here can be found, but for what is owed.
    pub searchable: Lsn,
    /// What is in the backlog.
    pub owed: Backlogged,
}

impl Checkpoint {
    /// Whether everything of a collection up to a position can be found.
    #[must_use]
    pub fn includes(&self, collection: &str, wanted: Lsn) -> bool {
        Watermark::includes(self.searchable, &self.owed, collection, wanted)
    }
}

/// The one row of `sync_state`.
#[derive(Clone, Debug)]
pub struct State {
    /// Where the stream came from; absent before the first start.
    pub origin: Option<Origin>,
    /// The high bits of every version.
    pub epoch: Epoch,
    /// How far the index is.
    pub standing: Checkpoint,
    /// Counts leaders.
    pub lease: i64,
    /// Who leads or led last.
    pub leader: Option<String>,
    /// What keeps it from that.
    pub problem: Option<String>,
}

/// Reads the state.
///
/// # Errors
/// The database's.
pub async fn read(executor: impl PgExecutor<'_>) -> sqlx::Result<State> {
    let row = sqlx::query!(
        r#"
        select
          system_identifier,
          timeline,
          slot,
          epoch,
          confirmed_lsn,
          searchable_lsn,
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
        epoch: Epoch(u16::try_from(row.epoch).unwrap_or(u16::MAX)),
        standing: Checkpoint {
            confirmed: from_sql(row.confirmed_lsn),
            searchable: from_sql(row.searchable_lsn),
            owed: row.backlog_since.0.into_iter().map(|(collection, since)| (collection, from_sql(since))).collect(),
        },
        lease: row.lease,
        leader: row.leader,
        problem: row.problem,
    })
}

/// Takes the lease, which fences off every leader before.
///
/// # Errors
/// The database's.
pub async fn lead(executor: impl PgExecutor<'_>, leader: &str) -> sqlx::Result<i64> {
    sqlx::query_scalar!("update sync_state set lease = lease + 1, leader = $1, updated_at = now() returning lease", leader)
        .fetch_one(executor)
        .await
}

/// Says what keeps a leader from its work, unless another one has taken over.
///
/// # Errors
/// The database's.
pub async fn complain(executor: impl PgExecutor<'_>, lease: i64, problem: Option<&str>) -> sqlx::Result<()> {
    sqlx::query!("update sync_state set problem = $1 where lease = $2", problem, lease).execute(executor).await.map(drop)
}

/// Starts from a new origin at a position, in an epoch of its own; every index is given up.
///
/// # Errors
/// The database's, or the last epoch is used up.
pub async fn adopt(pool: &PgPool, lease: i64, origin: &Origin, epoch: Epoch, position: Lsn) -> anyhow::Result<()> {
    let mut transaction = pool.begin().await?;
    let adopted = sqlx::query!(
        r#"
        update sync_state
        set system_identifier = $1, timeline = $2, slot = $3, epoch = $4, confirmed_lsn = $5, searchable_lsn = $5, backlog_since = '{}',
          updated_at = now()
        where lease = $6
        "#,
        origin.system,
        origin.timeline,
        origin.slot,
        i32::from(epoch.0),
        to_sql(position),
        lease,
    )
    .execute(&mut *transaction)
    .await
    .context("cannot enter the new epoch")?;
    require_lease(adopted.rows_affected())?;
    // What was asked for and has not begun is built in the new epoch.
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

/// Makes sure that this leader still leads.
///
/// # Errors
/// The database's, or another leader has taken over.
pub async fn hold(executor: impl PgExecutor<'_>, lease: i64) -> anyhow::Result<()> {
    let held = sqlx::query_scalar!("select lease from sync_state").fetch_one(executor).await?;
    require_lease(u64::from(held == lease))
}

/// Remembers how far the index is. Comes before the slot hears of it, so a slot that is further was moved by somebody else.
///
/// # Errors
/// The database's, or another leader has taken over.
pub async fn save(executor: impl PgExecutor<'_>, lease: i64, standing: &Checkpoint) -> anyhow::Result<()> {
    let owed: BTreeMap<&str, i64> =
        standing.owed.iter().map(|(collection, since)| (collection.as_str(), to_sql(*since))).collect();
    let saved = sqlx::query!(
        "update sync_state set confirmed_lsn = $1, searchable_lsn = $2, backlog_since = $3, updated_at = now() where lease = $4",
        to_sql(standing.confirmed),
        to_sql(standing.searchable),
        Json(owed) as _,
        lease,
    )
    .execute(executor)
    .await?;
    require_lease(saved.rows_affected())
}

/// What a flush request says.
pub(crate) const FLUSH: &str = "flush";

/// Writes a logical message into the stream, which shows that it is alive, and returns its LSN.
pub async fn heartbeat(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    send_message(executor, "").await
}

/// Sends a heartbeat that asks the leader to write up to its LSN what lingers, because a reader waits.
pub async fn request_flush(executor: impl PgExecutor<'_>) -> sqlx::Result<Lsn> {
    send_message(executor, FLUSH).await
}

async fn send_message(executor: impl PgExecutor<'_>, content: &str) -> sqlx::Result<Lsn> {
    // Transactional, because only a commit is flushed, and so streamed, at once.
    let position = sqlx::query_scalar!(
        r#"select (pg_logical_emit_message(true, 'collections', $1::text) - '0/0')::bigint as "position!""#,
        content
    );
    position.fetch_one(executor).await.map(from_sql)
}

/// Whether [`log_snapshot`] is there, which is so from Postgres 16 on, and allowed.
///
/// # Errors
/// The database's.
pub async fn may_log_snapshots(executor: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    let allowed = sqlx::query_scalar!(
        r#"select coalesce(has_function_privilege(to_regprocedure('pg_log_standby_snapshot()'), 'execute'), false) as "is_allowed!""#
    );
    allowed.fetch_one(executor).await
}

/// Writes the list of running transactions into the log.
///
/// The place from which a slot keeps the log moves only with such lists, and Postgres itself writes one every 15 seconds
/// (`LOG_SNAPSHOT_INTERVAL_MS` in its `bgwriter.c`).
///
/// # Errors
/// The database's.
pub async fn log_snapshot(executor: impl PgExecutor<'_>) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_log_standby_snapshot() is not null as "is_written!""#).fetch_one(executor).await.map(drop)
}

/// Sets a document aside that the index refuses, so that the rest can flow.
///
/// # Errors
/// The database's.
pub async fn bury(executor: impl PgExecutor<'_>, collection: &str, id: Uuid, version: Version, reason: &str) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        insert into sync_dead_letters (collection, key, version, reason)
        values ($1, $2, $3, $4)
        on conflict (collection, key) do update
        set version = excluded.version, reason = excluded.reason, attempts = sync_dead_letters.attempts + 1, updated_at = now()
        "#,
        collection,
        id,
        version.0,
        reason,
    )
    .execute(executor)
    .await
    .map(drop)
}

/// Lists the documents that were set aside.
///
/// # Errors
/// The database's.
pub async fn buried(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<(String, Uuid)>> {
    let rows = sqlx::query!("select collection, key from sync_dead_letters order by collection, key").fetch_all(executor).await?;
    Ok(rows.into_iter().map(|row| (row.collection, row.key)).collect())
}

/// Lists the documents of a collection that were set aside: all of them, or those among others.
///
/// # Errors
/// The database's.
pub async fn buried_of(executor: impl PgExecutor<'_>, collection: &str, among: Option<&[Uuid]>) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        "select key from sync_dead_letters where collection = $1 and ($2::uuid[] is null or key = any($2)) order by key",
        collection,
        among,
    )
    .fetch_all(executor)
    .await
}

/// Forgets that documents were set aside, because the index took them after all.
///
/// # Errors
/// The database's.
pub async fn revive(executor: impl PgExecutor<'_>, collection: &str, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query!("delete from sync_dead_letters where collection = $1 and key = any($2)", collection, ids)
        .execute(executor)
        .await
        .map(drop)
}

/// What only a leader may do was asked by one of the past.
#[derive(Debug, thiserror::Error)]
#[error("another process has taken over the sync")]
pub struct Superseded;

pub(crate) fn require_lease(rows: u64) -> anyhow::Result<()> {
    if rows == 1 { Ok(()) } else { Err(Superseded.into()) }
}

fn to_sql(position: Lsn) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

fn from_sql(position: i64) -> Lsn {
    Lsn(u64::try_from(position).unwrap_or_default())
}
