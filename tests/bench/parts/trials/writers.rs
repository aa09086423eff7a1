//! Writers that change rows beside a trial.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::harness::rows;

/// Accounts that writers change in turn, at most.
const ACCOUNTS: i64 = 200_000;
/// Writes beside a trial: each of some connections changes one row to a commit, as fast as Postgres lets it, or at a rate.
pub struct Writers {
    /// Acknowledged commits.
    done: AtomicU64,
    stop: AtomicBool,
}

impl Writers {
    pub fn new() -> Self {
        Self { done: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    pub fn count(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Writes until stopped, `statement` with an id as `$1` and a number as `$2`. With a rate, keeps to it; one that is behind hurries.
    pub async fn run(&self, pool: &PgPool, connections: usize, rate: Option<f64>, work: &Work) -> anyhow::Result<()> {
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
pub struct Work {
    pub statement: &'static str,
    pub ids: Vec<Uuid>,
    /// Rows to one commit.
    pub together: usize,
}

impl Work {
    /// Changes accounts in random order.
    pub async fn on_accounts(pool: &PgPool, together: usize) -> anyhow::Result<Self> {
        let ids = rows::random(pool, "accounts", ACCOUNTS).await?;
        Ok(Self { statement: "update accounts set portfolio = 'trial ' || $2 where id = any($1)", ids, together })
    }
}
