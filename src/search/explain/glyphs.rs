//! A text letter by letter as searches compare it, with the place of each letter in the original.

use std::ops::Range;

use crate::values::text;

/// A folded letter, and the bytes of the original that it stands for: `ß` is two glyphs of the same bytes.
#[derive(Clone, Copy, Debug)]
struct Glyph {
    letter: char,
    start: usize,
    end: usize,
}

#[derive(Debug)]
pub(super) struct Glyphs {
    glyphs: Vec<Glyph>,
    /// Each word as a range of glyphs.
    words: Vec<Range<usize>>,
}

impl Glyphs {
    pub(super) fn of(original: &str) -> Self {
        let (mut glyphs, mut words): (Vec<Glyph>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        let mut is_apart = true;
        for (start, letter) in original.char_indices() {
            let end = start + letter.len_utf8();
            let folded = fold(letter);
            if folded.is_empty() && !is_apart {
                // An accent or apostrophe belongs to the letter before it.
                glyphs.last_mut().into_iter().for_each(|glyph| glyph.end = end);
            }
            for letter in folded.chars() {
                if letter == ' ' {
                    is_apart = true;
                    continue;
                }
                glyphs.push(Glyph { letter, start, end });
                match words.last_mut().filter(|_| !is_apart) {
                    Some(word) => word.end = glyphs.len(),
                    None => words.push(glyphs.len() - 1..glyphs.len()),
                }
                is_apart = false;
            }
        }
        Self { glyphs, words }
    }

    /// The folded words, and neighbouring ones of this number written as one, each with its glyphs.
    pub(super) fn words(&self, together: usize) -> impl Iterator<Item = (String, Range<usize>)> {
        self.words.windows(together).filter_map(|words| {
            let glyphs = words.first()?.start..words.last()?.end;
            Some((self.letters(glyphs.clone()), glyphs))
        })
    }

    /// Whether the text is digits, however they are separated.
    pub(super) fn is_number(&self) -> bool {
        !self.glyphs.is_empty() && self.glyphs.iter().all(|glyph| glyph.letter.is_ascii_digit())
    }

    /// All letters, without blanks.
    pub(super) fn squashed(&self) -> String {
        self.letters(0..self.glyphs.len())
    }

    /// How many glyphs there are.
    pub(super) fn len(&self) -> usize {
        self.glyphs.len()
    }

    /// The bytes of the original that glyphs stand for, whole letters.
    pub(super) fn bytes(&self, glyphs: Range<usize>) -> Option<Range<usize>> {
        let glyphs = self.glyphs.get(glyphs)?;
        Some(glyphs.first()?.start..glyphs.last()?.end)
    }

    fn letters(&self, glyphs: Range<usize>) -> String {
        self.glyphs[glyphs].iter().map(|glyph| glyph.letter).collect()
    }
}

/// Folds one letter: nothing for what is dropped, a blank for what separates words.
fn fold(letter: char) -> String {
    if letter.is_ascii_alphanumeric() {
        return letter.to_ascii_lowercase().to_string();
    }
    // Between two others, so that a blank shows.
    let folded = text::fold(&format!("a{letter}a"));
    folded.get(1..folded.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes_of<'a>(original: &'a str, word: &str) -> Option<&'a str> {
        let glyphs = Glyphs::of(original);
        let (_, found) = glyphs.words(1).find(|(folded, _)| folded == word)?;
        Some(&original[glyphs.bytes(found)?])
    }

    #[test]
    fn a_folded_word_has_its_place_in_the_original() {
        for (original, word, expected) in [
            ("Jürgen Müller", "muller", "Müller"),
            ("Mu\u{308}ller", "muller", "Mu\u{308}ller"),
            ("8 Hauptstraße, Köln", "hauptstrasse", "Hauptstraße"),
            ("John O’Brien", "obrien", "O’Brien"),
            ("Anna-Maria", "maria", "Maria"),
            ("＋１２", "12", "１２"),
            ("🙂 smile", "smile", "smile"),
        ] {
            assert_eq!(bytes_of(original, word), Some(expected), "{original}");
        }
    }

    #[test]
    fn a_part_of_a_letter_is_the_letter() {
        let original = "Straße 5";
        let glyphs = Glyphs::of(original);
        assert_eq!(&original[glyphs.bytes(0..5).unwrap()], "Straß");
        assert_eq!(glyphs.words(2).map(|(words, _)| words).collect::<Vec<_>>(), ["strasse5"]);
    }

    proptest! {
        #[test]
        fn letter_by_letter_is_as_folded_whole(original in "[a-zA-ZäöüßÉéøłÆ0-9 '’.,-]{0,40}") {
            let words: Vec<String> = Glyphs::of(&original).words(1).map(|(word, _)| word).collect();
            prop_assert_eq!(words.join(" "), text::fold(&original));
        }

        #[test]
        fn every_place_is_one_of_whole_letters(original in "\\PC{0,40}") {
            let glyphs = Glyphs::of(&original);
            for (_, found) in glyphs.words(1) {
                prop_assert!(original.get(glyphs.bytes(found).unwrap()).is_some());
            }
        }
    }
}
