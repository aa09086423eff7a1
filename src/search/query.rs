//! What is asked of an engine, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::field::Field;
use super::filter::Filter;
use super::phrase::Phrase;

/// A question to an engine.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which documents.
    pub filter: Filter,
    /// What is looked for in their names, numbers and texts.
    pub phrase: Option<Phrase>,
    /// In which order; the id breaks ties.
    pub sort: Vec<Sort>,
    /// Which part of them.
    pub page: Page,
    /// How many documents to a page.
    pub limit: u32,
    /// How exactly to count them.
    pub count: Count,
}

/// One key of an order.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Whether the greatest comes first. Documents without a value come last in either direction.
    pub descending: bool,
}

/// By what to sort.
#[derive(Clone, Copy, Debug)]
pub enum SortKey {
    /// A field.
    Field(&'static Field),
    /// How well the phrase is matched; engines score differently.
    Score,
}

/// Which part of the documents.
#[derive(Clone, Debug)]
pub enum Page {
    /// By number, the first is 1.
    Number(u32),
    /// What follows a place.
    After(Place),
}

/// A place in an order: the values of a document's sort keys, and its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// One value for each key.
    #[serde(rename = "k")]
    pub keys: Vec<Key>,
    /// The id, which breaks ties.
    #[serde(rename = "i")]
    pub id: Uuid,
    /// Whether the phrase was matched loosely because nothing matched all of it.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub loose: bool,
}

/// The value of a sort key. Days and moments are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// Number, money, day or moment.
    Integer(i64),
    /// A score.
    Score(f64),
    /// Text.
    Text(String),
    /// A flag.
    Flag(bool),
    /// No value.
    Missing(()),
}

/// How exactly to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Not at all.
    None,
    /// Up to a bound.
    Bounded(u32),
    /// All of them.
    Exact,
}

/// An answer.
#[derive(Debug)]
pub struct Hits {
    /// The documents in order, as the index stores them.
    pub documents: Vec<Box<RawValue>>,
    /// How many there are, if that was asked for.
    pub total: Option<Total>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// How many documents there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number.
    pub value: u64,
    /// Whether there may be more.
    pub at_least: bool,
}

impl Query {
    /// Whether the order depends on how an engine scores.
    #[must_use]
    pub fn is_scored(&self) -> bool {
        self.sort.iter().any(|sort| matches!(sort.key, SortKey::Score))
    }

    /// How many documents to skip.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match self.page {
            Page::Number(page) => u64::from(page.saturating_sub(1)) * u64::from(self.limit),
            Page::After(_) => 0,
        }
    }
}
