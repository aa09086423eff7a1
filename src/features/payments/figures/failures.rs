//! Failed payments: why, how they were to be paid, and at what time of the day.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use super::asked::Asked;
use super::{
    CURRENCY, FAILURE_CODE, METHOD, MethodShare, Percent, RECEIVED_AT, WORDS, by, count, existing, received, with_status,
};
use crate::api::figures::figures;
use crate::api::{Reply, Request};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::features::payments::fields::COLLECTION;
use crate::features::payments::status::Status;
use crate::search::Filter;
use crate::search::aggregate::{Bucket, Counted, Group, Interval};
use crate::search::filter::{Test, Value};
use crate::search::query::Query;

/// Codes that are counted each for itself: banks and providers have a few dozen.
const CODES: u32 = 100;

/// Failed payments of a period.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PaymentFailures")]
pub(in crate::features::payments) struct Failures {
    failed_transactions: u64,
    /// The most frequent first; payments without a code come last, as null.
    by_code: Vec<Code>,
    /// Failures with further codes.
    other_codes: u64,
    /// The most frequent first.
    by_method: Vec<MethodShare>,
    /// Of each hour that clocks in the zone show, from 0 to 23.
    by_hour: Vec<Hour>,
    /// The first day of the period.
    from: NaiveDate,
    /// The last one.
    to: NaiveDate,
    tz: String,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FailureCode")]
struct Code {
    failure_code: Option<String>,
    count: u64,
    percentage: Percent,
}

#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "FailuresOfHour")]
struct Hour {
    hour: usize,
    count: u64,
}

pub(in crate::features::payments) async fn failures(_caller: Caller, request: Request) -> Result<Reply> {
    let asked = Asked::failures(&request)?;
    figures(&request, &COLLECTION, &asked.key, &query(&asked), |counted| read(&asked, counted)).await
}

fn query(asked: &Asked) -> Query {
    let mut filters = vec![existing(), with_status(Status::Failed.as_str()), received(asked.period())];
    filters.extend(asked.currency.map(|currency| Filter::Leaf(CURRENCY, Test::In(vec![Value::Text(currency.to_string())]))));
    let any = || Filter::All(Vec::new());
    let hours = Group::Periods { field: RECEIVED_AT, interval: Interval::Hour, zone: asked.zone };
    Query::counting(
        Filter::All(filters),
        vec![
            count("codes", any(), by(FAILURE_CODE, CODES)),
            count("methods", any(), by(METHOD, WORDS)),
            count("hours", any(), hours),
        ],
    )
}

fn read(asked: &Asked, counted: Vec<Counted>) -> Result<Failures> {
    let wrong = || Error::internal("counted something else");
    let groups = counted.into_iter().map(|counted| match counted {
        Counted::Groups { buckets, other, .. } => Some((buckets, other)),
        Counted::Distinct { .. } => None,
    });
    let groups: Vec<(Vec<Bucket>, u64)> = groups.collect::<Option<_>>().ok_or_else(wrong)?;
    let Ok([(codes, other_codes), (methods, _), (hours, _)]) = <[(Vec<Bucket>, u64); 3]>::try_from(groups) else {
        return Err(wrong());
    };
    // Every payment has a method.
    let all = methods.iter().map(|bucket| bucket.count).sum();
    let without = all - other_codes - codes.iter().map(|bucket| bucket.count).sum::<u64>();
    let code = |failure_code, count| Code { failure_code, count, percentage: Percent::of(count, all) };
    let mut by_code: Vec<Code> = codes.into_iter().map(|bucket| code(Some(bucket.value), bucket.count)).collect();
    by_code.extend((without > 0).then(|| code(None, without)));
    let method = |Bucket { value, count, .. }| MethodShare { method: value, count, percentage: Percent::of(count, all) };
    Ok(Failures {
        failed_transactions: all,
        by_code,
        other_codes,
        by_method: methods.into_iter().map(method).collect(),
        by_hour: by_hour(&hours),
        from: asked.first,
        to: asked.last,
        tz: asked.zone.to_string(),
    })
}

/// Adds up the same hour of all days.
fn by_hour(hours: &[Bucket]) -> Vec<Hour> {
    let mut by_hour: Vec<Hour> = (0..24).map(|hour| Hour { hour, count: 0 }).collect();
    for bucket in hours {
        // `2026-11-23T14:00`.
        let hour = bucket.value.get(11..13).and_then(|hour| hour.parse::<usize>().ok());
        if let Some(of_hour) = hour.and_then(|hour| by_hour.get_mut(hour)) {
            of_hour.count += bucket.count;
        }
    }
    by_hour
}
