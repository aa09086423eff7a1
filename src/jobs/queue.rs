//! The queue in SQL: a job is enqueued, taken, and held by its lease.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::job::Lane;
use super::kind::Kind;
use crate::error::{Error, Result};
use crate::values::ids::{JobId, UserId};

/// What a job has besides its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    by: Option<UserId>,
    key: Option<&'a str>,
    total: Option<i64>,
}

impl<'a> Terms<'a> {
    /// The user who sees and controls it; without one, managers and administrators do.
    #[must_use]
    pub fn by(self, user: UserId) -> Self {
        Self { by: Some(user), ..self }
    }

    /// Admits one unfinished job of the kind with this key. It must hold no personal data: Postgres may log it.
    #[must_use]
    pub fn once(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    #[must_use]
    pub fn of(self, total: i64) -> Self {
        Self { total: Some(total), ..self }
    }
}

/// What became of a request to enqueue a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    New(JobId),
    /// A job with this key is unfinished.
    Unfinished(JobId),
}

impl Enqueued {
    #[must_use]
    pub fn id(self) -> JobId {
        match self {
            Self::New(id) | Self::Unfinished(id) => id,
        }
    }
}

/// Enqueues a job in the transaction of the connection: it exists, and begins, when that commits.
pub async fn enqueue<K: Kind>(connection: &mut PgConnection, job: &K, terms: Terms<'_>) -> Result<Enqueued> {
    let arguments = serde_json::to_value(job).map_err(Error::internal)?;
    insert(connection, K::NAME, K::LANE, &arguments, terms).await
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    kind: &str,
    lane: Lane,
    arguments: &Value,
    terms: Terms<'_>,
) -> Result<Enqueued> {
    let id = JobId::new();
    // The unfinished one may finish before it is read; then there is room for this one.
    for _ in 0..3 {
        let inserted = sqlx::query!(
            r#"
            insert into jobs (id, kind, lane, arguments, total, unique_key, created_by)
            values ($1, $2, $3, $4, $5, $6, $7)
            on conflict (kind, unique_key) where state in ('queued', 'running', 'paused') do nothing
            "#,
            id.0,
            kind,
            lane.name(),
            arguments,
            terms.total,
            terms.key,
            terms.by.map(Uuid::from),
        );
        if inserted.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(Enqueued::New(id));
        }
        let unfinished = sqlx::query_scalar!(
            r#"
            select id as "id: JobId"
            from jobs
            where kind = $1
            and unique_key = $2
            and state in ('queued', 'running', 'paused')
            "#,
            kind,
            terms.key,
        );
        if let Some(id) = unfinished.fetch_optional(&mut *connection).await? {
            return Ok(Enqueued::Unfinished(id));
        }
    }
    Err(Error::contended())
}

/// A job that this worker has taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) arguments: Value,
    pub(super) cursor: Option<Value>,
    pub(super) has_run: bool,
    pub(super) lease: i64,
    /// This one included.
    pub(super) attempts: i32,
    pub(super) requested: Option<String>,
    pub(super) created_by: Option<Uuid>,
    pub(super) started_at: DateTime<Utc>,
}

/// Takes the job of a lane that has been due for longest, if there is one of these kinds.
pub(super) async fn take(
    executor: impl PgExecutor<'_>,
    lane: Lane,
    kinds: &[String],
    lease: Duration,
) -> sqlx::Result<Option<Taken>> {
    let taken = sqlx::query_as!(
        Taken,
        r#"
        with next as (
          select id
          from jobs
          where lane = $1
          and state in ('queued', 'running')
          and due <= now()
          and kind = any($2)
          order by due
          limit 1
          for update skip locked
        )
        update jobs
        set
          state = 'running',
          lease = lease + 1,
          attempts = attempts + 1,
          due = now() + $3,
          started_at = coalesce(started_at, now())
        from next
        where jobs.id = next.id
        returning
          jobs.id, jobs.kind, jobs.arguments, jobs.cursor, jobs.has_run, jobs.lease, jobs.attempts, jobs.requested, jobs.created_by,
          jobs.started_at as "started_at!"
        "#,
        lane.name(),
        kinds,
        interval(lease),
    );
    taken.fetch_optional(executor).await
}

/// Takes this job, if it is due.
pub(super) async fn take_one(executor: impl PgExecutor<'_>, id: JobId, lease: Duration) -> sqlx::Result<Option<Taken>> {
    let taken = sqlx::query_as!(
        Taken,
        r#"
        with next as (
          select id
          from jobs
          where id = $1
          and state in ('queued', 'running')
          and due <= now()
          for update skip locked
        )
        update jobs
        set
          state = 'running',
          lease = lease + 1,
          attempts = attempts + 1,
          due = now() + $2,
          started_at = coalesce(started_at, now())
        from next
        where jobs.id = next.id
        returning
          jobs.id, jobs.kind, jobs.arguments, jobs.cursor, jobs.has_run, jobs.lease, jobs.attempts, jobs.requested, jobs.created_by,
          jobs.started_at as "started_at!"
        "#,
        id.0,
        interval(lease),
    );
    taken.fetch_optional(executor).await
}

/// Seconds until the next job of a lane is due; none if none waits. Negative if one is due already.
pub(super) async fn seconds_until_due(executor: impl PgExecutor<'_>, lane: Lane, kinds: &[String]) -> sqlx::Result<Option<f64>> {
    let seconds = sqlx::query_scalar!(
        r#"
        select extract(epoch from min(due) - now())::float8
        from jobs
        where lane = $1
        and state in ('queued', 'running')
        and kind = any($2)
        "#,
        lane.name(),
        kinds,
    );
    seconds.fetch_one(executor).await
}

/// Extends a lease; false if it was lost.
pub(super) async fn renew(executor: impl PgExecutor<'_>, id: Uuid, lease: i64, length: Duration) -> sqlx::Result<bool> {
    let renewed = sqlx::query!(
        r#"
        update jobs
        set due = now() + $3
        where id = $1
        and lease = $2
        and state = 'running'
        "#,
        id,
        lease,
        interval(length),
    );
    Ok(renewed.execute(executor).await?.rows_affected() > 0)
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    let microseconds = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
