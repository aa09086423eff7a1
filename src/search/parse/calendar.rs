//! Reads days, moments and time zones.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Utc};

use crate::search::filter::{Bound, Value};
use crate::values::zone::Zone;

/// The years are those of RFC 3339, which both engines know.
const KNOWN: &str =
    "takes a day from 0001-01-01 to 9999-12-31, a moment (2026-01-31T10:00:00Z), or one that is relative (now-30d)";

/// What the words `now` and `today` and a bare day mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    pub(super) zone: Zone,
    pub(super) now: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DayOrMoment {
    Day(NaiveDate),
    Moment(DateTime<Utc>),
}

impl Calendar {
    /// Reads the beginning of a period: a bare day begins at midnight.
    pub(super) fn from(&self, text: &str) -> Result<Bound, String> {
        Ok(Bound { value: Value::Moment(self.moment(text)?), inclusive: true })
    }

    /// Reads the end of a period: a bare day ends before the next midnight.
    pub(super) fn to(&self, text: &str) -> Result<Bound, String> {
        Ok(match self.read(text)? {
            DayOrMoment::Day(day) => {
                let next = day.checked_add_days(Days::new(1)).ok_or(KNOWN)?;
                Bound { value: Value::Moment(self.zone.midnight(next)), inclusive: false }
            }
            DayOrMoment::Moment(moment) => Bound { value: Value::Moment(moment), inclusive: true },
        })
    }

    /// Reads the end of a period as the first millisecond that is not in it.
    pub(super) fn before(&self, text: &str) -> Result<DateTime<Utc>, String> {
        Ok(match self.read(text)? {
            DayOrMoment::Day(day) => self.zone.midnight(day.checked_add_days(Days::new(1)).ok_or(KNOWN)?),
            DayOrMoment::Moment(moment) => moment + TimeDelta::milliseconds(1),
        })
    }

    pub(super) fn day(&self, text: &str) -> Result<NaiveDate, String> {
        match self.read(text)? {
            DayOrMoment::Day(day) => Ok(day),
            DayOrMoment::Moment(moment) => self.day_of(moment),
        }
    }

    /// Reads a moment; a bare day means its midnight.
    pub(super) fn moment(&self, text: &str) -> Result<DateTime<Utc>, String> {
        Ok(match self.read(text)? {
            DayOrMoment::Day(day) => self.zone.midnight(day),
            DayOrMoment::Moment(moment) => moment,
        })
    }

    /// Reads `2026-01-31`, `2026-01-31T10:00:00Z`, the same without an offset, `now`, `today`, `now-30d`, `today+2w`.
    pub(super) fn read(&self, text: &str) -> Result<DayOrMoment, String> {
        let text = text.trim();
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return within_range(day).map(DayOrMoment::Day);
        }
        // A plus sign in an address means a blank, and clients forget to escape it.
        let text = text.replace(' ', "+");
        if let Ok(moment) = DateTime::parse_from_rfc3339(&text) {
            return within_range(moment.to_utc()).map(|moment| DayOrMoment::Moment(moment.trunc_subsecs(3)));
        }
        if let Ok(local) = text.parse::<NaiveDateTime>() {
            let moment = self.zone.moment(within_range(local)?);
            return Ok(DayOrMoment::Moment(moment.trunc_subsecs(3)));
        }
        if let Some(by) = text.strip_prefix("today") {
            return self.day_of(self.shifted(by)?).map(DayOrMoment::Day);
        }
        let by = text.strip_prefix("now").ok_or(KNOWN)?;
        self.shifted(by).map(|moment| DayOrMoment::Moment(moment.trunc_subsecs(3)))
    }

    /// Moves the present by `-30d`, `+2w`, `-1M`; by nothing for an empty text. Days are those of the zone, of 23 to 25 hours.
    fn shifted(&self, by: &str) -> Result<DateTime<Utc>, String> {
        let Some(unit) = by.chars().last() else { return Ok(self.now) };
        let count: i64 = by.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or(KNOWN)?;
        let moment = match unit {
            'm' => TimeDelta::try_minutes(count).and_then(|by| self.now.checked_add_signed(by)),
            'h' => TimeDelta::try_hours(count).and_then(|by| self.now.checked_add_signed(by)),
            _ => {
                let local = self.zone.local(self.now);
                let local = match unit {
                    'd' => TimeDelta::try_days(count).and_then(|by| local.checked_add_signed(by)),
                    'w' => TimeDelta::try_weeks(count).and_then(|by| local.checked_add_signed(by)),
                    'M' => months(local, count),
                    'y' => count.checked_mul(12).and_then(|count| months(local, count)),
                    _ => None,
                };
                local.and_then(|local| within_range(local).ok()).map(|local| self.zone.moment(local))
            }
        };
        within_range(moment.ok_or(KNOWN)?)
    }

    fn day_of(&self, moment: DateTime<Utc>) -> Result<NaiveDate, String> {
        within_range(self.zone.day_of(moment))
    }
}

fn months(local: NaiveDateTime, count: i64) -> Option<NaiveDateTime> {
    let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?);
    if count < 0 { local.checked_sub_months(months) } else { local.checked_add_months(months) }
}

fn within_range<D: Datelike>(date: D) -> Result<D, String> {
    if (1..=9999).contains(&date.year()) { Ok(date) } else { Err(KNOWN.into()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calendar(offset: &str) -> Calendar {
        Calendar { zone: offset.parse().unwrap(), now: "2026-11-23T22:30:00.1234567Z".parse().unwrap() }
    }

    #[test]
    fn days_and_moments_are_read_in_their_zone() {
        let check = |offset, text, expected: &str| {
            let read = match calendar(offset).read(text).unwrap() {
                DayOrMoment::Day(day) => day.to_string(),
                DayOrMoment::Moment(moment) => moment.to_rfc3339(),
            };
            assert_eq!(read, expected, "{text} at {offset}");
        };
        check("Z", " 2026-01-31 ", "2026-01-31");
        check("Z", "2026-01-31T10:00:00 02:00", "2026-01-31T08:00:00+00:00");
        check("Z", "now", "2026-11-23T22:30:00.123+00:00");
        check("Z", "now-30d", "2026-10-24T22:30:00.123+00:00");
        check("Z", "now 1y", "2027-11-23T22:30:00.123+00:00");
        check("Z", "today", "2026-11-23");
        check("+02:00", "today", "2026-11-24");
        check("-12:00", "today+2w", "2026-12-07");
        check("Z", "2026-01-31T10:00:00", "2026-01-31T10:00:00+00:00");
        check("Europe/Berlin", "2026-07-31T10:00:00", "2026-07-31T08:00:00+00:00");
        check("+02:00", "2026-01-31T00:00:00.000", "2026-01-30T22:00:00+00:00");
        check("Europe/Berlin", "now-30d", "2026-10-24T21:30:00.123+00:00");
        check("Europe/Berlin", "today", "2026-11-23");
        check("Asia/Tokyo", "today-1d", "2026-11-23");
        check("Z", "0001-01-01", "0001-01-01");
        check("Z", "9999-12-31", "9999-12-31");
        assert_eq!(calendar("+14:00").moment("2026-01-31").unwrap().to_rfc3339(), "2026-01-30T10:00:00+00:00");
    }

    #[test]
    fn what_is_no_day_of_the_calendar_is_refused() {
        for text in [
            "-262143-01-01",
            "0000-12-31",
            "10000-01-01",
            "+12345-01-01",
            "2026-02-30",
            "now-9999999d",
            "now+95005456d",
            "now-99999999999999999999d",
            "today-3000y",
            "today1",
            "now-",
            "now-d",
            "now-1x",
            "tomorrow",
            "",
        ] {
            for offset in ["Z", "-12:00", "+14:00"] {
                assert_eq!(calendar(offset).read(text), Err(KNOWN.into()), "{text}");
            }
        }
        assert_eq!(calendar("-12:00").day("0001-01-01T00:00:00Z"), Err(KNOWN.into()));
    }

    proptest! {
        #[test]
        fn every_text_is_a_day_of_the_calendar_or_refused(
            text in "\\PC{0,20}|-?[0-9]{1,6}-[0-9]{1,2}-[0-9]{1,2}(T[0-9:]{8}(Z|[-+ ][0-9]{2}:[0-9]{2}))?|(now|today)[-+ ]?[0-9]{0,20}[mhdwMy]?",
            zone in "Z|[-+][01][0-9]:(00|15|30|45)|Europe/Berlin|Asia/Kathmandu|America/St_Johns|Pacific/Apia",
        ) {
            let Ok(zone) = zone.parse() else { return Ok(()) };
            let calendar = Calendar { zone, ..calendar("Z") };
            if let Ok(day) = calendar.day(&text) {
                prop_assert!((1..=9999).contains(&day.year()));
            }
            for bound in [calendar.from(&text), calendar.to(&text)].into_iter().flatten() {
                let Value::Moment(moment) = bound.value else { panic!("{bound:?} is no moment") };
                // Midnight may lie on the day before or after in UTC.
                prop_assert!((0..=10_000).contains(&moment.year()), "{}", moment);
            }
        }
    }
}
