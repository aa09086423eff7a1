//! How much a word resembles a part of a text by their trigrams, as `word_similarity` of
//! [`pg_trgm`](https://www.postgresql.org/docs/current/pgtrgm.html) measures it: what Postgres finds so, an explanation has to name.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

/// What Postgres looks for: about two typing errors in a name of usual length.
pub(in crate::search) const LEAST_SIMILARITY: f64 = 0.4;

type Trigram = [char; 3];

/// Looks for the likest part of a text, if it resembles what was typed: its first and last word, by their numbers.
///
/// Takes time proportional to the letters of both: a part with many more trigrams than were typed resembles them too little.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "words have few letters"
)]
pub(super) fn similar<W: AsRef<str>>(typed: &str, words: &[W]) -> Option<RangeInclusive<usize>> {
    let typed: HashSet<Trigram> = trigrams(typed).collect();
    let text: Vec<(usize, Trigram)> =
        words.iter().enumerate().flat_map(|(at, word)| trigrams(word.as_ref()).map(move |trigram| (at, trigram))).collect();
    let mut last_places = HashMap::new();
    // Of each trigram: whether it was typed, and where it stood before.
    let known: Vec<(bool, Option<usize>)> = text
        .iter()
        .enumerate()
        .map(|(place, (_, trigram))| (typed.contains(trigram), last_places.insert(*trigram, place)))
        .collect();
    let longest = (typed.len() as f64 / LEAST_SIMILARITY) as usize;
    let (mut likest, mut part) = (LEAST_SIMILARITY, None);
    for start in (0..text.len()).filter(|start| known[*start].0) {
        let (mut common, mut distinct) = (0_usize, 0_usize);
        for (end, (was_typed, before)) in known.iter().enumerate().skip(start).take(longest) {
            if before.is_none_or(|before| before < start) {
                distinct += 1;
                common += usize::from(*was_typed);
            }
            let similarity = common as f64 / (typed.len() + distinct - common) as f64;
            if similarity > likest || (part.is_none() && similarity >= likest) {
                (likest, part) = (similarity, Some(text[start].0..=text[end].0));
            }
        }
    }
    part
}

fn trigrams(word: &str) -> impl Iterator<Item = Trigram> {
    let padded: Vec<char> = "  ".chars().chain(word.chars()).chain(" ".chars()).collect();
    (2..padded.len()).map(move |end| [padded[end - 2], padded[end - 1], padded[end]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_part_of_a_text_is_found() {
        for (typed, text, expected) in [
            ("word", "two words", Some(1..=1)),
            ("quittnpeumm", "quittenbaum", Some(0..=0)),
            ("jurgensohn", "van den berg jurgen", Some(3..=3)),
            ("smith", "smith", Some(0..=0)),
            ("annabella", "anna bella", Some(0..=1)),
            ("smith", "jones", None),
            ("denbreg", "van den berg", None),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(similar(typed, &words), expected, "{typed} {text}");
        }
    }
}
