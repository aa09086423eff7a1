//! Texts in the cells of tables: exports write them so that imports read the same again.

use std::borrow::Cow;

/// What begins a formula, or does so once a spreadsheet has left out blanks before it.
pub const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What separates words; the writer takes the second.
const SEPARATORS: [char; 3] = [',', ';', '|'];

/// Puts an apostrophe before a text that a spreadsheet would calculate, and before one that [`unguarded`] would change. Plain numbers
/// and phone numbers in E.164 stay as they are.
#[must_use]
pub fn guarded(text: &str) -> Cow<'_, str> {
    let is_safe = text.starts_with(FORMULAS) && is_number(text);
    if begins_formula(text) && !is_safe { format!("'{text}").into() } else { text.into() }
}

/// Takes the apostrophe of [`guarded`] away.
#[must_use]
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| begins_formula(rest)).unwrap_or(text)
}

fn begins_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULAS)
}

/// A sign, digits, and at most one point between them.
fn is_number(text: &str) -> bool {
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned.split_once('.') {
        Some((whole, decimals)) => is_digits(whole) && is_digits(decimals),
        None => is_digits(unsigned),
    }
}

/// Joins words with `; `. A word that has a separator or a quote is in quotes, its own doubled.
#[must_use]
pub fn join_words(words: &[String]) -> String {
    let quoted = |word: &String| {
        if word.contains(SEPARATORS) || word.contains('"') { format!("\"{}\"", word.replace('"', "\"\"")) } else { word.clone() }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join("; ")
}

/// Splits words at commas, semicolons and bars outside of quotes.
#[must_use]
pub fn split_words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), Some(text));
    while let Some(text) = rest {
        let (word, after) = quoted_word(text.trim_start()).unwrap_or_else(|| bare_word(text));
        rest = after;
        words.extend(Some(word).filter(|word| !word.is_empty()));
    }
    words
}

/// The first word, and what follows its separator.
fn bare_word(text: &str) -> (String, Option<&str>) {
    match text.split_once(SEPARATORS) {
        Some((word, after)) => (word.trim().to_owned(), Some(after)),
        None => (text.trim().to_owned(), None),
    }
}

/// The same if the first word is in quotes as a whole.
fn quoted_word(text: &str) -> Option<(String, Option<&str>)> {
    let (mut word, mut rest) = (String::new(), text.strip_prefix('"')?);
    loop {
        let (part, after) = rest.split_once('"')?;
        word.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                word.push('"');
                rest = after;
            }
            None if after.trim().is_empty() => return Some((word, None)),
            None => return Some((word, Some(after.trim_start().strip_prefix(SEPARATORS)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_split_outside_of_quotes() {
        for (text, expected) in [
            ("a, b;c|d", &["a", "b", "c", "d"][..]),
            (" ; a;;", &["a"]),
            ("\"a, b\"; c", &["a, b", "c"]),
            ("\"say \"\"x\"\"\" ;c", &["say \"x\"", "c"]),
            ("6\" pipe, \"open, c", &["6\" pipe", "\"open", "c"]),
            ("\"a\" b, c", &["\"a\" b", "c"]),
            ("", &[]),
        ] {
            assert_eq!(split_words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_is_guarded() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+1-1", "'+1-1"),
            ("'=1", "''=1"),
            ("'-1", "''-1"),
            ("-12.50", "-12.50"),
            ("+14155552671", "+14155552671"),
            ("'quoted'", "'quoted'"),
            ("a=1", "a=1"),
        ] {
            assert_eq!(guarded(text), expected);
            assert_eq!(unguarded(expected), text);
        }
    }

    proptest! {
        #[test]
        fn texts_come_back_as_they_were(text in "[-=+@\t'0-9a-zé\\PC]{0,12}") {
            let guarded = guarded(&text);
            prop_assert_eq!(unguarded(&guarded), text.as_str());
        }

        #[test]
        fn words_come_back_as_they_were(words in proptest::collection::vec("[-,;|\"'= a-zé\\PC]{0,8}", 0..5)) {
            let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(split_words(&join_words(&words)), words);
        }
    }
}
