//! Money as integer minor units of a currency (ISO 4217), and its form on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};
use serde_json::value::RawValue;
use sqlx::Postgres;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgTypeInfo, PgValueRef};

/// An ISO 4217 currency code, three capital letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// The currencies and funds of ISO 4217, table A.1, without metals, bond units and test codes.
const IN_USE: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE \
                      CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ \
                      GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL \
                      LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR \
                      PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY \
                      TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// The number of decimals of the currency's minor unit (ISO 4217, table A.1): 2 unless listed here.
    #[must_use]
    pub fn exponent(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX" | b"UYI"
            | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// Whether ISO 4217 lists the currency as in use. Any three letters can be read from a row; only these come in from a client.
    #[must_use]
    pub fn is_in_use(self) -> bool {
        IN_USE.split(' ').any(|code| code == self.as_str())
    }

    /// The currencies in use by the number of their decimals.
    #[must_use]
    pub fn by_exponent() -> BTreeMap<u32, Vec<Self>> {
        let mut alike: BTreeMap<u32, Vec<Self>> = BTreeMap::new();
        for currency in IN_USE.split(' ').filter_map(|code| code.parse::<Self>().ok()) {
            alike.entry(currency.exponent()).or_default().push(currency);
        }
        alike
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Writes minor units as a decimal number with exactly the currency's decimals: `1234` of EUR is `12.34`.
    #[must_use]
    pub fn format(self, minor: i64) -> String {
        let exponent = self.exponent() as usize;
        let digits = format!("{:0>width$}", minor.unsigned_abs(), width = exponent + 1);
        let (whole, fraction) = digits.split_at(digits.len() - exponent);
        let sign = if minor < 0 { "-" } else { "" };
        if exponent == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

/// `XXX`: no currency.
impl Default for Currency {
    fn default() -> Self {
        Self(*b"XXX")
    }
}

impl std::str::FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            &[a, b, c] if text.bytes().all(|letter| letter.is_ascii_alphabetic()) => {
                Ok(Self([a, b, c].map(|letter| letter.to_ascii_uppercase())))
            }
            _ => Err("a currency is three letters (ISO 4217)"),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Currency {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"] })
    }
}

impl sqlx::Type<Postgres> for Currency {
    fn type_info() -> PgTypeInfo {
        String::type_info()
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Currency {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<&str>::decode(value)?.parse()?)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Minor units of a currency. On the wire a JSON number with exactly the currency's decimals; in SQL a row `(bigint, text)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = RawValue::from_string(self.currency.format(self.minor)).map_err(ser::Error::custom)?;
        number.serialize(serializer)
    }
}

impl JsonSchema for Money {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "examples": [129.90] })
    }
}

impl sqlx::Type<Postgres> for Money {
    fn type_info() -> PgTypeInfo {
        <(i64, String)>::type_info()
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Money {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let (minor, currency) = <(i64, String)>::decode(value)?;
        Ok(Self { minor, currency: currency.parse()? })
    }
}

/// A decimal amount as a client wrote it, before its currency is known: its digits, never a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    negative: bool,
    /// Without leading zeros, but at least one digit.
    whole: String,
    /// Without trailing zeros.
    fraction: String,
}

/// How a text says an amount.
pub const AMOUNT_PATTERN: &str = r"^-?[0-9]+(\.[0-9]+)?$";

impl JsonSchema for Amount {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"], "pattern": AMOUNT_PATTERN, "examples": ["129.90"] })
    }
}

/// The greatest exponent of a number that is an amount: with 64 bits of minor units no amount has more digits.
const MAX_EXPONENT: i32 = 30;

/// Why an amount cannot be minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a plain decimal number.
    #[error("an amount is a decimal number such as 12.34")]
    Syntax,
    /// More decimals than the currency has.
    #[error("the currency has {0} decimals")]
    TooPrecise(u32),
    /// Beyond 64 bits of minor units.
    #[error("the amount is out of range")]
    Range,
}

impl AmountError {
    /// The stable word for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "not_an_amount",
            Self::TooPrecise(_) => "too_many_decimals",
            Self::Range => "out_of_range",
        }
    }
}

impl Amount {
    fn new(negative: bool, whole: &str, fraction: &str) -> Self {
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = whole.is_empty() && fraction.is_empty();
        let whole = if whole.is_empty() { "0" } else { whole };
        Self { negative: negative && !is_zero, whole: whole.into(), fraction: fraction.into() }
    }

    /// Reads a JSON number, which may have an exponent: `1.25e3`.
    ///
    /// # Errors
    /// An exponent beyond every amount.
    pub fn from_number(number: &str) -> Result<Self, AmountError> {
        let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else { return number.parse() };
        let exponent = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= MAX_EXPONENT).ok_or(AmountError::Range)?;
        let Self { negative, whole, fraction } = mantissa.parse()?;
        // Zeros on both sides, so that the point can move to either.
        let zeros = "0".repeat(exponent.unsigned_abs() as usize);
        let digits = format!("{zeros}{whole}{fraction}{zeros}");
        let point = (zeros.len() + whole.len()).saturating_add_signed(exponent as isize);
        Ok(Self::new(negative, &digits[..point], &digits[point..]))
    }

    /// Converts to minor units of a currency; never rounds.
    ///
    /// # Errors
    /// More decimals than the currency has, or a number beyond 64 bits.
    pub fn minor(&self, currency: Currency) -> Result<i64, AmountError> {
        let exponent = currency.exponent() as usize;
        if self.fraction.len() > exponent {
            return Err(AmountError::TooPrecise(currency.exponent()));
        }
        let digits = format!("{}{:0<exponent$}", self.whole, self.fraction);
        let magnitude: i64 = digits.parse().map_err(|_| AmountError::Range)?;
        Ok(if self.negative { -magnitude } else { magnitude })
    }
}

impl std::str::FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit());
        if !plain(whole) || !plain(fraction) {
            return Err(AmountError::Syntax);
        }
        Ok(Self::new(negative, whole, fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, currency: &str, expected: Result<i64, AmountError>) {
        let minor = text.parse::<Amount>().and_then(|amount| amount.minor(currency.parse().unwrap()));
        assert_eq!(minor, expected, "{text} {currency}");
    }

    #[test]
    fn decimals_become_minor_units_without_rounding() {
        check("12.34", "EUR", Ok(1234));
        check("12.3", "EUR", Ok(1230));
        check("12", "EUR", Ok(1200));
        check("-0.01", "EUR", Ok(-1));
        check("12.340", "EUR", Ok(1234));
        check("12.345", "EUR", Err(AmountError::TooPrecise(2)));
        check("12.345", "KWD", Ok(12345));
        check("12", "JPY", Ok(12));
        check("12.5", "JPY", Err(AmountError::TooPrecise(0)));
        check("1e3", "EUR", Err(AmountError::Syntax));
        check("", "EUR", Err(AmountError::Syntax));
        check("1.", "EUR", Err(AmountError::Syntax));
        check("92233720368547758.07", "EUR", Ok(i64::MAX));
        check("92233720368547758.08", "EUR", Err(AmountError::Range));
    }

    #[test]
    fn minor_units_are_written_with_the_currencys_decimals() {
        let format = |currency: &str, minor| currency.parse::<Currency>().unwrap().format(minor);
        assert_eq!(format("EUR", 1234), "12.34");
        assert_eq!(format("EUR", -5), "-0.05");
        assert_eq!(format("JPY", 1234), "1234");
        assert_eq!(format("KWD", 1), "0.001");
        assert_eq!(format("EUR", i64::MIN), "-92233720368547758.08");
    }

    #[test]
    fn only_listed_currencies_are_in_use() {
        let in_use = |code: &str| code.parse::<Currency>().unwrap().is_in_use();
        assert!(in_use("EUR") && in_use("zwg") && in_use("AED"));
        assert!(!in_use("XXX") && !in_use("DEM") && !in_use("AAA"));
    }

    #[test]
    fn json_numbers_are_read_by_their_digits() {
        let read = |number: &str| Amount::from_number(number).and_then(|amount| amount.minor("EUR".parse().unwrap()));
        for (number, minor) in [
            ("10.1", 1010),
            ("7", 700),
            ("-0.0", 0),
            ("1e3", 100_000),
            ("1.25E+1", 1250),
            ("125e-1", 1250),
            ("1e-2", 1),
            ("0.00e0", 0),
            ("9999999999999.99", 999_999_999_999_999),
        ] {
            assert_eq!(read(number), Ok(minor), "{number}");
        }
        for (number, error) in [
            ("9999999999999.9999999", AmountError::TooPrecise(2)),
            ("0.99999999999999999", AmountError::TooPrecise(2)),
            ("1e-3", AmountError::TooPrecise(2)),
            ("1e17", AmountError::Range),
            ("1e99999999999", AmountError::Range),
            ("92233720368547758.08", AmountError::Range),
        ] {
            assert_eq!(read(number), Err(error), "{number}");
        }
    }

    #[test]
    fn one_amount_has_many_spellings() {
        let amount = |text: &str| text.parse::<Amount>().unwrap();
        assert_eq!(amount("040.10"), amount("40.1"));
        assert_eq!(amount("-0.00"), amount("0"));
        assert_eq!(Amount::from_number("4.01e1").unwrap(), amount("40.1"));
        assert_ne!(amount("-40.1"), amount("40.1"));
    }
}
