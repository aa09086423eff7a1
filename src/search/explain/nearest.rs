//! What a phrase may have meant that finds nothing: the words of a document that are nearest to its own.

use super::texts::{Object, Texts};
use crate::search::Field;
use crate::search::phrase::Phrase;

/// Least similarity of words that may be meant: two letters of five may differ, and four of ten.
const MIN_SIMILARITY: f64 = 0.6;
/// Words of a document that are compared, so that a long text costs no more than an address.
const MAX_COMPARED: usize = 60;

/// What a document has in the place of a typed word.
#[derive(Debug, PartialEq)]
pub struct Nearest {
    /// Folded.
    pub typed: String,
    /// As the record shows it.
    pub meant: String,
    /// From 0 to 1; 1 is the word itself.
    pub similarity: f64,
}

/// Looks for the nearest words among those that the record shows; a word that resembles none has no entry.
///
/// # Errors
/// A document that is no JSON object.
pub fn nearest(phrase: &Phrase, fields: &[Field], document: &[u8]) -> serde_json::Result<Vec<Nearest>> {
    let document: Object = serde_json::from_slice(document)?;
    let texts = Texts::of(fields, &document);
    let shown = texts.shown.iter().flat_map(|text| text.glyphs.words(1).map(move |(folded, glyphs)| (folded, text, glyphs)));
    let shown: Vec<_> = shown.take(MAX_COMPARED).collect();
    let nearest = phrase.words.iter().filter(|word| word.may_be_mistyped()).filter_map(|word| {
        let similarities = shown
            .iter()
            .map(|(folded, text, glyphs)| (strsim::normalized_damerau_levenshtein(&word.folded, folded), text, glyphs.clone()));
        let (similarity, text, glyphs) = similarities.max_by(|(one, ..), (other, ..)| one.total_cmp(other))?;
        let meant = text.original.get(text.glyphs.bytes(glyphs)?)?.to_owned();
        (similarity >= MIN_SIMILARITY).then(|| Nearest { typed: word.folded.clone(), meant, similarity })
    });
    Ok(nearest.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::search::{FieldKind, Name, Terms, document};

    static FIELDS: &[Field] = &[Field::new("name", FieldKind::Folded, "name")];

    #[test]
    fn the_nearest_words_are_as_the_record_shows_them() {
        let mut terms = Terms::default();
        terms.name(Name { display: "Olga Zwickelbauer", given: Some("Olga"), family: Some("Zwickelbauer"), company: None });
        let document = document::write(&json!({ "id": 1, "name": "Olga Zwickelbauer" }), &terms).unwrap();
        for (typed, expected) in [
            ("zwickelpavr", &["Zwickelbauer"][..]),
            ("olga zwickelpavr", &["Olga", "Zwickelbauer"]),
            ("zwieback", &[]),
            ("4711", &[]),
        ] {
            let phrase = Phrase::new(typed, "US").unwrap().unwrap();
            let found = nearest(&phrase, FIELDS, &document).unwrap();
            assert_eq!(found.iter().map(|nearest| nearest.meant.as_str()).collect::<Vec<_>>(), expected, "{typed}");
        }
        let masked = Phrase::new("zwickelpavr", "US").unwrap().unwrap().literal();
        assert_eq!(nearest(&masked, FIELDS, &document).unwrap(), [], "who sees masks would be told what is behind them");
    }
}
