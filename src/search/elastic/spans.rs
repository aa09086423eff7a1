//! Compiles what several words of a phrase may be together. Each of the words matches then.

use chrono::NaiveDate;
use serde_json::{Value as Json, json};

use crate::search::Field;
use crate::search::phrase::spans::{PART, WHOLE};
use crate::search::phrase::{Meaning, Phone, Phrase, Span};
use crate::values::money::Currency;

/// The ways in which a word matches with its neighbours.
pub(super) fn ways(phrase: &Phrase, word: usize) -> impl Iterator<Item = Json> {
    phrase.spans_of(word).flat_map(|span| match &span.meaning {
        Meaning::Number(number) => number_ways(span, number),
        Meaning::Phone(phone) => phone_ways(span, phone),
        Meaning::Amount { fields, currency, amounts } => vec![constant(span, PART, amount(fields, currency, amounts))],
        Meaning::Day { fields, days } => vec![constant(span, PART, day(fields, days))],
    })
}

fn number_ways(span: &Span, number: &str) -> Vec<Json> {
    vec![
        constant(span, WHOLE, json!({ "term": { "search.number": number } })),
        constant(span, PART, json!({ "term": { "search.numberSuffix": number } })),
        constant(span, PART, json!({ "prefix": { "search.number": number } })),
    ]
}

fn phone_ways(span: &Span, phone: &Phone) -> Vec<Json> {
    vec![
        constant(span, WHOLE, json!({ "term": { "search.phone": phone.whole } })),
        constant(span, PART, json!({ "term": { "search.phoneSuffix": phone.ending } })),
    ]
}

fn amount(fields: &[&Field], currency: &Field, amounts: &[(i64, Vec<Currency>)]) -> Json {
    let alike = |(minor, currencies): &(i64, Vec<Currency>)| {
        let amount = any(fields.iter().map(|field| json!({ "term": { field.path: minor } })).collect());
        json!({ "bool": { "filter": [amount, { "terms": { currency.path: currencies } }] } })
    };
    any(amounts.iter().map(alike).collect())
}

fn day(fields: &[&Field], days: &[NaiveDate]) -> Json {
    any(fields.iter().map(|field| json!({ "terms": { field.path: days } })).collect())
}

fn any(queries: Vec<Json>) -> Json {
    json!({ "bool": { "should": queries, "minimum_should_match": 1 } })
}

fn constant(span: &Span, score: f64, filter: Json) -> Json {
    json!({ "constant_score": { "filter": filter, "boost": span.share(score) } })
}
