//! Why a document matches a phrase: in which fields, how, and where in them. The same whichever engine has found it.

mod compare;
mod glyphs;
mod how;
pub mod nearest;
mod texts;
mod trigrams;

use schemars::JsonSchema;
use serde::Serialize;

use super::Field;
use super::masking::is_personal;
use super::phrase::Phrase;

pub use how::How;
pub(super) use trigrams::LEAST_SIMILARITY;

use compare::Comparison;
use texts::{Object, Texts};

/// What a phrase and a document have in common.
#[derive(Debug, Default, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Comparable between collections and engines; greater is better.
    pub score: f64,
    pub matched_on: Vec<MatchedOn>,
    pub highlights: Vec<Highlight>,
    /// How many of the phrase's words match by more than a similarity.
    #[serde(skip)]
    pub words: usize,
    /// The words with typing errors, folded, each with what the document has in its place.
    #[serde(skip)]
    pub corrections: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct MatchedOn {
    /// Name on the wire, or `phone`, `email`, `number`, … of what the record does not show.
    pub field: String,
    pub how: How,
}

/// A text of the record in parts; put together they are the text.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Highlight {
    pub field: String,
    pub fragments: Vec<Fragment>,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Fragment {
    pub text: String,
    /// Whether it matches.
    pub hit: bool,
}

impl Explanation {
    /// The same without texts of personal fields.
    #[must_use]
    pub fn masked(&self, fields: &[Field]) -> Self {
        let shown = self.highlights.iter().filter(|highlight| !is_personal(fields, &highlight.field));
        let (highlights, matched_on) = (shown.cloned().collect(), self.matched_on.clone());
        Self { score: self.score, matched_on, highlights, words: self.words, corrections: Vec::new() }
    }
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
    comparison.similar();
    Ok(comparison.finish())
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
            ("jurgensohn", &["name Similar"]),
            ("jur gensohn", &["name Prefix", "name Similar"]),
            ("hauptmannstr", &["addresses.line1 Similar"]),
            ("vandenberg", &["name Joined"]),
            ("AC-0017", &["accountNumber Exact"]),
            ("ac-00", &["accountNumber Prefix"]),
            ("berg 0017", &["accountNumber Suffix", "name Exact", "contactPoints.value Exact"]),
            ("2671", &["contactPoints.value Suffix"]),
            ("+1 415 555 2671", &["contactPoints.value Exact"]),
            ("06 28 12 34 56", &["phone Suffix"]),
            ("j.berg@example.com", &["contactPoints.value Exact"]),
            ("j.berg@", &["contactPoints.value Prefix"]),
            ("hauptst", &["addresses.line1 Prefix"]),
            ("hauptstr", &["addresses.line1 Spelling"]),
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
        assert_eq!(
            explained("jrgen hauptstrase").corrections,
            [("jrgen".to_owned(), "Jürgen".to_owned()), ("hauptstrase".to_owned(), "Hauptstraße".to_owned()),]
        );
    }

    #[test]
    fn an_exact_match_scores_above_an_inexact_one() {
        let ladder = ["AC-0017", "0017", "jurgen van den berg", "jurgen berg", "jurgen", "jurg", "jrgen", "zzz"];
        let scores: Vec<f64> = ladder.iter().map(|typed| explained(typed).score).collect();
        assert!(scores.is_sorted_by(|one, other| one > other), "{scores:?}");
    }
}
