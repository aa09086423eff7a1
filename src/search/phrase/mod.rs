//! The text of the search box, taken apart: its words, and the ids, numbers and addresses that it may be.

pub(crate) mod score;
mod terms;

use uuid::Uuid;

pub use terms::{Name, Terms};

use crate::values::text;

/// Further words are ignored: people do not type them, and every word costs.
const MAX_WORDS: usize = 12;
/// Fewest digits that can be the end of a number.
const MIN_DIGITS: usize = 4;

/// Every word must match, or the whole must be a number or address of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// The words, folded.
    pub words: Vec<Word>,
    /// The words sorted: equals the sorted full name of the person searched for.
    pub full: String,
    /// Neighbouring words written as one.
    pub joined: Vec<String>,
    pub id: Option<Uuid>,
    /// The phrase as an e-mail address or the beginning of one.
    pub email: Option<String>,
    pub phone: Option<Phone>,
    /// The phrase as an account number or reference, if it has digits enough.
    pub number: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is indexed.
    pub folded: String,
    /// Other spellings: `mueller` and `müller` mean each other.
    pub variants: Vec<String>,
}

/// A phone number, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// The whole number as contact points keep it.
    pub whole: String,
    /// The digits, without the zeros that dialling begins with.
    pub ending: String,
}

impl Phrase {
    /// Reads a phrase; none if it has no words. Phones without a country code are read as of `region`.
    #[must_use]
    pub fn new(typed: &str, region: &str) -> Option<Self> {
        let words: Vec<Word> = typed.split_whitespace().flat_map(Word::all_of).take(MAX_WORDS).collect();
        if words.is_empty() {
            return None;
        }
        let folded = words.iter().map(|word| word.folded.as_str()).collect::<Vec<_>>().join(" ");
        let digits = text::digits(typed);
        let has_letters = folded.chars().any(char::is_alphabetic);
        Some(Self {
            full: text::unordered(&folded),
            joined: terms::neighbours(&folded).collect(),
            id: typed.trim().parse().ok(),
            email: (typed.contains('@') && typed.split_whitespace().count() == 1).then(|| text::email(typed)),
            phone: (!has_letters && digits.len() >= MIN_DIGITS)
                .then(|| Phone { whole: text::phone(typed, region), ending: digits.trim_start_matches('0').to_owned() }),
            number: (digits.len() >= MIN_DIGITS || (has_letters && !digits.is_empty())).then(|| text::squash(typed)),
            words,
        })
    }
}

impl Word {
    /// Folding may find several words in what has no blanks: `anna-maria`.
    fn all_of(typed: &str) -> Vec<Self> {
        let german = typed.to_lowercase().replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
        let spelled_out = text::fold(&german);
        let mut spelled_out = text::words(&spelled_out).map(str::to_owned);
        let folded = text::fold(typed);
        text::words(&folded)
            .map(|word| {
                let contracted = word.replace("ae", "a").replace("oe", "o").replace("ue", "u");
                let mut variants: Vec<String> = spelled_out.next().into_iter().chain([contracted]).collect();
                variants.retain(|variant| variant != word);
                Self { folded: word.to_owned(), variants }
            })
            .collect()
    }

    /// Whether typing errors may be assumed: a digit is never taken for another, and short words resemble too many.
    #[must_use]
    pub fn may_be_mistyped(&self) -> bool {
        self.folded.chars().count() >= 3 && !self.folded.contains(|letter: char| letter.is_ascii_digit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrase(typed: &str) -> Phrase {
        Phrase::new(typed, "US").unwrap()
    }

    #[test]
    fn a_name_is_words_only() {
        let found = phrase("  van den Berg, Jürgen ");
        let words: Vec<_> = found.words.iter().map(|word| word.folded.as_str()).collect();
        assert_eq!(words, ["van", "den", "berg", "jurgen"]);
        assert_eq!(found.words[3].variants, ["juergen"]);
        assert_eq!(found.full, "berg den jurgen van");
        assert!(found.joined.contains(&"vandenberg".to_owned()));
        assert_eq!((found.id, found.email, found.phone, found.number), (None, None, None, None));
    }

    #[test]
    fn both_german_spellings_mean_each_other() {
        assert_eq!(phrase("mueller").words[0].variants, ["muller"]);
        assert_eq!(phrase("Müller").words[0].variants, ["mueller"]);
    }

    #[test]
    fn digits_are_a_phone_and_a_number() {
        let last_four = phrase("2671");
        assert_eq!(last_four.phone, Some(Phone { whole: "2671".into(), ending: "2671".into() }));
        assert_eq!(last_four.number.as_deref(), Some("2671"));
        let national = phrase("(415) 555-2671");
        assert_eq!(national.phone.unwrap().whole, "+14155552671");
        assert_eq!(phrase("06 28 12 34 56").phone.unwrap().ending, "628123456");
        assert_eq!(phrase("217").phone, None);
    }

    #[test]
    fn letters_with_digits_are_a_number_and_never_a_phone() {
        let found = phrase("AC-00-17");
        assert_eq!((found.phone, found.number.as_deref()), (None, Some("ac0017")));
        assert!(!found.words[0].folded.is_empty());
    }

    #[test]
    fn an_at_sign_makes_an_address() {
        assert_eq!(phrase("Jane.Doe@Example.com").email.as_deref(), Some("jane.doe@example.com"));
        assert_eq!(phrase("jane @ work").email, None);
    }

    #[test]
    fn a_text_without_words_is_no_phrase() {
        for text in ["", "  ", "--", "'"] {
            assert_eq!(Phrase::new(text, "US"), None, "{text:?}");
        }
    }
}
