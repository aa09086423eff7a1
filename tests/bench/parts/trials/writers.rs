//! Writers that change rows beside a trial.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::harness::rows;

/// Accounts to change in turn, at most.
const ACCOUNTS: i64 = 200_000;
/// Connections that write concurrently, as fast as possible or at a rate.
pub struct Writers {
    /// Committed rows.
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

    /// Writes until stopped; the rate is in commits per second of all connections, and a late connection catches up.
    pub async fn run(&self, pool: &PgPool, connections: usize, rate: Option<f64>, work: &Work) -> anyhow::Result<()> {
        let begin = Instant::now();
        // A multiple of this gives each connection its own rows, so that none waits for a lock.
        let round = connections * work.rows_per_commit;
        let ids = &work.ids[..work.ids.len() / round * round];
        ensure!(!ids.is_empty(), "there are too few rows to change");
        try_join_all((0..connections).map(async |number| {
            let mut connection = pool.acquire().await?;
            // The sync is measured, not the disk.
            sqlx::query("set synchronous_commit = off").execute(&mut *connection).await?;
            let mut turn = number;
            while !self.stop.load(Ordering::Relaxed) {
                if let Some(rate) = rate {
                    tokio::time::sleep_until((begin + Duration::from_secs_f64(turn as f64 / rate)).into()).await;
                }
                let ids: Vec<Uuid> =
                    (0..work.rows_per_commit).map(|more| ids[(turn * work.rows_per_commit + more) % ids.len()]).collect();
                sqlx::query(AssertSqlSafe(work.statement.to_owned()))
                    .bind(ids)
                    .bind(i64::try_from(turn)?)
                    .execute(&mut *connection)
                    .await?;
                self.done.fetch_add(work.rows_per_commit as u64, Ordering::Relaxed);
                turn += connections;
            }
            sqlx::query("reset synchronous_commit").execute(&mut *connection).await?;
            anyhow::Ok(())
        }))
        .await
        .map(drop)
    }
}

pub struct Work {
    /// Changes the rows `$1`; `$2` is a number that differs each time.
    pub statement: &'static str,
    pub ids: Vec<Uuid>,
    pub rows_per_commit: usize,
}

impl Work {
    /// Changes accounts in random order.
    pub async fn on_accounts(pool: &PgPool, rows_per_commit: usize) -> anyhow::Result<Self> {
        let ids = rows::random(pool, "accounts", ACCOUNTS).await?;
        Ok(Self { statement: "update accounts set portfolio = 'trial ' || $2 where id = any($1)", ids, rows_per_commit })
    }
}
