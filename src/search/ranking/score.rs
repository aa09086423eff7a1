//! Scores the likeness of documents and a mistyped phrase, word by word.

use std::borrow::Cow;

use serde::Deserialize;

use crate::search::document;
use crate::search::phrase::{Likeness, Phrase, Rarity, TWO_TYPOS_LETTERS, WORD, Word};
use crate::values::text;

/// What a word of a name costs that the phrase lacks, and how many count: a company's name is long.
const LACKING_WORD: f64 = 0.7;
const MAX_LACKING_WORDS: usize = 3;
/// The phrase is the full name, or a number of the document.
const WHOLE: f64 = 1000.0;
/// A part of the phrase is a number, an amount or a day of the document: more than any word.
const SPAN: f64 = 30.0;
/// Most letters of a word that may still be the beginning of a name.
const SHORT_LETTERS: usize = 3;
/// Fewest letters of words with one and with three typing errors.
const ONE_TYPO_LETTERS: usize = 3;
const THREE_TYPOS_LETTERS: usize = 8;
/// Words of a document outside of its names that are compared, so that a long text costs no more than an address.
const MAX_ELSEWHERE: usize = 60;

/// The forms of a document that are compared.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Forms<'a> {
    #[serde(borrow)]
    joined: Cow<'a, str>,
    /// One for each name.
    full: Vec<Cow<'a, str>>,
    phone: Vec<Cow<'a, str>>,
    phone_suffix: Vec<Cow<'a, str>>,
    email_token: Vec<Cow<'a, str>>,
    number: Vec<Cow<'a, str>>,
    number_suffix: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

impl Forms<'_> {
    /// A document that cannot be read is compared as an empty one.
    fn of(source: &[u8]) -> Forms<'_> {
        serde_json::from_slice(document::terms(source)).unwrap_or_default()
    }

    /// Whether the phrase is one of the names, numbers or phones, or the end of one.
    fn is_whole(&self, phrase: &Phrase) -> bool {
        let has = |values: &[Cow<str>], wanted: &str| values.iter().any(|value| value == wanted);
        has(&self.full, &phrase.full)
            || phrase.number.as_ref().is_some_and(|number| has(&self.number, number) || has(&self.number_suffix, number))
            || phrase.phone.as_ref().is_some_and(|phone| has(&self.phone, &phone.whole) || has(&self.phone_suffix, &phone.ending))
    }
}

/// Whether the phrase is the full name of a document, or one of its numbers.
pub(super) fn is_whole(phrase: &Phrase, source: &[u8]) -> bool {
    Forms::of(source).is_whole(phrase)
}

/// How much speaks for a document: the greater, the likelier it is meant.
pub(super) fn score(phrase: &Phrase, rarities: &[Rarity], source: &[u8]) -> f64 {
    let forms = Forms::of(source);
    let mut elsewhere = elsewhere(phrase, rarities, &forms);
    // Words that together are a number, an amount or a day of the document.
    elsewhere.extend(phrase.spans_in(source).map(|span| {
        let typed = span.words.clone().fold(0, |typed, word| typed | 1 << word);
        Pair { worth: SPAN, typed, named: 0, covered: 0 }
    }));
    let no_name = [Cow::Borrowed("")];
    let names = if forms.full.is_empty() { &no_name[..] } else { &forms.full };
    let best = names.iter().map(|name| agreement(phrase, rarities, &forms, name, &elsewhere)).fold(0.0, f64::max);
    if forms.is_whole(phrase) { best + WHOLE } else { best }
}

/// One way to pair words of the phrase with words of a name; bits are their numbers.
struct Pair {
    worth: f64,
    typed: u32,
    named: u64,
    /// Words of the name that are not lacking with it.
    covered: usize,
}

/// The sum of the best pairs, each word in one of them.
fn agreement(phrase: &Phrase, rarities: &[Rarity], forms: &Forms, name: &str, elsewhere: &[Pair]) -> f64 {
    let named: Vec<Letters> = text::words(name).take(64).map(Letters::new).collect();
    let mut pairs: Vec<Pair> = Vec::new();
    for (number, (word, rarity)) in phrase.words.iter().zip(rarities).enumerate() {
        let typed = Letters::new(&word.folded);
        for (other_number, other) in named.iter().enumerate() {
            if let Some(likeness) = likeness(word, &typed, other) {
                pairs.push(Pair { worth: rarity.in_name(likeness), typed: 1 << number, named: 1 << other_number, covered: 1 });
            }
        }
        // One word for two of the name's.
        if text::words(&forms.joined).any(|joined| joined == word.folded) {
            pairs.push(Pair { worth: rarity.in_name(Likeness::Joined), typed: 1 << number, named: 0, covered: 2 });
        }
    }
    // Two words for one of the name's.
    for (number, both) in phrase.words.windows(2).enumerate().filter(|(_, both)| both.iter().all(|word| word.is_inexact)) {
        let joined = both[0].folded.clone() + &both[1].folded;
        let typed = Letters::new(&joined);
        let rarity = rarities[number].min(rarities[number + 1]);
        for (other_number, other) in named.iter().enumerate() {
            let typos = typed.typos(other).filter(|typos| *typos <= 1);
            let likeness = typos.map(|typos| if typos == 0 { Likeness::Joined } else { Likeness::Typos(1) });
            if let Some(likeness) = likeness {
                // Both words are explained by it.
                let worth = rarity.in_name(likeness) + WORD;
                pairs.push(Pair { worth, typed: 0b11 << number, named: 1 << other_number, covered: 1 });
            }
        }
    }
    pairs.retain(|pair| pair.worth > 0.0);
    let mut ordered: Vec<&Pair> = pairs.iter().chain(elsewhere).collect();
    ordered.sort_by(|one, other| other.worth.total_cmp(&one.worth));
    let (mut sum, mut typed, mut taken, mut covered) = (0.0, 0, 0, 0);
    for pair in ordered {
        if typed & pair.typed == 0 && taken & pair.named == 0 {
            sum += pair.worth;
            typed |= pair.typed;
            taken |= pair.named;
            covered += pair.covered;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few words")]
    let lacking = named.len().saturating_sub(covered).min(MAX_LACKING_WORDS) as f64;
    sum - LACKING_WORD * lacking
}

/// What each word says by being in an address, a text, a number or an e-mail address.
fn elsewhere(phrase: &Phrase, rarities: &[Rarity], forms: &Forms) -> Vec<Pair> {
    let texts = [&forms.address, &forms.text].into_iter().chain(&forms.email_token).flat_map(|text| text::words(text));
    let numbers = forms.number.iter().map(|number| &**number);
    let others: Vec<Letters> = texts.take(MAX_ELSEWHERE).chain(numbers).map(Letters::new).collect();
    let best = phrase.words.iter().zip(rarities).enumerate().filter_map(|(number, (word, rarity))| {
        let typed = Letters::new(&word.folded);
        let likenesses =
            others.iter().filter_map(|other| likeness_elsewhere(word, &typed, other)).filter_map(|likeness| match likeness {
                Likeness::Same if typed.is_short() => Some(Likeness::Beginning { letters: typed.count, lacking: 0 }),
                Likeness::Typos(_) if typed.is_short() => None,
                likeness => Some(likeness),
            });
        let worth = likenesses.map(|likeness| rarity.elsewhere(likeness)).max_by(f64::total_cmp)?;
        Some(Pair { worth, typed: 1 << number, named: 0, covered: 0 })
    });
    best.filter(|pair| pair.worth > 0.0).collect()
}

/// Addresses abbreviate.
fn likeness_elsewhere(word: &Word, typed: &Letters, other: &Letters) -> Option<Likeness> {
    let is_street = word.streets.iter().any(|street| street == other.word);
    if is_street { Some(Likeness::Variant) } else { likeness(word, typed, other) }
}

fn likeness(word: &Word, typed: &Letters, other: &Letters) -> Option<Likeness> {
    if typed.word == other.word {
        return Some(Likeness::Same);
    }
    if !word.is_inexact {
        return None;
    }
    if word.variants.iter().any(|variant| variant == other.word) {
        return Some(Likeness::Variant);
    }
    if word.nicknames.contains(&other.word) {
        return Some(Likeness::Nickname);
    }
    let beginning = other.word.starts_with(typed.word);
    let beginning = beginning.then(|| Likeness::Beginning { letters: typed.count, lacking: other.count - typed.count });
    let initial =
        (other.count == 1 && typed.word.starts_with(other.word)).then_some(Likeness::Beginning { letters: 1, lacking: 0 });
    let typos = typed.typos(other).filter(|_| word.may_be_mistyped()).map(Likeness::Typos);
    match typos {
        // One letter more is more often a slip than the beginning of a longer name.
        Some(Likeness::Typos(1)) => typos.filter(|_| beginning.is_none()).or(beginning),
        _ => beginning.or(initial).or(typos),
    }
}

/// A word, and what is quickly compared of it.
struct Letters<'a> {
    word: &'a str,
    count: usize,
    /// A bit for each letter that it has.
    set: u64,
}

impl<'a> Letters<'a> {
    fn new(word: &'a str) -> Self {
        let set = word.chars().fold(0, |set, letter| set | 1 << (u32::from(letter) % 64));
        Self { word, count: word.chars().count(), set }
    }

    /// As likely the beginning of a name that is being typed as a word of an address.
    fn is_short(&self) -> bool {
        self.count <= SHORT_LETTERS && self.word.chars().all(char::is_alphabetic)
    }

    /// Letters inserted, left out, replaced or swapped, if words of this length may have so many.
    fn typos(&self, other: &Self) -> Option<usize> {
        if self.count.min(other.count) < ONE_TYPO_LETTERS {
            return None;
        }
        let most = match self.count.max(other.count) {
            ..TWO_TYPOS_LETTERS => 1,
            TWO_TYPOS_LETTERS..THREE_TYPOS_LETTERS => 2,
            _ => 3,
        };
        // Each takes away one letter and adds one at most; this spares most words the comparison.
        if self.count.abs_diff(other.count) > most || (self.set ^ other.set).count_ones() as usize > 2 * most {
            return None;
        }
        Some(strsim::osa_distance(self.word, other.word)).filter(|typos| *typos <= most)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::search::{Name, Terms};

    fn document(given: &str, family: &str, address: &str) -> Vec<u8> {
        let mut terms = Terms::default();
        let display = format!("{given} {family}");
        terms.name(Name { display: &display, given: Some(given), family: Some(family), company: None });
        terms.address([&address.to_owned()]);
        document::write(&json!({ "id": 1 }), &terms).unwrap()
    }

    fn scored(typed: &str, source: &[u8]) -> f64 {
        let phrase = Phrase::new(typed, "US").unwrap().unwrap();
        let rarities = vec![Rarity::new(5000, 5, 0); phrase.words.len()];
        score(&phrase, &rarities, source)
    }

    #[test]
    fn the_closer_name_is_before() {
        for (typed, closer, other) in [
            ("jon smith", ("John", "Smith"), ("John", "Smithers")),
            ("smith john", ("John", "Smith"), ("John", "Smitt")),
            ("smth john", ("John", "Smith"), ("John", "Jones")),
            ("john smith", ("John", "Smith"), ("John Paul", "Smith")),
            ("smith", ("Ann", "Smith"), ("Ann", "Smithson")),
            ("ja yde crouch", ("Jayde", "Crouch"), ("Jade", "Crouch")),
            ("vandenberg pieter", ("Pieter", "van den Berg"), ("Pieter", "Vandenburg")),
            ("bob smith", ("Robert", "Smith"), ("Rupert", "Smith")),
            ("j smith", ("John", "Smith"), ("Ann", "Smith")),
            ("john smith", ("J.", "Smith"), ("K.", "Smith")),
            ("wbeb ann", ("Ann", "Webb"), ("Ann", "Wood")),
        ] {
            let [closer, other] = [closer, other].map(|(given, family)| scored(typed, &document(given, family, "")));
            assert!(closer > other, "{typed}: {closer} {other}");
        }
    }

    #[test]
    fn an_address_counts_beside_the_name() {
        let here = scored("smith baker street", &document("Ann", "Smith", "2 Baker Street"));
        assert!(here > scored("smith baker street", &document("Ann", "Smith", "2 Mill Street")));
        assert!(here > scored("smith baker street", &document("Ann", "Smythe", "2 Baker Street")));
        let abbreviated = document("Ann", "Smith", "2 Baker St");
        assert!(here > scored("smith baker street", &abbreviated));
        assert!(scored("smith baker street", &abbreviated) > scored("smith baker road", &abbreviated));
    }

    #[test]
    fn a_full_name_is_before_everything_else() {
        let phrase = "smith ann";
        assert!(
            scored(phrase, &document("Ann", "Smith", "")) > scored(phrase, &document("Ann", "Smith-Jones", "Ann Smith")) + 500.0
        );
    }

    proptest! {
        #[test]
        fn every_document_has_a_score(typed in "[a-zäß0-9' -]{1,60}", given in "\\PC{0,40}", family in "\\PC{0,80}", address in "\\PC{0,300}") {
            if let Ok(Some(phrase)) = Phrase::new(&typed, "US") {
                let rarities = vec![Rarity::new(5000, 0, 0); phrase.words.len()];
                let score = score(&phrase, &rarities, &document(&given, &family, &address));
                prop_assert!(score.is_finite());
            }
            prop_assert!(scored("a", b"no json").is_finite());
        }
    }
}
