//! The table of sweeps: where the rolling comparison of each collection is, and what it has found.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::checkpoint::require_lease;

/// The comparison of a collection that is under way.
#[derive(Clone, Debug)]
pub struct Cycle {
    /// What is compared.
    pub collection: &'static str,
    /// The index it is compared with.
    pub index: String,
    /// The last id that was compared; [`END`] once all were.
    pub cursor: Option<Uuid>,
    /// What is being written again.
    pub marked: Vec<Uuid>,
}

/// Where a cycle is when everything was compared.
pub const END: Uuid = Uuid::max();

/// Says whether a cycle is to begin: none runs with this index, and the last one began long enough ago.
///
/// # Errors
/// The database's.
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

/// Begins a cycle in the place of the one before.
///
/// # Errors
/// The database's, or [`super::state::Superseded`].
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

/// Returns the cycle that is under way.
///
/// # Errors
/// The database's.
pub async fn running(executor: impl PgExecutor<'_>, collection: &'static str) -> sqlx::Result<Option<Cycle>> {
    let row = sqlx::query!(
        "select index_name, cursor, enqueued from sync_sweeps where collection = $1 and started_at is not null",
        collection,
    );
    let row = row.fetch_optional(executor).await?;
    Ok(row.map(|row| Cycle { collection, index: row.index_name, cursor: row.cursor, marked: row.enqueued }))
}

/// Remembers what was compared and found, as far as this leader still leads: what is written again, and how many were removed.
///
/// # Errors
/// The database's, or [`super::state::Superseded`].
pub async fn advance(
    executor: impl PgExecutor<'_>,
    lease: i64,
    cycle: &Cycle,
    to: Uuid,
    checked: usize,
    marked: &[Uuid],
    removed: usize,
) -> anyhow::Result<()> {
    let advanced = sqlx::query!(
        r#"
        update sync_sweeps
        set cursor = $4, checked = checked + $5, enqueued = $6, found = found + $7, total_found = total_found + $7,
          repaired = repaired + $8, total_repaired = total_repaired + $8
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        cycle.collection,
        cycle.index,
        lease,
        to,
        i64::try_from(checked)?,
        marked,
        i64::try_from(marked.len() + removed)?,
        i64::try_from(removed)?,
    );
    require_lease(advanced.execute(executor).await?.rows_affected())
}

/// Remembers how much of what was marked is as it should be, and that all of it was looked at.
///
/// # Errors
/// The database's, or [`super::state::Superseded`].
pub async fn settle(executor: impl PgExecutor<'_>, lease: i64, cycle: &Cycle, repaired: usize) -> anyhow::Result<()> {
    let settled = sqlx::query!(
        r#"
        update sync_sweeps
        set enqueued = '{}', repaired = repaired + $4, total_repaired = total_repaired + $4
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        cycle.collection,
        cycle.index,
        lease,
        i64::try_from(repaired)?,
    );
    require_lease(settled.execute(executor).await?.rows_affected())
}

/// Ends a cycle: up to when it began, everything has been compared.
///
/// # Errors
/// The database's, or [`super::state::Superseded`].
pub async fn finish(executor: impl PgExecutor<'_>, lease: i64, cycle: &Cycle) -> anyhow::Result<()> {
    let finished = sqlx::query!(
        r#"
        update sync_sweeps
        set last_started_at = started_at, last_checked = checked, last_found = found, last_repaired = repaired, started_at = null,
          cursor = null
        where collection = $1 and index_name = $2 and exists (select from sync_state where lease = $3)
        "#,
        cycle.collection,
        cycle.index,
        lease,
    );
    require_lease(finished.execute(executor).await?.rows_affected())
}

/// What is known of the comparisons of a collection.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swept {
    /// The collection.
    pub collection: String,
    /// Up to when everything in the index that lists read has been compared: the beginning of its last comparison.
    pub verified_at: Option<DateTime<Utc>>,
    /// How long ago that was.
    pub verified_seconds_ago: Option<f64>,
    /// Documents that were compared then.
    pub last_checked: i64,
    /// How many of them differed.
    pub last_found: i64,
    /// How many of those were repaired.
    pub last_repaired: i64,
    /// When the comparison that is under way began.
    pub started_at: Option<DateTime<Utc>>,
    /// Documents that it has compared so far.
    pub checked: i64,
    /// How many of them differed.
    pub found: i64,
    /// How many of those are repaired.
    pub repaired: i64,
    /// Differences found by all comparisons.
    pub total_found: i64,
    /// Differences repaired by all comparisons.
    pub total_repaired: i64,
}

/// Lists what is known, by name of the collection.
///
/// # Errors
/// The database's.
pub async fn all(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Swept>> {
    sqlx::query_as!(
        Swept,
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
