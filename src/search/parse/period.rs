//! A period between two moments or days.

use chrono::{DateTime, Utc};

use super::calendar::Calendar;
use super::parsed::Rules;
use crate::error::{Error, Result, Violations};

/// From a moment on, until before another one; open where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    pub from: Option<DateTime<Utc>>,
    pub before: Option<DateTime<Utc>>,
}

/// Reads `from` and `to` in a zone; a day begins and ends at midnight, and both of its ends are in the period.
///
/// # Errors
/// A violation of `from`, `to` or `tz`; an end before the beginning.
pub fn period(from: Option<&str>, to: Option<&str>, zone: Option<&str>, rules: &Rules) -> Result<Period> {
    let mut violations = Violations::default();
    let zone = zone.map_or(Ok(rules.zone), str::parse).unwrap_or_else(|message| {
        violations.add("tz", "bad_value", message);
        rules.zone
    });
    let calendar = Calendar { zone, now: rules.now };
    let mut read = |name: &str, text: Option<&str>, read: &dyn Fn(&str) -> Result<DateTime<Utc>, String>| {
        text.and_then(|text| read(text).map_err(|message| violations.add(name, "bad_value", message)).ok())
    };
    let from = read("from", from, &|text| calendar.moment(text));
    let before = read("to", to, &|text| calendar.before(text));
    if from.zip(before).is_some_and(|(from, before)| from >= before) {
        violations.add("to", "reversed", "ends before it begins");
    }
    if violations.is_empty() {
        return Ok(Period { from, before });
    }
    Err(Error::Malformed { code: "bad_parameter", detail: "the period cannot be read".into(), violations })
}
