//! Bad days on purpose, with a stopwatch: what the sync promises while the index is away, a giant commit comes, a reindex runs.
//!
//! Each trial ends with the question whether the index still equals the rows.

mod drift;
mod fanout;
mod fire;
mod giant;
mod outage;
mod wall;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use super::report::{Goal, Measure};
use super::{Scene, live};

pub(super) use drift::measure as drift;
pub(super) use fanout::measure as fanout;
pub(super) use fire::measure as fire;
pub(super) use giant::measure as giant;
pub(super) use outage::measure as outage;

/// Accounts that writers change in turn, at most.
const ACCOUNTS: i64 = 200_000;
/// The trials have no numbers among the goals.
const ID: &str = "–";

/// A figure of a trial, which has no reference.
fn row(scene: &Scene<'_>, what: &str, unit: &'static str, value: f64, goal: Goal, how: &str) -> Measure {
    Measure {
        id: ID,
        what: what.into(),
        customers: scene.customers,
        unit,
        ours: vec![value],
        reference: vec![],
        goal,
        how: how.into(),
    }
}

/// Writes beside a trial: each of some connections changes one row to a commit, as fast as Postgres lets it, or at a rate.
struct Writers {
    /// Acknowledged commits.
    done: AtomicU64,
    stop: AtomicBool,
}

impl Writers {
    fn new() -> Self {
        Self { done: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    fn count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Writes until stopped, `statement` with an id as `$1` and a number as `$2`. With a rate, keeps to it; one that is behind hurries.
    async fn run(&self, pool: &PgPool, connections: usize, rate: Option<f64>, work: &Work) -> anyhow::Result<()> {
        let begin = Instant::now();
        // So many that every connection comes to rows of its own only, and none waits for another.
        let round = connections * work.together;
        let ids = &work.ids[..work.ids.len() / round * round];
        ensure!(!ids.is_empty(), "there are too few rows to change");
        try_join_all((0..connections).map(async |number| {
            let mut connection = pool.acquire().await?;
            // What is measured is the sync; the disk would only slow down its input.
            sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
            let mut turn = number;
            while !self.stop.load(Ordering::Relaxed) {
                if let Some(rate) = rate {
                    tokio::time::sleep_until((begin + Duration::from_secs_f64(turn as f64 / rate)).into()).await;
                }
                let ids: Vec<Uuid> = (0..work.together).map(|more| ids[(turn * work.together + more) % ids.len()]).collect();
                sqlx::query(AssertSqlSafe(work.statement.to_owned()))
                    .bind(ids)
                    .bind(i64::try_from(turn)?)
                    .execute(&mut *connection)
                    .await?;
                self.done.fetch_add(work.together as u64, Ordering::Relaxed);
                turn += connections;
            }
            sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
            anyhow::Ok(())
        }))
        .await
        .map(drop)
    }
}

/// What the writers write.
struct Work {
    statement: &'static str,
    ids: Vec<Uuid>,
    /// Rows to one commit.
    together: usize,
}

impl Work {
    /// Changes accounts in random order.
    async fn on_accounts(pool: &PgPool, together: usize) -> anyhow::Result<Self> {
        let ids = live::rows(pool, "accounts", ACCOUNTS).await?;
        Ok(Self { statement: "update accounts set portfolio = 'trial ' || $2 where id = any($1)", ids, together })
    }
}
