//! Normalises phone numbers and e-mail addresses.

use phonenumber::country::Id;
use phonenumber::{Mode, PhoneNumber};

use super::is_invisible;

/// Words before the extension of a phone number.
const EXTENSIONS: [&str; 3] = ["extension", "ext", "x"];

/// Normalises a phone number to E.164; one without a country code is read as of `region` (ISO 3166-1 alpha-2).
///
/// A number of no numbering plan keeps its digits: people do have wrong numbers on file.
#[must_use]
pub fn phone(value: &str, region: &str) -> String {
    match parsed(value, region).filter(phonenumber::is_valid) {
        Some(number) => number.format().mode(Mode::E164).to_string(),
        None => digits(value),
    }
}

/// Returns the digits that a phone number ends with however it was dialled: without the country code or the zeros before it.
#[must_use]
pub fn phone_ending(value: &str, region: &str) -> String {
    let typed = value.trim_start();
    let is_international = typed.starts_with('+') || typed.starts_with("00");
    match parsed(value, region).filter(|_| is_international) {
        Some(number) => number.national().value().to_string(),
        None => digits(value).trim_start_matches('0').to_owned(),
    }
}

/// Cuts off the extension of a phone number: `555 2671 ext. 9`.
#[must_use]
pub fn without_extension(value: &str) -> &str {
    let lower = value.to_ascii_lowercase();
    let is_extension = |rest: &str| {
        let is_plain = rest.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, ' ' | '.' | ':'));
        is_plain && rest.contains(|letter: char| letter.is_ascii_digit())
    };
    let starts = EXTENSIONS.iter().filter_map(|word| {
        let (number, rest) = lower.rsplit_once(word)?;
        (is_extension(rest) && !number.contains(char::is_alphabetic)).then_some(number.len())
    });
    &value[..starts.min().unwrap_or(value.len())]
}

/// `00` dials abroad in most countries, whatever the region is.
fn parsed(value: &str, region: &str) -> Option<PhoneNumber> {
    let international = value.trim_start().strip_prefix("00").map(|number| format!("+{number}"));
    let region = region.parse::<Id>().ok();
    phonenumber::parse(region, international.as_deref().unwrap_or(value)).ok()
}

/// Returns the decimal digits of a text, in ASCII.
#[must_use]
pub fn digits(value: &str) -> String {
    super::fold(value).chars().filter(char::is_ascii_digit).collect()
}

#[must_use]
pub fn email(value: &str) -> String {
    value.trim().to_lowercase()
}

/// Whether a text can be an e-mail address: something before and after an `@`, and nothing that cannot be seen.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty()) && !text.contains(is_invisible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_number_are_the_same() {
        for spelling in ["(415) 555-2671", "+1 415 555 2671", "1-415-555-2671", "415.555.2671"] {
            assert_eq!(phone(spelling, "US"), "+14155552671", "{spelling}");
        }
        assert_eq!(phone("06 28 12 34 56", "FR"), "+33628123456");
        assert_eq!(phone("+33 6 28 12 34 56", "US"), "+33628123456");
    }

    #[test]
    fn a_number_ends_alike_however_it_is_dialled() {
        for spelling in ["+33 6 28 12 34 56", "0033 6 28 12 34 56", "06 28 12 34 56", "6 28 12 34 56"] {
            assert_eq!(phone_ending(spelling, "US"), "628123456", "{spelling}");
        }
        assert_eq!(phone("0033 6 28 12 34 56", "US"), "+33628123456");
        assert_eq!(phone_ending("+1 (555) 010-4477", "DE"), "5550104477");
        assert_eq!(phone_ending("2671", "US"), "2671");
    }

    #[test]
    fn an_extension_is_cut_off() {
        for (value, expected) in [
            ("555 2671 ext. 9", "555 2671 "),
            ("555 2671 x12", "555 2671 "),
            ("555 2671 Extension 12", "555 2671 "),
            ("555 2671", "555 2671"),
            ("max 12", "max 12"),
            ("555 ext", "555 ext"),
        ] {
            assert_eq!(without_extension(value), expected);
        }
    }

    #[test]
    fn a_number_of_no_plan_keeps_its_digits() {
        assert_eq!(phone("12-34", "US"), "1234");
        assert_eq!(phone("ext. 9", "??"), "9");
    }

    #[test]
    fn an_address_has_two_parts_that_can_be_seen() {
        assert!(["a@b", "jane.doe@example.com", "a@b@c"].into_iter().all(is_email));
        assert!(!["", "a", "@", "a@", "@b", "a b@c", "\u{200b}@\u{200b}", "a\u{202e}@b"].into_iter().any(is_email));
    }

    #[test]
    fn an_address_loses_case_and_blanks() {
        assert_eq!(email(" Jane.Doe@Example.COM "), "jane.doe@example.com");
    }
}
