//! The snapshot of each day, a job: what was owed at midnight, and how debts moved between the ageing buckets.

use chrono::{Days, NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::figures::buckets;
use crate::error::Result;
use crate::jobs::{Chunk, Kind, Lane, Next};
use crate::values::aging::Aging;
use crate::values::zone::Zone;

/// A snapshot that is made later than this counts as missed: due dates and states may have changed since midnight.
const IN_TIME: TimeDelta = TimeDelta::hours(1);
/// Days for which balances are kept by account. Only the day before is needed; the sums are kept for ever.
const KEPT: Days = Days::new(35);

/// Makes the snapshot of every day that is over and has none. The first is that of yesterday: nothing is known of days before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TakeSnapshots {}

impl Kind for TakeSnapshots {
    const NAME: &'static str = "take_snapshots";
    const LANE: Lane = Lane::Upkeep;
    type Cursor = ();

    async fn run(&self, (): (), chunk: &mut Chunk<'_>) -> Result<Next<()>> {
        let (now, zone) = (chunk.app.clock.now(), chunk.app.config.default_time_zone);
        let over = zone.day_of(now) - Days::new(1);
        let last = sqlx::query_scalar!("select max(day) from snapshot_days").fetch_one(&mut *chunk.connection).await?;
        let day = last.map_or(over, |last| last + Days::new(1));
        if day > over {
            return Ok(Next::Finished);
        }
        let is_late = day < over || now - zone.midnight(over + Days::new(1)) > IN_TIME;
        take(chunk.connection, day, last, zone, &chunk.app.config.aging_days, is_late).await?;
        chunk.succeed(1);
        Ok(if day < over { Next::Chunk(()) } else { Next::Finished })
    }
}

/// Makes the snapshot of one day. A balance of that midnight is the balance of now without what was posted since.
async fn take(
    connection: &mut PgConnection,
    day: NaiveDate,
    before: Option<NaiveDate>,
    zone: Zone,
    aging: &Aging,
    is_from_ledger: bool,
) -> Result<()> {
    let ended_at = zone.midnight(day + Days::new(1));
    sqlx::query!("insert into snapshot_days (day, ended_at, is_from_ledger) values ($1, $2, $3)", day, ended_at, is_from_ledger)
        .execute(&mut *connection)
        .await?;
    let (names, from) = buckets(aging)?;
    sqlx::query!(
        r#"
        insert into account_snapshots (day, account_id, currency, portfolio, balance, age, bucket)
        select $1, id, currency, portfolio, balance, age, ($4::text[])[age]
        from (
          select
            a.id, a.currency, a.portfolio, a.balance - coalesce(later.amount, 0) as balance,
            width_bucket(greatest($1::date - a.due_date, 0), $3::integer[]) as age
          from accounts a
          left join (
            select account_id, sum(amount)::bigint as amount from ledger_entries where created_at >= $2 group by account_id
          ) as later on later.account_id = a.id
          where a.status = 'open'
          and a.created_at < $2
          and (a.deleted_at is null or a.deleted_at >= $2)
        ) as owed
        where balance > 0
        "#,
        day,
        ended_at,
        &from,
        &names,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"
        insert into snapshot_transitions
          (id, day, currency, portfolio, bucket_before, bucket_after, movement, accounts, balance_before, balance_after)
        select
          gen_random_uuid(), $1, currency, portfolio, bucket_before, bucket_after, movement, count(*),
          sum(balance_before)::bigint, sum(balance_after)::bigint
        from (
          select
            coalesce(after.currency, before.currency) as currency,
            case when after.day is null then before.portfolio else after.portfolio end as portfolio,
            case when $2::date is not null then coalesce(before.bucket, 'none') end as bucket_before,
            coalesce(after.bucket, 'none') as bucket_after,
            case
              when $2::date is null then null
              when before.day is null then 'new'
              when before.age > 1 and coalesce(after.age, 1) = 1 then 'cured'
              when after.day is null or after.age < before.age then 'better'
              when after.age > before.age then 'worse'
              else 'same'
            end as movement,
            coalesce(before.balance, 0) as balance_before,
            coalesce(after.balance, 0) as balance_after
          from (select * from account_snapshots where day = $2) as before
          full join (select * from account_snapshots where day = $1) as after using (account_id)
        ) as moved
        group by currency, portfolio, bucket_before, bucket_after, movement
        "#,
        day,
        before,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("delete from account_snapshots where day < $1", day - KEPT).execute(connection).await?;
    Ok(())
}
