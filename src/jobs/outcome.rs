//! What a chunk or a failed attempt leaves in SQL, as long as the worker's lease is the latest.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::chunk::Report;
use super::job::State;
use super::queue::{Taken, interval};
use crate::values::ids;

/// What a worker says of the job when a chunk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// There is more to do.
    GoesOn,
    /// There is more to do, and the worker stops.
    HandedBack,
    Finished,
}

/// Records a chunk in its transaction; answers the state that follows, or none if the lease was lost. Then it must not commit.
pub(super) async fn record(
    connection: &mut PgConnection,
    job: &Taken,
    report: &Report,
    cursor: Option<&Value>,
    outlook: Outlook,
    lease: Duration,
) -> sqlx::Result<Option<State>> {
    let failed = i64::try_from(report.failures.len()).unwrap_or(i64::MAX);
    // The transaction began long ago, so that now() has passed.
    let state = sqlx::query_scalar!(
        r#"
        with counted as (
          select
            id,
            succeeded + $3 as succeeded,
            failed + $4 as failed,
            case
              when $5 and failed + $4 = 0 then 'succeeded'
              when $5 and succeeded + $3 = 0 then 'failed'
              when $5 then 'partial'
              when requested = 'cancel' then 'cancelled'
              when requested = 'pause' then 'paused'
              when $6 then 'queued'
              else 'running'
            end as state
          from jobs
          where id = $1
          and lease = $2
          and state = 'running'
          for update
        )
        update jobs
        set
          state = counted.state,
          succeeded = counted.succeeded,
          failed = counted.failed,
          total = case when $5 then counted.succeeded + counted.failed else coalesce($7, total) end,
          cursor = $8,
          has_run = has_run or $5,
          attempts = 0,
          requested = case when counted.state = 'running' then requested end,
          due = clock_timestamp() + case when counted.state = 'running' then $9 else interval '0' end,
          result_url = coalesce($10, result_url),
          error = case when counted.state = 'failed' then 'every item failed' end,
          finished_at = case when counted.state in ('succeeded', 'partial', 'failed', 'cancelled') then clock_timestamp() end
        from counted
        where jobs.id = counted.id
        returning jobs.state as "state: State"
        "#,
        job.id,
        job.lease,
        report.succeeded,
        failed,
        outlook == Outlook::Finished,
        outlook == Outlook::HandedBack,
        report.total,
        cursor,
        interval(lease),
        report.result_url,
    );
    state.fetch_optional(connection).await
}

/// Stores the items that failed.
pub(super) async fn store_failures(connection: &mut PgConnection, job: &Taken, report: &Report) -> sqlx::Result<()> {
    if report.failures.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = report.failures.iter().map(|_| ids::new()).collect();
    let items: Vec<_> = report.failures.iter().map(|failure| failure.item.clone()).collect();
    let codes: Vec<_> = report.failures.iter().map(|failure| failure.code.to_owned()).collect();
    let messages: Vec<_> = report.failures.iter().map(|failure| failure.message.clone()).collect();
    let stored = sqlx::query!(
        r#"
        insert into job_items (id, job_id, item, status, code, message)
        select f.id, $1, f.item, 'failed', f.code, f.message
        from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as f (id, item, code, message)
        on conflict (job_id, item) do update
        set status = 'failed', code = excluded.code, message = excluded.message
        "#,
        job.id,
        &ids,
        &items,
        &codes,
        &messages,
    );
    stored.execute(connection).await.map(drop)
}

/// The next failed items to try again.
pub(super) async fn pending_items(connection: &mut PgConnection, job: &Taken, most: i64) -> sqlx::Result<Vec<String>> {
    let items = sqlx::query_scalar!(
        r#"
        select item
        from job_items
        where job_id = $1
        and status = 'pending'
        order by id
        limit $2
        "#,
        job.id,
        most,
    );
    items.fetch_all(connection).await
}

/// Marks those of the items as succeeded that are pending still.
pub(super) async fn settle_items(connection: &mut PgConnection, job: &Taken, items: &[String]) -> sqlx::Result<()> {
    let settled = sqlx::query!(
        r#"
        update job_items
        set status = 'succeeded', code = null, message = null
        where job_id = $1
        and item = any($2)
        and status = 'pending'
        "#,
        job.id,
        items,
    );
    settled.execute(connection).await.map(drop)
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recovery {
    RetryAfter(Duration),
    GiveUp,
}

/// Records a failed attempt; answers the state that follows, or none if the lease was lost.
pub(super) async fn record_failure(
    executor: impl PgExecutor<'_>,
    job: &Taken,
    error: &str,
    recovery: Recovery,
) -> sqlx::Result<Option<State>> {
    let (pause, gives_up) = match recovery {
        Recovery::RetryAfter(pause) => (pause, false),
        Recovery::GiveUp => (Duration::ZERO, true),
    };
    let state = sqlx::query_scalar!(
        r#"
        with decided as (
          select
            id,
            case
              when requested = 'cancel' then 'cancelled'
              when $3 then 'failed'
              when requested = 'pause' then 'paused'
              else 'queued'
            end as state
          from jobs
          where id = $1
          and lease = $2
          and state = 'running'
          for update
        )
        update jobs
        set
          state = decided.state,
          attempts = greatest(attempts, 1),
          requested = null,
          due = now() + $4,
          error = $5,
          finished_at = case when decided.state in ('failed', 'cancelled') then now() end
        from decided
        where jobs.id = decided.id
        returning jobs.state as "state: State"
        "#,
        job.id,
        job.lease,
        gives_up,
        interval(pause),
        error,
    );
    state.fetch_optional(executor).await
}
