//! What to type in place of a cell that was refused, computed where that is possible, else what to do about it.

use chrono::{Datelike, Days, NaiveDate};

use super::fields::Target;
use super::guide::{self, CellKind, Guide};
use super::read::value::{self, Decimal};
use crate::values::money::Currency;
use crate::values::text::is_email;

/// Likeness from which a word is taken for a misspelt one.
const ALIKE: f64 = 0.6;

/// Suggests what to do about an issue of a row. `value` is what the cell holds.
pub fn suggest(target: Target, code: &str, field: Option<&str>, value: Option<&str>) -> Option<String> {
    let guide = field.and_then(|name| guide::of(target, name));
    let value = value.map(str::trim).filter(|value| !value.is_empty());
    computed(code, guide, value).or_else(|| advice(code, guide))
}

/// The value to type instead.
fn computed(code: &str, guide: Option<&Guide>, value: Option<&str>) -> Option<String> {
    let (guide, value) = (guide?, value?);
    match code {
        "unknown_value" => nearest(value, guide.words.iter().copied()),
        "not_a_day" => day(value).map(|day| day.to_string()),
        "not_a_moment" => day(value).map(|day| format!("{day}T00:00:00Z")),
        "not_an_amount" => amount(value),
        "unknown_currency" => currency(value),
        "not_a_country" => named(value, COUNTRIES),
        "not_a_language" => named(value, LANGUAGES),
        "not_a_time_zone" => zone(value),
        "not_a_contact" if guide.kind == CellKind::Phone => phone(value),
        "not_a_contact" => email(value),
        "invisible" | "unstorable_text" => visible(value),
        _ => None,
    }
}

/// What to do where no value can be computed.
fn advice(code: &str, guide: Option<&Guide>) -> Option<String> {
    let example = || guide.map(|guide| guide.example.as_str()).filter(|example| !example.is_empty());
    let such_as = |what: &str| Some(example().map_or_else(|| what.to_owned(), |example| format!("{what}, such as {example}")));
    match code {
        "required" => such_as("fill in the cell"),
        "unknown_value" => guide.map(|guide| format!("one of {}", guide.words.join(", "))),
        "not_a_day" | "not_a_moment" => such_as("a day with a year of four digits"),
        "not_an_amount" => such_as("a decimal number"),
        "too_many_decimals" => Some("round it to the decimals of the currency".into()),
        "unknown_currency" => Some("a code of three letters, such as EUR".into()),
        "not_a_country" => Some("a code of two letters, such as DE".into()),
        "not_a_language" => Some("a language tag, such as en".into()),
        "not_a_time_zone" => Some("the name of a time zone, such as Europe/Berlin".into()),
        "not_a_contact" => such_as("one number with its country code, or one address"),
        "error_cell" => Some("type the value in place of the formula".into()),
        "ambiguous_key" => Some("choose a key that only one record has".into()),
        "record_deleted" => Some("restore the record first, or take another key".into()),
        "unknown_record" => Some("correct the key, or import with the mode upsert".into()),
        "rounded_number" | "changed_to_day" => Some("format the column as text and type the number again".into()),
        "too_long" | "cell_too_long" => {
            guide.and_then(|guide| guide.max_length).map(|most| format!("shorten it to {most} characters"))
        }
        "duplicate" => Some("take a value that no other record has".into()),
        "repeated_row" => Some("delete one of the rows, or give it a key of its own".into()),
        "unknown_customer" => Some("correct the number, or import the customer first".into()),
        "unknown_account" => Some("correct the number, or import the account first".into()),
        "currency_mismatch" => Some("the currency of the account, or a blank cell".into()),
        "in_the_future" => Some("a day that has come".into()),
        "wrong_column_count" => Some("put texts with separators or line breaks into quotes".into()),
        "unbalanced_quotes" => Some("close the quotes, or double those inside of a text".into()),
        _ => None,
    }
}

/// The word that is most like a text, if one is.
fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let text = text.to_lowercase().replace([' ', '-'], "_");
    let likeness = |word: &'a str| (strsim::normalized_damerau_levenshtein(&text, &word.to_lowercase()), word);
    let nearest = words.map(likeness).max_by(|one, other| one.0.total_cmp(&other.0));
    nearest.filter(|(likeness, _)| *likeness >= ALIKE).map(|(_, word)| word.to_owned())
}

/// Reads a day in more forms than a cell may have. A day that no month has is taken for the month's last one.
fn day(text: &str) -> Option<NaiveDate> {
    const FORMS: [&str; 11] = [
        "%d %B %Y",
        "%d. %B %Y",
        "%B %d, %Y",
        "%B %d %Y",
        "%d-%B-%Y",
        "%d-%B-%y",
        "%d.%m.%y",
        "%d/%m/%y",
        "%m/%d/%y",
        "%Y.%m.%d",
        "%d,%m,%Y",
    ];
    // The first day of a workbook, less one for the day that 1900 did not have.
    const EPOCH: Option<NaiveDate> = NaiveDate::from_ymd_opt(1899, 12, 30);
    let text = text.split(['T']).next().unwrap_or_default().trim();
    if let Ok(days) = text.parse::<u64>() {
        return EPOCH.filter(|_| (10_000..80_000).contains(&days))?.checked_add_days(Days::new(days));
    }
    let formed = FORMS.iter().find_map(|form| NaiveDate::parse_from_str(text, form).ok());
    formed.or_else(|| last_of_month(text))
}

/// 31.02.2026, 2026-02-31 and 31/02/2026 as the 28th.
fn last_of_month(text: &str) -> Option<NaiveDate> {
    let parts: Vec<u32> = text.split(['.', '-', '/']).map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let (year, month, day) = match parts[..] {
        [year, month, day] if year >= 1000 => (year, month, day),
        [day, month, year] if year >= 1000 => (year, month, day),
        _ => return None,
    };
    let first = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, 1)?;
    let length = u32::from(first.num_days_in_month());
    (length < day && day <= 31).then(|| first.with_day(length)).flatten()
}

/// The digits without currency and blanks.
fn amount(text: &str) -> Option<String> {
    let bare: String = text.chars().filter(|sign| sign.is_ascii_digit() || ".,-()".contains(*sign)).collect();
    let bare = bare.trim_matches(['.', ',']);
    let last = bare.rfind([',', '.']).map(|at| &bare[at..=at]);
    let decimal = if last == Some(",") { Decimal::Comma } else { Decimal::Dot };
    value::amount(bare, decimal)
}

fn currency(text: &str) -> Option<String> {
    const SIGNS: &[(&str, &str)] = &[
        ("€", "EUR"),
        ("euro", "EUR"),
        ("euros", "EUR"),
        ("$", "USD"),
        ("us$", "USD"),
        ("dollar", "USD"),
        ("dollars", "USD"),
        ("£", "GBP"),
        ("pound", "GBP"),
        ("pounds", "GBP"),
        ("₹", "INR"),
        ("rs", "INR"),
        ("rs.", "INR"),
        ("rupee", "INR"),
        ("rupees", "INR"),
        ("¥", "JPY"),
        ("yen", "JPY"),
        ("franken", "CHF"),
        ("sfr", "CHF"),
        ("zł", "PLN"),
        ("kč", "CZK"),
    ];
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_uppercase();
    let read = letters.parse::<Currency>().ok().filter(|currency| currency.is_in_use());
    read.map(|currency| currency.as_str().to_owned()).or_else(|| named(text, SIGNS))
}

/// The code of a name, also of a misspelt one.
fn named(text: &str, names: &[(&str, &str)]) -> Option<String> {
    let name = nearest(text, names.iter().map(|(name, _)| *name))?;
    names.iter().find(|(known, _)| *known == name).map(|(_, code)| (*code).to_owned())
}

fn zone(text: &str) -> Option<String> {
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let city = |zone: &&str| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&text.replace(' ', "_")));
    let of_city = zones.clone().find(city).map(str::to_owned);
    of_city.or_else(|| nearest(text, zones))
}

/// The first of several numbers, or the number with a plus in place of 00.
fn phone(text: &str) -> Option<String> {
    let first = text.split(['/', ',', ';']).next().unwrap_or_default().trim();
    let kept: String = first.chars().filter(|sign| sign.is_ascii_digit() || "+ -().".contains(*sign)).collect();
    let kept = kept.trim();
    let number = kept.strip_prefix("00").map_or_else(|| kept.to_owned(), |rest| format!("+{rest}"));
    let digits = number.chars().filter(char::is_ascii_digit).count();
    ((7..=15).contains(&digits) && number != text).then_some(number)
}

/// The first of several addresses, without what is typed by mistake.
fn email(text: &str) -> Option<String> {
    let first = text.trim_start_matches("mailto:").split([';', '/']).next().unwrap_or_default();
    let first = first.rsplit(['<']).next().unwrap_or_default();
    let joined: String = first.chars().filter(|sign| !sign.is_whitespace() && !"<>\"'".contains(*sign)).collect();
    let mended = joined.replace("(at)", "@").replace("[at]", "@").replace("@@", "@").replace(',', ".").replace("..", ".");
    let mended = mended.trim_matches(['.', '@']).to_owned();
    (is_email(&mended) && mended != text).then_some(mended)
}

fn visible(text: &str) -> Option<String> {
    let kept: String = text.chars().filter(|sign| !sign.is_control()).collect();
    let kept = kept.trim();
    (!kept.is_empty() && !kept.chars().all(crate::values::text::is_invisible)).then(|| kept.to_owned())
}

const COUNTRIES: &[(&str, &str)] = &[
    ("germany", "DE"),
    ("deutschland", "DE"),
    ("austria", "AT"),
    ("österreich", "AT"),
    ("switzerland", "CH"),
    ("schweiz", "CH"),
    ("france", "FR"),
    ("italy", "IT"),
    ("italia", "IT"),
    ("spain", "ES"),
    ("españa", "ES"),
    ("portugal", "PT"),
    ("poland", "PL"),
    ("netherlands", "NL"),
    ("belgium", "BE"),
    ("denmark", "DK"),
    ("sweden", "SE"),
    ("norway", "NO"),
    ("finland", "FI"),
    ("ireland", "IE"),
    ("united_kingdom", "GB"),
    ("great_britain", "GB"),
    ("england", "GB"),
    ("uk", "GB"),
    ("usa", "US"),
    ("united_states", "US"),
    ("united_states_of_america", "US"),
    ("canada", "CA"),
    ("mexico", "MX"),
    ("brazil", "BR"),
    ("india", "IN"),
    ("china", "CN"),
    ("japan", "JP"),
    ("australia", "AU"),
    ("new_zealand", "NZ"),
    ("south_africa", "ZA"),
    ("turkey", "TR"),
    ("czech_republic", "CZ"),
    ("czechia", "CZ"),
    ("hungary", "HU"),
    ("romania", "RO"),
    ("greece", "GR"),
];

const LANGUAGES: &[(&str, &str)] = &[
    ("english", "en"),
    ("german", "de"),
    ("deutsch", "de"),
    ("french", "fr"),
    ("français", "fr"),
    ("spanish", "es"),
    ("español", "es"),
    ("italian", "it"),
    ("portuguese", "pt"),
    ("polish", "pl"),
    ("dutch", "nl"),
    ("turkish", "tr"),
    ("russian", "ru"),
    ("arabic", "ar"),
    ("hindi", "hi"),
    ("chinese", "zh"),
    ("japanese", "ja"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_cell_gets_the_value_to_type_instead() {
        for (target, code, field, value, expected) in [
            (Target::Payments, "unknown_value", "status", "sucess", "success"),
            (Target::Payments, "unknown_value", "method", "Bank-Transfr", "bank_transfer"),
            (Target::Customers, "unknown_value", "kind", "alien", "one of person, company"),
            (Target::Accounts, "not_a_day", "dueDate", "31 January 2026", "2026-01-31"),
            (Target::Accounts, "not_a_day", "dueDate", "Jan 31, 2026", "2026-01-31"),
            (Target::Accounts, "not_a_day", "dueDate", "31.01.26", "2026-01-31"),
            (Target::Accounts, "not_a_day", "dueDate", "31.02.2026", "2026-02-28"),
            (Target::Accounts, "not_a_day", "dueDate", "2026-02-30", "2026-02-28"),
            (Target::Accounts, "not_a_day", "dueDate", "46053", "2026-01-31"),
            (Target::Accounts, "not_a_day", "dueDate", "soon", "a day with a year of four digits, such as 2026-01-31"),
            (Target::Payments, "not_a_moment", "receivedAt", "31 Jan 2026", "2026-01-31T00:00:00Z"),
            (Target::Payments, "not_an_amount", "amount", "USD 1,200.50", "1200.50"),
            (Target::Payments, "not_an_amount", "amount", "1.200,50 EUR", "1200.50"),
            (Target::Payments, "not_an_amount", "amount", "much", "a decimal number, such as 129.90"),
            (Target::Payments, "unknown_currency", "currency", "Euro", "EUR"),
            (Target::Payments, "unknown_currency", "currency", "€", "EUR"),
            (Target::Payments, "unknown_currency", "currency", "usd.", "USD"),
            (Target::Customers, "not_a_country", "country", "Germny", "DE"),
            (Target::Customers, "not_a_country", "country", "United States", "US"),
            (Target::Customers, "not_a_language", "language", "German", "de"),
            (Target::Customers, "not_a_time_zone", "timeZone", "Berlin", "Europe/Berlin"),
            (Target::Customers, "not_a_time_zone", "timeZone", "Europe/Viena", "Europe/Vienna"),
            (Target::Customers, "not_a_contact", "phone", "0043 1 5555555", "+43 1 5555555"),
            (Target::Customers, "not_a_contact", "phone", "+1 415 555 2671 / +1 415 555 2672", "+1 415 555 2671"),
            (
                Target::Customers,
                "not_a_contact",
                "phone",
                "none",
                "one number with its country code, or one address, such as +1 415 555 2671",
            ),
            (Target::Customers, "not_a_contact", "email", "ann@ example,com", "ann@example.com"),
            (Target::Customers, "not_a_contact", "email", "Ann <ann@example.com>", "ann@example.com"),
            (Target::Customers, "not_a_contact", "email", "ann(at)example.com", "ann@example.com"),
            (Target::Customers, "required", "externalId", "", "fill in the cell, such as C-1001"),
            (Target::Customers, "too_long", "externalId", "xxx", "shorten it to 100 characters"),
            (
                Target::Accounts,
                "rounded_number",
                "accountNumber",
                "4.7E+15",
                "format the column as text and type the number again",
            ),
        ] {
            assert_eq!(suggest(target, code, Some(field), Some(value)).as_deref(), Some(expected), "{code} {field} {value:?}");
        }
    }

    #[test]
    fn what_cannot_be_helped_has_no_suggestion() {
        assert_eq!(suggest(Target::Customers, "unheard_of", Some("name"), Some("x")), None);
        assert_eq!(suggest(Target::Customers, "out_of_range", Some("dateOfBirth"), Some("1600-01-01")), None);
        assert_eq!(
            suggest(Target::Customers, "repeated_row", None, None).as_deref(),
            Some("delete one of the rows, or give it a key of its own")
        );
    }
}
