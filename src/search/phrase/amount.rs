//! Amounts as people type them: `1,250.00`, `1.250,00`, `1 250,00`, `€1250`.

use crate::values::money::Amount;

/// Signs of currencies that stand before or behind an amount. Which currency is meant the record says.
const SIGNS: [char; 12] = ['€', '$', '£', '¥', '₹', '₽', '₺', '₩', '₪', '₫', '₱', '฿'];
/// What stands between groups of digits.
const GROUPS: [char; 7] = ['.', ',', '\'', '’', ' ', '\u{a0}', '\u{202f}'];
/// Most decimals of an amount in the currencies of daily life (ISO 4217, table A.1).
const MAX_DECIMALS: usize = 3;
/// Most characters: no amount of 64 bits has more digits with their separators.
const MAX_CHARACTERS: usize = 32;

/// Reads what may be an amount; `1,250` is two, one with decimals and one without.
///
/// Digits alone are a number and no amount: it takes a sign of a currency, a separator of groups or decimals.
pub(super) fn read(typed: &str) -> Vec<Amount> {
    let typed = typed.trim_end_matches(['.', ',', ';', ':', '!', '?']);
    let (minus, rest) = typed.strip_prefix(['-', '−']).map_or(("", typed), |rest| ("-", rest));
    let digits = rest.trim_matches(|letter: char| letter.is_whitespace() || SIGNS.contains(&letter));
    let is_digit = |letter: char| letter.is_ascii_digit();
    if digits.len() > MAX_CHARACTERS || !digits.starts_with(is_digit) || !digits.ends_with(is_digit) {
        return Vec::new();
    }
    let has_sign = digits.len() < rest.trim().len();
    let with_decimals = digits.rfind(['.', ',']).and_then(|at| {
        let (whole, decimals) = (&digits[..at], &digits[at + 1..]);
        let whole = ungrouped(whole, digits[at..].chars().next())?;
        (is_plain(decimals) && decimals.len() <= MAX_DECIMALS).then(|| format!("{minus}{whole}.{decimals}"))
    });
    let without = ungrouped(digits, None).filter(|_| has_sign || !is_plain(digits)).map(|whole| format!("{minus}{whole}"));
    with_decimals.into_iter().chain(without).filter_map(|amount| amount.parse().ok()).collect()
}

/// Takes out the separators of groups, which are alike and none of which is that of the decimals.
fn ungrouped(digits: &str, decimal: Option<char>) -> Option<String> {
    if is_plain(digits) {
        return Some(digits.to_owned());
    }
    let separator = digits.chars().find(|letter| !letter.is_ascii_digit())?;
    if !GROUPS.contains(&separator) || decimal == Some(separator) {
        return None;
    }
    let groups: Vec<&str> = digits.split(separator).collect();
    let [first, between @ .., last] = groups.as_slice() else { return None };
    // India writes 12,50,000.
    let is_grouped =
        (1..=3).contains(&first.len()) && between.iter().all(|group| matches!(group.len(), 2 | 3)) && last.len() == 3;
    (is_grouped && groups.iter().all(|group| is_plain(group))).then(|| groups.concat())
}

fn is_plain(digits: &str) -> bool {
    !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_has_decimals_groups_or_a_sign() {
        let check = |typed: &str, expected: &[&str]| {
            let expected: Vec<Amount> = expected.iter().map(|amount| amount.parse().unwrap()).collect();
            assert_eq!(read(typed), expected, "{typed}");
        };
        for typed in
            ["1,250.00", "1.250,00", "1250.00", "1250,00", "1 250,00", "1'250.00", "€1,250.00", "1.250,00 €", "$1,250.00."]
        {
            check(typed, &["1250"]);
        }
        check("12.50", &["12.5"]);
        check("-12,50", &["-12.5"]);
        check("1,250", &["1.25", "1250"]);
        check("1,250,000", &["1250000"]);
        check("12,50,000.00", &["1250000"]);
        check("€1250", &["1250"]);
        for typed in [
            "",
            "€",
            "-",
            "1250",
            "4477",
            "01.03.2026",
            "2026-03-01",
            "415.555.2671",
            "1,25,0",
            "1..5",
            "1.",
            ".5",
            "12a.50",
            "10.1.2.3",
        ] {
            check(typed, &[]);
        }
    }

    proptest! {
        #[test]
        fn every_text_is_an_amount_or_none(typed in "\\PC{0,40}|[-€$0-9., ']{0,40}") {
            prop_assert!(read(&typed).len() <= 2);
        }
    }
}
