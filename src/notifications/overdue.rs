//! Debts that have become overdue: one notification for each account and due date, by a daily job.

use chrono::Days;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::{self, News};
use crate::error::Result;
use crate::jobs::{Chunk, Kind, Lane, Next};

/// Accounts of one transaction.
const BATCH: i64 = 500;

/// For how many days it is news that a debt is overdue: no worker may have been there on the first of them.
const NEWS_DAYS: u64 = 7;

/// Notifies the assignee of each account that has become overdue, or the managers if it has none who may read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TellOverdue {}

impl Kind for TellOverdue {
    const NAME: &'static str = "tell_overdue";
    const LANE: Lane = Lane::Upkeep;
    /// The last account.
    type Cursor = Uuid;

    async fn run(&self, after: Uuid, chunk: &mut Chunk<'_>) -> Result<Next<Uuid>> {
        let today = chunk.app.config.default_time_zone.day_of(chunk.app.clock.now());
        let first = today.checked_sub_days(Days::new(NEWS_DAYS)).unwrap_or(today);
        let overdue = sqlx::query_scalar!(
            r#"
            select id
            from accounts
            where deleted_at is null
            and status = 'open'
            and balance > 0
            and due_date >= $1
            and due_date < $2
            and id > $3
            order by id
            limit $4
            "#,
            first,
            today,
            after,
            BATCH,
        );
        let overdue = overdue.fetch_all(&mut *chunk.connection).await?;
        let news = sqlx::query_as!(
            News,
            r#"
            select
              r.id as "user_id!", 'payment.overdue' as "kind!", a.id as "subject?", 1::bigint as "count!", a.balance as "amount?",
              a.currency as "currency?", null as state, a.due_date as "due_date?",
              concat_ws('/', 'payment.overdue', a.id::text, a.due_date::text) as "event!"
            from accounts a
            cross join recipients(a.assignee_id) as r (id)
            where a.id = any($1)
            order by a.id
            "#,
            &overdue,
        );
        let news = news.fetch_all(&mut *chunk.connection).await?;
        let told = store::insert(&mut *chunk.connection, &news).await?;
        chunk.succeed(told.try_into().unwrap_or(i64::MAX));
        // By account, because there may be no user to notify of the last ones.
        Ok(overdue.last().copied().map_or(Next::Finished, Next::Chunk))
    }
}
