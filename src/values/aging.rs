//! Ageing: how long debts are past due, in the buckets of an ageing report.

use std::str::FromStr;
use std::sync::Arc;

use chrono::NaiveDate;

/// More buckets fit no report.
const MAX_EDGES: usize = 12;
/// Ten years.
const MAX_DAYS: i64 = 3_650;

/// The buckets of an ageing report: `current`, one up to each edge, and one beyond the last: `1-30`, `31-60`, `60+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aging(Arc<[Bucket]>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// On the wire.
    pub name: String,
    /// Fewest days past due.
    pub from: i64,
    /// Most days past due; none of the last bucket.
    pub to: Option<i64>,
}

/// The day by which records are shown and filtered, and the buckets of their age.
#[derive(Clone, Copy, Debug)]
pub struct AsOf<'a> {
    pub today: NaiveDate,
    pub aging: &'a Aging,
}

impl Aging {
    /// From the youngest to the oldest.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket] {
        &self.0
    }

    /// Name of the bucket of so many days past due.
    #[must_use]
    pub fn bucket(&self, days: i64) -> &str {
        self.0.iter().rev().find(|bucket| bucket.from <= days).map_or("current", |bucket| &bucket.name)
    }
}

impl FromStr for Aging {
    type Err = String;

    /// Reads the last days of all buckets but the last: `30,60,90,120`.
    fn from_str(text: &str) -> Result<Self, String> {
        let edges: Result<Vec<i64>, _> = text.split(',').map(|edge| edge.trim().parse()).collect();
        let edges = edges.ok().filter(|edges| {
            edges.len() <= MAX_EDGES
                && edges.is_sorted_by(|one, next| one < next)
                && edges.iter().all(|edge| (1..=MAX_DAYS).contains(edge))
        });
        let edges =
            edges.ok_or_else(|| format!("takes up to {MAX_EDGES} rising numbers of days from 1 to {MAX_DAYS}: 30,60,90,120"))?;
        let mut buckets = vec![Bucket { name: "current".into(), from: 0, to: Some(0) }];
        let mut last = 0;
        for edge in edges {
            buckets.push(Bucket { name: format!("{}-{edge}", last + 1), from: last + 1, to: Some(edge) });
            last = edge;
        }
        buckets.push(Bucket { name: format!("{last}+"), from: last + 1, to: None });
        Ok(Self(buckets.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_days_has_one_bucket() {
        let aging: Aging = "30,60,90,120".parse().unwrap();
        for (days, name) in
            [(0, "current"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (120, "91-120"), (121, "120+"), (9_999, "120+")]
        {
            assert_eq!(aging.bucket(days), name);
            let holds = |bucket: &&Bucket| bucket.from <= days && bucket.to.is_none_or(|to| days <= to);
            assert_eq!(aging.buckets().iter().filter(holds).count(), 1, "{days}");
        }
    }

    #[test]
    fn edges_rise_within_ten_years() {
        assert_eq!("7".parse::<Aging>().unwrap().buckets().len(), 3);
        for text in ["", "0,30", "30,30", "60,30", "30,", "30;60", "-1", "3651", "1,2,3,4,5,6,7,8,9,10,11,12,13"] {
            assert!(text.parse::<Aging>().is_err(), "{text}");
        }
    }
}
