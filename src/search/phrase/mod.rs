//! The text of the search box, taken apart: its words, and the ids, numbers and addresses that it may be.

mod amount;
mod day;
mod likeness;
mod nicknames;
pub(crate) mod score;
pub(crate) mod spans;
mod streets;
mod terms;

use uuid::Uuid;

pub(crate) use likeness::{Likeness, Rarity, TWO_TYPOS_LETTERS, WORD};
pub(super) use spans::{Meaning, Span};
pub use terms::{Name, Terms};

use crate::values::text;

/// Most characters and words of a phrase: a name with an address is shorter, and every letter costs the engines time.
const MAX_CHARACTERS: usize = 200;
const MAX_WORDS: usize = 12;
/// Most letters of a word, and of all words of a phrase, that may stand for others: what they cost grows with their number, and names
/// and addresses that people type are shorter.
const MAX_INEXACT_WORD: usize = 40;
const MAX_INEXACT: usize = 100;
/// Longest number that is looked up; no number is longer.
const MAX_NUMBER: usize = 100;
/// Fewest letters of a word whose half says which words may have been meant.
const MIN_HALVED: usize = 5;
/// Fewest letters of such a half.
const MIN_HALF: usize = 3;
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
    /// Words that together may be more than words; see [`Phrase::with_spans`].
    pub spans: Vec<Span>,
    /// Whether it matches whole words, numbers and addresses only; see [`Phrase::literal`].
    pub is_literal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// As it is indexed.
    pub folded: String,
    /// Other spellings: `mueller` and `müller` mean each other.
    pub variants: Vec<String>,
    /// The nicknames of a given name, or the names that it is a nickname of.
    pub nicknames: &'static [&'static str],
    /// Other spellings of a word of an address: `street` and `st` mean each other.
    pub streets: Vec<String>,
    /// Whether it may stand for another word, as its beginning or mistyped.
    pub is_inexact: bool,
}

/// A phone number, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// The whole number as contact points keep it.
    pub whole: String,
    /// The digits, without the country code or the zeros that dialling begins with.
    pub ending: String,
}

impl Phrase {
    /// Reads a phrase; none if it has no words. Phones without a country code are read as of `region`.
    ///
    /// # Errors
    /// More characters or words than a phrase takes.
    pub fn new(typed: &str, region: &str) -> Result<Option<Self>, String> {
        if typed.chars().nth(MAX_CHARACTERS).is_some() {
            return Err(format!("takes at most {MAX_CHARACTERS} characters"));
        }
        let mut words: Vec<Word> = typed.split_whitespace().flat_map(Word::all_of).collect();
        if words.is_empty() {
            return Ok(None);
        }
        if words.len() > MAX_WORDS {
            return Err(format!("takes at most {MAX_WORDS} words"));
        }
        let mut budget = Budget::default();
        words.iter_mut().for_each(|word| word.is_inexact = budget.allows(&word.folded));
        let folded = words.iter().map(|word| word.folded.as_str()).collect::<Vec<_>>().join(" ");
        let digits = text::digits(typed);
        let has_letters = folded.chars().any(char::is_alphabetic);
        let number = Some(text::squash(typed)).filter(|number| number.chars().count() <= MAX_NUMBER);
        Ok(Some(Self {
            full: text::unordered(&folded),
            joined: terms::neighbours(&folded).collect(),
            id: typed.trim().parse().ok(),
            email: (typed.contains('@') && typed.split_whitespace().count() == 1).then(|| text::email(typed)),
            phone: Phone::new(typed, region),
            number: number.filter(|_| digits.len() >= MIN_DIGITS || (has_letters && !digits.is_empty())),
            spans: Vec::new(),
            is_literal: false,
            words,
        }))
    }

    /// The same as a look-up, for callers who may not see the personal data that a phrase is compared with: of whole words, numbers
    /// and addresses. With parts of them they could find out what is masked, letter by letter.
    #[must_use]
    pub fn literal(mut self) -> Self {
        self.is_literal = true;
        self.words.iter_mut().for_each(|word| word.is_inexact = false);
        self.spans.retain_mut(|span| match &mut span.meaning {
            Meaning::Number(_) | Meaning::Phone(_) => false,
            Meaning::Amount { .. } => true,
            Meaning::Day { fields, .. } => {
                fields.retain(|field| field.personal.is_none());
                !fields.is_empty()
            }
        });
        self
    }

    /// The first halves of the words that may be mistyped and are long enough: what else begins with them may have been meant.
    #[must_use]
    pub fn beginnings(&self) -> Option<Self> {
        let words = self.words.iter().filter(|word| word.may_be_mistyped());
        let halves = words.filter_map(|word| {
            let letters = word.folded.chars().count();
            (letters >= MIN_HALVED).then(|| word.folded.chars().take((letters / 2).max(MIN_HALF)).collect::<String>())
        });
        let halves: Vec<String> = halves.collect();
        // No region: words without digits are no phones.
        Self::new(&halves.join(" "), "").ok().flatten()
    }

    /// The word with its neighbours, written as one, by the word's number: `brien` is in `obrien` if it follows an `o`.
    pub(crate) fn joined_with(&self, number: usize) -> impl Iterator<Item = &str> {
        let pairs = self.words.len() - 1;
        let joined = self.joined.iter().enumerate().filter(move |(at, _)| match at.checked_sub(pairs) {
            None => (*at..=at + 1).contains(&number),
            Some(first) => (first..=first + 2).contains(&number),
        });
        joined.map(|(_, joined)| joined.as_str())
    }

    /// Whether it can only be words: no id, address or phone.
    pub(crate) fn is_words(&self) -> bool {
        self.id.is_none() && self.email.is_none() && self.phone.is_none()
    }

    /// Two neighbouring words written as one, as far as they may stand for others, with the number of the first.
    pub fn joined_inexact(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut budget = Budget::default();
        let pairs = self.joined.iter().map(String::as_str).take(self.words.len() - 1).enumerate();
        pairs.filter(move |(_, joined)| !self.is_literal && budget.allows(joined))
    }
}

impl Phone {
    /// Reads a text without letters that has digits enough.
    fn new(typed: &str, region: &str) -> Option<Self> {
        let number = text::without_extension(typed);
        let is_number = !number.contains(char::is_alphabetic) && text::digits(number).len() >= MIN_DIGITS;
        is_number.then(|| Self { whole: text::phone(number, region), ending: text::phone_ending(number, region) })
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
                Self {
                    folded: word.to_owned(),
                    variants,
                    nicknames: nicknames::of(word),
                    streets: streets::of(word),
                    is_inexact: false,
                }
            })
            .collect()
    }

    /// The spellings by which an address or a text has it.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.folded).chain(&self.streets).map(String::as_str)
    }

    /// Whether typing errors may be assumed: a digit is never taken for another, and short words resemble too many.
    #[must_use]
    pub fn may_be_mistyped(&self) -> bool {
        let has_digits = self.folded.contains(|letter: char| letter.is_ascii_digit());
        self.is_inexact && self.folded.chars().count() >= 3 && !has_digits
    }
}

/// The letters that may stand for others, counted word by word.
#[derive(Debug, Default)]
struct Budget {
    spent: usize,
}

impl Budget {
    fn allows(&mut self, word: &str) -> bool {
        let letters = word.chars().count();
        let allows = letters <= MAX_INEXACT_WORD && self.spent + letters <= MAX_INEXACT;
        if allows {
            self.spent += letters;
        }
        allows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phrase(typed: &str) -> Phrase {
        Phrase::new(typed, "US").unwrap().unwrap()
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
    fn a_word_is_joined_with_its_neighbours() {
        let joined = |typed: &str, number| phrase(typed).joined_with(number).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(joined("john o brien", 2), ["obrien", "johnobrien"]);
        assert_eq!(joined("a b c d", 1), ["ab", "bc", "abc", "bcd"]);
        assert_eq!(joined("a b", 0), ["ab"]);
        assert_eq!(joined("a", 0), [""; 0]);
    }

    #[test]
    fn digits_are_a_phone_and_a_number() {
        let last_four = phrase("2671");
        assert_eq!(last_four.phone, Some(Phone { whole: "2671".into(), ending: "2671".into() }));
        assert_eq!(last_four.number.as_deref(), Some("2671"));
        let national = phrase("(415) 555-2671");
        assert_eq!(national.phone.unwrap().whole, "+14155552671");
        assert_eq!(phrase("06 28 12 34 56").phone.unwrap().ending, "628123456");
        assert_eq!(phrase("+33 6 28 12 34 56").phone.unwrap().ending, "628123456");
        assert_eq!(phrase("(415) 555-2671 ext. 9").phone.unwrap().whole, "+14155552671");
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
    fn half_of_a_long_word_is_its_beginning() {
        let halves = |typed: &str| phrase(typed).beginnings().map(|found| found.full);
        assert_eq!(halves("zwickelpavr jon 4711").as_deref(), Some("zwick"));
        assert_eq!(halves("smith müller").as_deref(), Some("mul smi"));
        assert_eq!((halves("jon 4711"), phrase("smith").literal().beginnings()), (None, None));
    }

    #[test]
    fn a_text_without_words_is_no_phrase() {
        for text in ["", "  ", "--", "'"] {
            assert_eq!(Phrase::new(text, "US"), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn a_phrase_has_limits() {
        let refusal = |typed: &str| Phrase::new(typed, "US").unwrap_err();
        assert_eq!(refusal(&"ü".repeat(201)), "takes at most 200 characters");
        assert_eq!(refusal("a-b-c-d-e-f-g h i j k l m"), "takes at most 12 words");
        // One letter may be many.
        assert_eq!(refusal(&"ﷺ".repeat(200)), "takes at most 12 words");
        assert_eq!(phrase(&"ü".repeat(200)).words.len(), 1);
    }

    #[test]
    fn as_many_letters_as_people_type_stand_for_others() {
        let inexact = |lengths: &[usize]| {
            let typed: Vec<String> = lengths.iter().map(|length| "a".repeat(*length)).collect();
            let found = phrase(&typed.join(" "));
            (found.words.iter().map(|word| word.is_inexact).collect::<Vec<_>>(), found.joined_inexact().count())
        };
        assert_eq!(inexact(&[3, 3, 4]), (vec![true; 3], 2));
        assert_eq!(inexact(&[40, 41]), (vec![true, false], 0));
        assert_eq!(inexact(&[40, 40, 20, 1]), (vec![true, true, true, false], 1));
        assert_eq!(inexact(&[20, 20, 20, 20, 20]), (vec![true; 5], 2));
    }

    proptest! {
        #[test]
        fn every_text_is_a_phrase_or_refused(typed in "\\PC{0,220}|[-+() 0-9]{0,220}|[a-zäöüß@. ]{0,220}") {
            if let Ok(Some(phrase)) = Phrase::new(&typed, "DE") {
                let inexact = phrase.words.iter().filter(|word| word.is_inexact).map(|word| word.folded.chars().count());
                prop_assert!(phrase.words.len() <= MAX_WORDS && inexact.sum::<usize>() <= MAX_INEXACT);
            }
        }
    }
}
