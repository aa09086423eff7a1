//! Compares a phrase with the texts of a document, from what is most telling to single words.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

use super::how::{self, Found, How, MAX_JOINED};
use super::texts::{Object, Text, Texts};
use super::{Explanation, Fragment, Highlight, MatchedOn};
use crate::search::Field;
use crate::search::phrase::spans::{PART, WHOLE, at};
use crate::search::phrase::{Meaning, Phrase, Span, score};
use crate::values::money::Currency;
use crate::values::text;

/// What a word with typing errors is worth: less than every other way to match.
const FUZZY: f64 = 4.0;
const FUZZY_ELSEWHERE: f64 = 2.0;
const SIMILAR: f64 = 1.0;

/// What has been found so far.
pub(super) struct Comparison<'a> {
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
    corrections: Vec<(String, String)>,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(phrase: &'a Phrase, texts: &'a Texts<'a>) -> Self {
        let points = vec![0.0; phrase.words.len()];
        Self {
            phrase,
            texts,
            points,
            identity: 0.0,
            matched_on: Vec::new(),
            hits: BTreeMap::new(),
            values: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// The phrase as an id or an e-mail address.
    pub(super) fn identity(&mut self, document: &Object) {
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
    pub(super) fn spans(&mut self, document: &Object) {
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
            if explained.iter().any(is_part) {
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
    pub(super) fn words(&mut self) {
        for (at, word) in self.phrase.words.iter().enumerate() {
            if self.points[at] > 0.0 {
                continue;
            }
            let (mut points, mut likest) = (0.0_f64, None);
            let is_better = |points: &mut f64, found: &[Found], is_name| {
                *points = found.iter().map(|(how, _)| worth(*how, is_name)).fold(*points, f64::max);
            };
            let texts = self.texts;
            let how = self.find(|text| {
                let found = how::word(word, &text.glyphs);
                is_better(&mut points, &found, text.is_name);
                // What the record does not show is no suggestion.
                let is_shown = texts.shown.iter().any(|shown| std::ptr::eq(shown, text));
                let fuzzy = found.first().filter(|(how, _)| *how == How::Fuzzy && is_shown && likest.is_none());
                if let Some(bytes) = fuzzy.and_then(|(_, glyphs)| text.glyphs.bytes(glyphs.clone())) {
                    likest = text.original.get(bytes).map(str::to_owned);
                }
                found
            });
            self.points[at] = points;
            if how == Some(How::Fuzzy) {
                self.corrections.extend(likest.map(|likest| (word.folded.clone(), likest)));
            }
        }
    }

    /// Typed neighbours that are one word of the record.
    pub(super) fn joined(&mut self) {
        for count in 2..=MAX_JOINED.min(self.phrase.words.len()) {
            for (at, words) in self.phrase.words.windows(count).enumerate() {
                if self.points[at..at + count].contains(&0.0) && self.find(|text| how::joined(words, &text.glyphs)).is_some() {
                    self.points[at..at + count].fill(score::JOINED);
                }
            }
        }
    }

    /// Words that are not explained yet, by most of their letters.
    pub(super) fn similar(&mut self) {
        let phrase = self.phrase;
        for (at, word) in phrase.words.iter().enumerate() {
            let is_open = self.points[at] <= 0.0 && word.may_be_mistyped();
            if is_open && self.find(|text| how::similar(&word.folded, &text.glyphs)).is_some() {
                self.points[at] = SIMILAR;
            }
        }
        for (at, joined) in phrase.joined_inexact() {
            let in_name = |text: &Text| if text.is_name { how::similar(joined, &text.glyphs) } else { Vec::new() };
            if self.points[at..at + 2].contains(&0.0) && self.find(in_name).is_some() {
                for points in &mut self.points[at..at + 2] {
                    *points = points.max(SIMILAR);
                }
            }
        }
    }

    /// Looks into the shown texts, then into the others, and keeps what matches best. Returns how that is.
    fn find(&mut self, mut compare: impl FnMut(&Text) -> Vec<Found>) -> Option<How> {
        let (texts, is_literal) = (self.texts, self.phrase.is_literal);
        let mut compare = |text: &Text| {
            let mut found = compare(text);
            found.retain(|(how, _)| !is_literal || !matches!(how, How::Prefix | How::Suffix | How::Fuzzy));
            found
        };
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

    pub(super) fn finish(self) -> Explanation {
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
                self.points.iter().filter(|points| **points > SIMILAR).count()
            },
            score: self.identity.max(words),
            matched_on: self.matched_on,
            corrections: self.corrections,
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
