//! Statistics of payments: how many, how much, how many failed, and how they were paid.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use super::asked::Asked;
use super::{
    AMOUNT, CURRENCY, METHOD, MethodShare, Percent, RECEIVED_AT, STATUS, WORDS, by, count, existing, received, with_status,
};
use crate::api::figures::figures;
use crate::api::{Reply, Request};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::features::payments::fields::COLLECTION;
use crate::features::payments::status::Status;
use crate::search::Filter;
use crate::search::aggregate::{self, Aggregation, Bucket, Counted, Group, Sums};
use crate::search::query::Query;
use crate::values::money::{Currency, Money};

/// Statistics of the payments of one currency; a payment belongs to the day on which its money came or is expected.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PaymentStats")]
pub(in crate::features::payments) struct Stats {
    #[serde(flatten)]
    summary: Summary,
    /// The revenue of each interval of the period, also of those without any.
    revenue_chart: Vec<Point>,
    /// Of the payments of the period, the most frequent first.
    method_distribution: Vec<MethodShare>,
    /// The same figures of each currency that has payments.
    by_currency: Vec<Summary>,
    interval: &'static str,
    /// The first day of the period.
    from: NaiveDate,
    /// The last one.
    to: NaiveDate,
    tz: String,
}

#[derive(Clone, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PaymentSummary")]
struct Summary {
    currency: Currency,
    total_transactions_today: u64,
    /// Of the last seven days, today among them.
    total_transactions_week: u64,
    /// The sum of successful payments of the period, or of all time if the request names none; null beyond 2^53 minor units.
    total_revenue: Option<Money>,
    revenue_today: Option<Money>,
    revenue_week: Option<Money>,
    /// Of the period.
    failed_transactions: u64,
    /// Percentage of the period's payments with an outcome that are successful; zero if there are none.
    success_rate: Percent,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "RevenuePoint")]
struct Point {
    /// The first day of the interval.
    date: NaiveDate,
    amount: Option<Money>,
}

pub(in crate::features::payments) async fn stats(_caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::stats(&request)?;
    let currency = asked.currency.unwrap_or(request.app.config.default_currency);
    figures(&request, &COLLECTION, &asked.key, &query(&asked), |counted| read(&asked, currency, counted)).await
}

/// Counts today, the week, the period and what the revenue is of, all by status; then the chart and the methods.
fn query(asked: &Asked) -> Query {
    let (any, period) = (Filter::All(Vec::new()), received(asked.period()));
    let revenue_of = if asked.has_period { period.clone() } else { any };
    let succeeded = Filter::All(vec![period.clone(), with_status(Status::Success.as_str())]);
    let chart = Group::Periods { field: RECEIVED_AT, interval: asked.interval, zone: asked.zone };
    Query::counting(
        existing(),
        vec![
            summed("today", received(asked.last_days(1)), by(STATUS, WORDS)),
            summed("week", received(asked.last_days(7)), by(STATUS, WORDS)),
            summed("period", period.clone(), by(STATUS, WORDS)),
            summed("revenue", revenue_of, by(STATUS, WORDS)),
            summed("chart", succeeded, chart),
            summed("methods", period, by(METHOD, WORDS)),
        ],
    )
}

fn summed(name: &str, among: Filter, group: Group) -> Aggregation {
    let stats = aggregate::Stats { field: AMOUNT, currency: Some(CURRENCY) };
    Aggregation { stats: Some(stats), ..count(name, among, group) }
}

fn read(asked: &Asked, currency: Currency, counted: Vec<Counted>) -> Result<Stats> {
    let groups = counted.into_iter().map(|counted| match counted {
        Counted::Groups { buckets, .. } => Some(buckets),
        Counted::Distinct { .. } => None,
    });
    let groups: Vec<Vec<Bucket>> = groups.collect::<Option<_>>().ok_or_else(|| Error::internal("counted something else"))?;
    let Ok([today, week, period, revenue, chart, methods]) = <[Vec<Bucket>; 6]>::try_from(groups) else {
        return Err(Error::internal("counted something else"));
    };
    let [today, week, period, revenue] = [today, week, period, revenue].map(|buckets| outcomes(&buckets));
    let summary = |currency| Summary::new(currency, [&today, &week, &period, &revenue]);
    let currencies: BTreeSet<Currency> =
        [&today, &week, &period, &revenue].into_iter().flat_map(BTreeMap::keys).copied().collect();
    Ok(Stats {
        summary: summary(currency),
        revenue_chart: points(asked, currency, &chart),
        method_distribution: shares(currency, &methods),
        by_currency: currencies.into_iter().map(summary).collect(),
        interval: asked.interval.name(),
        from: asked.first,
        to: asked.last,
        tz: asked.zone.to_string(),
    })
}

/// What became of the payments of a currency.
#[derive(Clone, Copy, Default)]
struct Outcomes {
    payments: u64,
    succeeded: u64,
    failed: u64,
    /// Of those that succeeded, if any did; none of it beyond the limit.
    revenue: Option<Option<i64>>,
}

fn outcomes(by_status: &[Bucket]) -> BTreeMap<Currency, Outcomes> {
    let mut outcomes: BTreeMap<Currency, Outcomes> = BTreeMap::new();
    for (status, sums) in by_status.iter().flat_map(|bucket| bucket.sums.iter().map(|sums| (bucket.value.as_str(), sums))) {
        let Some(currency) = sums.currency else { continue };
        let of = outcomes.entry(currency).or_default();
        of.payments += sums.count;
        if status == Status::Success.as_str() {
            (of.succeeded, of.revenue) = (sums.count, Some(sums.sum));
        } else if status == Status::Failed.as_str() {
            of.failed = sums.count;
        }
    }
    outcomes
}

impl Summary {
    fn new(currency: Currency, counted: [&BTreeMap<Currency, Outcomes>; 4]) -> Self {
        let [today, week, period, revenue] = counted.map(|outcomes| outcomes.get(&currency).copied().unwrap_or_default());
        let money = |of: Outcomes| of.revenue.unwrap_or(Some(0)).map(|minor| Money { minor, currency });
        Self {
            currency,
            total_transactions_today: today.payments,
            total_transactions_week: week.payments,
            total_revenue: money(revenue),
            revenue_today: money(today),
            revenue_week: money(week),
            failed_transactions: period.failed,
            success_rate: Percent::of(period.succeeded, period.succeeded + period.failed),
        }
    }
}

/// A point for each interval, zero where nothing came.
fn points(asked: &Asked, currency: Currency, chart: &[Bucket]) -> Vec<Point> {
    let minor = |bucket: &Bucket| of(currency, bucket).map_or(Some(0), |sums| sums.sum);
    let revenue: HashMap<&str, Option<i64>> = chart.iter().map(|bucket| (bucket.value.as_str(), minor(bucket))).collect();
    let point = |date: NaiveDate| {
        let minor = revenue.get(date.to_string().as_str()).copied().unwrap_or(Some(0));
        Point { date, amount: minor.map(|minor| Money { minor, currency }) }
    };
    asked.points().map(point).collect()
}

fn shares(currency: Currency, methods: &[Bucket]) -> Vec<MethodShare> {
    let counts: Vec<(&str, u64)> =
        methods.iter().filter_map(|bucket| Some((bucket.value.as_str(), of(currency, bucket)?.count))).collect();
    let all = counts.iter().map(|(_, count)| count).sum();
    let share =
        |&(method, count): &(&str, u64)| MethodShare { method: method.to_owned(), count, percentage: Percent::of(count, all) };
    let mut shares: Vec<MethodShare> = counts.iter().map(share).collect();
    shares.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.method.cmp(&other.method)));
    shares
}

fn of(currency: Currency, bucket: &Bucket) -> Option<&Sums> {
    bucket.sums.iter().find(|sums| sums.currency == Some(currency))
}
