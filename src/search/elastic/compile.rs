//! Compiles a query into Elasticsearch's query language. Nothing that a client wrote becomes syntax.

use serde_json::{Value as Json, json};

use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::phrase::Phrase;
use crate::search::query::{Count, Key, Matching, Missing, Page, Query, Sort, SortKey};
use crate::search::ranking;

use super::phrase;

const DAY_MS: i64 = 86_400_000;
/// The first day that both engines know.
const FIRST_DAY: &str = "0001-01-01";
const FIRST_DAY_MS: i64 = -719_162 * DAY_MS;

pub(super) fn body(query: &Query, matching: &Matching) -> Json {
    let mut body = json!({
        "query": condition(query, matching),
        // One more than is shown says whether another page follows.
        "size": query.limit + 1,
        "sort": sort(&query.sort),
        "track_total_hits": match query.count {
            Count::None if query.phrase.is_some() => json!(ranking::FEW),
            Count::None => json!(false),
            Count::Bounded(bound) => json!(bound),
            Count::Exact => json!(true),
        },
    });
    if !query.aggregates.choices.is_empty() {
        // Aggregations count before it.
        let choices: Vec<Json> = query.aggregates.choices.iter().map(|choice| compile(&choice.filter)).collect();
        body["post_filter"] = json!({ "bool": { "filter": choices } });
    }
    match &query.page {
        Page::Number(_) if query.offset() > 0 => body["from"] = json!(query.offset()),
        Page::Number(_) => {}
        Page::After(position) => {
            let keys = query.sort.iter().zip(&position.keys).map(|(sort, key)| after(sort, key));
            body["search_after"] = keys.chain([json!(position.id)]).collect();
        }
    }
    body
}

fn condition(query: &Query, matching: &Matching) -> Json {
    let mut filters = Vec::new();
    flatten(&query.filter, &mut filters);
    let phrase = query.phrase.as_ref().map(|phrase: &Phrase| match matching {
        Matching::Strict => phrase::strict(phrase),
        Matching::Loose(loose) => phrase::loose(phrase, loose),
    });
    if let (Some(phrase), true) = (&phrase, query.is_scored()) {
        return json!({ "bool": { "must": [phrase], "filter": filters } });
    }
    filters.extend(phrase);
    match query.sort.iter().find_map(|sort| computed(&sort.key)) {
        Some(computed) => {
            // Without a condition, only what scores would match.
            filters.push(json!({ "match_all": {} }));
            json!({ "bool": { "filter": filters, "should": computed } })
        }
        None => json!({ "bool": { "filter": filters } }),
    }
}

/// The queries whose scores add up to the value of a computed sort key.
fn computed(key: &SortKey) -> Option<Vec<Json>> {
    match key {
        SortKey::Field(_) | SortKey::Score => None,
        SortKey::DayAmong(field, among) => {
            let near = json!({ "distance_feature": { "field": field.path, "origin": FIRST_DAY, "pivot": "1d" } });
            Some(vec![json!({ "bool": { "filter": [compile(among)], "must": [near] } })])
        }
        SortKey::Steps(steps) => {
            let step = |step| json!({ "constant_score": { "filter": compile(step) } });
            Some(steps.iter().map(step).collect())
        }
    }
}

/// Score of a day by its distance from the first one: of the days of the calendar, no two are the same 32-bit number.
/// See `LongDistanceFeatureQuery` of Lucene.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "the calendar has four million days")]
fn day_score(day_ms: i64) -> f32 {
    (1.0 / (1.0 + ((day_ms - FIRST_DAY_MS) / DAY_MS) as f64)) as f32
}

#[expect(clippy::cast_possible_truncation, reason = "the calendar has four million days")]
fn day_of_score(score: f64) -> i64 {
    FIRST_DAY_MS + DAY_MS * (1.0 / score - 1.0).round() as i64
}

/// A conjunction at the root needs no clause of its own.
fn flatten(filter: &Filter, into: &mut Vec<Json>) {
    match filter {
        Filter::All(all) => all.iter().for_each(|one| flatten(one, into)),
        other => into.push(compile(other)),
    }
}

pub(super) fn compile(filter: &Filter) -> Json {
    match filter {
        Filter::Any(any) if any.is_empty() => json!({ "match_none": {} }),
        Filter::All(all) => json!({ "bool": { "filter": all.iter().map(compile).collect::<Vec<_>>() } }),
        Filter::Any(any) => {
            json!({ "bool": { "should": any.iter().map(compile).collect::<Vec<_>>(), "minimum_should_match": 1 } })
        }
        Filter::Not(not) => json!({ "bool": { "must_not": [compile(not)] } }),
        Filter::Leaf(field, test) => match test {
            Test::In(values) => match values.as_slice() {
                [one] => json!({ "term": { field.path: value(one) } }),
                many => json!({ "terms": { field.path: many.iter().map(value).collect::<Vec<_>>() } }),
            },
            Test::Range(lower, upper) => {
                let mut bounds = serde_json::Map::new();
                let mut add = |bound: &Option<Bound>, open: &str, closed: &str| {
                    if let Some(Bound { value: at, inclusive }) = bound {
                        bounds.insert(if *inclusive { closed } else { open }.into(), value(at));
                    }
                };
                add(lower, "gt", "gte");
                add(upper, "lt", "lte");
                json!({ "range": { field.path: bounds } })
            }
            Test::Exists => json!({ "exists": { "field": field.path } }),
            Test::Prefix(start) => json!({ "prefix": { field.path: start } }),
            Test::Suffix(end) => {
                let path = field.endings.map_or(field.path.into(), |endings| format!("search.{}", endings.name));
                json!({ "term": { path: end } })
            }
            Test::Words(words) => {
                let path = field.words.map_or(field.path, |words| words.path);
                let starts = words.iter().map(|word| json!({ "prefix": { path: word } }));
                json!({ "bool": { "filter": starts.collect::<Vec<_>>() } })
            }
        },
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(number) => json!(number),
        Value::Day(day) => json!(day),
        Value::Moment(moment) => json!(moment.timestamp_millis()),
        Value::Flag(flag) => json!(flag),
        Value::Id(id) => json!(id),
    }
}

fn sort(keys: &[Sort]) -> Json {
    let direction = |descending: bool| if descending { "desc" } else { "asc" };
    keys.iter()
        .map(|sort| match &sort.key {
            SortKey::Score | SortKey::Steps(_) => json!({ "_score": direction(sort.descending) }),
            // An early day has a great score, and what has no day has none.
            SortKey::DayAmong(..) => json!({ "_score": direction(!sort.descending) }),
            SortKey::Field(field) => {
                let missing = if sort.missing == Missing::First { "_first" } else { "_last" };
                json!({ field.path: { "order": direction(sort.descending), "missing": missing } })
            }
        })
        // Never `_id`: sorting by it would load all ids into memory.
        .chain([json!({ "id": "asc" })])
        .collect()
}

fn after(sort: &Sort, key: &Key) -> Json {
    match (&sort.key, key) {
        (SortKey::DayAmong(..), Key::Integer(day)) => json!(day_score(*day)),
        (SortKey::DayAmong(..), _) => json!(0),
        (SortKey::Field(field), Key::Missing(())) if field.is_text() => Json::Null,
        (_, Key::Missing(())) => json!(missing_number(sort)),
        (_, key) => json!(key),
    }
}

/// A missing number sorts as the greatest or the least one. No amount or count is as great or as small.
fn missing_number(sort: &Sort) -> i64 {
    if sort.descending == (sort.missing == Missing::First) { i64::MAX } else { i64::MIN }
}

/// Reads a sort key of a hit; the inverse of [`after`].
#[expect(clippy::cast_possible_truncation, reason = "a score is a 32-bit number, of steps a whole one")]
pub(super) fn key(sort: &Sort, value: &Json) -> Key {
    let number = value.as_f64().unwrap_or_default();
    match (&sort.key, value) {
        (SortKey::Score, _) => Key::Score(number),
        (SortKey::Steps(_), _) => Key::Integer(number as i64),
        (SortKey::DayAmong(..), _) if number > 0.0 => Key::Integer(day_of_score(number)),
        (SortKey::DayAmong(..), _) | (_, Json::Null) => Key::Missing(()),
        (_, Json::String(text)) => Key::Text(text.clone()),
        (_, Json::Bool(flag)) => Key::Flag(*flag),
        (_, value) => match value.as_i64() {
            Some(number) if number == missing_number(sort) => Key::Missing(()),
            Some(number) => Key::Integer(number),
            None => Key::Score(number),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_known_by_its_score() {
        for day in 0..3_652_059 {
            let ms = FIRST_DAY_MS + day * DAY_MS;
            assert_eq!(day_of_score(f64::from(day_score(ms))), ms, "{day}");
        }
    }
}
