//! Jobs in SQL: what users and operators see of them, and what they ask of them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::job::{Item, ItemStatus, Job, State};
use crate::error::{Error, OnConstraint, Result};
use crate::values::ids::{JobId, UserId};

/// Whose jobs are listed.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    Anyone,
    User(UserId),
}

impl Owner {
    /// Whether these are among the jobs.
    #[must_use]
    pub fn includes(self, job: &Job) -> bool {
        match self {
            Self::Anyone => true,
            Self::User(user) => job.created_by == Some(user.0),
        }
    }
}

/// Which jobs are listed.
#[derive(Clone, Debug)]
pub struct Filter {
    pub owner: Owner,
    pub kind: Option<String>,
    pub status: Option<State>,
}

pub async fn find(executor: impl PgExecutor<'_>, id: JobId) -> sqlx::Result<Option<Job>> {
    let job = sqlx::query_as!(
        Job,
        r#"
        select
          id, kind, state as "status: State", requested, total, succeeded + failed as "processed!", succeeded, failed, created_by,
          created_at, started_at, finished_at, result_url, error
        from jobs
        where id = $1
        "#,
        id.0,
    );
    job.fetch_optional(executor).await
}

/// Lists jobs, the newest first, behind the one with the id `before`.
pub async fn page(executor: impl PgExecutor<'_>, filter: &Filter, before: Option<Uuid>, limit: i64) -> sqlx::Result<Vec<Job>> {
    let owner = match filter.owner {
        Owner::Anyone => None,
        Owner::User(user) => Some(user.0),
    };
    let jobs = sqlx::query_as!(
        Job,
        r#"
        select
          id, kind, state as "status: State", requested, total, succeeded + failed as "processed!", succeeded, failed, created_by,
          created_at, started_at, finished_at, result_url, error
        from jobs
        where ($1::uuid is null or created_by = $1)
        and ($2::text is null or kind = $2)
        and ($3::text is null or state = $3)
        and ($4::uuid is null or id < $4)
        order by id desc
        limit $5
        "#,
        owner,
        filter.kind,
        filter.status.map(State::name),
        before,
        limit,
    );
    jobs.fetch_all(executor).await
}

/// Lists the items of a job in the order in which they failed, behind the one with the id `after`.
pub async fn items(
    executor: impl PgExecutor<'_>,
    job: JobId,
    status: Option<&str>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Item>> {
    let items = sqlx::query_as!(
        Item,
        r#"
        select id, item, status as "status: ItemStatus", code, message
        from job_items
        where job_id = $1
        and ($2::text is null or status = $2)
        and ($3::uuid is null or id > $3)
        order by id
        limit $4
        "#,
        job.0,
        status,
        after,
        limit,
    );
    items.fetch_all(executor).await
}

/// What a user asks of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends it when the chunk under way ends; what is done stays done.
    Cancel,
    /// Lets it wait when the chunk under way ends.
    Pause,
    /// Ends a pause.
    Resume,
    /// Retries the failed items, or a failed job from its last chunk.
    Retry,
}

/// Carries out a command in the caller's transaction; what holds already succeeds too.
///
/// # Errors
/// The job has finished, or has not failed.
pub async fn command(connection: &mut PgConnection, id: JobId, command: Command) -> Result<Job> {
    let locked = sqlx::query_scalar!(r#"select state as "state: State" from jobs where id = $1 for update"#, id.0);
    let state = locked.fetch_optional(&mut *connection).await?.ok_or(Error::NotFound("job"))?;
    match (command, state) {
        (Command::Retry, State::Failed | State::Partial) => retry(&mut *connection, id).await?,
        (Command::Retry, _) => {
            let detail = format!("only what has failed can be retried, and this job is {}", state.name());
            return Err(Error::conflict("job_not_failed", detail));
        }
        (Command::Cancel, State::Cancelled) => {}
        (_, state) if state.is_finished() => {
            return Err(Error::conflict("job_finished", format!("this job has finished: it is {}", state.name())));
        }
        (Command::Cancel, State::Running) => request(&mut *connection, id, Some("cancel")).await?,
        (Command::Pause, State::Running) => request(&mut *connection, id, Some("pause")).await?,
        (Command::Resume, State::Running) => request(&mut *connection, id, None).await?,
        (Command::Cancel, _) => set_state(&mut *connection, id, State::Cancelled).await?,
        (Command::Pause, _) => set_state(&mut *connection, id, State::Paused).await?,
        (Command::Resume, State::Paused) => set_state(&mut *connection, id, State::Queued).await?,
        (Command::Resume, _) => {}
    }
    find(connection, id).await?.ok_or(Error::NotFound("job"))
}

/// Tells the worker of a running job what to do when its chunk ends. A cancellation cannot be undone.
async fn request(connection: &mut PgConnection, id: JobId, requested: Option<&str>) -> sqlx::Result<()> {
    let request =
        sqlx::query!("update jobs set requested = $2 where id = $1 and requested is distinct from 'cancel'", id.0, requested,);
    request.execute(connection).await.map(drop)
}

async fn set_state(connection: &mut PgConnection, id: JobId, state: State) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "update jobs set state = $2, due = now(), finished_at = case when $2 = 'cancelled' then now() end where id = $1",
        id.0,
        state.name(),
    );
    update.execute(connection).await.map(drop)
}

async fn retry(connection: &mut PgConnection, id: JobId) -> Result<()> {
    let pending = sqlx::query!(
        r#"
        update job_items i
        set status = 'pending'
        from jobs j
        where j.id = $1
        and j.has_run
        and i.job_id = j.id
        and i.status = 'failed'
        "#,
        id.0,
    );
    let pending = pending.execute(&mut *connection).await?.rows_affected();
    let queued = sqlx::query!(
        r#"
        update jobs
        set state = 'queued', due = now(), attempts = 0, error = null, finished_at = null, failed = failed - $2
        where id = $1
        "#,
        id.0,
        i64::try_from(pending).map_err(Error::internal)?,
    );
    let taken = || Error::conflict("job_replaced", "a later job of this kind for the same thing is unfinished");
    queued.execute(connection).await.on_constraint("jobs_unique_key", taken).map(drop)
}

/// Deletes jobs that finished before a moment, with their items and parts; answers how many.
pub(super) async fn remove_finished(connection: &mut PgConnection, before: DateTime<Utc>, most: i64) -> sqlx::Result<u64> {
    let old = sqlx::query_scalar!(
        "select id from jobs where finished_at < $1 order by finished_at limit $2 for update skip locked",
        before,
        most,
    );
    let old = old.fetch_all(&mut *connection).await?;
    sqlx::query!("delete from job_items where job_id = any($1)", &old).execute(&mut *connection).await?;
    sqlx::query!("delete from job_parts where job_id = any($1)", &old).execute(&mut *connection).await?;
    let deleted = sqlx::query!("delete from jobs where id = any($1)", &old).execute(connection).await?;
    Ok(deleted.rows_affected())
}

/// The jobs of a lane that are not finished.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub lane: String,
    pub queued: i64,
    pub running: i64,
    /// How long the job has waited that has been due for longest.
    pub oldest_seconds: f64,
}

/// Counts unfinished jobs by lane; a lane without any is absent.
pub async fn waiting(executor: impl PgExecutor<'_>) -> sqlx::Result<Vec<Waiting>> {
    let waiting = sqlx::query_as!(
        Waiting,
        r#"
        select
          lane,
          count(*) filter (where state = 'queued') as "queued!",
          count(*) filter (where state = 'running') as "running!",
          greatest(coalesce(extract(epoch from now() - min(due) filter (where state = 'queued')), 0), 0)::float8 as "oldest_seconds!"
        from jobs
        where state in ('queued', 'running')
        group by lane
        "#,
    );
    waiting.fetch_all(executor).await
}
