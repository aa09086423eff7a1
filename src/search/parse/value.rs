//! Reads the values of filters, by the kind of the field.

use chrono::{DateTime, Days, FixedOffset, Months, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};

use crate::search::field::{Field, FieldKind};
use crate::search::filter::{Bound, Test, Value};
use crate::values::money::{Amount, Currency};
use crate::values::text;

#[derive(Clone, Copy, Debug)]
pub(super) struct ValueParser {
    /// Of amounts.
    pub(super) currency: Currency,
    /// Of days.
    pub(super) zone: FixedOffset,
    pub(super) now: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DayOrMoment {
    Day(NaiveDate),
    Moment(DateTime<Utc>),
}

impl ValueParser {
    pub(super) fn test(&self, field: &Field, operator: &str, text: &str) -> Result<Test, String> {
        let bound = |text: &str, inclusive| self.value(field, text).map(|value| Some(Bound { value, inclusive }));
        Ok(match operator {
            "eq" | "ne" | "in" | "nin" => return self.one_of(field, text),
            "exists" => flag(text).map(|_| Test::Exists)?,
            "lt" | "lte" | "gt" | "gte" => return self.bounded(field, operator, text),
            "between" => {
                let (lower, upper) = text.split_once(',').ok_or("takes two values with a comma between them")?;
                if matches!(field.kind, FieldKind::Moment) {
                    return Ok(Test::Range(self.from(lower)?, self.to(upper)?));
                }
                Test::Range(bound(lower, true)?, bound(upper, true)?)
            }
            "prefix" if matches!(field.kind, FieldKind::Folded) => Test::Prefix(text::fold(text)),
            "prefix" => Test::Prefix(text.to_owned()),
            _ => match text::squash(text) {
                short if short.chars().count() < 4 => return Err("takes at least four characters".into()),
                ending => Test::Suffix(ending),
            },
        })
    }

    /// The beginning of a period: a bare day begins at midnight.
    pub(super) fn from(&self, text: &str) -> Result<Option<Bound>, String> {
        let moment = match self.day_or_moment(text)? {
            DayOrMoment::Day(day) => self.midnight(day),
            DayOrMoment::Moment(moment) => moment,
        };
        Ok(Some(Bound { value: Value::Moment(moment), inclusive: true }))
    }

    /// The end of a period: a bare day ends before the next midnight.
    pub(super) fn to(&self, text: &str) -> Result<Option<Bound>, String> {
        Ok(Some(match self.day_or_moment(text)? {
            DayOrMoment::Day(day) => {
                let next = day.checked_add_days(Days::new(1)).ok_or("is out of range")?;
                Bound { value: Value::Moment(self.midnight(next)), inclusive: false }
            }
            DayOrMoment::Moment(moment) => Bound { value: Value::Moment(moment), inclusive: true },
        }))
    }

    fn bounded(&self, field: &Field, operator: &str, text: &str) -> Result<Test, String> {
        if matches!(field.kind, FieldKind::Moment) {
            // After a day is after all of it, before a day is before any of it.
            let excluded = |bound: Option<Bound>| bound.map(|bound| Bound { inclusive: !bound.inclusive, ..bound });
            return Ok(match operator {
                "gte" => Test::Range(self.from(text)?, None),
                "gt" => Test::Range(excluded(self.to(text)?), None),
                "lte" => Test::Range(None, self.to(text)?),
                _ => Test::Range(None, excluded(self.from(text)?)),
            });
        }
        let bound = Some(Bound { value: self.value(field, text)?, inclusive: operator.ends_with('e') });
        Ok(if operator.starts_with('g') { Test::Range(bound, None) } else { Test::Range(None, bound) })
    }

    fn one_of(&self, field: &Field, text: &str) -> Result<Test, String> {
        // A bare day equals every moment of it.
        if let (FieldKind::Moment, Ok(DayOrMoment::Day(_))) = (field.kind, self.day_or_moment(text)) {
            return Ok(Test::Range(self.from(text)?, self.to(text)?));
        }
        let values = text.split(',').map(|part| self.value(field, part));
        Ok(Test::In(values.collect::<Result<_, _>>()?))
    }

    fn value(&self, field: &Field, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        Ok(match field.kind {
            FieldKind::Keyword(words) => {
                let word = words.find(trimmed).ok_or_else(|| format!("takes one of {}", words.known.join(", ")))?;
                Value::Text(word.to_owned())
            }
            FieldKind::Text | FieldKind::Tags | FieldKind::Object | FieldKind::Parts(_) => Value::Text(trimmed.to_owned()),
            FieldKind::Folded => Value::Text(text::fold(trimmed)),
            FieldKind::Currency => Value::Text(trimmed.parse::<Currency>()?.to_string()),
            FieldKind::Id => Value::Id(trimmed.parse().map_err(|_| "takes a UUID")?),
            FieldKind::Integer => Value::Integer(trimmed.parse().map_err(|_| "takes a whole number")?),
            FieldKind::Money => {
                let amount: Amount = trimmed.parse().map_err(|error: crate::values::money::AmountError| error.to_string())?;
                Value::Integer(amount.minor(self.currency).map_err(|error| format!("{error} ({})", self.currency))?)
            }
            FieldKind::Day => match self.day_or_moment(trimmed)? {
                DayOrMoment::Day(day) => Value::Day(day),
                DayOrMoment::Moment(moment) => Value::Day(moment.with_timezone(&self.zone).date_naive()),
            },
            FieldKind::Moment => match self.day_or_moment(trimmed)? {
                DayOrMoment::Day(day) => Value::Moment(self.midnight(day)),
                DayOrMoment::Moment(moment) => Value::Moment(moment),
            },
            FieldKind::Flag => Value::Flag(flag(trimmed)?),
        })
    }

    /// Reads `2026-01-31`, `2026-01-31T10:00:00Z`, `now`, `today`, `now-30d`, `today+2w`.
    fn day_or_moment(&self, text: &str) -> Result<DayOrMoment, String> {
        let text = text.trim();
        if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(DayOrMoment::Day(day));
        }
        // A plus sign in an address means a blank, and clients forget to escape it.
        if let Ok(moment) = DateTime::parse_from_rfc3339(&text.replace(' ', "+")) {
            return Ok(DayOrMoment::Moment(moment.to_utc().trunc_subsecs(3)));
        }
        let known = "takes a day (2026-01-31), a moment (2026-01-31T10:00:00Z), or one that is relative (now-30d)";
        let (is_day, rest) = match (text.strip_prefix("today"), text.strip_prefix("now")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(known.into()),
        };
        let moment = shifted(self.now, rest).ok_or(known)?.trunc_subsecs(3);
        Ok(if is_day { DayOrMoment::Day(moment.with_timezone(&self.zone).date_naive()) } else { DayOrMoment::Moment(moment) })
    }

    fn midnight(&self, day: NaiveDate) -> DateTime<Utc> {
        let local = day.and_time(NaiveTime::MIN);
        local.checked_sub_offset(self.zone).unwrap_or(local).and_utc()
    }
}

/// Moves a moment by `-30d`, `+2w`, `-1M`; by nothing for an empty text.
fn shifted(moment: DateTime<Utc>, by: &str) -> Option<DateTime<Utc>> {
    let by = by.replace(' ', "+");
    let Some(unit) = by.chars().last() else { return Some(moment) };
    let count: i64 = by.strip_suffix(unit)?.parse().ok()?;
    let months = |count: i64| {
        let months = Months::new(u32::try_from(count.unsigned_abs()).ok()?);
        if count < 0 { moment.checked_sub_months(months) } else { moment.checked_add_months(months) }
    };
    let delta = match unit {
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        'M' => return months(count),
        'y' => return months(count.checked_mul(12)?),
        _ => None,
    };
    moment.checked_add_signed(delta?)
}

pub(crate) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("takes true or false".into()),
    }
}
