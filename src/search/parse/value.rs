//! Reads the values of filters, by the kind of the field.

use super::calendar::{Calendar, DayOrMoment};
use crate::search::field::{Field, FieldKind};
use crate::search::filter::{Bound, Test, Value};
use crate::values::money::{Amount, Currency};
use crate::values::text;

/// Most values of one condition: as many ids as an address holds.
const MAX_VALUES: usize = 500;
/// Most characters of a text; no field that lists compare holds a longer one.
const MAX_TEXT: usize = 250;
/// Most characters of a beginning: Elasticsearch refuses more than 1,000 bytes.
const MAX_PREFIX: usize = 200;

/// Most words that a text has to have, as of a phrase.
const MAX_WORDS: usize = 12;

#[derive(Clone, Copy, Debug)]
pub(super) struct ValueParser {
    /// Of amounts.
    pub(super) currency: Currency,
    /// Of days.
    pub(super) calendar: Calendar,
}

impl ValueParser {
    pub(super) fn test(&self, field: &Field, operator: &str, values: &[String]) -> Result<Test, String> {
        match operator {
            "eq" | "ne" | "in" | "nin" => self.one_of(field, values),
            "exists" => values.first().map_or(Ok(true), |value| flag(value)).map(|_| Test::Exists),
            "between" => {
                let [lower, upper] = values else { return Err("takes two values".into()) };
                if matches!(field.kind, FieldKind::Moment) {
                    return Ok(Test::Range(Some(self.calendar.from(lower)?), Some(self.calendar.to(upper)?)));
                }
                let bound = |text: &str| self.value(field, text).map(|value| Some(Bound { value, inclusive: true }));
                Ok(Test::Range(bound(lower)?, bound(upper)?))
            }
            _ => {
                let [value] = values else { return Err("takes one value".into()) };
                self.compared(field, operator, value)
            }
        }
    }

    fn compared(&self, field: &Field, operator: &str, text: &str) -> Result<Test, String> {
        Ok(match operator {
            "lt" | "lte" | "gt" | "gte" => return self.bounded(field, operator, text),
            "prefix" if matches!(field.kind, FieldKind::Folded) => prefix(text::fold(short(text)?))?,
            "prefix" => prefix(text.to_owned())?,
            "match" => {
                let words: Vec<String> = text::words(&text::fold(short(text)?)).map(str::to_owned).collect();
                if words.is_empty() || words.len() > MAX_WORDS {
                    return Err(format!("takes from one to {MAX_WORDS} words"));
                }
                Test::Words(words)
            }
            _ => match text::squash(short(text)?) {
                ending if text::SUFFIX_LENGTHS.contains(&ending.chars().count()) => Test::Suffix(ending),
                _ => return Err("takes four to twelve letters and digits".into()),
            },
        })
    }

    fn bounded(&self, field: &Field, operator: &str, text: &str) -> Result<Test, String> {
        if matches!(field.kind, FieldKind::Moment) {
            // After a day is after all of it, before a day is before any of it.
            let (from, to) = (self.calendar.from(text)?, self.calendar.to(text)?);
            let excluded = |bound: Bound| Some(Bound { inclusive: !bound.inclusive, ..bound });
            return Ok(match operator {
                "gte" => Test::Range(Some(from), None),
                "gt" => Test::Range(excluded(to), None),
                "lte" => Test::Range(None, Some(to)),
                _ => Test::Range(None, excluded(from)),
            });
        }
        let bound = Some(Bound { value: self.value(field, text)?, inclusive: operator.ends_with('e') });
        Ok(if operator.starts_with('g') { Test::Range(bound, None) } else { Test::Range(None, bound) })
    }

    fn one_of(&self, field: &Field, values: &[String]) -> Result<Test, String> {
        // A bare day equals every moment of it.
        if let (FieldKind::Moment, [text]) = (field.kind, values)
            && let Ok(DayOrMoment::Day(_)) = self.calendar.read(text)
        {
            return Ok(Test::Range(Some(self.calendar.from(text)?), Some(self.calendar.to(text)?)));
        }
        if values.is_empty() || values.len() > MAX_VALUES {
            return Err(format!("takes from one to {MAX_VALUES} values"));
        }
        let values = values.iter().map(|value| self.value(field, value));
        Ok(Test::In(values.collect::<Result<_, _>>()?))
    }

    fn value(&self, field: &Field, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        Ok(match field.kind {
            FieldKind::Keyword(words) => {
                let word = words.find(trimmed).ok_or_else(|| format!("takes one of {}", words.known.join(", ")))?;
                Value::Text(word.to_owned())
            }
            FieldKind::Text | FieldKind::Tags | FieldKind::Object | FieldKind::Parts(_) => {
                Value::Text(short(trimmed)?.to_owned())
            }
            FieldKind::Folded => Value::Text(text::fold(short(trimmed)?)),
            FieldKind::Currency => Value::Text(trimmed.parse::<Currency>()?.to_string()),
            FieldKind::Id => Value::Id(trimmed.parse().map_err(|_| "takes a UUID")?),
            FieldKind::Integer => Value::Integer(trimmed.parse().map_err(|_| "takes a whole number")?),
            FieldKind::Money => {
                let amount: Amount = trimmed.parse().map_err(|error: crate::values::money::AmountError| error.to_string())?;
                Value::Integer(amount.minor(self.currency).map_err(|error| format!("{error} ({})", self.currency))?)
            }
            FieldKind::Day => Value::Day(self.calendar.day(trimmed)?),
            FieldKind::Moment => Value::Moment(self.calendar.moment(trimmed)?),
            FieldKind::Flag => Value::Flag(flag(trimmed)?),
        })
    }
}

fn short(text: &str) -> Result<&str, String> {
    if text.chars().count() <= MAX_TEXT { Ok(text) } else { Err(format!("takes at most {MAX_TEXT} characters")) }
}

/// Folding may have made it longer.
fn prefix(start: String) -> Result<Test, String> {
    if start.chars().count() <= MAX_PREFIX {
        Ok(Test::Prefix(start))
    } else {
        Err(format!("takes at most {MAX_PREFIX} characters"))
    }
}

pub(crate) fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("takes true or false".into()),
    }
}
