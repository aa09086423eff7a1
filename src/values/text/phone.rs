//! Normalises phone numbers and e-mail addresses.

use phonenumber::Mode;
use phonenumber::country::Id;

use super::is_invisible;

/// Normalises a phone number to E.164; one without a country code is read as of `region` (ISO 3166-1 alpha-2).
///
/// A number of no numbering plan keeps its digits: people do have wrong numbers on file.
#[must_use]
pub fn phone(value: &str, region: &str) -> String {
    let parsed = phonenumber::parse(region.parse::<Id>().ok(), value).ok();
    match parsed.filter(phonenumber::is_valid) {
        Some(number) => number.format().mode(Mode::E164).to_string(),
        None => digits(value),
    }
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
