//! Words of addresses and their abbreviations: `street` also finds `St`, and the other way round.

/// Words that mean each other, folded. One word may stand in several lines: `st` is a street or a saint.
const ALIKE: [&[&str]; 32] = [
    &["street", "st", "str"],
    &["road", "rd"],
    &["avenue", "ave", "av"],
    &["boulevard", "blvd", "bd"],
    &["drive", "dr"],
    &["lane", "ln"],
    &["court", "ct", "crt"],
    &["place", "pl"],
    &["square", "sq"],
    &["terrace", "ter", "tce"],
    &["crescent", "cres", "cr"],
    &["close", "cl"],
    &["circle", "cir"],
    &["circuit", "cct"],
    &["highway", "hwy"],
    &["parkway", "pkwy"],
    &["grove", "gr"],
    &["trail", "trl"],
    &["esplanade", "esp"],
    &["apartment", "apt"],
    &["suite", "ste"],
    &["floor", "fl"],
    &["building", "bldg"],
    &["saint", "st"],
    &["sankt", "st"],
    &["mount", "mt"],
    &["fort", "ft"],
    &["strasse", "str"],
    &["platz", "pl"],
    &["avenida", "avda", "av"],
    &["piazza", "pza"],
    &["chemin", "ch"],
];
/// German writes them with the name as one word.
const ENDINGS: [(&str, &str); 2] = [("strasse", "str"), ("str", "strasse")];
/// Fewest letters of a name before such an ending: `str` also ends words of other languages.
const NAME_LETTERS: usize = 3;

/// The other spellings of a folded word of an address.
pub(super) fn of(word: &str) -> Vec<String> {
    let lines = ALIKE.iter().filter(|line| line.contains(&word));
    let mut others: Vec<String> =
        lines.flat_map(|line| line.iter().filter(|other| **other != word)).map(|&other| other.to_owned()).collect();
    let compound = ENDINGS.iter().find_map(|(ending, other)| {
        let name = word.strip_suffix(ending).filter(|name| name.chars().count() >= NAME_LETTERS)?;
        Some(format!("{name}{other}"))
    });
    others.extend(compound);
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::text;

    #[test]
    fn a_street_and_its_abbreviation_find_each_other() {
        for (word, others) in [
            ("street", &["st", "str"][..]),
            ("st", &["street", "str", "saint", "sankt"]),
            ("rd", &["road"]),
            ("hauptstrasse", &["hauptstr"]),
            ("hauptstr", &["hauptstrasse"]),
            ("str", &["street", "st", "strasse"]),
            ("elm", &[]),
        ] {
            assert_eq!(of(word), others, "{word}");
        }
    }

    #[test]
    fn the_list_is_as_words_are_indexed() {
        for word in ALIKE.into_iter().flatten() {
            assert_eq!(text::fold(word), *word);
            assert!(of(word).iter().all(|other| of(other).iter().any(|back| back == word)), "{word}");
        }
    }
}
