//! Open accounts: how old their debts are, by currency, and whose they are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::api::Request;
use crate::api::figures::{self, Asked, Seen, groups};
use crate::error::Result;
use crate::features::accounts::COLLECTION;
use crate::search::aggregate::{Bucket, Counted};
use crate::values::money::{Currency, Money};

/// Open accounts.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Debts {
    /// One for each currency.
    ageing: Vec<Ageing>,
    /// How many each assignee has; of the hundred who have the most.
    #[serde(skip)]
    pub(super) assigned: BTreeMap<Uuid, u64>,
}

/// The open accounts of a currency.
#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct Ageing {
    currency: Currency,
    accounts: u64,
    /// Null beyond 2^53 minor units.
    balance: Option<Money>,
    /// From the youngest debts to the oldest.
    buckets: Vec<AgeingBucket>,
}

#[derive(Debug, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
struct AgeingBucket {
    bucket: String,
    accounts: u64,
    balance: Option<Money>,
}

pub(super) async fn of(request: &Request, asked: &Asked) -> Result<Seen<Debts>> {
    let zone = asked.zone.to_string();
    let aggregations = "terms(agingBucket,balance),terms(assigneeId)";
    let parameters = [("status", "open"), ("aggs", aggregations), ("facetSize", "100"), ("tz", &*zone)];
    let query = figures::query(request, &COLLECTION, &parameters)?;
    figures::count(request, &COLLECTION, &format!("debts {zone}"), &query, read).await
}

fn read(counted: Vec<Counted>) -> Result<Debts> {
    let [ages, assignees] = groups(counted)?;
    let mut by_currency: BTreeMap<Currency, Vec<AgeingBucket>> = BTreeMap::new();
    let sums = ages.buckets.iter().flat_map(|bucket| bucket.sums.iter().filter_map(|sums| sums.currency));
    for currency in sums {
        by_currency.entry(currency).or_insert_with(|| ages.buckets.iter().map(|bucket| of_currency(bucket, currency)).collect());
    }
    let ageing = by_currency.into_iter().map(|(currency, buckets)| Ageing {
        currency,
        accounts: buckets.iter().map(|bucket| bucket.accounts).sum(),
        balance: buckets
            .iter()
            .map(|bucket| bucket.balance.map(|balance| balance.minor))
            .sum::<Option<i64>>()
            .map(|minor| Money { minor, currency }),
        buckets,
    });
    let assigned = assignees.buckets.into_iter().filter_map(|bucket| Some((bucket.value.parse().ok()?, bucket.count)));
    Ok(Debts { ageing: ageing.collect(), assigned: assigned.collect() })
}

fn of_currency(bucket: &Bucket, currency: Currency) -> AgeingBucket {
    let sums = bucket.sums.iter().find(|sums| sums.currency == Some(currency));
    let minor = sums.map_or(Some(0), |sums| sums.sum);
    AgeingBucket {
        bucket: bucket.value.clone(),
        accounts: sums.map_or(0, |sums| sums.count),
        balance: minor.map(|minor| Money { minor, currency }),
    }
}
