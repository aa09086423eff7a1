//! Customers: how many there are of each status and kind, and how many are new.

use std::collections::HashMap;

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::figures::{self, Asked, Charted, groups};
use crate::api::{Reply, Request};
use crate::auth::Caller;
use crate::error::Result;
use crate::features::customers::COLLECTION;
use crate::search::aggregate::{Bucket, Counted};
use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::{Field, field};

static CREATED_AT: &Field = field(COLLECTION.fields, "createdAt");

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerStatistics {
    total: u64,
    /// The most frequent first.
    by_status: Vec<StatusCount>,
    /// The most frequent first.
    by_kind: Vec<KindCount>,
    /// Those that were added in the period.
    new_customers: u64,
    /// The same for each interval of the period.
    timeline: Vec<NewCustomers>,
    interval: &'static str,
    /// The first day of the period.
    from: NaiveDate,
    /// The last one.
    to: NaiveDate,
    tz: String,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "CustomerStatusCount")]
struct StatusCount {
    status: String,
    count: u64,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "CustomerKindCount")]
struct KindCount {
    kind: String,
    count: u64,
}

#[derive(Debug, JsonSchema, Serialize)]
struct NewCustomers {
    /// The first day of the interval.
    date: NaiveDate,
    count: u64,
}

impl Charted for CustomerStatistics {
    const PARAMETERS: &'static [&'static str] = &["interval", "tz", "from", "to"];
}

pub(super) async fn statistics(_caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::read::<CustomerStatistics>(&request)?;
    let aggregations = format!("terms(status),terms(kind),histogram(createdAt,{})", asked.interval.name());
    let zone = asked.zone.to_string();
    let mut query = figures::query(&request, &COLLECTION, &[("aggs", &*aggregations), ("tz", &*zone)])?;
    if let Some(chart) = query.aggregates.list.last_mut() {
        let (period, bound) = (asked.period(), |at, inclusive| Bound { value: Value::Moment(at), inclusive });
        let (from, before) = (period.from.map(|at| bound(at, true)), period.before.map(|at| bound(at, false)));
        chart.among = Filter::Leaf(CREATED_AT, Test::Range(from, before));
    }
    let seen = figures::count(&request, &COLLECTION, &asked.key, &query, |counted| read(&asked, counted)).await?;
    seen.reply(&request.app)
}

fn read(asked: &Asked, counted: Vec<Counted>) -> Result<CustomerStatistics> {
    let [statuses, kinds, chart] = groups(counted)?;
    let counts: HashMap<String, u64> = chart.buckets.into_iter().map(|bucket| (bucket.value, bucket.count)).collect();
    let point = |date: NaiveDate| NewCustomers { date, count: counts.get(&date.to_string()).copied().unwrap_or(0) };
    let status = |Bucket { value: status, count, .. }| StatusCount { status, count };
    let kind = |Bucket { value: kind, count, .. }| KindCount { kind, count };
    Ok(CustomerStatistics {
        // Every customer has a status.
        total: statuses.buckets.iter().map(|bucket| bucket.count).sum(),
        by_status: statuses.buckets.into_iter().map(status).collect(),
        by_kind: kinds.buckets.into_iter().map(kind).collect(),
        new_customers: counts.values().sum(),
        timeline: asked.points().map(point).collect(),
        interval: asked.interval.name(),
        from: asked.first,
        to: asked.last,
        tz: asked.zone.to_string(),
    })
}
