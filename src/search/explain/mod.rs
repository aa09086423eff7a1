//! Why a document matches a phrase: in which fields, how, and where in them. The same whichever engine has found it.

mod glyphs;
mod how;
mod texts;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde_json::Value as Json;

use super::Field;
use super::phrase::spans::{PART, WHOLE, at};
use super::phrase::{Meaning, Phrase, Span, score};
use crate::values::money::Currency;
use crate::values::text;

use how::Found;
pub use how::How;
use texts::{Object, Text, Texts};

/// Most neighbouring words that are written as one.
const MAX_JOINED: usize = 3;
/// What a word with typing errors is worth: less than every other way to match.
const FUZZY: f64 = 4.0;
const FUZZY_ELSEWHERE: f64 = 2.0;

/// What a phrase and a document have in common.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Comparable between collections and engines; greater is better.
    pub score: f64,
    pub matched_on: Vec<MatchedOn>,
    pub highlights: Vec<Highlight>,
    /// How many of the phrase's words match.
    #[serde(skip)]
    pub words: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedOn {
    /// Name on the wire, or `phone`, `email`, `number`, … of what the record does not show.
    pub field: String,
    pub how: How,
}

/// A text of the record in parts; put together they are the text.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Highlight {
    pub field: String,
    pub fragments: Vec<Fragment>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Fragment {
    pub text: String,
    /// Whether it matches.
    pub hit: bool,
}

/// Compares a phrase with a document of a collection with these fields.
///
/// # Errors
/// A document that is no JSON object.
pub fn explain(phrase: &Phrase, fields: &[Field], document: &[u8]) -> serde_json::Result<Explanation> {
    let document: Object = serde_json::from_slice(document)?;
    let texts = Texts::of(fields, &document);
    let mut comparison = Comparison::new(phrase, &texts);
    comparison.identity(&document);
    comparison.spans(&document);
    comparison.words();
    comparison.joined();
    Ok(comparison.finish())
}

struct Comparison<'a> {
    phrase: &'a Phrase,
    texts: &'a Texts<'a>,
    /// Points of each word; none for a word that is not explained yet.
    points: Vec<f64>,
    /// Points of the phrase as one number, address or id.
    identity: f64,
    matched_on: Vec<MatchedOn>,
    /// Bytes of the shown texts, by their place among them.
    hits: BTreeMap<usize, Vec<Range<usize>>>,
    /// Values that are shown and are no texts.
    values: Vec<Highlight>,
}

impl<'a> Comparison<'a> {
    fn new(phrase: &'a Phrase, texts: &'a Texts<'a>) -> Self {
        let points = vec![0.0; phrase.words.len()];
        Self { phrase, texts, points, identity: 0.0, matched_on: Vec::new(), hits: BTreeMap::new(), values: Vec::new() }
    }

    /// The phrase as an id or an e-mail address.
    fn identity(&mut self, document: &Object) {
        let id = self.phrase.id.map(|id| id.to_string());
        if id.is_some() && document.get("id").and_then(Json::as_str) == id.as_deref() {
            self.matched("id", How::Exact);
            self.identity = score::IDENTITY;
        }
        let Some(email) = &self.phrase.email else { return };
        let found = self.find(|text| {
            let address = text.original.to_lowercase();
            let how = if address == *email { How::Exact } else { How::Prefix };
            let words = email.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).count().max(1);
            let glyphs = text.glyphs.words(words).next().map(|(_, glyphs)| glyphs);
            let letters = glyphs.filter(|_| address.contains('@') && address.starts_with(email.as_str()));
            letters.map(|letters| (how, letters)).into_iter().collect()
        });
        if let Some(how) = found {
            self.identity = if how == How::Exact { score::IDENTITY } else { score::PART };
            self.points.fill(score::ELSEWHERE);
        }
    }

    /// Words that together are a number, an amount or a day.
    fn spans(&mut self, document: &Object) {
        let phrase = self.phrase;
        let whole = 0..phrase.words.len();
        let whole = |meaning| Span { words: whole.clone(), meaning };
        let number = phrase.number.clone().map(Meaning::Number).map(&whole);
        let phone = phrase.phone.clone().map(Meaning::Phone).map(&whole);
        let mut spans: Vec<&Span> = number.iter().chain(&phone).chain(&phrase.spans).collect();
        spans.sort_by_key(|span| std::cmp::Reverse(span.words.len()));
        let mut explained: Vec<&Range<usize>> = Vec::new();
        for span in spans {
            // A part of a number that matches says nothing more.
            let is_part = |whole: &&Range<usize>| whole.len() > span.words.len() && whole.contains(&span.words.start);
            if explained.iter().any(|whole| is_part(whole)) {
                continue;
            }
            let how = match &span.meaning {
                // Phones are compared as phones.
                Meaning::Number(number) => self.find(|text| match text.field.as_str() {
                    "phone" => Vec::new(),
                    _ => how::number(number, &text.glyphs),
                }),
                Meaning::Phone(phone) => self.find(|text| how::phone(phone, &text.glyphs)),
                Meaning::Amount { fields, currency, amounts } => {
                    let shown = document.get(currency.name).and_then(Json::as_str).and_then(|code| code.parse::<Currency>().ok());
                    let known =
                        amounts.iter().filter_map(|(minor, alike)| Some((minor, shown.filter(|code| alike.contains(code))?)));
                    let known: Vec<_> = known.collect();
                    self.value(fields, |field| {
                        let minor = at(document, field.path)?.as_i64()?;
                        let (minor, currency) = known.iter().find(|(known, _)| **known == minor)?;
                        Some(currency.format(**minor))
                    })
                }
                Meaning::Day { fields, days } => self.value(fields, |field| {
                    let shown = at(document, field.path)?.as_str()?;
                    days.iter().any(|day| day.to_string() == shown).then(|| shown.to_owned())
                }),
            };
            let Some(how) = how else { continue };
            explained.push(&span.words);
            if span.words.len() == phrase.words.len() && matches!(span.meaning, Meaning::Number(_) | Meaning::Phone(_)) {
                let points = match how {
                    How::Exact => score::IDENTITY,
                    How::Prefix => score::BEGINNING,
                    _ => score::PART,
                };
                self.identity = self.identity.max(points);
            }
            let points = if how == How::Exact { WHOLE } else { PART };
            for word in &mut self.points[span.words.clone()] {
                *word = word.max(span.share(points));
            }
        }
    }

    /// Each word on its own, if it is no part of something greater.
    fn words(&mut self) {
        for (at, word) in self.phrase.words.iter().enumerate() {
            if self.points[at] > 0.0 {
                continue;
            }
            let mut points = 0.0_f64;
            let is_better = |points: &mut f64, found: &[Found], is_name| {
                *points = found.iter().map(|(how, _)| worth(*how, is_name)).fold(*points, f64::max);
            };
            self.find(|text| {
                let found = how::word(word, &text.glyphs);
                is_better(&mut points, &found, text.is_name);
                found
            });
            self.points[at] = points;
        }
    }

    /// Typed neighbours that are one word of the record.
    fn joined(&mut self) {
        for count in 2..=MAX_JOINED.min(self.phrase.words.len()) {
            for (at, words) in self.phrase.words.windows(count).enumerate() {
                if self.points[at..at + count].contains(&0.0) && self.find(|text| how::joined(words, &text.glyphs)).is_some() {
                    self.points[at..at + count].fill(score::JOINED);
                }
            }
        }
    }

    /// Looks into the shown texts, then into the others, and keeps what matches best. Returns how that is.
    fn find(&mut self, mut compare: impl FnMut(&Text) -> Vec<Found>) -> Option<How> {
        let texts = self.texts;
        let shown: Vec<_> = texts.shown.iter().map(&mut compare).collect();
        let forms: Vec<_> = texts.forms.iter().map(&mut compare).collect();
        let best_of = |found: &[Vec<Found>]| found.iter().flatten().map(|(how, _)| *how).min();
        let (best_shown, best_form) = (best_of(&shown), best_of(&forms));
        let best = best_shown.into_iter().chain(best_form).min()?;
        for (at, (text, found)) in texts.shown.iter().zip(shown).enumerate() {
            for (_, glyphs) in found.into_iter().filter(|(how, _)| *how == best) {
                self.matched(&text.field, best);
                self.hits.entry(at).or_default().extend(text.glyphs.bytes(glyphs));
            }
        }
        if best_shown != Some(best) {
            let hidden = texts.forms.iter().zip(forms).filter(|(_, found)| found.iter().any(|(how, _)| *how == best));
            hidden.for_each(|(text, _)| self.matched(&text.field, best));
        }
        Some(best)
    }

    /// Looks for a value in fields that are no texts; `shown` returns what the record shows of one that matches.
    fn value(&mut self, fields: &[&'static Field], shown: impl Fn(&Field) -> Option<String>) -> Option<How> {
        let found: Vec<_> = fields.iter().filter_map(|field| Some((field.name, shown(field)?))).collect();
        let is_found = !found.is_empty();
        for (field, text) in found {
            self.matched(field, How::Exact);
            self.values.push(Highlight { field: field.to_owned(), fragments: vec![Fragment { text, hit: true }] });
        }
        is_found.then_some(How::Exact)
    }

    fn matched(&mut self, field: &str, how: How) {
        let matched = MatchedOn { field: field.to_owned(), how };
        if !self.matched_on.contains(&matched) {
            self.matched_on.push(matched);
        }
    }

    fn finish(self) -> Explanation {
        let words: f64 = self.points.iter().sum();
        let full = |text: &Text| {
            let words: Vec<String> = text.glyphs.words(1).map(|(word, _)| word).collect();
            text.is_name && text::unordered(&words.join(" ")) == self.phrase.full
        };
        let is_full = self.texts.shown.iter().chain(&self.texts.forms).any(full);
        let words = if is_full { words + score::FULL } else { words };
        let highlights = self.hits.into_iter().filter_map(|(at, hits)| {
            let text = self.texts.shown.get(at)?;
            Some(Highlight { field: text.field.clone(), fragments: fragments(text.original, hits) })
        });
        Explanation {
            words: if self.identity > 0.0 {
                self.points.len()
            } else {
                self.points.iter().filter(|points| **points > 0.0).count()
            },
            score: self.identity.max(words),
            matched_on: self.matched_on,
            highlights: highlights.chain(self.values).collect(),
        }
    }
}

/// What a word is worth that matches like this.
fn worth(how: How, is_name: bool) -> f64 {
    match (how, is_name) {
        (How::Exact, true) => score::WORD,
        (How::Spelling, true) => score::VARIANT,
        (How::Joined, true) => score::JOINED,
        (How::Prefix, true) => score::PREFIX,
        (How::Nickname, true) => score::NICKNAME,
        (How::Fuzzy, true) => FUZZY,
        (How::Fuzzy, false) => FUZZY_ELSEWHERE,
        _ => score::ELSEWHERE,
    }
}

/// Cuts a text at the ends of what matches.
fn fragments(original: &str, mut hits: Vec<Range<usize>>) -> Vec<Fragment> {
    hits.sort_by_key(|hit| (hit.start, hit.end));
    let mut fragments: Vec<Fragment> = Vec::new();
    let mut done = 0;
    let mut add = |text: Option<&str>, hit: bool| {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        match fragments.last_mut().filter(|last| last.hit == hit) {
            Some(last) => last.text.push_str(text),
            None => fragments.push(Fragment { text: text.to_owned(), hit }),
        }
    };
    for hit in hits {
        add(original.get(done..hit.start), false);
        add(original.get(hit.start.max(done)..hit.end), true);
        done = done.max(hit.end);
    }
    add(original.get(done..), false);
    fragments
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::search::{FieldKind, Name, Terms, document};

    static FIELDS: &[Field] = &[
        Field::new("name", FieldKind::Folded, "name"),
        Field::new("accountNumber", FieldKind::Text, "number"),
        Field::new("creditor", FieldKind::Text, "creditor"),
        Field::new("currency", FieldKind::Currency, "currency"),
        Field::new("balance", FieldKind::Money, "balance").at("search.balance"),
        Field::new("dueDate", FieldKind::Day, "due_date"),
        Field::shown("contactPoints", FieldKind::Parts(&[])),
        Field::shown("addresses", FieldKind::Parts(&[])),
    ];

    fn explained(typed: &str) -> Explanation {
        let record = json!({
            "id": "00000000-0000-7000-8000-000000000001", "name": "Jürgen van den Berg", "accountNumber": "AC-00-17",
            "creditor": "Bank", "currency": "EUR", "balance": 1250.00, "dueDate": "2026-03-01",
            "contactPoints": [{ "id": "1", "value": "(415) 555-2671" }, { "id": "2", "value": "J.Berg@Example.com" }],
            "addresses": [{ "id": "3", "line1": "8 Hauptstraße", "city": "Köln" }],
        });
        let mut terms = Terms::default();
        let name = Name { display: "Jürgen van den Berg", given: Some("Jürgen"), family: Some("van den Berg"), company: None };
        terms.name(name);
        terms.contact("phone", "+14155552671");
        terms.contact("phone", "+33628123456");
        terms.contact("email", "j.berg@example.com");
        terms.address([&"8 Hauptstraße".to_owned(), &"Köln".to_owned()]);
        terms.number([&"AC-00-17".to_owned()]);
        terms.amount("balance", 125_000);
        let phrase = Phrase::new(typed, "US").unwrap().unwrap().with_spans(typed, FIELDS, "US");
        explain(&phrase, FIELDS, &document::write(&record, &terms).unwrap()).unwrap()
    }

    fn why(typed: &str) -> Vec<String> {
        explained(typed).matched_on.iter().map(|matched| format!("{} {:?}", matched.field, matched.how)).collect()
    }

    #[test]
    fn every_way_to_match_is_named() {
        for (typed, expected) in [
            ("jurgen", &["name Exact"][..]),
            ("juergen", &["name Spelling"]),
            ("jurg", &["name Prefix"]),
            ("jrgen", &["name Fuzzy"]),
            ("vandenberg", &["name Joined"]),
            ("AC-0017", &["accountNumber Exact"]),
            ("ac-00", &["accountNumber Prefix"]),
            ("berg 0017", &["accountNumber Suffix", "name Exact", "contactPoints.value Exact"]),
            ("2671", &["contactPoints.value Suffix"]),
            ("+1 415 555 2671", &["contactPoints.value Exact"]),
            ("06 28 12 34 56", &["phone Suffix"]),
            ("j.berg@example.com", &["contactPoints.value Exact"]),
            ("j.berg@", &["contactPoints.value Prefix"]),
            ("hauptstr", &["addresses.line1 Prefix"]),
            ("koeln 1.250,00", &["balance Exact", "addresses.city Spelling"]),
            ("01.03.2026", &["dueDate Exact"]),
            ("00000000-0000-7000-8000-000000000001", &["id Exact"]),
            // It is shown, but no search compares it.
            ("bank", &[]),
            ("zzz", &[]),
        ] {
            assert_eq!(why(typed), expected, "{typed}");
        }
    }

    #[test]
    fn fragments_put_together_are_the_text() {
        let found = explained("hauptstras berg 2671");
        let parts = |field: &str| {
            let highlight = found.highlights.iter().find(|highlight| highlight.field == field).unwrap();
            let part = |fragment: &Fragment| if fragment.hit { format!("[{}]", fragment.text) } else { fragment.text.clone() };
            highlight.fragments.iter().map(part).collect::<String>()
        };
        assert_eq!(parts("addresses.line1"), "8 [Hauptstraß]e");
        assert_eq!(parts("name"), "Jürgen van den [Berg]");
        assert_eq!(parts("contactPoints.value"), "(415) 555-[2671]");
        assert_eq!(found.words, 3);
    }

    #[test]
    fn an_exact_match_scores_above_an_inexact_one() {
        let ladder = ["AC-0017", "0017", "jurgen van den berg", "jurgen berg", "jurgen", "jurg", "jrgen", "zzz"];
        let scores: Vec<f64> = ladder.iter().map(|typed| explained(typed).score).collect();
        assert!(scores.is_sorted_by(|one, other| one > other), "{scores:?}");
    }
}
