//! Spans: neighbouring words of a phrase that together may be a number, a phone, an amount or a day.
//!
//! So `jon smith 4711` finds the person by the name and the end of a number, and `smith 1,250.00` by the name and an amount.

use std::ops::Range;

use chrono::NaiveDate;
use serde_json::{Map, Value as Json};

use super::{MAX_NUMBER, MIN_DIGITS, Phone, Phrase, amount, day};
use crate::search::{Field, FieldKind};
use crate::values::money::{Amount, Currency};
use crate::values::text;

type Object = Map<String, Json>;

/// The score of what several words are together, shared by the words: more than words of a name, less than the whole phrase as a
/// number.
pub(crate) const WHOLE: f64 = 40.0;
/// The same of an ending or a beginning, an amount or a day, which many records have.
pub(crate) const PART: f64 = 20.0;

/// Words that match together, if one of their meanings does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which words of the phrase.
    pub words: Range<usize>,
    pub meaning: Meaning,
}

/// What words are together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A number or its beginning or end, squashed.
    Number(String),
    Phone(Phone),
    /// One of the amounts in one of the fields, if the record has one of the currencies.
    Amount {
        fields: Vec<&'static Field>,
        currency: &'static Field,
        amounts: Vec<(i64, Vec<Currency>)>,
    },
    /// One of the days in one of the fields.
    Day {
        fields: Vec<&'static Field>,
        days: Vec<NaiveDate>,
    },
}

impl Span {
    /// What each of the words counts of a score of the span.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a phrase has few words")]
    pub(crate) fn share(&self, score: f64) -> f64 {
        score / self.words.len() as f64
    }
}

impl Meaning {
    fn is_in(&self, document: &Object) -> bool {
        let terms = |path: &str| at(document, path).and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        match self {
            Self::Number(number) => {
                terms("search.number").any(|known| known.starts_with(number))
                    || terms("search.numberSuffix").any(|end| end == number)
            }
            Self::Phone(phone) => {
                terms("search.phone").any(|known| known == phone.whole)
                    || terms("search.phoneSuffix").any(|end| end == phone.ending)
            }
            Self::Amount { fields, currency, amounts } => {
                let shown = at(document, currency.path).and_then(Json::as_str).and_then(|code| code.parse::<Currency>().ok());
                let amounts: Vec<i64> = amounts
                    .iter()
                    .filter(|(_, alike)| shown.is_some_and(|code| alike.contains(&code)))
                    .map(|(minor, _)| *minor)
                    .collect();
                fields.iter().filter_map(|field| at(document, field.path)?.as_i64()).any(|minor| amounts.contains(&minor))
            }
            Self::Day { fields, days } => {
                let shown = fields.iter().filter_map(|field| at(document, field.path)?.as_str()?.parse().ok());
                shown.into_iter().any(|day: NaiveDate| days.contains(&day))
            }
        }
    }
}

/// The value at a path with dots.
pub(crate) fn at<'a>(document: &'a Object, path: &str) -> Option<&'a Json> {
    let mut parts = path.split('.');
    let first = document.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))
}

impl Phrase {
    /// Adds what the words may be together in a collection with these fields. `typed` is the text that the phrase was read from.
    #[must_use]
    pub fn with_spans(mut self, typed: &str, fields: &'static [Field], region: &str) -> Self {
        let mut pieces = Vec::new();
        let mut words = 0;
        for piece in typed.split_whitespace() {
            let start = words;
            words += text::words(&text::fold(piece)).count();
            pieces.push((piece, start..words));
        }
        // A number may be written with blanks: `+1 (555) 010-4477`, `1 250,00`.
        let runs = pieces.chunk_by(|(one, _), (other, _)| is_digits(one) && is_digits(other)).filter(|run| run.len() > 1);
        let runs: Vec<(String, Range<usize>)> = runs.map(joined).collect();
        let all = pieces.iter().map(|(piece, words)| (*piece, words));
        for (typed, words) in all.chain(runs.iter().map(|(typed, words)| (typed.as_str(), words))) {
            if words.is_empty() || words.end > self.words.len() {
                continue;
            }
            // What the whole phrase is, the phrase says.
            let numbers = if *words == (0..self.words.len()) { Vec::new() } else { numbers(typed, region) };
            let meanings = numbers.into_iter().chain(values(typed, fields));
            self.spans.extend(meanings.map(|meaning| Span { words: words.clone(), meaning }));
        }
        self
    }

    /// The spans of which a document has the meaning.
    pub(crate) fn spans_in(&self, document: &[u8]) -> impl Iterator<Item = &Span> {
        // Few phrases have spans, and only for those is the document read.
        let document = if self.spans.is_empty() { Object::new() } else { serde_json::from_slice(document).unwrap_or_default() };
        self.spans.iter().filter(move |span| span.meaning.is_in(&document))
    }

    /// The spans that a word is in.
    pub fn spans_of(&self, word: usize) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.words.contains(&word))
    }
}

fn joined(run: &[(&str, Range<usize>)]) -> (String, Range<usize>) {
    let typed = run.iter().map(|(piece, _)| *piece).collect::<Vec<_>>().join(" ");
    let start = run.first().map_or(0, |(_, words)| words.start);
    (typed, start..run.last().map_or(0, |(_, words)| words.end))
}

/// Whether it holds digits, and besides only what numbers are written with.
fn is_digits(piece: &str) -> bool {
    piece.contains(|letter: char| letter.is_ascii_digit())
        && piece.chars().all(|letter| letter.is_ascii_digit() || "+-()./,'’".contains(letter))
}

fn numbers(typed: &str, region: &str) -> Vec<Meaning> {
    let (squashed, digits) = (text::squash(typed), text::digits(typed));
    let has_letters = squashed.chars().any(char::is_alphabetic);
    let is_number = digits.len() >= MIN_DIGITS || (has_letters && !digits.is_empty());
    let mut numbers = Vec::new();
    if is_number && squashed.chars().count() <= MAX_NUMBER {
        numbers.push(Meaning::Number(squashed));
    }
    numbers.extend(Phone::new(typed, region).map(Meaning::Phone));
    numbers
}

/// An amount or a day of the collection's fields.
fn values(typed: &str, fields: &'static [Field]) -> Vec<Meaning> {
    let listed = |is_wanted: fn(&FieldKind) -> bool| -> Vec<&'static Field> {
        fields.iter().filter(|field| field.is_listed() && is_wanted(&field.kind)).collect()
    };
    let mut meanings = Vec::new();
    let amounts: Vec<(i64, Vec<Currency>)> = amount::read(typed).iter().flat_map(minor_units).collect();
    let currency = listed(|kind| matches!(kind, FieldKind::Currency)).first().copied();
    if let (Some(currency), false) = (currency, amounts.is_empty()) {
        meanings.push(Meaning::Amount { fields: listed(|kind| matches!(kind, FieldKind::Money)), currency, amounts });
    }
    let days = day::read(typed);
    if !days.is_empty() {
        meanings.push(Meaning::Day { fields: listed(|kind| matches!(kind, FieldKind::Day)), days });
    }
    meanings.retain(|meaning| match meaning {
        Meaning::Amount { fields, .. } | Meaning::Day { fields, .. } => !fields.is_empty(),
        Meaning::Number(_) | Meaning::Phone(_) => true,
    });
    meanings
}

/// An amount in the minor units of all currencies, those with equal decimals together.
fn minor_units(amount: &Amount) -> Vec<(i64, Vec<Currency>)> {
    let units = Currency::by_exponent().into_values();
    units.filter_map(|alike| Some((amount.minor(*alike.first()?).ok()?, alike))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static FIELDS: &[Field] = &[
        Field::new("currency", FieldKind::Currency, "currency"),
        Field::new("balance", FieldKind::Money, "balance"),
        Field::new("dueDate", FieldKind::Day, "due_date"),
    ];

    fn spans(typed: &str) -> Vec<String> {
        let phrase = Phrase::new(typed, "US").unwrap().unwrap().with_spans(typed, FIELDS, "US");
        let meaning = |span: &Span| match &span.meaning {
            Meaning::Number(number) => number.clone(),
            Meaning::Phone(phone) => format!("phone {}", phone.ending),
            Meaning::Amount { amounts, .. } => {
                format!("amount {}", amounts.iter().map(|(minor, _)| minor.to_string()).collect::<Vec<_>>().join(" "))
            }
            Meaning::Day { days, .. } => days.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        phrase.spans.iter().map(|span| format!("{:?} {}", span.words, meaning(span))).collect()
    }

    #[test]
    fn a_part_of_a_phrase_may_be_several_things() {
        assert_eq!(spans("jon smith"), Vec::<String>::new());
        assert_eq!(spans("jon smith 4711"), ["2..3 4711", "2..3 phone 4711"]);
        assert_eq!(spans("smith inv-0042"), ["1..3 inv0042"]);
        assert_eq!(spans("smith 2026-03-01"), ["1..4 20260301", "1..4 phone 20260301", "1..4 2026-03-01"]);
    }

    #[test]
    fn an_amount_is_in_the_minor_units_of_every_currency() {
        assert_eq!(spans("1,250.00"), ["0..3 amount 1250 125000 1250000 12500000"]);
        assert_eq!(spans("smith 12.50"), ["1..3 1250", "1..3 phone 1250", "1..3 amount 1250 12500 125000"]);
    }

    #[test]
    fn a_number_may_be_written_with_blanks() {
        let found = spans("jon +1 (555) 010-4477");
        assert!(found.contains(&"1..5 phone 5550104477".to_owned()), "{found:?}");
        assert!(spans("smith 1 250,00").iter().any(|span| span.starts_with("1..4 amount")));
    }

    #[test]
    fn what_the_whole_phrase_is_the_phrase_says() {
        assert_eq!(spans("4711"), Vec::<String>::new());
        assert_eq!(spans("+1 (555) 010-4477").len(), 2, "its last piece is a number too");
    }
}
