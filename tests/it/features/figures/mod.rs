//! Figures of payments: both engines count what plain SQL counts, over midnight, in zones and in currencies.

mod failures;
mod refusals;
mod shared;
mod simulation;
mod stats;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::database::Database;
use crate::harness::dice::Dice;

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati"];

/// The moments at which days begin, and around which payments come.
fn midnights() -> String {
    let days =
        "unnest(array[date_trunc('day', now()), now() - interval '3 days', '2026-03-29', '2026-10-25', '2026-10-26']) as day(at)";
    let zones = ZONES.map(|zone| format!("'{zone}'")).join(", ");
    format!("select date_trunc('day', at at time zone zone) at time zone zone from {days}, unnest(array[{zones}]) as zone")
}

/// Payments of three currencies, of every state and method: around midnights, around changes of clocks, and in the last two weeks.
async fn fill(database: &Database, dice: &mut Dice) {
    let seed = 0.000_001 * dice.roll(1_000_000) as f64;
    let rows = format!(
        "select setseed({seed});
        insert into payments (id, amount, currency, method, status, failure_code, received_at, created_at, deleted_at)
        select gen_random_uuid(), 1 + (random() * 100000)::int, (array['USD', 'EUR', 'JPY'])[1 + (random() * 2.99)::int % 3],
          (array['credit_card', 'cash', 'upi'])[1 + (random() * 2.99)::int % 3],
          (array['success', 'success', 'failed', 'pending', 'refunded', 'reversed'])[1 + (random() * 5.99)::int % 6],
          (array['no_funds', 'expired', null])[1 + (random() * 2.99)::int % 3],
          at, now() - interval '1 year', case when random() < 0.05 then now() end
        from (
          select midnight + step * interval '1 millisecond' as at from ({midnights}) as midnights(midnight), generate_series(-1, 1) as step
          union all select '2026-10-24 20:00Z'::timestamptz + step * interval '17 minutes' from generate_series(0, 150) as step
          union all select '2026-03-28 20:00Z'::timestamptz + step * interval '17 minutes' from generate_series(0, 150) as step
          union all select now() - random() * interval '14 days' from generate_series(1, 200)
        ) as moments",
        midnights = midnights(),
    );
    database.pool.execute(sqlx::raw_sql(AssertSqlSafe(rows))).await.unwrap();
}

/// What a request for figures asks, and the same in SQL.
struct Question {
    zone: &'static str,
    interval: &'static str,
    /// First and last day.
    from: Option<&'static str>,
    to: Option<&'static str>,
    currency: &'static str,
}

impl Question {
    fn query(&self) -> String {
        let Self { zone, interval, currency, .. } = self;
        let end = |name, day: Option<&str>| day.map_or(String::new(), |day| format!("&{name}={day}"));
        format!("tz={zone}&interval={interval}&currency={currency}{}{}", end("from", self.from), end("to", self.to))
    }

    /// Where the period begins.
    fn begin(&self, last: u32) -> String {
        let Self { zone, interval, .. } = self;
        match self.from {
            Some(day) => format!("(timestamp '{day}' at time zone '{zone}')"),
            None => format!(
                "((date_trunc('{interval}', ({} - interval '1 millisecond') at time zone '{zone}') - interval '{last} {interval}') at time zone '{zone}')",
                self.end(),
            ),
        }
    }

    /// Where it has ended.
    fn end(&self) -> String {
        let zone = self.zone;
        match self.to {
            Some(day) => format!("((timestamp '{day}' + interval '1 day') at time zone '{zone}')"),
            None => self.days_from_today(1),
        }
    }

    fn days_from_today(&self, days: i32) -> String {
        let zone = self.zone;
        format!("((date_trunc('day', now() at time zone '{zone}') + interval '{days} days') at time zone '{zone}')")
    }

    fn period(&self) -> String {
        let last = if self.interval == "day" { 6 } else { 11 };
        format!("received_at >= {} and received_at < {}", self.begin(last), self.end())
    }
}

/// Runs a query that selects one value.
async fn select(database: &Database, sql: &str) -> Value {
    sqlx::query_scalar::<_, Value>(AssertSqlSafe(sql)).fetch_one(&database.pool).await.unwrap()
}

/// The same with every number as a float: SQL writes others decimals.
fn floats(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(list) => list.iter().map(floats).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), floats(value))).collect(),
        other => other.clone(),
    }
}
