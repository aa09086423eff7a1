//! Compiles a query into Elasticsearch's query language. Nothing that a client wrote becomes syntax.

use serde_json::{Value as Json, json};

use crate::search::filter::{Bound, Filter, Test, Value};
use crate::search::phrase::Phrase;
use crate::search::query::{Count, Key, Matching, Page, Query, Sort, SortKey};
use crate::search::ranking;

use super::phrase;

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
    match &query.page {
        Page::Number(_) if query.offset() > 0 => body["from"] = json!(query.offset()),
        Page::Number(_) => {}
        Page::After(position) => {
            let keys = query.sort.iter().zip(&position.keys).map(|(sort, key)| after(*sort, key));
            body["search_after"] = keys.chain([json!(position.id)]).collect();
        }
    }
    body
}

fn condition(query: &Query, matching: &Matching) -> Json {
    let mut filters = Vec::new();
    flatten(&query.filter, &mut filters);
    let scored = query.phrase.as_ref().map(|phrase: &Phrase| match matching {
        Matching::Strict => phrase::strict(phrase),
        Matching::Loose(loose) => phrase::loose(phrase, loose),
    });
    match scored {
        Some(scored) if query.is_scored() => json!({ "bool": { "must": [scored], "filter": filters } }),
        scored => {
            filters.extend(scored);
            json!({ "bool": { "filter": filters } })
        }
    }
}

/// A conjunction at the root needs no clause of its own.
fn flatten(filter: &Filter, into: &mut Vec<Json>) {
    match filter {
        Filter::All(all) => all.iter().for_each(|one| flatten(one, into)),
        other => into.push(compile(other)),
    }
}

fn compile(filter: &Filter) -> Json {
    match filter {
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
        .map(|sort| match sort.key {
            SortKey::Score => json!({ "_score": direction(sort.descending) }),
            SortKey::Field(field) => json!({ field.path: { "order": direction(sort.descending), "missing": "_last" } }),
        })
        // Never `_id`: sorting by it would load all ids into memory.
        .chain([json!({ "id": "asc" })])
        .collect()
}

/// A missing number sorts as the greatest or the least one, whichever comes last.
fn after(sort: Sort, key: &Key) -> Json {
    let is_text = matches!(sort.key, SortKey::Field(field) if field.is_text());
    match key {
        Key::Missing(()) if is_text => Json::Null,
        Key::Missing(()) => json!(if sort.descending { i64::MIN } else { i64::MAX }),
        key => json!(key),
    }
}

/// Reads a sort key of a hit; the inverse of [`after`]. No amount or count is as great or as small as what stands for a missing one.
pub(super) fn key(sort: Sort, value: &Json) -> Key {
    match value {
        Json::Null => Key::Missing(()),
        Json::String(text) => Key::Text(text.clone()),
        Json::Bool(flag) => Key::Flag(*flag),
        number => match (sort.key, number.as_i64()) {
            (SortKey::Score, _) | (_, None) => Key::Score(number.as_f64().unwrap_or_default()),
            (_, Some(i64::MAX)) if !sort.descending => Key::Missing(()),
            (_, Some(i64::MIN)) if sort.descending => Key::Missing(()),
            (_, Some(number)) => Key::Integer(number),
        },
    }
}
