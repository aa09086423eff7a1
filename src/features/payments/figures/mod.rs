//! Figures of payments. Amounts of different currencies are never added up.

mod asked;
mod failures;
mod stats;

pub(super) use asked::{AboutFailures, AboutStats};
pub(super) use failures::{Failures, failures};
pub(super) use stats::{Stats, stats};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::features::payments::fields::FIELDS;
use crate::search::aggregate::{Aggregation, Group, Scope};
use crate::search::filter::{Bound, Test, Value};
use crate::search::parse::Period;
use crate::search::{Field, Filter, field};

static AMOUNT: &Field = field(FIELDS, "amount");
static CURRENCY: &Field = field(FIELDS, "currency");
static STATUS: &Field = field(FIELDS, "status");
static METHOD: &Field = field(FIELDS, "method");
static FAILURE_CODE: &Field = field(FIELDS, "failureCode");
static RECEIVED_AT: &Field = field(FIELDS, "receivedAt");
static DELETED_AT: &Field = field(FIELDS, "deletedAt");

/// More than there are methods or states.
const WORDS: u32 = 20;

/// The payments that are there.
fn existing() -> Filter {
    Filter::Leaf(DELETED_AT, Test::Exists).negated()
}

fn with_status(status: &str) -> Filter {
    Filter::Leaf(STATUS, Test::In(vec![Value::Text(status.to_owned())]))
}

/// The payments whose money came, or was expected, in a period.
fn received(period: Period) -> Filter {
    let from = period.from.map(|from| Bound { value: Value::Moment(from), inclusive: true });
    let before = period.before.map(|before| Bound { value: Value::Moment(before), inclusive: false });
    Filter::Leaf(RECEIVED_AT, Test::Range(from, before))
}

fn count(name: &str, among: Filter, group: Group) -> Aggregation {
    Aggregation { name: name.to_owned(), scope: Scope::List, among, group, stats: None }
}

fn by(field: &'static Field, size: u32) -> Group {
    Group::Terms { field, size, chosen: Vec::new() }
}

/// The payments of one method among those that are counted.
#[derive(Debug, JsonSchema, Serialize)]
struct MethodShare {
    method: String,
    count: u64,
    percentage: Percent,
}

/// A share of a whole in percent, to one decimal, halves rounded up; zero of nothing.
#[derive(Clone, Copy, Debug, PartialEq, JsonSchema)]
#[schemars(inline)]
struct Percent(f64);

impl Percent {
    fn of(part: u64, whole: u64) -> Self {
        let (part, whole) = (u128::from(part), u128::from(whole));
        let tenths = (2_000 * part + whole).checked_div(2 * whole).unwrap_or(0);
        Self(f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_one_decimal() {
        for (part, whole, percent) in [(0, 0, 0.0), (1, 3, 33.3), (2, 3, 66.7), (1, 8, 12.5), (1, 2000, 0.1), (7, 7, 100.0)] {
            assert_eq!(Percent::of(part, whole), Percent(percent), "{part} of {whole}");
        }
    }
}
