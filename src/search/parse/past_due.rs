//! The fields that tell for how long something is past due. They are computed by the day, and compile to conditions on the due date.

use super::value::flag;
use crate::search::filter::Filter;
use crate::search::query::{Missing, Sort, SortKey};
use crate::search::{Collection, PastDue};
use crate::values::aging::AsOf;

/// One of these fields, of a collection that has them.
#[derive(Clone, Copy)]
pub(super) struct PastDueField {
    name: Name,
    past_due: &'static PastDue,
}

#[derive(Clone, Copy)]
enum Name {
    IsOverdue,
    DaysPastDue,
    AgingBucket,
}

/// Days past due, the last one absent without a limit.
type Days = (i64, Option<i64>);

impl PastDueField {
    /// Finds the field of a collection; `overdue` is an older name of `isOverdue`.
    pub(super) fn find(collection: &'static Collection, name: &str) -> Option<Self> {
        let past_due = collection.past_due.as_ref()?;
        let name = match name {
            "isOverdue" | "overdue" => Name::IsOverdue,
            "daysPastDue" => Name::DaysPastDue,
            "agingBucket" => Name::AgingBucket,
            _ => return None,
        };
        Some(Self { name, past_due })
    }

    pub(super) fn operators(self) -> Vec<&'static str> {
        let mut operators = vec!["eq", "ne", "in", "nin", "exists"];
        if matches!(self.name, Name::DaysPastDue) {
            operators.extend(["lt", "lte", "gt", "gte", "between"]);
        }
        operators
    }

    /// Reads the values of an operator; the opposite of one is left to the caller.
    pub(super) fn filter(self, as_of: AsOf<'_>, operator: &str, values: &[String]) -> Result<Filter, String> {
        let days = match (operator, values) {
            ("exists", _) => vec![(0, None)],
            ("between", [from, to]) => vec![(number(from)?, Some(number(to)?))],
            ("between", _) => return Err("takes two values".into()),
            ("lt", [days]) => vec![(0, Some(number(days)?.saturating_sub(1)))],
            ("lte", [days]) => vec![(0, Some(number(days)?))],
            ("gt", [days]) => vec![(number(days)?.saturating_add(1), None)],
            ("gte", [days]) => vec![(number(days)?, None)],
            ("lt" | "lte" | "gt" | "gte", _) => return Err("takes one value".into()),
            _ => values.iter().map(|value| self.days(as_of, value)).collect::<Result<_, _>>()?,
        };
        let filters = days.into_iter().map(|(from, to)| self.past_due.by(as_of.today, from, to));
        Ok(Filter::Any(filters.collect()))
    }

    fn days(self, as_of: AsOf<'_>, value: &str) -> Result<Days, String> {
        match self.name {
            Name::IsOverdue => Ok(if flag(value.trim())? { (1, None) } else { (0, Some(0)) }),
            Name::DaysPastDue => number(value).map(|days| (days, Some(days))),
            Name::AgingBucket => {
                let buckets = as_of.aging.buckets();
                // A plus sign in an address means a blank, and clients forget to escape it.
                let is_named = |name: &str| name.trim_end_matches('+') == value.trim().trim_end_matches('+');
                let found = buckets.iter().find(|bucket| is_named(&bucket.name)).map(|bucket| (bucket.from, bucket.to));
                let names = || buckets.iter().map(|bucket| bucket.name.as_str()).collect::<Vec<_>>().join(", ");
                found.ok_or_else(|| format!("takes one of {}", names()))
            }
        }
    }

    /// Sorts by the field. None of the three is ever missing.
    pub(super) fn sort(self, as_of: AsOf<'_>, descending: bool) -> Sort {
        let at_least = |days| self.past_due.by(as_of.today, days, None);
        match self.name {
            Name::IsOverdue => Sort { key: SortKey::Steps(vec![at_least(1)]), descending, missing: Missing::Last },
            Name::AgingBucket => {
                let steps = as_of.aging.buckets().iter().skip(1).map(|bucket| at_least(bucket.from));
                Sort { key: SortKey::Steps(steps.collect()), descending, missing: Missing::Last }
            }
            // The longer past due, the earlier the day; what is not overdue has none. So a cursor is good beyond midnight.
            Name::DaysPastDue => Sort {
                key: SortKey::DayAmong(self.past_due.due, at_least(1)),
                descending: !descending,
                missing: if descending { Missing::Last } else { Missing::First },
            },
        }
    }
}

fn number(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| "takes a whole number of days".into())
}
