//! Calendar periods.

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};

/// A calendar period; weeks begin on Monday (ISO 8601).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Interval {
    /// Those that clients name.
    pub const ALL: [Self; 5] = [Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// The name that clients, Elasticsearch and Postgres have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// Most periods of an answer: the days of a year and a month, the hours of a quarter.
    #[must_use]
    pub fn most(self) -> u32 {
        if self == Self::Hour { 24 * 93 } else { 400 }
    }

    /// The first day of the period in which a day is.
    #[must_use]
    pub fn first_day(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Hour | Self::Day => day,
            Self::Week => day.week(Weekday::Mon).first_day(),
            Self::Month | Self::Quarter | Self::Year => {
                let months = Months::new(day.month0() % self.months());
                day.with_day(1).and_then(|first| first.checked_sub_months(months)).unwrap_or(day)
            }
        }
    }

    /// The first days of the periods from one that begins on `first` to the one that has `last`.
    pub fn between(self, first: NaiveDate, last: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        std::iter::successors(Some(first), move |first| self.after(*first)).take_while(move |first| *first <= last)
    }

    /// The first day of the period so many periods before the one that begins on `first`.
    #[must_use]
    pub fn before(self, first: NaiveDate, periods: u32) -> Option<NaiveDate> {
        match self {
            Self::Hour | Self::Day => first.checked_sub_days(Days::new(periods.into())),
            Self::Week => first.checked_sub_days(Days::new(7 * u64::from(periods))),
            Self::Month | Self::Quarter | Self::Year => first.checked_sub_months(Months::new(self.months() * periods)),
        }
    }

    fn after(self, first: NaiveDate) -> Option<NaiveDate> {
        match self {
            Self::Hour | Self::Day => first.succ_opt(),
            Self::Week => first.checked_add_days(Days::new(7)),
            Self::Month | Self::Quarter | Self::Year => first.checked_add_months(Months::new(self.months())),
        }
    }

    fn months(self) -> u32 {
        match self {
            Self::Year => 12,
            Self::Quarter => 3,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn periods_begin_as_the_calendar_says() {
        for (interval, first, before) in [
            (Interval::Day, "2026-11-23", "2026-11-21"),
            (Interval::Week, "2026-11-23", "2026-11-09"),
            (Interval::Month, "2026-11-01", "2026-09-01"),
            (Interval::Quarter, "2026-10-01", "2026-04-01"),
            (Interval::Year, "2026-01-01", "2024-01-01"),
        ] {
            assert_eq!(interval.first_day(day("2026-11-23")), day(first), "{interval:?}");
            assert_eq!(interval.before(day(first), 2), Some(day(before)), "{interval:?}");
            let all: Vec<NaiveDate> = interval.between(day(before), day("2026-11-23")).collect();
            assert_eq!((all.len(), all[2]), (3, day(first)), "{interval:?}");
        }
        assert_eq!(Interval::Week.first_day(day("2026-11-22")), day("2026-11-16"), "a Sunday ends its week");
        assert_eq!(Interval::Month.between(day("2026-02-01"), day("2026-01-31")).count(), 0);
    }
}
