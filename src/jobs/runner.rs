//! Workers: each takes one job at a time and does it chunk by chunk.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::chunk::{Chunk, Next, Report};
use super::job::{Lane, State};
use super::kind::{Kinds, Work};
use super::listener::Listener;
use super::outcome::{self, Outlook, Recovery};
use super::queue::{self, Taken};
use super::schedule::{self, Schedule};
use super::store;
use crate::app::App;
use crate::audit;
use crate::error::{Error, Result};
use crate::failpoint::abort_at;
use crate::metrics;
use crate::values::ids::{JobId, UserId};

/// Longest rest of a worker that nothing wakes: a notification may be lost with its connection.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Rest after Postgres has refused to answer.
const OUTAGE_REST: Duration = Duration::from_secs(1);

/// How often a job is looked at that another worker has.
const WATCH: Duration = Duration::from_millis(200);

/// Longest run of a chunk: what takes longer hangs.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(300);

/// Pause before a failed chunk is tried again: doubles with each attempt, up to the last.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LAST_BACKOFF: Duration = Duration::from_secs(300);

/// Failed items that are tried again in one transaction.
const RETRIED_ITEMS: i64 = 500;

/// What all workers of a process share.
struct Workers {
    app: App,
    kinds: Kinds,
    listener: Listener,
}

/// Does jobs of these kinds, and enqueues those of the schedules, until the application is stopped. Then chunks under way end, and
/// their jobs are handed to other workers.
pub async fn run(app: App, kinds: Kinds, schedules: Vec<Schedule>) -> Result<()> {
    let stop = app.stop.clone();
    let workers = Arc::new(Workers { app: app.clone(), kinds, listener: Listener::default() });
    let mut tasks = JoinSet::new();
    for lane in Lane::ALL {
        for _ in 0..lane.concurrency() {
            let workers = Arc::clone(&workers);
            tasks.spawn(async move { workers.serve(lane).await });
        }
    }
    let background = async {
        tokio::join!(workers.listener.run(&app.db.jobs), schedule::run(&app, &schedules));
    };
    let panicked = || Error::internal("a worker panicked");
    tokio::select! {
        () = background => {}
        () = stop.cancelled() => {}
        Some(Err(_)) = tasks.join_next() => return Err(panicked()),
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| panicked())?;
    }
    Ok(())
}

/// Does one job until it has ended, or with whichever worker has it; answers where it stands, which is a pause or its end.
pub async fn work(app: &App, kinds: Kinds, id: JobId) -> Result<State> {
    let workers = Workers { app: app.clone(), kinds, listener: Listener::default() };
    loop {
        if let Some(job) = queue::take_one(&app.db.jobs, id, app.config.jobs.lease).await? {
            workers.work(job).await;
        }
        let job = store::find(&app.db.jobs, id).await?.ok_or(Error::NotFound("job"))?;
        if job.status.is_finished() || job.status == State::Paused {
            return Ok(job.status);
        }
        sleep(WATCH).await;
    }
}

/// Why a worker lets go of a job before its chunk is recorded.
enum Interrupted {
    /// Another worker has taken it, because this one has not renewed its lease.
    Lost,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Interrupted {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Workers {
    async fn serve(&self, lane: Lane) {
        let mut news = self.listener.subscribe(lane);
        let kinds = self.kinds.names_in(lane);
        let (pool, stop) = (&self.app.db.jobs, &self.app.stop);
        let mut is_away = false;
        while !stop.is_cancelled() {
            news.mark_unchanged();
            let taken = queue::take(pool, lane, &kinds, self.app.config.jobs.lease).await;
            let was_away = std::mem::replace(&mut is_away, taken.is_err());
            match taken {
                Ok(Some(job)) => self.work(job).await,
                Ok(None) => {
                    stop.run_until_cancelled(self.rest(lane, &kinds, &mut news)).await;
                }
                Err(error) => {
                    if !was_away {
                        tracing::warn!(%error, lane = lane.name(), "cannot take jobs");
                    }
                    stop.run_until_cancelled(sleep(OUTAGE_REST)).await;
                }
            }
        }
    }

    /// Waits until a job was committed, or one is due.
    async fn rest(&self, lane: Lane, kinds: &[String], news: &mut watch::Receiver<u64>) {
        let due = queue::seconds_until_due(&self.app.db.jobs, lane, kinds).await.unwrap_or_default();
        let longest = match due {
            // Another worker is taking it.
            Some(seconds) if seconds <= 0.0 => OUTAGE_REST,
            Some(seconds) => Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_REST).min(LONGEST_REST),
            None => LONGEST_REST,
        };
        timeout(longest, news.changed()).await.ok();
    }

    /// Does a job until it is finished, parked, handed back or lost.
    async fn work(&self, mut job: Taken) {
        abort_at("job-taken");
        let (id, lease, kind) = (job.id, job.lease, job.kind.clone());
        tracing::debug!(job = %id, kind, "took a job");
        let mut ended = Ok(State::Running);
        while let Ok(State::Running) = ended {
            ended = tokio::select! {
                ended = self.guarded(&mut job) => ended,
                lost = self.keep_lease(id, lease) => lost,
            };
        }
        let state = match ended {
            Ok(state) => Some(state),
            Err(Interrupted::Lost) => None,
            Err(Interrupted::Failed(error)) => self.fail(&job, error).await,
        };
        match state {
            Some(state) if state.is_finished() => {
                let took = (self.app.clock.now() - job.started_at).as_seconds_f64();
                metrics::JOB_SECONDS.with_label_values(&[&kind, state.name()]).observe(took);
                tracing::info!(job = %id, kind, status = state.name(), "job finished");
            }
            Some(state) => tracing::debug!(job = %id, kind, status = state.name(), "let go of a job"),
            None => tracing::warn!(job = %id, kind, "lost the lease of a job; another worker goes on"),
        }
    }

    /// Does one chunk, which may panic or hang.
    async fn guarded(&self, job: &mut Taken) -> Result<State, Interrupted> {
        let attempts = i64::from(self.kinds.attempts(&job.kind));
        if i64::from(job.attempts) > attempts {
            return Err(Error::busy("worker_killed", "its worker was killed at every attempt").into());
        }
        match timeout(CHUNK_TIMEOUT, AssertUnwindSafe(self.chunk(job)).catch_unwind()).await {
            Ok(Ok(ended)) => ended,
            // Without what it says, which may quote a record.
            Ok(Err(_)) => Err(Error::internal("a chunk panicked").into()),
            Err(_) => Err(Error::Timeout.into()),
        }
    }

    /// Does one chunk and commits it, while the lease is held.
    async fn chunk(&self, job: &mut Taken) -> Result<State, Interrupted> {
        let mut connection = self.app.db.jobs.acquire().await?;
        let (by, origin) = (job.created_by.map(UserId), format!("job-{}", job.id));
        let mut transaction = connection.begin_with(audit::begin(by, &origin)).await?;
        let (report, cursor, outlook) = if job.requested.is_some() {
            // Requested of a worker that was killed.
            (Report::default(), job.cursor.take(), Outlook::GoesOn)
        } else {
            let (report, next) = self.kind_works(job, &mut transaction).await?;
            match next {
                Next::Chunk(cursor) if self.app.stop.is_cancelled() => (report, Some(cursor), Outlook::HandedBack),
                Next::Chunk(cursor) => (report, Some(cursor), Outlook::GoesOn),
                Next::Finished => (report, None, Outlook::Finished),
            }
        };
        abort_at("job-worked");
        outcome::store_failures(&mut transaction, job, &report).await?;
        let lease = self.app.config.jobs.lease;
        let state = outcome::record(&mut transaction, job, &report, cursor.as_ref(), outlook, lease).await?;
        let state = state.ok_or(Interrupted::Lost)?;
        abort_at("job-recorded");
        transaction.commit().await?;
        abort_at("job-committed");
        (job.cursor, job.attempts, job.requested) = (cursor, 0, None);
        Ok(state)
    }

    async fn kind_works(&self, job: &Taken, connection: &mut PgConnection) -> Result<(Report, Next<Value>)> {
        let items = if job.has_run { outcome::pending_items(connection, job, RETRIED_ITEMS).await? } else { Vec::new() };
        let work = if job.has_run { Work::Retry { items: &items } } else { Work::Run { cursor: job.cursor.as_ref() } };
        let (id, by) = (JobId(job.id), job.created_by.map(UserId));
        let mut chunk = Chunk { app: &self.app, connection, job: id, by, report: Report::default() };
        let next = self.kinds.work(&job.kind, &job.arguments, work, &mut chunk).await?;
        let mut report = chunk.report;
        if job.has_run {
            let failed: Vec<&str> = report.failures.iter().map(|failure| failure.item.as_str()).collect();
            let done: Vec<String> = items.into_iter().filter(|item| !failed.contains(&item.as_str())).collect();
            report.succeeded = i64::try_from(done.len()).unwrap_or(i64::MAX);
            outcome::settle_items(connection, job, &done).await?;
        }
        Ok((report, next))
    }

    /// Renews a lease for as long as that is possible.
    async fn keep_lease(&self, id: Uuid, lease: i64) -> Result<State, Interrupted> {
        let length = self.app.config.jobs.lease;
        let mut renewed = Instant::now();
        loop {
            sleep(length / 3).await;
            let asked = Instant::now();
            match timeout(length / 3, queue::renew(&self.app.db.jobs, id, lease, length)).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => return Err(Interrupted::Lost),
                // Postgres does not answer; the lease may have lapsed meanwhile, and nothing could be committed anyway.
                _ if renewed.elapsed() > length => return Err(Interrupted::Lost),
                _ => {}
            }
        }
    }

    /// Records a failed attempt; answers the state that follows, or none if the lease or Postgres is away.
    async fn fail(&self, job: &Taken, error: Error) -> Option<State> {
        metrics::JOB_FAILURES.with_label_values(&[&job.kind]).inc();
        let attempts = i64::from(job.attempts).max(1);
        let is_last = error.status() < 500 || attempts >= i64::from(self.kinds.attempts(&job.kind));
        let recovery = if is_last { Recovery::GiveUp } else { Recovery::RetryAfter(backoff(attempts)) };
        let cause = match &error {
            Error::Internal(cause) => cause.to_string(),
            other => other.to_string(),
        };
        tracing::warn!(job = %job.id, kind = job.kind, attempts, gives_up = is_last, error = cause, "a chunk of a job failed");
        match outcome::record_failure(&self.app.db.jobs, job, &error.to_string(), recovery).await {
            Ok(state) => state,
            Err(error) => {
                tracing::warn!(job = %job.id, %error, "cannot record a failure; the job goes on when its lease has lapsed");
                None
            }
        }
    }
}

/// Half of it is left to chance, so that jobs that failed together do not come back together.
fn backoff(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(20);
    let longest = FIRST_BACKOFF.saturating_mul(1 << doublings).min(LAST_BACKOFF);
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_between_attempts_doubles_to_a_limit() {
        for (attempts, seconds) in [(1, 1.0), (2, 2.0), (5, 16.0), (9, 256.0), (10, 300.0), (1_000, 300.0)] {
            let pause = backoff(attempts).as_secs_f64();
            assert!((seconds / 2.0..=seconds).contains(&pause), "{attempts}: {pause}");
        }
    }
}
