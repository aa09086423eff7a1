//! Compiles a phrase. Every way to match has a constant score: ranking follows [`score`] and not how rare a word is.

use serde_json::{Value as Json, json};

use super::spans;
use crate::search::phrase::score;
use crate::search::phrase::{Likeness, Phrase, Rarity, TWO_TYPOS_LETTERS, WORD, Word};
use crate::search::query::Loose;

const NAME: &str = "search.name";
/// Where a word may stand besides a name.
const ELSEWHERE: [&str; 4] = ["search.address", "search.text", EMAIL_PARTS, "search.number"];
/// Where a word may be spelled as streets are.
const STREETS: [&str; 2] = ["search.address", "search.text"];
const EMAIL_PARTS: &str = "search.emailToken";
/// More parts than an e-mail address has, and fewer than `position_increment_gap` keeps between two of them.
const MAX_EMAIL_PARTS: usize = 128;
/// The longest beginning that `index_prefixes` has a term for, in bytes. Intervals take 128 words with a longer one, and fail if there
/// are more.
const MAX_INDEXED_PREFIX: usize = 19;
/// Elasticsearch takes no score below zero.
const MIN_SCORE: f64 = 0.1;

/// The whole is one of the document's numbers or addresses, or every word matches.
pub(super) fn strict(phrase: &Phrase) -> Json {
    let mut alternatives = lookups(phrase);
    let words = phrase.words.iter().enumerate().map(|(number, word)| {
        let joined = phrase.joined_with(number).map(|joined| constant(score::JOINED, json!({ "term": { NAME: joined } })));
        best(ways(word).into_iter().chain(joined).chain(spans::ways(phrase, number)).collect())
    });
    let words: Vec<Json> = words.collect();
    let full = constant(score::FULL, json!({ "term": { "search.full": phrase.full } }));
    if phrase.email.is_none() {
        alternatives.push(json!({ "bool": { "must": words, "should": [full] } }));
    } else {
        alternatives.push(constant(score::PREFIX, parts_of_one_address(phrase)));
    }
    best(alternatives)
}

/// Some words match, typing errors allowed. Each counts for what its likeness says, so the more rare words agree, the better.
pub(super) fn loose(phrase: &Phrase, loose: &Loose) -> Json {
    let words = phrase.words.iter().zip(&loose.rarities).enumerate();
    let words = words
        .map(|(number, (word, rarity))| best(likenesses(word, *rarity).into_iter().chain(spans::ways(phrase, number)).collect()));
    let mut words: Vec<Json> = words.collect();
    for (number, joined) in phrase.joined_inexact() {
        let rarity = loose.rarities[number].min(loose.rarities[number + 1]);
        // It stands for both words.
        words.push(constant(rarity.in_name(Likeness::Joined) + WORD, fuzzy(NAME, joined, 1)));
    }
    json!({ "dis_max": { "queries": [strict(phrase), { "bool": { "should": words, "minimum_should_match": loose.least } }] } })
}

/// Counts the documents that have each word.
pub(super) fn counts(phrase: &Phrase) -> Json {
    let count = |of: fn(&Word) -> Json| json!({ "filters": { "filters": phrase.words.iter().map(of).collect::<Vec<_>>() } });
    let in_names = |word: &Word| json!({ "term": { NAME: word.folded } });
    let elsewhere = |word: &Word| {
        let spellings: Vec<&str> = word.elsewhere().collect();
        json!({ "bool": { "should": STREETS.map(|path| json!({ "terms": { path: spellings } })) } })
    };
    json!({
        "size": 0,
        "track_total_hits": true,
        "aggregations": { "names": count(in_names), "elsewhere": count(elsewhere) },
    })
}

/// The ways in which a word is like one of a document.
fn likenesses(word: &Word, rarity: Rarity) -> Vec<Json> {
    let letters = word.folded.chars().count();
    let beginning = Likeness::Beginning { letters, lacking: 1 };
    let name = |likeness, filter| constant(rarity.in_name(likeness), filter);
    let mut ways = vec![
        name(Likeness::Same, json!({ "term": { NAME: word.folded } })),
        name(Likeness::Joined, json!({ "term": { "search.joined": word.folded } })),
        name(beginning, start(NAME, word)),
    ];
    ways.extend(word.variants.iter().map(|variant| name(Likeness::Variant, json!({ "term": { NAME: variant } }))));
    if !word.nicknames.is_empty() {
        ways.push(name(Likeness::Nickname, json!({ "terms": { NAME: word.nicknames } })));
    }
    for path in ELSEWHERE {
        ways.push(constant(rarity.elsewhere(Likeness::Same), json!({ "term": { path: word.folded } })));
        ways.push(constant(rarity.elsewhere(beginning), start(path, word)));
    }
    ways.extend(streets(word, rarity.elsewhere(Likeness::Variant)));
    if word.may_be_mistyped() {
        ways.push(name(Likeness::Typos(1), fuzzy(NAME, &word.folded, 1)));
        ways.push(constant(rarity.elsewhere(Likeness::Typos(1)), fuzzy("search.address", &word.folded, 1)));
        ways.push(constant(rarity.elsewhere(Likeness::Typos(1)), fuzzy("search.text", &word.folded, 1)));
        if letters >= TWO_TYPOS_LETTERS {
            ways.push(name(Likeness::Typos(2), fuzzy(NAME, &word.folded, 2)));
        }
    }
    ways
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
    }
    if let Some(phone) = &phrase.phone {
        lookups.push(term(score::IDENTITY, "search.phone", &phone.whole));
    }
    if let Some(number) = &phrase.number {
        lookups.push(term(score::IDENTITY, "search.number", number));
    }
    if phrase.is_literal {
        return lookups;
    }
    if let Some(email) = &phrase.email {
        lookups.push(constant(score::PART, json!({ "prefix": { "search.email": email } })));
    }
    if let Some(phone) = &phrase.phone {
        lookups.push(term(score::PART, "search.phoneSuffix", &phone.ending));
    }
    if let Some(number) = &phrase.number {
        lookups.push(term(score::PART, "search.numberSuffix", number));
        lookups.push(constant(score::BEGINNING, json!({ "prefix": { "search.number": number } })));
    }
    lookups
}

/// The ways in which a word matches without typing errors.
fn ways(word: &Word) -> Vec<Json> {
    let folded = &word.folded;
    let mut ways = vec![
        constant(score::WORD, json!({ "term": { NAME: folded } })),
        constant(score::JOINED, json!({ "term": { "search.joined": folded } })),
        constant(score::PREFIX, start(NAME, word)),
    ];
    ways.extend(ELSEWHERE.map(|path| constant(score::ELSEWHERE, start(path, word))));
    ways.extend(streets(word, score::ELSEWHERE));
    if !word.nicknames.is_empty() {
        ways.push(constant(score::NICKNAME, json!({ "terms": { NAME: word.nicknames } })));
    }
    ways.extend(word.variants.iter().map(|variant| constant(score::VARIANT, spelling(NAME, word, variant))));
    ways
}

/// The other spellings of a word of an address.
fn streets(word: &Word, score: f64) -> Vec<Json> {
    let paths = STREETS.iter().filter(|_| !word.streets.is_empty());
    paths.map(|path| constant(score, json!({ "terms": { *path: word.streets } }))).collect()
}

/// Every word is or begins a part of an e-mail address, and all of the same one.
fn parts_of_one_address(phrase: &Phrase) -> Json {
    let mut filters: Vec<Json> = phrase.words.iter().map(|word| start(EMAIL_PARTS, word)).collect();
    let is_bounded = |word: &&Word| !word.is_inexact || word.folded.len() <= MAX_INDEXED_PREFIX;
    let mut words: Vec<&Word> = phrase.words.iter().filter(is_bounded).collect();
    // A word given twice would have to be found twice.
    words.sort_unstable_by(|one, other| one.folded.cmp(&other.folded));
    words.dedup_by(|one, other| one.folded == other.folded);
    if words.len() > 1 {
        let near = words.iter().map(|word| {
            let (kind, value) = if word.is_inexact { ("prefix", "prefix") } else { ("match", "query") };
            json!({ kind: { value: word.folded } })
        });
        let all_of = json!({ "ordered": false, "max_gaps": MAX_EMAIL_PARTS, "intervals": near.collect::<Vec<_>>() });
        filters.push(json!({ "intervals": { EMAIL_PARTS: { "all_of": all_of } } }));
    }
    json!({ "bool": { "filter": filters } })
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
    json!({ "constant_score": { "filter": filter, "boost": score.max(MIN_SCORE) } })
}

fn best(queries: Vec<Json>) -> Json {
    json!({ "dis_max": { "queries": queries } })
}
