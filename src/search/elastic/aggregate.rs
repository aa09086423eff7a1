//! Facets and aggregations in Elasticsearch: part of the request of the page. Only what its minimal distribution has.

use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::{ElasticError, compile};
use crate::search::aggregate::{Aggregates, Aggregation, Bucket, Counted, EXACT_LIMIT, Group, Interval, Stats, Sums, complete};
use crate::search::field::FieldKind;

/// More currencies than there are.
const MAX_CURRENCIES: u32 = 300;
/// Different values up to which they are counted one by one, which takes eight bytes for each.
const EXACT_VALUES: u64 = 3_000;

/// How an hour is named.
const HOUR: &str = "%Y-%m-%dT%H:%M";

/// Compiles into the member `aggs`. The choices are the request's `post_filter`, so each aggregation filters by its own ones.
pub(super) fn body(aggregates: &Aggregates) -> Json {
    let one = |(number, aggregation)| (name(number), scoped(aggregates, aggregation));
    aggregates.list.iter().enumerate().map(one).collect::<Map<_, _>>().into()
}

/// Short, and never a client's text.
fn name(number: usize) -> String {
    format!("a{number}")
}

fn scoped(aggregates: &Aggregates, aggregation: &Aggregation) -> Json {
    let mut filters: Vec<Json> = aggregates.filters_of(aggregation).map(compile::compile).collect();
    let stats = aggregation.stats.map(stats);
    let group = |mut group: Json| {
        if let Some(stats) = &stats {
            group["aggs"] = stats.clone();
        }
        group
    };
    let inner = match &aggregation.group {
        Group::Whole => stats.clone().unwrap_or_default(),
        Group::Terms { field, size, chosen } => {
            let mut inner = json!({ "groups": group(json!({ "terms": { "field": field.path, "size": size } })) });
            if !chosen.is_empty() {
                let terms = json!({ "field": field.path, "include": chosen, "size": chosen.len() });
                inner["chosen"] = group(json!({ "terms": terms }));
            }
            inner
        }
        Group::Conditions { list, .. } => {
            let list: Vec<Json> = list.iter().map(|condition| compile::compile(&condition.filter)).collect();
            json!({ "groups": group(json!({ "filters": { "filters": list } })) })
        }
        Group::Periods { field, interval, zone } => {
            // What has no value is in no period.
            filters.push(json!({ "exists": { "field": field.path } }));
            let mut histogram = json!({ "field": field.path, "calendar_interval": interval.name() });
            if matches!(field.kind, FieldKind::Moment) {
                histogram["time_zone"] = json!(zone.to_string());
            }
            // A plain histogram has as many buckets as there are periods between two dates that anyone could have written.
            let sources = json!([{ "at": { "date_histogram": histogram } }]);
            json!({ "groups": group(json!({ "composite": { "sources": sources, "size": interval.most() } })) })
        }
        Group::Distinct(field) => {
            json!({ "distinct": { "cardinality": { "field": field.path, "precision_threshold": EXACT_VALUES } } })
        }
    };
    json!({ "filter": { "bool": { "filter": filters } }, "aggs": inner })
}

fn stats(stats: Stats) -> Json {
    let sums = json!({ "sums": { "stats": { "field": stats.field.path } } });
    match stats.currency {
        None => sums,
        Some(currency) => {
            json!({ "currencies": { "terms": { "field": currency.path, "size": MAX_CURRENCIES }, "aggs": sums } })
        }
    }
}

/// Reads the member `aggregations` of an answer.
pub(super) fn read(aggregates: &Aggregates, answer: &str) -> Result<Vec<Option<Counted>>, ElasticError> {
    let broken = |what: &dyn std::fmt::Display| ElasticError::Broken(format!("aggregations: {what}"));
    let mut answer: std::collections::HashMap<String, Scoped> = serde_json::from_str(answer).map_err(|error| broken(&error))?;
    let read = |(number, aggregation): (usize, &Aggregation)| {
        let scoped = answer.remove(&name(number)).ok_or_else(|| broken(&"one is missing"))?;
        scoped.read(&aggregation.group).map(Some).ok_or_else(|| broken(&"one is not as expected"))
    };
    aggregates.list.iter().enumerate().map(read).collect()
}

#[derive(Deserialize)]
struct Scoped {
    groups: Option<Groups>,
    chosen: Option<Groups>,
    distinct: Option<Distinct>,
    #[serde(flatten)]
    whole: Entry,
}

#[derive(Deserialize)]
struct Groups {
    buckets: Vec<Entry>,
    #[serde(default)]
    sum_other_doc_count: u64,
    #[serde(default)]
    doc_count_error_upper_bound: u64,
}

#[derive(Deserialize)]
struct Distinct {
    value: u64,
}

/// A bucket, or the whole of what is counted.
#[derive(Deserialize)]
struct Entry {
    /// Absent of a condition.
    #[serde(default)]
    key: Json,
    key_as_string: Option<String>,
    doc_count: u64,
    sums: Option<Floats>,
    currencies: Option<Currencies>,
}

#[derive(Deserialize)]
struct Currencies {
    buckets: Vec<Entry>,
}

#[derive(Deserialize)]
struct Floats {
    count: u64,
    sum: f64,
    min: Option<f64>,
    max: Option<f64>,
}

impl Scoped {
    /// None if it is not the answer to such a group.
    fn read(self, group: &Group) -> Option<Counted> {
        let documents = self.whole.doc_count;
        match group {
            Group::Whole => Some(Counted::Groups { buckets: vec![self.whole.named(String::new())?], other: 0, error_bound: 0 }),
            Group::Distinct(_) => {
                let values = self.distinct?.value;
                Some(Counted::Distinct { values, is_exact: values <= EXACT_VALUES })
            }
            Group::Conditions { list, .. } => {
                let buckets = list.iter().zip(self.groups?.buckets).map(|(condition, entry)| entry.named(condition.name.clone()));
                Some(Counted::Groups { buckets: buckets.collect::<Option<_>>()?, other: 0, error_bound: 0 })
            }
            Group::Periods { field, zone, interval } => {
                let is_local = matches!(field.kind, FieldKind::Moment);
                let period = |entry: Entry| {
                    let start = DateTime::from_timestamp_millis(entry.key["at"].as_i64()?)?;
                    let local = if is_local { zone.local(start) } else { start.naive_utc() };
                    let is_hour = *interval == Interval::Hour;
                    entry.named(if is_hour { local.format(HOUR).to_string() } else { local.date().to_string() })
                };
                let buckets = self.groups?.buckets.into_iter().map(period).collect::<Option<Vec<_>>>()?;
                let other = documents.saturating_sub(buckets.iter().map(|bucket| bucket.count).sum());
                Some(Counted::Groups { buckets, other, error_bound: 0 })
            }
            Group::Terms { chosen, .. } => {
                let Groups { buckets, sum_other_doc_count, doc_count_error_upper_bound } = self.groups?;
                let mut buckets = buckets.into_iter().map(Entry::by_key).collect::<Option<Vec<_>>>()?;
                let mut other = sum_other_doc_count;
                for entry in self.chosen.into_iter().flat_map(|chosen| chosen.buckets) {
                    let further = entry.by_key()?;
                    if !buckets.iter().any(|bucket| bucket.value == further.value) {
                        other = other.saturating_sub(further.count);
                        buckets.push(further);
                    }
                }
                complete(&mut buckets, chosen);
                Some(Counted::Groups { buckets, other, error_bound: doc_count_error_upper_bound })
            }
        }
    }
}

impl Entry {
    fn by_key(self) -> Option<Bucket> {
        let value = self.key_as_string.clone().or_else(|| self.key.as_str().map(str::to_owned))?;
        self.named(value)
    }

    fn named(self, value: String) -> Option<Bucket> {
        let sums = match self.currencies {
            None => self.sums.and_then(|floats| floats.exact(None)).into_iter().collect(),
            Some(currencies) => {
                let mut sums = Vec::new();
                for entry in currencies.buckets {
                    let currency = entry.key.as_str()?.parse().ok()?;
                    sums.extend(entry.sums?.exact(Some(currency)));
                }
                sums.sort_by_key(|sums: &Sums| sums.currency);
                sums
            }
        };
        Some(Bucket { value, count: self.doc_count, sums })
    }
}

impl Floats {
    /// None if no document has a value.
    fn exact(&self, currency: Option<crate::values::money::Currency>) -> Option<Sums> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "floats have every whole number up to it"
        )]
        let exact = |float: f64| (float.abs() <= EXACT_LIMIT as f64).then_some(float as i64);
        let Self { count, sum, min, max } = *self;
        (count > 0).then(|| Sums { currency, count, sum: exact(sum), min: min.and_then(exact), max: max.and_then(exact) })
    }
}
