//! What it says that a word of a phrase is like a word of a document, for both engines and the ranking.
//!
//! A word counts for as much as its agreement says: the rarer it is, the less likely another document has it by chance. That is the
//! logarithm of the odds, so the words of a phrase add up (Fellegi and Sunter, 1969).

use serde::{Deserialize, Serialize};

/// What an exact word is worth beyond its rarity: how much less likely the right document lacks it than has it.
pub(crate) const WORD: f64 = 5.0;
/// Fewest letters of a word that may have two typing errors.
pub(crate) const TWO_TYPOS_LETTERS: usize = 5;
/// What is taken off for each way to agree less well.
const VARIANT: f64 = 1.0;
const NICKNAME: f64 = 2.0;
const JOINED: f64 = 1.0;
const BEGINNING: f64 = 3.0;
/// Of each letter that a beginning lacks, up to [`MAX_LACKING`].
const LACKING_LETTER: f64 = 0.5;
const MAX_LACKING: usize = 6;
const ONE_TYPO: f64 = 5.0;
const TWO_TYPOS: f64 = 9.0;
const THREE_TYPOS: f64 = 13.0;
const ELSEWHERE: f64 = 0.5;
/// A letter of a beginning is worth so much at most: the shorter it is, the more words begin with it.
const BEGINNING_LETTER: f64 = 1.5;
const SHORT_BEGINNING: f64 = 3.0;
/// Fewest documents that a word is compared with, so that a small collection does not make every word common.
const MIN_DOCUMENTS: u64 = 1000;

/// What a word counts for that no document has.
const UNSEEN: f64 = 0.1;

/// How rare a word is: the logarithm of the share of documents with it, negated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rarity {
    #[serde(rename = "n")]
    pub(crate) in_names: f64,
    #[serde(rename = "e")]
    pub(crate) elsewhere: f64,
}

/// How a word matches a word of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    Same,
    Variant,
    Nickname,
    /// Two neighbouring words written as one.
    Joined,
    /// Its beginning; some letters are lacking.
    Beginning {
        letters: usize,
        lacking: usize,
    },
    Typos(usize),
}

impl Rarity {
    /// The rarity of a word that so many of all documents have.
    pub(crate) fn new(documents: u64, in_names: u64, elsewhere: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "the logarithm hides it")]
        let rarity = |count: u64| {
            let share = (documents.max(count).max(MIN_DOCUMENTS) as f64 + UNSEEN) / (count as f64 + UNSEEN);
            // Rounded, so that it survives being written into a cursor.
            (share.ln() * 100.0).round() / 100.0
        };
        // Where a word is a name too, the name is meant more often.
        Self { in_names: rarity(in_names), elsewhere: rarity(elsewhere.max(in_names)) }
    }

    /// That of the commoner one.
    pub(crate) fn min(self, other: Self) -> Self {
        Self { in_names: self.in_names.min(other.in_names), elsewhere: self.elsewhere.min(other.elsewhere) }
    }

    /// What a likeness to a word of a name is worth; not above zero if it says nothing.
    pub(crate) fn in_name(self, likeness: Likeness) -> f64 {
        worth(self.in_names, likeness)
    }

    /// What a likeness to a word of an address, a text or a number is worth.
    pub(crate) fn elsewhere(self, likeness: Likeness) -> f64 {
        worth(self.elsewhere, likeness) - ELSEWHERE
    }
}

fn worth(rarity: f64, likeness: Likeness) -> f64 {
    let same = rarity + WORD;
    #[expect(clippy::cast_precision_loss, reason = "a word has few letters")]
    match likeness {
        Likeness::Same => same,
        Likeness::Variant => same - VARIANT,
        Likeness::Nickname => same - NICKNAME,
        Likeness::Joined => same - JOINED,
        Likeness::Beginning { letters, lacking } => {
            let close = same - BEGINNING - LACKING_LETTER * lacking.min(MAX_LACKING) as f64;
            close.min(BEGINNING_LETTER.mul_add(letters as f64, SHORT_BEGINNING))
        }
        Likeness::Typos(1) => same - ONE_TYPO,
        Likeness::Typos(2) => same - TWO_TYPOS,
        Likeness::Typos(_) => same - THREE_TYPOS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rarer_a_word_the_more_it_says() {
        let [rare, common] = [Rarity::new(5000, 2, 0), Rarity::new(5000, 500, 0)];
        assert!(rare.in_name(Likeness::Same) > common.in_name(Likeness::Same));
        // A slip in what is no name says more than a name that many have.
        assert!(Rarity::new(5000, 0, 0).in_name(Likeness::Typos(1)) > common.in_name(Likeness::Same));
    }

    #[test]
    fn the_less_alike_the_less_it_says() {
        let beginning = |letters, lacking| Likeness::Beginning { letters, lacking };
        for rarity in [Rarity::new(5000, 0, 0), Rarity::new(5000, 40, 0), Rarity::new(0, 0, 0)] {
            let falling = [
                Likeness::Same,
                Likeness::Joined,
                Likeness::Nickname,
                beginning(7, 1),
                beginning(7, 4),
                Likeness::Typos(1),
                Likeness::Typos(2),
                Likeness::Typos(3),
            ];
            let worth = falling.map(|likeness| rarity.in_name(likeness));
            assert!(worth.is_sorted_by(|one, other| one >= other), "{worth:?}");
            assert!(rarity.elsewhere(Likeness::Same) < rarity.in_name(Likeness::Same));
        }
        assert!(Rarity::new(5000, 0, 0).in_name(beginning(1, 5)) < Rarity::new(5000, 300, 0).in_name(Likeness::Same));
    }

    #[test]
    fn no_count_is_beyond_the_scale() {
        for (documents, count) in [(0, 0), (0, 7), (10, 10), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
            let rarity = Rarity::new(documents, count, count);
            assert!((0.0..60.0).contains(&rarity.in_names), "{rarity:?}");
        }
    }
}
