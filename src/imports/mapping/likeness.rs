//! How a heading is matched with the fields of a target: by name, by synonym, or by likeness with a confidence.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::fields::{Field, Target};
use super::super::headings::plain;

/// Likeness from which a field is assigned without a question: one typing error in ten letters.
pub(super) const TAKEN: f64 = 0.9;

/// Likeness from which a field is suggested.
const SUGGESTED: f64 = 0.7;

/// Likeness of a heading that says more than a field's name, such as "Primary phone".
const PART: f64 = 0.75;

/// Fewest letters of a name that is looked for inside of a heading.
const PART_LETTERS: usize = 4;

/// How a column has got its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ImportMatch")]
pub enum How {
    /// The heading is nearly a name or a synonym.
    Fuzzy,
    Synonym,
    Exact,
    /// A file with the same headings was mapped so before.
    Saved,
    /// The request says so.
    Given,
}

/// A field that a heading may mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guess {
    pub(super) field: &'static Field,
    pub(super) how: How,
    /// From 0 to 1.
    pub(super) confidence: f64,
}

/// Finds the likeliest field of a heading, if there is one that is worth a suggestion.
pub(super) fn guess(target: Target, heading: &str) -> Option<Guess> {
    if plain(heading).is_empty() {
        return None;
    }
    let guesses = target.fields().iter().map(|field| {
        let (how, confidence) = likeness(field, heading);
        Guess { field, how, confidence }
    });
    guesses.max_by(|one, other| one.confidence.total_cmp(&other.confidence)).filter(|guess| guess.confidence >= SUGGESTED)
}

fn likeness(field: &Field, heading: &str) -> (How, f64) {
    let (whole, name) = (plain(heading), plain(field.name));
    if whole == name {
        return (How::Exact, 1.0);
    }
    if field.synonyms.contains(&whole.as_str()) {
        return (How::Synonym, 0.95);
    }
    let parts = parts(heading);
    let known = std::iter::once(name.as_str()).chain(field.synonyms.iter().copied());
    let alike = known.map(|known| match strsim::normalized_damerau_levenshtein(known, &whole) {
        // A typing error does not make "Phone 2" of "phone".
        alike if digits(known) != digits(&whole) => alike.min(PART),
        alike if parts.iter().any(|part| part == known) => alike.max(PART),
        alike => alike,
    });
    // What is only alike is never as good as a synonym.
    (How::Fuzzy, alike.fold(0.0, f64::max).min(0.94))
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// The runs of words of a heading, in the form of [`plain`].
fn parts(heading: &str) -> Vec<String> {
    let words: Vec<String> =
        heading.split(|sign: char| !sign.is_alphanumeric()).map(plain).filter(|word| !word.is_empty()).collect();
    let starts = 0..words.len();
    let runs = starts.flat_map(|start| (start + 1..=words.len()).map(move |end| (start, end)));
    runs.map(|(start, end)| words[start..end].concat()).filter(|part| part.chars().count() >= PART_LETTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_finds_its_field_with_a_confidence() {
        for (target, heading, expected) in [
            (Target::Customers, "externalId", Some(("externalId", How::Exact, 100.0))),
            (Target::Customers, " E-Mail ", Some(("email", How::Exact, 100.0))),
            (Target::Customers, "rec_id", Some(("externalId", How::Synonym, 95.0))),
            (Target::Customers, "PRÉNOM", Some(("givenName", How::Synonym, 95.0))),
            (Target::Customers, "Phone Numbre", Some(("phone", How::Fuzzy, 91.0))),
            (Target::Customers, "surnmae", Some(("familyName", How::Fuzzy, 86.0))),
            (Target::Customers, "Primary phone", Some(("phone", How::Fuzzy, 75.0))),
            (Target::Customers, "Phone number 2", Some(("phone", How::Fuzzy, 75.0))),
            (Target::Payments, "Date of payment", Some(("receivedAt", How::Fuzzy, 75.0))),
            (Target::Customers, "favourite colour", None),
            (Target::Customers, "Notes", None),
            (Target::Customers, "?!", None),
            (Target::Payments, "surname", None),
        ] {
            let found = guess(target, heading).map(|guess| (guess.field.name, guess.how, (guess.confidence * 100.0).round()));
            assert_eq!(found, expected, "{heading:?}");
        }
    }
}
