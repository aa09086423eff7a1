//! Time zones: names of the IANA database and fixed offsets.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// Offsets in use reach from -12:00 to +14:00, in quarters of an hour.
const OFFSET_MINUTES: std::ops::RangeInclusive<i32> = -12 * 60..=14 * 60;
const OFFSET_STEP: i32 = 15;

/// Where days begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// With its changes of clocks.
    Named(Tz),
    Offset(FixedOffset),
}

impl Zone {
    /// What clocks in the zone show.
    #[must_use]
    pub fn local(self, moment: DateTime<Utc>) -> NaiveDateTime {
        match self {
            Self::Named(zone) => moment.with_timezone(&zone).naive_local(),
            Self::Offset(zone) => moment.with_timezone(&zone).naive_local(),
        }
    }

    #[must_use]
    pub fn day_of(self, moment: DateTime<Utc>) -> NaiveDate {
        self.local(moment).date()
    }

    /// The moment at which clocks in the zone show this: the first of two. What a change of clocks leaves out is counted from before it.
    #[must_use]
    pub fn moment(self, local: NaiveDateTime) -> DateTime<Utc> {
        match self {
            Self::Named(zone) => resolve(zone, local),
            Self::Offset(zone) => resolve(zone, local),
        }
    }

    /// The moment at which a day begins.
    #[must_use]
    pub fn midnight(self, day: NaiveDate) -> DateTime<Utc> {
        self.moment(day.and_time(NaiveTime::MIN))
    }
}

fn resolve(zone: impl TimeZone, local: NaiveDateTime) -> DateTime<Utc> {
    if let Some(moment) = zone.from_local_datetime(&local).earliest() {
        return moment.to_utc();
    }
    let before = local.checked_sub_days(Days::new(1)).and_then(|before| zone.offset_from_local_datetime(&before).earliest());
    let offset = TimeDelta::seconds(before.map_or(0, |offset| offset.fix().local_minus_utc().into()));
    local.checked_sub_signed(offset).unwrap_or(local).and_utc()
}

impl FromStr for Zone {
    type Err = &'static str;

    /// Reads `Europe/Berlin`, `UTC`, `+02:00`, `-0530`, `Z`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("z") {
            return Ok(Self::Named(Tz::UTC));
        }
        if let Ok(zone) = text.parse() {
            return Ok(Self::Named(zone));
        }
        // A plus sign in an address means a blank, and clients forget to escape it.
        let signed = if text.starts_with(|sign: char| sign.is_ascii_digit()) { format!("+{text}") } else { text.to_owned() };
        let is_in_use = |zone: &FixedOffset| {
            let (minutes, seconds) = (zone.local_minus_utc() / 60, zone.local_minus_utc() % 60);
            OFFSET_MINUTES.contains(&minutes) && minutes % OFFSET_STEP == 0 && seconds == 0
        };
        let offset = signed.parse().ok().filter(is_in_use);
        offset.map(Self::Offset).ok_or("takes a time zone such as Europe/Berlin, or an offset from -12:00 to +14:00")
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(zone) => zone.fmt(f),
            Self::Offset(zone) => zone.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_offsets_in_use_are_zones() {
        for (text, name) in [
            ("Europe/Berlin", "Europe/Berlin"),
            (" UTC ", "UTC"),
            ("z", "UTC"),
            ("+0530", "+05:30"),
            ("05:45", "+05:45"),
            ("-12:00", "-12:00"),
            ("+14:00", "+14:00"),
        ] {
            assert_eq!(text.parse::<Zone>().map(|zone| zone.to_string()), Ok(name.to_owned()), "{text}");
        }
        for text in ["", "Mars", "Europe/Atlantis", "+23:59", "+14:15", "-12:15", "+02:01", "+2", "é", "../etc/passwd"] {
            assert!(text.parse::<Zone>().is_err(), "{text}");
        }
    }

    #[test]
    fn days_follow_changes_of_clocks() {
        let midnight = |zone: &str, day: &str| {
            let zone: Zone = zone.parse().unwrap();
            zone.midnight(day.parse().unwrap()).to_rfc3339()
        };
        assert_eq!(midnight("Europe/Berlin", "2026-03-29"), "2026-03-28T23:00:00+00:00");
        assert_eq!(midnight("Europe/Berlin", "2026-03-30"), "2026-03-29T22:00:00+00:00");
        assert_eq!(midnight("-05:00", "2026-03-30"), "2026-03-30T05:00:00+00:00");
        // In Beirut the first hour of that day was left out, in Apia the whole day.
        assert_eq!(midnight("Asia/Beirut", "2026-03-29"), "2026-03-28T22:00:00+00:00");
        assert_eq!(midnight("Pacific/Apia", "2011-12-30"), "2011-12-30T10:00:00+00:00");
    }

    #[test]
    fn an_hour_that_comes_twice_means_the_first() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let local = |text: &str| berlin.moment(text.parse().unwrap()).to_rfc3339();
        assert_eq!(local("2026-10-25T02:30:00"), "2026-10-25T00:30:00+00:00");
        assert_eq!(local("2026-03-29T02:30:00"), "2026-03-29T01:30:00+00:00");
    }
}
