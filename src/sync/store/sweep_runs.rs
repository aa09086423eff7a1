//! The table of sweep runs: how far the sweep of each collection is, and what it has found. Every change is fenced by the lease.

use std::time::Duration;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::checkpoint::require_lease;

/// The run over a collection that is under way.
#[derive(Clone, Debug)]
pub struct Run {
    pub collection: &'static str,
    pub index: String,
    /// The last id that was compared; [`END`] once all were.
    pub cursor: Option<Uuid>,
    /// Documents that are being written again.
    pub enqueued: Vec<Uuid>,
}

/// The cursor of a run that has compared everything.
pub const END: Uuid = Uuid::max();

/// Whether a run is due: none is under way over this index, and the last one began long enough ago.
pub async fn is_due(executor: impl PgExecutor<'_>, collection: &str, index: &str, period: Duration) -> sqlx::Result<bool> {
    let due = sqlx::query_scalar!(
        r#"
        select not exists (
          select from sync_sweeps
          where collection = $1 and index_name = $2
            and (started_at is not null or last_started_at > now() - make_interval(secs => $3))
        ) as "due!"
        "#,
        collection,
        index,
        period.as_secs_f64(),
    );
    due.fetch_one(executor).await
}

/// Begins a run in the place of the last one.
pub async fn begin(executor: impl PgExecutor<'_>, lease: i64, collection: &str, index: &str) -> anyhow::Result<()> {
    let begun = sqlx::query!(
        r#"
        insert into sync_sweeps as s (collection, index_name)
        select $1, $2 from sync_state where lease = $3
        on conflict (collection) do update
        set index_name = excluded.index_name, started_at = now(), cursor = null, enqueued = '{}', checked = 0, found = 0, repaired = 0,
          last_started_at = case when s.index_name = excluded.index_name then s.last_started_at end
        "#,
        collection,
        index,
        lease,
    );
    require_lease(begun.execute(executor).await?.rows_affected())
}

/// Returns the run that is under way.
pub async fn current(executor: impl PgExecutor<'_>, collection: &'static str) -> sqlx::Result<Option<Run>> {
    let row = sqlx::query!(
        "select index_name, cursor, enqueued from sync_sweeps where collection = $1 and started_at is not null",
        collection,
    );
    let row = row.fetch_optional(executor).await?;
    Ok(row.map(|row| Run { collection, index: row.index_name, cursor: row.cursor, enqueued: row.enqueued }))
}

/// Records what was compared, what differed and is written again, and how many strays were removed.
pub async fn advance(
    executor: impl PgExecutor<'_>,
    lease: i64,
    run: &Run,
    to: Uuid,
    checked: usize,
    enqueued: &[Uuid],
    removed: usize,
) -> anyhow::Result<()> {
    let advanced = sqlx::query!(
        r#"
        update sync_sweeps
        set cursor = $4, checked = checked + $5, enqueued = $6, found = found + $7, total_found = total_found + $7,
          repaired = repaired + $8, total_repaired = total_repaired + $8
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        run.collection,
        run.index,
        lease,
        to,
        i64::try_from(checked)?,
        enqueued,
        i64::try_from(enqueued.len() + removed)?,
        i64::try_from(removed)?,
    );
    require_lease(advanced.execute(executor).await?.rows_affected())
}

/// Records how many of the enqueued documents are repaired, and that all of them were compared again.
pub async fn record_repairs(executor: impl PgExecutor<'_>, lease: i64, run: &Run, repaired: usize) -> anyhow::Result<()> {
    let recorded = sqlx::query!(
        r#"
        update sync_sweeps
        set enqueued = '{}', repaired = repaired + $4, total_repaired = total_repaired + $4
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        run.collection,
        run.index,
        lease,
        i64::try_from(repaired)?,
    );
    require_lease(recorded.execute(executor).await?.rows_affected())
}

/// Ends a run: everything up to its beginning has been compared.
pub async fn finish(executor: impl PgExecutor<'_>, lease: i64, run: &Run) -> anyhow::Result<()> {
    let finished = sqlx::query!(
        r#"
        update sync_sweeps
        set last_started_at = started_at, last_checked = checked, last_found = found, last_repaired = repaired, started_at = null,
          cursor = null
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        run.collection,
        run.index,
        lease,
    );
    require_lease(finished.execute(executor).await?.rows_affected())
}

/// What the sweep of a collection has found: in its last run, in the current one, and in all of them.
#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "SweepSummary")]
pub struct Summary {
    pub collection: String,
    /// The beginning of the last run: everything in the live index has been compared up to then.
    pub verified_at: Option<DateTime<Utc>>,
    pub verified_seconds_ago: Option<f64>,
    pub last_checked: i64,
    pub last_found: i64,
    pub last_repaired: i64,
    /// When the current run began.
    pub started_at: Option<DateTime<Utc>>,
    pub checked: i64,
    pub found: i64,
    pub repaired: i64,
    pub total_found: i64,
    pub total_repaired: i64,
}

/// Lists the summaries by collection.
pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Summary>> {
    sqlx::query_as!(
        Summary,
        r#"
        select s.collection, v.at as verified_at, extract(epoch from now() - v.at)::double precision as verified_seconds_ago,
          last_checked, last_found, last_repaired, started_at, checked, found, repaired, total_found, total_repaired
        from sync_sweeps s
        left join index_generations g on g.index_name = s.index_name and g.state = 'live'
        cross join lateral (select case when g.index_name is not null then s.last_started_at end as at) as v
        order by s.collection
        "#
    )
    .fetch_all(executor)
    .await
}
