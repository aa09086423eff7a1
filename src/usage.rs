//! What users do, counted by the day. A process adds up, and writes every few seconds: a request costs no statement.

use std::collections::HashMap;
use std::time::Duration;

use chrono::NaiveDate;
use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::values::clock::Clock;
use crate::values::ids::UserId;

/// How often the counts are written. So much is lost when a process is killed.
const PERIOD: Duration = Duration::from_secs(10);

/// The counts that are not written yet, of days in UTC.
#[derive(Debug)]
pub struct Usage {
    pool: PgPool,
    clock: Clock,
    counts: Mutex<HashMap<(UserId, NaiveDate), Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    calls: i64,
    searches: i64,
}

impl Usage {
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock, counts: Mutex::default() }
    }

    /// Counts a request.
    pub fn call(&self, user: UserId) {
        self.add(user, Counts { calls: 1, searches: 0 });
    }

    /// Counts a list or a search, which is a request, too.
    pub fn search(&self, user: UserId) {
        self.add(user, Counts { calls: 0, searches: 1 });
    }

    /// Writes the counts until stopped, and then once more.
    pub async fn run(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(sleep(PERIOD)).await.is_some() {
            self.flush().await;
        }
        self.flush().await;
    }

    /// Writes what was counted; what cannot be written stays for the next time.
    pub async fn flush(&self) {
        let counts = std::mem::take(&mut *self.counts.lock());
        if counts.is_empty() {
            return;
        }
        if let Err(error) = write(&self.pool, &counts).await {
            tracing::info!(%error, "cannot write what users have done; trying again");
            counts.into_iter().for_each(|((user, day), counts)| self.add_on(user, day, counts));
        }
    }

    fn add(&self, user: UserId, counts: Counts) {
        self.add_on(user, self.clock.today(), counts);
    }

    fn add_on(&self, user: UserId, day: NaiveDate, Counts { calls, searches }: Counts) {
        let mut counts = self.counts.lock();
        let of_day = counts.entry((user, day)).or_default();
        of_day.calls += calls;
        of_day.searches += searches;
    }
}

async fn write(pool: &PgPool, counts: &HashMap<(UserId, NaiveDate), Counts>) -> sqlx::Result<()> {
    // In one order, so that servers that write at once do not wait for each other in a circle.
    let mut rows: Vec<(Uuid, NaiveDate, Counts)> = counts.iter().map(|((user, day), counts)| (user.0, *day, *counts)).collect();
    rows.sort_by_key(|(user, day, _)| (*user, *day));
    sqlx::query!(
        r#"
        insert into user_days (user_id, day, calls, searches)
        select * from unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[])
        on conflict (user_id, day) do update
        set calls = user_days.calls + excluded.calls, searches = user_days.searches + excluded.searches
        "#,
        &rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.1).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.2.calls).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.2.searches).collect::<Vec<_>>(),
    )
    .execute(pool)
    .await
    .map(drop)
}
