//! The main figures of the dashboards without Kibana, each by one aggregation in SQL.
//!
//! They do not depend on `ANALYTICS`, but for the snapshots that roll rates need.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::api::{Reply, Request, paging, text};
use crate::app::App;
use crate::auth::Permission::Read;
use crate::auth::{Caller, may};
use crate::error::{Error, Result};
use crate::http::Routes;
use crate::operation::{Answers, Nothing, Operation, Takes};
use crate::routes;
use crate::search::parse;
use crate::values::aging::Aging;
use crate::values::money::{Currency, Money};

/// Days that a period has if it names no beginning.
const USUAL_DAYS: u64 = 30;
/// Longest period: a year by day and currency is a thousand rows.
const MOST_DAYS: i64 = 366;

/// The addresses of figures.
pub fn routes(app: &App) -> Routes {
    routes! { app, "analytics";
        /// Shows what is owed now, by currency and ageing bucket.
        get ("ageing")          may(Read) => ageing:          Nothing -> Rows<Aged>;
        /// Shows the same as CSV.
        get ("ageing.csv")      may(Read) => ageing_csv:      Nothing -> Csv;
        /// Shows which part of each ageing bucket has become worse from one day to the next, and which was cured.
        get ("roll-rates")      may(Read) => roll_rates:      InPeriod -> Rows<Rolled>;
        /// Shows the same as CSV.
        get ("roll-rates.csv")  may(Read) => roll_rates_csv:  InPeriod -> Csv;
        /// Shows what was collected, by day and currency.
        get ("collections")     may(Read) => collections:     InPeriod -> Rows<Collected>;
        /// Shows the same as CSV.
        get ("collections.csv") may(Read) => collections_csv: InPeriod -> Csv;
    }
}

/// The parameters of a period.
struct InPeriod;

impl Takes for InPeriod {
    fn describe(operation: &mut Operation<'_>) {
        let day = json!({ "type": "string", "minLength": 1, "examples": ["2026-01-31", "now-30d"] });
        operation.query("from", "The first day; without it the last thirty.", day.clone());
        operation.query("to", "The last day; today without it.", day);
    }
}

/// Rows with a heading.
struct Csv;

impl Answers for Csv {
    fn describe(operation: &mut Operation<'_>) {
        operation.answers_text("text/csv");
    }
}

/// Figures, in order.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "{T}Figures")]
struct Rows<T> {
    data: Vec<T>,
}

/// A figure as a line of CSV. No member needs quotes.
trait Line {
    const HEADING: &'static str;

    fn line(&self) -> String;
}

/// Debts of one currency and age.
#[derive(Debug, JsonSchema, Serialize)]
struct Aged {
    currency: Currency,
    /// The ageing bucket: `current`, `1-30`, …
    bucket: String,
    accounts: i64,
    balance: Money,
}

impl Line for Aged {
    const HEADING: &'static str = "currency,bucket,accounts,balance";

    fn line(&self) -> String {
        let Self { currency, bucket, accounts, balance } = self;
        format!("{currency},{bucket},{accounts},{}", currency.format(balance.minor))
    }
}

/// What became of the debts of one currency and age, over all days of the period.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rolled {
    currency: Currency,
    /// The ageing bucket at the end of the day before.
    bucket: String,
    /// Accounts that were in it, counted for each day.
    accounts: i64,
    /// Their balances, added up over the days.
    balance: Money,
    /// The part of the balance that was in a worse bucket a day later, from 0 to 1.
    roll_rate: f64,
    /// The part of the accounts that were current or paid a day later, after they were past due, from 0 to 1.
    cure_rate: f64,
}

impl Line for Rolled {
    const HEADING: &'static str = "currency,bucket,accounts,balance,rollRate,cureRate";

    fn line(&self) -> String {
        let Self { currency, bucket, accounts, balance, roll_rate, cure_rate } = self;
        format!("{currency},{bucket},{accounts},{},{roll_rate},{cure_rate}", currency.format(balance.minor))
    }
}

/// Payments of one day and currency that succeeded.
#[derive(Debug, JsonSchema, Serialize)]
struct Collected {
    /// In the zone of the server.
    day: NaiveDate,
    currency: Currency,
    payments: i64,
    amount: Money,
}

impl Line for Collected {
    const HEADING: &'static str = "day,currency,payments,amount";

    fn line(&self) -> String {
        let Self { day, currency, payments, amount } = self;
        format!("{day},{currency},{payments},{}", currency.format(amount.minor))
    }
}

async fn ageing(_caller: Caller, request: Request) -> Result<Reply> {
    as_json(aged(&request).await?)
}

async fn ageing_csv(_caller: Caller, request: Request) -> Result<Reply> {
    Ok(as_csv(&aged(&request).await?))
}

async fn roll_rates(_caller: Caller, request: Request) -> Result<Reply> {
    as_json(rolled(&request).await?)
}

async fn roll_rates_csv(_caller: Caller, request: Request) -> Result<Reply> {
    Ok(as_csv(&rolled(&request).await?))
}

async fn collections(_caller: Caller, request: Request) -> Result<Reply> {
    as_json(collected(&request).await?)
}

async fn collections_csv(_caller: Caller, request: Request) -> Result<Reply> {
    Ok(as_csv(&collected(&request).await?))
}

fn as_json<T: Serialize>(data: Vec<T>) -> Result<Reply> {
    crate::api::json(&Rows { data })
}

fn as_csv<T: Line>(rows: &[T]) -> Reply {
    let lines = std::iter::once(T::HEADING.to_owned()).chain(rows.iter().map(Line::line));
    text("text/csv; charset=utf-8", lines.map(|line| line + "\r\n").collect())
}

/// The names of the ageing buckets, and the first day past due of each, as SQL takes them.
pub(super) fn buckets(aging: &Aging) -> Result<(Vec<String>, Vec<i32>)> {
    let from = aging.buckets().iter().map(|bucket| i32::try_from(bucket.from)).collect::<Result<_, _>>();
    Ok((aging.buckets().iter().map(|bucket| bucket.name.clone()).collect(), from.map_err(Error::internal)?))
}

async fn aged(request: &Request) -> Result<Vec<Aged>> {
    let (names, from) = buckets(&request.app.config.aging_days)?;
    let rows = sqlx::query_as!(
        Aged,
        r#"
        select
          currency as "currency!: Currency", ($2::text[])[age] as "bucket!", count(*) as "accounts!",
          (sum(balance)::bigint, currency) as "balance!: Money"
        from (
          select currency, balance, width_bucket(greatest($1::date - due_date, 0), $3::integer[]) as age
          from accounts
          where status = 'open'
          and balance > 0
          and deleted_at is null
        ) as owed
        group by currency, age
        order by currency, age
        "#,
        request.as_of().today,
        &names,
        &from,
    );
    Ok(rows.fetch_all(&request.app.db.search).await?)
}

async fn rolled(request: &Request) -> Result<Vec<Rolled>> {
    let ((names, _), period) = (buckets(&request.app.config.aging_days)?, Period::read(request)?);
    let rows = sqlx::query_as!(
        Rolled,
        r#"
        select
          currency as "currency!: Currency", bucket_before as "bucket!", sum(accounts)::bigint as "accounts!",
          (sum(balance_before)::bigint, currency) as "balance!: Money",
          (coalesce(sum(balance_before) filter (where movement = 'worse'), 0) / sum(balance_before))::float8 as "roll_rate!",
          (coalesce(sum(accounts) filter (where movement = 'cured'), 0) / sum(accounts))::float8 as "cure_rate!"
        from snapshot_transitions
        where day between $1 and $2
        and bucket_before <> 'none'
        group by currency, bucket_before
        order by currency, array_position($3::text[], bucket_before)
        "#,
        period.first,
        period.last,
        &names,
    );
    Ok(rows.fetch_all(&request.app.db.search).await?)
}

async fn collected(request: &Request) -> Result<Vec<Collected>> {
    let period = Period::read(request)?;
    let rows = sqlx::query_as!(
        Collected,
        r#"
        select
          (received_at at time zone $3)::date as "day!", currency as "currency!: Currency", count(*) as "payments!",
          (sum(amount)::bigint, currency) as "amount!: Money"
        from payments
        where status = 'success'
        and deleted_at is null
        and received_at >= $1
        and received_at < $2
        group by 1, currency
        order by 1, currency
        "#,
        period.from,
        period.before,
        request.app.config.default_time_zone.to_string(),
    );
    Ok(rows.fetch_all(&request.app.db.search).await?)
}

/// The days that a request asks for, in the zone of the server, whose midnights the snapshots have.
struct Period {
    first: NaiveDate,
    last: NaiveDate,
    from: DateTime<Utc>,
    before: DateTime<Utc>,
}

impl Period {
    fn read(request: &Request) -> Result<Self> {
        let zone = request.app.config.default_time_zone;
        let [from, to] = ["from", "to"].map(|name| request.parameter(name));
        let rules = paging::rules(request);
        let asked = parse::period(from.as_deref(), to.as_deref(), Some(&zone.to_string()), &rules)?;
        let last = match asked.before {
            Some(before) => zone.day_of(before - TimeDelta::milliseconds(1)),
            None => zone.day_of(rules.now),
        };
        let first = asked.from.map_or(last - Days::new(USUAL_DAYS - 1), |from| zone.day_of(from));
        if first > last || (last - first).num_days() >= MOST_DAYS {
            let detail = format!("from {first} to {last} is no period of up to {MOST_DAYS} days");
            return Err(Error::malformed("bad_parameter", detail));
        }
        Ok(Self { first, last, from: zone.midnight(first), before: zone.midnight(last + Days::new(1)) })
    }
}
