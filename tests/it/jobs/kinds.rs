//! Kinds that only tests have, and workers that know them, in this process and in one of their own.

use std::process::Stdio;
use std::time::Duration;

use clap::Parser;
use collections::app::App;
use collections::config::Config;
use collections::error::{Error, Result};
use collections::jobs::{self, Chunk, Enqueued, Job, Kind, Kinds, Lane, Next, State, Terms, store};
use collections::values::clock::Clock;
use collections::values::ids::JobId;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, Row};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::harness::database::Database;
use crate::harness::eventually::eventually;

/// Short, so that tests need not wait for long until a job is taken over.
const LEASE: Duration = Duration::from_millis(700);

/// Makes the tables that the kinds write to. Nothing in `counted` is unique, so that a repeated item is seen.
pub async fn prepare(database: &Database) {
    let tables = "create table counted (job uuid not null, item bigint not null);
        create table mended (at timestamptz not null);
        grant select, insert on counted, mended to collections_server";
    sqlx::raw_sql(tables).execute(&database.pool).await.unwrap();
}

/// Lets items succeed that fail until then.
pub async fn mend(database: &Database) {
    sqlx::query("insert into mended values (now())").execute(&database.pool).await.unwrap();
}

/// Counts to a number in chunks, and writes down each step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    pub items: i64,
    pub chunk: i64,
    pub pause_ms: u64,
    /// Every so many items one fails until [`mend`]; none if zero.
    pub failing: i64,
}

impl Kind for Count {
    const NAME: &'static str = "it_count";
    const LANE: Lane = Lane::Bulk;
    type Cursor = i64;

    async fn run(&self, done: i64, chunk: &mut Chunk<'_>) -> Result<Next<i64>> {
        chunk.expect(self.items);
        let end = (done + self.chunk).min(self.items);
        let is_mended = is_mended(chunk.connection).await?;
        for item in done + 1..=end {
            if self.failing > 0 && item % self.failing == 0 && !is_mended {
                chunk.fail(item.to_string(), &Error::conflict("it_failed", "as every so often"));
            } else {
                write(chunk, item).await?;
                chunk.succeed(1);
            }
        }
        sleep(Duration::from_millis(self.pause_ms)).await;
        if end == self.items {
            chunk.offer("/counted");
            return Ok(Next::Finished);
        }
        Ok(Next::Chunk(end))
    }

    async fn retry(&self, items: &[String], chunk: &mut Chunk<'_>) -> Result<()> {
        let is_mended = is_mended(chunk.connection).await?;
        for item in items {
            match item.parse() {
                Ok(number) if is_mended => write(chunk, number).await?,
                _ => chunk.fail(item, &Error::conflict("it_failed", "as before")),
            }
        }
        Ok(())
    }
}

async fn write(chunk: &mut Chunk<'_>, item: i64) -> Result<()> {
    let insert = sqlx::query("insert into counted (job, item) values ($1, $2)").bind(chunk.job.0).bind(item);
    insert.execute(&mut *chunk.connection).await?;
    Ok(())
}

async fn is_mended(connection: &mut PgConnection) -> Result<bool> {
    Ok(sqlx::query("select exists (select from mended)").fetch_one(connection).await?.get(0))
}

/// Does one thing at once, or fails in one of several ways.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Quick {
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Fault {
    Breaks,
    Panics,
    Refuses,
    /// Ends the whole process.
    Aborts,
}

impl Kind for Quick {
    const NAME: &'static str = "it_quick";
    const LANE: Lane = Lane::Quick;
    const ATTEMPTS: u32 = 3;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        write(chunk, 1).await?;
        match self.fault {
            None => {}
            Some(Fault::Breaks) => return Err(Error::internal("of jane@example.org")),
            Some(Fault::Panics) => panic!("as it is told"),
            Some(Fault::Refuses) => return Err(Error::conflict("it_refused", "there is no such file")),
            Some(Fault::Aborts) => std::process::abort(),
        }
        chunk.succeed(1);
        Ok(Next::Finished)
    }
}

pub fn kinds() -> Kinds {
    collections::worker::kinds().with::<Count>().with::<Quick>()
}

/// Enqueues and commits a job without an owner.
pub async fn enqueue<K: Kind>(database: &Database, job: &K) -> JobId {
    enqueue_as(database, job, Terms::default()).await.id()
}

pub async fn enqueue_as<K: Kind>(database: &Database, job: &K, terms: Terms<'_>) -> Enqueued {
    let mut connection = database.pool.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    let enqueued = jobs::enqueue(&mut transaction, job, terms).await.unwrap();
    transaction.commit().await.unwrap();
    enqueued
}

pub async fn job(database: &Database, id: JobId) -> Job {
    store::find(&database.pool, id).await.unwrap().unwrap()
}

/// Waits until a job is in a state.
pub async fn until(database: &Database, id: JobId, state: State) -> Job {
    eventually(&format!("the job is {}", state.name()), async || {
        let job = job(database, id).await;
        let is_over = job.status.is_finished() && job.status != state;
        assert!(!is_over, "{job:?}");
        job.status == state
    })
    .await;
    job(database, id).await
}

/// Asserts that a job wrote each of its items once.
pub async fn assert_counted(database: &Database, id: JobId, items: i64) {
    let sql = "select count(*), count(distinct item), coalesce(max(item), 0) from counted where job = $1";
    let row = sqlx::query(sql).bind(id.0).fetch_one(&database.pool).await.unwrap();
    let found: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(found, (items, items, items), "items, different ones, and the last");
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// An application without Redis and Elasticsearch, whose leases are short.
pub fn open(url: &str) -> App {
    let arguments = ["it", "--environment", "test", "--database-url", url, "--redis-url", "", "--elasticsearch-url", ""];
    let mut config = Settings::parse_from(arguments).config;
    config.search.url = None;
    config.jobs.lease = LEASE;
    App::open(config, Clock::default()).unwrap()
}

/// Workers in this process, stopped when this value is dropped.
pub struct Workers {
    app: App,
    ended: Option<JoinHandle<Result<()>>>,
}

impl Workers {
    pub fn start(database: &Database) -> Self {
        let app = open(&database.url);
        let ended = Some(tokio::spawn(jobs::run(app.clone(), kinds(), Vec::new())));
        Self { app, ended }
    }

    /// Stops as on a signal.
    pub async fn stop(mut self) {
        self.app.stop.cancel();
        self.ended.take().unwrap().await.unwrap().unwrap();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

/// Names the database to the process of a worker.
const DATABASE: &str = "IT_JOBS_DATABASE";

/// Workers in a process of their own, which a test can kill.
pub struct Process(Child);

impl Process {
    pub fn start(database: &Database) -> Self {
        Self::start_with(database, "")
    }

    /// Starts it with failpoints.
    pub fn start_with(database: &Database, failpoints: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "jobs::kinds::a_worker_process_works_until_it_is_killed", "--nocapture"])
            .env(DATABASE, &database.url)
            .env("FAILPOINTS", failpoints)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Self(command.spawn().unwrap())
    }

    /// Kills the process (SIGKILL).
    pub async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(mut self) {
        self.0.wait().await.unwrap();
    }

    /// Sends a signal such as `STOP`.
    pub async fn signal(&self, name: &str) {
        let (signal, process) = (format!("-{name}"), self.0.id().unwrap().to_string());
        assert!(Command::new("kill").args([signal, process]).status().await.unwrap().success());
    }
}

/// What [`Process`] runs; does nothing in a run of the suite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_process_works_until_it_is_killed() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let _scenario = fail::FailScenario::setup();
    jobs::run(open(&url), kinds(), Vec::new()).await.unwrap();
}
