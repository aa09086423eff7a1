//! Folding: no case, no accents, no punctuation. A test compares it with the SQL functions of the same names.

use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

/// Characters of the endings that are indexed and can be searched for; longer ones are found as the whole.
pub const SUFFIX_LENGTHS: RangeInclusive<usize> = 4..=12;

/// Folds a name for comparison: lower case, no accents, no apostrophes, single blanks between words.
#[must_use]
pub fn fold(value: &str) -> String {
    let mut folded = String::with_capacity(value.len());
    let mut gap = false;
    // The acute accent on its own decomposes to a blank and a mark, but people type it as an apostrophe.
    let letters = value.chars().filter(|letter| *letter != '´').nfkd().flat_map(char::to_lowercase);
    for letter in letters.filter(|letter| !is_dropped(*letter)) {
        if is_separator(letter) {
            gap = true;
            continue;
        }
        if gap && !folded.is_empty() {
            folded.push(' ');
        }
        gap = false;
        match spelled_out(letter) {
            Some(letters) => folded.push_str(letters),
            None => folded.push(letter),
        }
    }
    folded
}

/// Normalises an account number or reference: folded, without blanks.
#[must_use]
pub fn squash(value: &str) -> String {
    let mut squashed = fold(value);
    squashed.retain(|letter| letter != ' ');
    squashed
}

/// Returns the endings of a number, 4 to 12 characters long, so that "the last four digits" is one lookup.
#[must_use]
pub fn suffixes(value: &str) -> Vec<&str> {
    let starts: Vec<usize> = value.char_indices().map(|(start, _)| start).collect();
    let count = starts.len();
    SUFFIX_LENGTHS.take_while(|length| *length <= count).filter_map(|length| value.get(*starts.get(count - length)?..)).collect()
}

/// Splits a folded text into its words.
pub fn words(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(' ').filter(|word| !word.is_empty())
}

/// Sorts the words of a folded name and drops repetitions: a full name is the same whichever part comes first.
#[must_use]
pub fn unordered(folded: &str) -> String {
    let mut words: Vec<&str> = words(folded).collect();
    words.sort_unstable();
    words.dedup();
    words.join(" ")
}

/// Apostrophes in all their spellings (O'Brien is `obrien`), accents, vowel points and marks without width.
fn is_dropped(letter: char) -> bool {
    matches!(letter,
        '\'' | '`' | '\u{ad}' | '\u{2bc}' | '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}'..='\u{5c7}' | '\u{640}'
        | '\u{64b}'..='\u{652}' | '\u{200b}'..='\u{200f}' | '\u{2018}'..='\u{201b}' | '\u{202a}'..='\u{202e}' | '\u{2032}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// A list and not a Unicode property, because Rust and Postgres have tables of different Unicode versions.
fn is_separator(letter: char) -> bool {
    matches!(letter,
        '\0'..='/' | ':'..='@' | '['..='`' | '{'..='\u{bf}' | '×' | '÷' | '\u{55a}'..='\u{55f}' | '\u{589}'..='\u{58a}'
        | '\u{5be}' | '\u{5f3}'..='\u{5f4}' | '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{964}'..='\u{965}' | '\u{2000}'..='\u{206f}'
        | '\u{20a0}'..='\u{20cf}' | '\u{2190}'..='\u{2bff}' | '\u{2e00}'..='\u{2e7f}' | '\u{3000}'..='\u{3004}'
        | '\u{3008}'..='\u{3020}' | '\u{3030}' | '\u{303d}'..='\u{303f}' | '\u{30fb}' | '\u{fffc}'..='\u{fffd}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Spellings of letters that Unicode does not decompose.
fn spelled_out(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'ı' => "i",
        'ħ' => "h",
        'ŧ' => "t",
        'ς' => "σ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_fold_alike() {
        for (expected, spellings) in [
            ("muller", &["Müller", "MÜLLER", "Mu\u{308}ller", " müller "][..]),
            ("obrien", &["O'Brien", "O’Brien", "o`brien", "O´Brien", "OBrien"]),
            ("strasse", &["Straße", "STRASSE", "Strasse"]),
            ("anna maria", &["Anna-Maria", "anna  maria", "Anna, Maria", "Anna\tMaria"]),
            ("soren", &["Søren", "SØREN"]),
            ("lodz", &["Łódź"]),
            ("istanbul", &["İstanbul", "istanbul", "ıstanbul"]),
            ("fi", &["ﬁ", "FI"]),
            ("νικοσ", &["Νίκος", "ΝΙΚΟΣ"]),
            ("12", &["１２", "①②"]),
            ("अनिल", &["अनिल"]),
            ("", &["", " ", "'", "--", "🙂"]),
        ] {
            for spelling in spellings {
                assert_eq!(fold(spelling), expected, "{spelling}");
            }
        }
    }

    #[test]
    fn numbers_lose_their_separators() {
        assert_eq!(squash(" ab-12.34/X "), "ab1234x");
        assert_eq!(suffixes("ab1234"), ["1234", "b1234", "ab1234"]);
        assert_eq!(suffixes("abc"), Vec::<&str>::new());
        assert_eq!(suffixes("12345678901234").last(), Some(&"345678901234"));
    }

    #[test]
    fn the_order_of_names_does_not_matter() {
        assert_eq!(unordered("muller anna anna"), "anna muller");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(value in "\\PC*") {
            let once = fold(&value);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn folded_words_are_separated_by_single_blanks(value in "\\PC*") {
            let folded = fold(&value);
            prop_assert_eq!(words(&folded).collect::<Vec<_>>().join(" "), folded);
        }

        #[test]
        fn every_suffix_is_an_ending(value in "\\PC{0,20}") {
            for suffix in suffixes(&value) {
                prop_assert!(value.ends_with(suffix) && SUFFIX_LENGTHS.contains(&suffix.chars().count()));
            }
        }
    }
}
