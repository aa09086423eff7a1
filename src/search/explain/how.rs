//! The ways in which a text matches what was typed.

use std::ops::Range;

use serde::Serialize;

use super::glyphs::Glyphs;
use super::trigrams;
use crate::search::phrase::{Phone, Word};

/// The best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, schemars::JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    Exact,
    /// `mueller` for `Müller`, `street` for `St`.
    Spelling,
    /// `bob` for Robert.
    Nickname,
    /// Words written as one, or one word as several.
    Joined,
    Prefix,
    /// The end of a number.
    Suffix,
    /// With typing errors.
    Fuzzy,
    /// By most of its letters; only Postgres finds so.
    Similar,
}

/// Most words that are written as one.
pub(super) const MAX_JOINED: usize = 3;
/// Letters from which a word may have two typing errors.
const TWO_TYPOS: usize = 6;

/// Glyphs that match, and how.
pub(super) type Found = (How, Range<usize>);

/// How a word matches words of a text: all that match best.
pub(super) fn word(word: &Word, text: &Glyphs) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for (folded, glyphs) in text.words(1) {
        if let Some((how, letters)) = one_word(word, &folded) {
            found.push((how, glyphs.start..glyphs.start + letters));
        }
    }
    for together in 2..=MAX_JOINED {
        let joined = text.words(together).filter(|(joined, _)| *joined == word.folded);
        found.extend(joined.map(|(_, glyphs)| (How::Joined, glyphs)));
    }
    best(found)
}

/// How a word matches another, and how many letters of it.
fn one_word(word: &Word, folded: &str) -> Option<(How, usize)> {
    let letters = |text: &str| text.chars().count();
    if folded == word.folded {
        return Some((How::Exact, letters(folded)));
    }
    if word.variants.iter().chain(&word.streets).any(|variant| variant == folded) {
        return Some((How::Spelling, letters(folded)));
    }
    if word.nicknames.contains(&folded) {
        return Some((How::Nickname, letters(folded)));
    }
    if word.is_inexact {
        let start = std::iter::once(&word.folded).chain(&word.variants).find(|start| folded.starts_with(start.as_str()));
        if let Some(start) = start {
            return Some((How::Prefix, letters(start)));
        }
    }
    let typos = if letters(&word.folded) < TWO_TYPOS { 1 } else { 2 };
    let is_close = word.may_be_mistyped()
        && letters(folded).abs_diff(letters(&word.folded)) <= typos
        && strsim::osa_distance(folded, &word.folded) <= typos;
    is_close.then(|| (How::Fuzzy, letters(folded)))
}

/// How neighbouring typed words match as one word of a text: `van den berg` for `Vandenberg`.
pub(super) fn joined(words: &[Word], text: &Glyphs) -> Vec<Found> {
    let joined: String = words.iter().map(|word| word.folded.as_str()).collect();
    text.words(1).filter(|(folded, _)| *folded == joined).map(|(_, glyphs)| (How::Joined, glyphs)).collect()
}

/// The part of a text that shares most letters with a word: what is left to compare when nothing else matches.
pub(super) fn similar(typed: &str, text: &Glyphs) -> Vec<Found> {
    let (words, glyphs): (Vec<String>, Vec<Range<usize>>) = text.words(1).unzip();
    let part = trigrams::similar(typed, &words);
    part.map(|part| (How::Similar, glyphs[*part.start()].start..glyphs[*part.end()].end)).into_iter().collect()
}

/// How a number or reference, squashed, matches a text as a whole.
pub(super) fn number(number: &str, text: &Glyphs) -> Vec<Found> {
    let squashed = text.squashed();
    let (all, letters) = (text.len(), number.chars().count());
    let found = if squashed == number {
        Some((How::Exact, 0..all))
    } else if squashed.starts_with(number) {
        Some((How::Prefix, 0..letters))
    } else if squashed.ends_with(number) {
        Some((How::Suffix, all - letters..all))
    } else {
        None
    };
    found.into_iter().collect()
}

/// How a phone number matches a text that is one.
pub(super) fn phone(phone: &Phone, text: &Glyphs) -> Vec<Found> {
    if !text.is_number() {
        return Vec::new();
    }
    let (written, all) = (text.squashed(), text.len());
    let whole = phone.whole.trim_start_matches('+');
    // One of the two may lack the country code.
    let national = written.trim_start_matches('0');
    let found = if written == whole || national == phone.ending {
        Some((How::Exact, 0..all))
    } else if written.ends_with(&phone.ending) {
        Some((How::Suffix, all - phone.ending.len()..all))
    } else if phone.whole.starts_with('+') && !national.is_empty() && whole.ends_with(national) && national.len() > 6 {
        Some((How::Exact, 0..all))
    } else {
        None
    };
    found.into_iter().collect()
}

/// Keeps what matches best.
pub(super) fn best(mut found: Vec<Found>) -> Vec<Found> {
    let best = found.iter().map(|(how, _)| *how).min();
    found.retain(|(how, _)| Some(*how) == best);
    found
}
