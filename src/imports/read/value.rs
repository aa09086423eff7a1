//! Days and amounts as people and spreadsheets write them, and the form of a whole column.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveTime};
use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What comes first in a day such as 03/04/2025.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayOrder {
    /// The day, as in most of the world.
    Dmy,
    /// The month, as in the United States.
    Mdy,
}

/// What separates the decimals of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decimal {
    /// As in 1,234.56.
    Dot,
    /// As in 1.234,56.
    Comma,
}

/// How the columns of a sheet are read, by their places.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Forms {
    pub days: HashMap<usize, DayOrder>,
    pub decimals: HashMap<usize, Decimal>,
}

/// Votes of the values of a column on how to read it. The whole column is read one way.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::imports) struct Votes<T> {
    /// Each reading with the first row that can only be read that way.
    certain: Vec<(T, u64)>,
    /// The first row that can be read both ways, and its value.
    unsure: Option<(u64, String)>,
}

impl<T> Default for Votes<T> {
    fn default() -> Self {
        Self { certain: Vec::new(), unsure: None }
    }
}

/// How one value can be read.
#[derive(Debug, PartialEq)]
pub(in crate::imports) enum Vote<T> {
    Certain(T),
    Unsure,
    /// The same either way, or not at all.
    Silent,
}

impl<T: Copy + PartialEq> Votes<T> {
    pub(in crate::imports) fn count(&mut self, row: u64, text: &str, vote: Vote<T>) {
        match vote {
            Vote::Certain(reading) if !self.certain.iter().any(|(known, _)| *known == reading) => {
                self.certain.push((reading, row))
            }
            Vote::Unsure if self.unsure.is_none() => self.unsure = Some((row, text.to_owned())),
            _ => {}
        }
    }

    /// Decides how the column is read; none if it does not matter. An error says why the operator has to decide.
    pub(in crate::imports) fn decide(&self) -> Result<Option<T>, String> {
        match (self.certain.as_slice(), &self.unsure) {
            ([(reading, _)], _) => Ok(Some(*reading)),
            ([], None) => Ok(None),
            ([], Some((row, value))) => Err(format!("holds {value:?} in row {row}, which can be read in two ways")),
            ([(_, one), (_, other), ..], _) => Err(format!("is written in two ways, see rows {one} and {other}")),
        }
    }
}

pub(in crate::imports) fn day_vote(text: &str) -> Vote<DayOrder> {
    match parts(day_of(text)) {
        Some(Parts::Either(first, second, _)) => match (first, second) {
            (13..=31, 1..=12) => Vote::Certain(DayOrder::Dmy),
            (1..=12, 13..=31) => Vote::Certain(DayOrder::Mdy),
            (1..=12, 1..=12) if first != second => Vote::Unsure,
            _ => Vote::Silent,
        },
        _ => Vote::Silent,
    }
}

/// Reads a day: 2025-12-31, 20251231, 31.12.2025, and 31/12/2025 or 12/31/2025 by the order. A time must be midnight, as
/// spreadsheets write days.
pub(in crate::imports) fn day(text: &str, order: DayOrder) -> Option<NaiveDate> {
    let day_text = day_of(text);
    let time = text[day_text.len()..].trim_start_matches(['T', ' ']).trim_end_matches('Z');
    if !time.bytes().all(|sign| matches!(sign, b'0' | b':' | b'.')) {
        return None;
    }
    match parts(day_text)? {
        Parts::Certain(year, month, day) => NaiveDate::from_ymd_opt(year, month, day),
        Parts::Either(first, second, year) => match order {
            DayOrder::Dmy => NaiveDate::from_ymd_opt(year, second, first),
            DayOrder::Mdy => NaiveDate::from_ymd_opt(year, first, second),
        },
    }
}

/// Reads a moment and returns it as RFC 3339. The default offset is UTC, the default time midnight.
pub(in crate::imports) fn moment(text: &str, order: DayOrder) -> Option<String> {
    let day_text = day_of(text);
    let day = day(day_text, order)?;
    let time = text[day_text.len()..].trim_start_matches(['T', ' ']).trim();
    let with_offset = DateTime::parse_from_rfc3339(&format!("{day}T{time}"));
    if let Ok(moment) = with_offset {
        return Some(moment.to_rfc3339());
    }
    let time = if time.is_empty() { "00:00" } else { time };
    let time = NaiveTime::parse_from_str(time, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(time, "%H:%M")).ok()?;
    Some(day.and_time(time).and_utc().to_rfc3339())
}

/// The part of a text before its time of day.
fn day_of(text: &str) -> &str {
    text.split(['T', ' ']).next().unwrap_or_default()
}

enum Parts {
    Certain(i32, u32, u32),
    Either(u32, u32, i32),
}

fn parts(text: &str) -> Option<Parts> {
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let year = |digits: &str| number(digits).filter(|_| digits.len() == 4).and_then(|year| i32::try_from(year).ok());
    if text.len() == 8 && number(text).is_some() {
        return Some(Parts::Certain(year(&text[..4])?, number(&text[4..6])?, number(&text[6..])?));
    }
    let separator = text.chars().find(|sign| matches!(sign, '-' | '/' | '.'))?;
    let pieces: Vec<&str> = text.split(separator).collect();
    let [first, second, third] = pieces.as_slice() else { return None };
    if let Some(year) = year(first) {
        return Some(Parts::Certain(year, number(second)?, number(third)?));
    }
    let (first, second, year) = (number(first)?, number(second)?, year(third)?);
    // Dates with dots never begin with the month.
    Some(if separator == '.' { Parts::Certain(year, second, first) } else { Parts::Either(first, second, year) })
}

pub(in crate::imports) fn amount_vote(text: &str) -> Vote<Decimal> {
    let (dots, commas) = (text.matches('.').count(), text.matches(',').count());
    let decimals = text.rsplit(['.', ',']).next().map_or(0, |tail| tail.bytes().filter(u8::is_ascii_digit).count());
    match (dots, commas) {
        (0, 0) => Vote::Silent,
        (1, 0) if decimals == 3 => Vote::Unsure,
        (0, 1) if decimals == 3 => Vote::Unsure,
        (1, 0) | (0, 2..) => Vote::Certain(Decimal::Dot),
        (0, 1) | (2.., 0) => Vote::Certain(Decimal::Comma),
        _ if text.rfind('.') > text.rfind(',') => Vote::Certain(Decimal::Dot),
        _ => Vote::Certain(Decimal::Comma),
    }
}

/// Brings an amount into the form 1234.56: without grouping and currency signs. Parentheses mean a negative amount.
pub(in crate::imports) fn amount(text: &str, decimal: Decimal) -> Option<String> {
    let (group, point) = match decimal {
        Decimal::Dot => (',', '.'),
        Decimal::Comma => ('.', ','),
    };
    let text = text.trim_matches(|sign: char| sign.is_whitespace() || "$€£¥₹₺₩₫₪₴₦฿".contains(sign));
    let (negative, text) = match text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        Some(inner) => (true, inner),
        None => {
            let bare = text.strip_prefix('-').or_else(|| text.strip_suffix('-'));
            (bare.is_some(), bare.unwrap_or(text.strip_prefix('+').unwrap_or(text)))
        }
    };
    let text = text.trim_matches(|sign: char| sign.is_whitespace() || "$€£¥₹₺₩₫₪₴₦฿".contains(sign));
    let (whole, fraction) = text.split_once(point).map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_group = |sign: char| sign == group || sign == '\'' || sign == '’' || sign.is_whitespace();
    let groups: Vec<&str> = whole.split(is_group).collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
    // In India the groups before the last have two digits.
    let grouped = match groups.as_slice() {
        [_] => true,
        [first, middle @ .., last] => {
            (1..=3).contains(&first.len()) && last.len() == 3 && middle.iter().all(|group| (2..=3).contains(&group.len()))
        }
        [] => false,
    };
    if !grouped || !groups.iter().all(|group| digits(group)) || !fraction.is_none_or(digits) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    let fraction = fraction.map(|fraction| format!(".{fraction}")).unwrap_or_default();
    Some(format!("{sign}{}{fraction}", groups.concat()))
}

/// A number as a spreadsheet shows it: 15 digits, since what follows comes from how computers add.
pub(in crate::imports) fn shown(number: f64) -> String {
    format!("{number:.14e}").parse::<f64>().unwrap_or(number).to_string()
}

/// Whether a spreadsheet keeps every digit of a number.
pub(in crate::imports) fn is_exact(number: f64) -> bool {
    number.abs() < 1e15
}

/// Whether a spreadsheet has rounded an identifier, as in 4.71E+15.
pub(in crate::imports) fn is_rounded(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|sign| sign.is_ascii_digit() || sign == b'.' || sign == b',');
    digits(mantissa) && exponent.strip_prefix('+').is_some_and(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_in_all_forms() {
        let check = |text: &str, order, expected: Option<&str>| {
            assert_eq!(day(text, order).map(|day| day.to_string()).as_deref(), expected, "{text}");
        };
        for text in ["1915-11-12", "19151112", "12.11.1915", "1915/11/12", "1915-11-12 00:00:00", "1915-11-12T00:00:00Z"] {
            check(text, DayOrder::Mdy, Some("1915-11-12"));
        }
        check("12/11/1915", DayOrder::Dmy, Some("1915-11-12"));
        check("12/11/1915", DayOrder::Mdy, Some("1915-12-11"));
        check("1/2/1915", DayOrder::Dmy, Some("1915-02-01"));
        for text in ["31/31/1915", "12/11/15", "19150231", "tomorrow", "", "1915-11-12 10:00", "+1/2/1915", "１９１５"] {
            check(text, DayOrder::Dmy, None);
        }
    }

    #[test]
    fn moments_are_returned_with_an_offset() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(moment(text, DayOrder::Dmy).as_deref(), expected, "{text}");
        };
        check("2025-01-02", Some("2025-01-02T00:00:00+00:00"));
        check("02/01/2025 10:30", Some("2025-01-02T10:30:00+00:00"));
        check("2025-01-02 10:30:05", Some("2025-01-02T10:30:05+00:00"));
        check("2025-01-02T10:30:05+02:00", Some("2025-01-02T10:30:05+02:00"));
        check("2025-01-02T10:30:05Z", Some("2025-01-02T10:30:05+00:00"));
        check("2025-01-02 25:00", None);
    }

    #[test]
    fn amounts_are_read_as_their_column_is() {
        let check = |text: &str, decimal, expected: Option<&str>| {
            assert_eq!(amount(text, decimal).as_deref(), expected, "{text}");
        };
        check("1,234.56", Decimal::Dot, Some("1234.56"));
        check("1.234,56", Decimal::Comma, Some("1234.56"));
        check("€ 1 234,5", Decimal::Comma, Some("1234.5"));
        check("1’234.50", Decimal::Dot, Some("1234.50"));
        check("12,34,567.00", Decimal::Dot, Some("1234567.00"));
        check("(12.00)", Decimal::Dot, Some("-12.00"));
        check("($12.00)", Decimal::Dot, Some("-12.00"));
        check("12.00-", Decimal::Dot, Some("-12.00"));
        check("1234", Decimal::Comma, Some("1234"));
        for text in ["1,23.4", "1,2345", "12.3.4", "twelve", "", "-", "1e3", "12 EUR", ",5"] {
            check(text, Decimal::Dot, None);
        }
    }

    #[test]
    fn a_column_is_read_one_way() {
        fn decide(texts: &[&str]) -> Result<Option<DayOrder>, String> {
            let mut votes = Votes::default();
            texts.iter().enumerate().for_each(|(row, text)| votes.count(row as u64 + 2, text, day_vote(text)));
            votes.decide()
        }
        assert_eq!(decide(&["01/02/2025", "13/02/2025"]), Ok(Some(DayOrder::Dmy)));
        assert_eq!(decide(&["01/02/2025", "02/13/2025 00:00"]), Ok(Some(DayOrder::Mdy)));
        assert_eq!(decide(&["2025-01-02", "05/05/2025", "99/99/2025"]), Ok(None));
        assert!(decide(&["05/05/2025", "01/02/2025"]).unwrap_err().contains("\"01/02/2025\" in row 3"));
        assert!(decide(&["13/02/2025", "02/13/2025"]).unwrap_err().contains("rows 2 and 3"));
    }

    #[test]
    fn amounts_vote_for_their_separator() {
        let check = |text: &str, expected| assert_eq!(amount_vote(text), expected, "{text}");
        check("1234", Vote::Silent);
        check("12.5", Vote::Certain(Decimal::Dot));
        check("12,50", Vote::Certain(Decimal::Comma));
        check("1,234", Vote::Unsure);
        check("1.234", Vote::Unsure);
        check("1,234,567", Vote::Certain(Decimal::Dot));
        check("1.234.567", Vote::Certain(Decimal::Comma));
        check("1.234,567", Vote::Certain(Decimal::Comma));
    }

    #[test]
    fn numbers_are_shown_with_fifteen_digits() {
        for (number, expected) in [(0.1 + 0.2, "0.3"), (1234.5, "1234.5"), (4711.0, "4711"), (-2.5e-3, "-0.0025"), (0.0, "0")] {
            assert_eq!(shown(number), expected);
        }
        assert!(is_exact(999_999_999_999_999.0) && !is_exact(4.71e15));
    }

    #[test]
    fn rounded_numbers_are_recognised() {
        assert!(["4.71E+15", "4,71e+15", "1E+05"].into_iter().all(is_rounded));
        assert!(!["4711", "E+15", "1E5", "CASE+1", "0012E"].into_iter().any(is_rounded));
    }
}
