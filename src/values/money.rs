//! Money as integer minor units of a currency (ISO 4217), and its form on the wire.

use std::fmt;

use serde::de::{self, Visitor};
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

/// A decimal amount as a client wrote it, before its currency is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    negative: bool,
    whole: String,
    fraction: String,
}

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
        Ok(Self { negative, whole: whole.into(), fraction: fraction.trim_end_matches('0').into() })
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AmountVisitor;

        impl Visitor<'_> for AmountVisitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal amount, as a number or a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Amount, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Amount, E> {
                self.visit_str(&number.to_string())
            }

            // A JSON number has passed through a binary float. Its shortest decimal form is what was written as long as that
            // had at most 15 digits; beyond them the string form is the honest one.
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Amount, E> {
                let text = number.to_string();
                if text.bytes().filter(u8::is_ascii_digit).count() > 15 {
                    return Err(E::custom("an amount of more than 15 digits must be sent as a string"));
                }
                self.visit_str(&text)
            }
        }

        deserializer.deserialize_any(AmountVisitor)
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
    fn json_numbers_and_strings_are_both_amounts() {
        let parse = |json: &str| serde_json::from_str::<Amount>(json).map(|amount| amount.minor("EUR".parse().unwrap()));
        assert_eq!(parse("10.1").unwrap(), Ok(1010));
        assert_eq!(parse("\"10.10\"").unwrap(), Ok(1010));
        assert_eq!(parse("7").unwrap(), Ok(700));
        assert!(parse("true").is_err());
        assert!(parse("12345678901234.567").is_err());
    }
}
