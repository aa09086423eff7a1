//! What an engine counted.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::values::money::{Currency, Money};

/// The greatest whole number up to which floats have every one: Elasticsearch adds up in floats. What lies beyond is not told.
pub const EXACT_LIMIT: i64 = 1 << 53;

/// The answer to an aggregation.
#[derive(Clone, Debug, PartialEq)]
pub enum Counted {
    Groups {
        /// In the order of the group; a group of the whole is one.
        buckets: Vec<Bucket>,
        /// Documents with a value that are in none of these; of tags, each of them counts.
        other: u64,
        /// By how much a bucket may count too little: values are spread over shards.
        error_bound: u64,
    },
    /// How many different values there are.
    Distinct { values: u64, is_exact: bool },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    pub value: String,
    pub count: u64,
    /// One for each currency, in their order; one for whole numbers; none where nothing is added up.
    pub sums: Vec<Sums>,
}

/// In minor units if there is a currency. None beyond [`EXACT_LIMIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub currency: Option<Currency>,
    /// Documents with a value, at least one.
    pub count: u64,
    pub sum: Option<i64>,
    pub min: Option<i64>,
    pub max: Option<i64>,
}

/// Adds the chosen values that nothing was counted for, and sorts as [`Group::Terms`] says.
pub(in crate::search) fn complete(buckets: &mut Vec<Bucket>, chosen: &[String]) {
    for value in chosen {
        if !buckets.iter().any(|bucket| bucket.value == *value) {
            buckets.push(Bucket { value: value.clone(), ..Bucket::default() });
        }
    }
    buckets.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.value.cmp(&other.value)));
}

impl Sums {
    /// Returns a number unless it is beyond [`EXACT_LIMIT`].
    #[must_use]
    pub(in crate::search) fn exact(number: i64) -> Option<i64> {
        (-EXACT_LIMIT..=EXACT_LIMIT).contains(&number).then_some(number)
    }

    /// The mean in minor units, halves away from zero.
    fn mean(&self) -> Option<i64> {
        let (sum, count) = (i128::from(self.sum?), i128::from(self.count));
        i64::try_from((2 * sum + sum.signum() * count) / (2 * count)).ok()
    }
}

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(currency) = self.currency {
            let money = |minor: Option<i64>| minor.map(|minor| Money { minor, currency });
            map.serialize_entry("currency", &currency)?;
            map.serialize_entry("count", &self.count)?;
            map.serialize_entry("sum", &money(self.sum))?;
            map.serialize_entry("min", &money(self.min))?;
            map.serialize_entry("max", &money(self.max))?;
            map.serialize_entry("avg", &money(self.mean()))?;
        } else {
            #[expect(clippy::cast_precision_loss, reason = "both are below 2^53")]
            let mean = self.sum.map(|sum| sum as f64 / self.count as f64);
            map.serialize_entry("count", &self.count)?;
            map.serialize_entry("sum", &self.sum)?;
            map.serialize_entry("min", &self.min)?;
            map.serialize_entry("max", &self.max)?;
            map.serialize_entry("avg", &mean)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::to_string;

    use super::*;

    #[test]
    fn sums_have_the_decimals_of_their_currency_and_round_halves_away_from_zero() {
        let shown = |currency: &str, count, sum| {
            let currency = Some(currency.parse().unwrap());
            to_string(&Sums { currency, count, sum, min: sum, max: None }).unwrap()
        };
        assert_eq!(shown("EUR", 2, Some(5)), r#"{"currency":"EUR","count":2,"sum":0.05,"min":0.05,"max":null,"avg":0.03}"#);
        assert_eq!(shown("EUR", 2, Some(-5)), r#"{"currency":"EUR","count":2,"sum":-0.05,"min":-0.05,"max":null,"avg":-0.03}"#);
        assert_eq!(shown("JPY", 3, Some(100)), r#"{"currency":"JPY","count":3,"sum":100,"min":100,"max":null,"avg":33}"#);
        assert_eq!(shown("KWD", 1, None), r#"{"currency":"KWD","count":1,"sum":null,"min":null,"max":null,"avg":null}"#);
        let whole = Sums { count: 4, sum: Some(10), min: Some(1), max: Some(4), ..Sums::default() };
        assert_eq!(to_string(&whole).unwrap(), r#"{"count":4,"sum":10,"min":1,"max":4,"avg":2.5}"#);
    }

    #[test]
    fn what_floats_may_have_rounded_is_not_told() {
        assert_eq!(Sums::exact(EXACT_LIMIT), Some(EXACT_LIMIT));
        assert_eq!((Sums::exact(EXACT_LIMIT + 1), Sums::exact(i64::MIN)), (None, None));
    }
}
