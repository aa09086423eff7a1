//! Compiles a phrase. Every way to match has a constant score: ranking follows [`score`] and not how rare a word is.

use serde_json::{Value as Json, json};

use super::spans;
use crate::search::phrase::score;
use crate::search::phrase::{Phrase, Word};

/// The whole is one of the document's numbers or addresses, or every word matches.
pub(super) fn strict(phrase: &Phrase) -> Json {
    let mut alternatives = lookups(phrase);
    let words: Vec<Json> = phrase.words.iter().enumerate().map(|(at, word)| best(ways(phrase, at, word))).collect();
    // The full name written as one word.
    let mut joined = phrase.joined.iter().map(|joined| constant(score::JOINED, json!({ "term": { "search.name": joined } })));
    let full = constant(score::FULL, json!({ "term": { "search.full": phrase.full } }));
    if phrase.email.is_none() {
        alternatives.push(json!({ "bool": { "must": words, "should": [full] } }));
        if phrase.words.len() <= 3 {
            alternatives.extend(joined.next_back());
        }
    } else {
        let parts = phrase.words.iter().map(|word| start("search.emailToken", word)).collect::<Vec<_>>();
        alternatives.push(constant(score::PREFIX, json!({ "bool": { "filter": parts } })));
    }
    best(alternatives)
}

/// Any word matches, typing errors allowed. The more rare words agree, the better.
pub(super) fn loose(phrase: &Phrase) -> Json {
    let mut words: Vec<Json> = phrase
        .words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            let mut ways = ways(phrase, at, word);
            if word.may_be_mistyped() {
                ways.push(constant(score::ONE_TYPO, fuzzy("search.name", &word.folded, 1)));
                ways.push(constant(score::ELSEWHERE_TYPO, fuzzy("search.address", &word.folded, 1)));
                ways.push(constant(score::ELSEWHERE_TYPO, fuzzy("search.text", &word.folded, 1)));
            }
            if word.folded.chars().count() >= 6 && word.may_be_mistyped() {
                ways.push(constant(score::TWO_TYPOS, fuzzy("search.name", &word.folded, 2)));
            }
            best(ways)
        })
        .collect();
    words.extend(phrase.joined_inexact().map(|joined| constant(score::JOINED, fuzzy("search.name", joined, 1))));
    // Among equals the rarer word decides; that needs the index's statistics.
    let typed = phrase.words.iter().filter(|word| word.is_inexact).map(|word| word.folded.as_str());
    let typed = typed.collect::<Vec<_>>().join(" ");
    for field in ["search.name", "search.address"] {
        words.push(json!({ "match": { field: { "query": typed, "fuzziness": "AUTO", "boost": score::RARITY } } }));
    }
    json!({ "bool": { "should": words, "minimum_should_match": 1 } })
}

/// The phrase as an id, an address or a number.
fn lookups(phrase: &Phrase) -> Vec<Json> {
    let term = |score, path: &str, value: &str| constant(score, json!({ "term": { path: value } }));
    let mut lookups = Vec::new();
    if let Some(id) = phrase.id {
        lookups.push(term(score::IDENTITY, "id", &id.to_string()));
    }
    if let Some(email) = &phrase.email {
        lookups.push(term(score::IDENTITY, "search.email", email));
        lookups.push(constant(score::PART, json!({ "prefix": { "search.email": email } })));
    }
    if let Some(phone) = &phrase.phone {
        lookups.push(term(score::IDENTITY, "search.phone", &phone.whole));
        lookups.push(term(score::PART, "search.phoneSuffix", &phone.ending));
    }
    if let Some(number) = &phrase.number {
        lookups.push(term(score::IDENTITY, "search.number", number));
        lookups.push(term(score::PART, "search.numberSuffix", number));
        lookups.push(constant(score::BEGINNING, json!({ "prefix": { "search.number": number } })));
    }
    lookups
}

/// The ways in which a word matches without typing errors.
fn ways(phrase: &Phrase, at: usize, word: &Word) -> Vec<Json> {
    let folded = &word.folded;
    let mut ways = vec![
        constant(score::WORD, json!({ "term": { "search.name": folded } })),
        constant(score::JOINED, json!({ "term": { "search.joined": folded } })),
        constant(score::PREFIX, start("search.name", word)),
        constant(score::ELSEWHERE, start("search.address", word)),
        constant(score::ELSEWHERE, start("search.text", word)),
        constant(score::ELSEWHERE, start("search.emailToken", word)),
        constant(score::ELSEWHERE, start("search.number", word)),
    ];
    ways.extend(word.variants.iter().map(|variant| constant(score::VARIANT, spelling("search.name", word, variant))));
    ways.extend(spans::ways(phrase, at));
    ways
}

/// What is the word, or begins with it if that is allowed.
fn start(path: &str, word: &Word) -> Json {
    spelling(path, word, &word.folded)
}

fn spelling(path: &str, word: &Word, spelling: &str) -> Json {
    let kind = if word.is_inexact { "prefix" } else { "term" };
    json!({ kind: { path: spelling } })
}

fn fuzzy(path: &str, value: &str, edits: u8) -> Json {
    json!({ "fuzzy": { path: { "value": value, "fuzziness": edits, "max_expansions": 50 } } })
}

fn constant(score: f64, filter: Json) -> Json {
    json!({ "constant_score": { "filter": filter, "boost": score } })
}

fn best(queries: Vec<Json>) -> Json {
    json!({ "dis_max": { "queries": queries } })
}
