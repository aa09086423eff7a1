//! Readers of settings that have a range.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Reads a whole number within a range.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("takes a whole number from {} to {}", range.start(), range.end())),
    }
}

/// Reads a duration within a range, such as `500ms` or `2h`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    within(range, |text| humantime::parse_duration(text).ok())
}

/// Reads `20s`, or a plain number as milliseconds: existing deployments set `SHUTDOWN_TIMEOUT=30000`.
pub(super) fn duration_or_milliseconds(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    within(range, |text| text.parse().map(Duration::from_millis).ok().or_else(|| humantime::parse_duration(text).ok()))
}

fn within(
    range: RangeInclusive<Duration>,
    read: impl Fn(&str) -> Option<Duration> + Clone,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match read(text) {
        Some(duration) if range.contains(&duration) => Ok(duration),
        _ => {
            let [from, to] = [range.start(), range.end()].map(|end| humantime::format_duration(*end));
            Err(format!("takes a duration from {from} to {to}, such as 500ms or 2h"))
        }
    }
}

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: Debug + PartialEq>(read: impl Fn(&str) -> Result<T, String>, fit: &[(&str, T)], unfit: &[&str]) {
        for (text, expected) in fit {
            assert_eq!(read(text).as_ref(), Ok(expected), "{text}");
        }
        for text in unfit {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_durations_have_ranges() {
        check(number(1..=10_usize), &[("1", 1), ("10", 10)], &["0", "11", "-1", "", "1.5", "ten", "18446744073709551616"]);
        check(duration(SECOND..=HOUR), &[("1s", SECOND), ("60m", HOUR)], &["999ms", "61m", "1", "", "soon"]);
        check(
            duration_or_milliseconds(Duration::ZERO..=HOUR),
            &[("1000", SECOND), ("2s", 2 * SECOND), ("0", Duration::ZERO)],
            &["3600001", "x"],
        );
        assert_eq!(number(1..=10_u32)("0").unwrap_err(), "takes a whole number from 1 to 10");
        assert_eq!(duration(SECOND..=DAY)("0s").unwrap_err(), "takes a duration from 1s to 1day, such as 500ms or 2h");
    }
}
