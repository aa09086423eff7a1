//! A list as the engines see it, and their answer.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::aggregate::{Aggregates, Aggregation, Counted};
use super::field::Field;
use super::filter::Filter;
use super::phrase::{Phrase, Rarity};
use crate::error::Error;

/// Most bytes of the documents of one page: a thousand of the usual ones take an eighth of it.
pub(super) const PAGE_BYTES: usize = 16 << 20;

/// One page of a filtered and sorted list.
#[derive(Clone, Debug)]
pub struct Query {
    pub filter: Filter,
    pub phrase: Option<Phrase>,
    /// The id breaks ties.
    pub sort: Vec<Sort>,
    pub page: Page,
    /// Most documents on the page.
    pub limit: u32,
    pub count: Count,
    /// Also has conditions of the list.
    pub aggregates: Aggregates,
}

/// One sort key.
#[derive(Clone, Debug)]
pub struct Sort {
    pub key: SortKey,
    pub descending: bool,
    /// Where documents without a value come, in either direction.
    pub missing: Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    First,
    Last,
}

/// Elasticsearch computes a score for every kind but fields, so a query has at most one of these.
#[derive(Clone, Debug)]
pub enum SortKey {
    Field(&'static Field),
    /// How well the phrase matches; engines score differently.
    Score,
    /// A day, which only the documents have that a filter selects.
    DayAmong(&'static Field, Filter),
    /// How many of these filters hold.
    Steps(Vec<Filter>),
}

#[derive(Clone, Debug)]
pub enum Page {
    /// The first is 1.
    Number(u32),
    /// What follows a position.
    After(SortPosition),
}

/// Where a document stands in a sorted list: its sort keys, and its id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SortPosition {
    /// One value for each key.
    #[serde(rename = "k")]
    pub keys: Vec<Key>,
    #[serde(rename = "i")]
    pub id: Uuid,
    /// How the phrase was matched, if loosely, because too little matched all of it.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub loose: Option<Loose>,
}

/// What the order of a loosely matched list depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loose {
    /// Of each word.
    #[serde(rename = "r")]
    pub(super) rarities: Vec<Rarity>,
    /// Fewest words that match.
    #[serde(rename = "m")]
    pub(super) least: usize,
    /// Ranked hits on the pages before; zero behind the ranked ones.
    #[serde(rename = "s", default)]
    pub(super) shown: u64,
}

/// Value of a sort key. Days and moments are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    Integer(i64),
    Score(f64),
    Text(String),
    Flag(bool),
    Missing(()),
}

/// How exactly to count the matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    None,
    /// Up to a bound.
    Bounded(u32),
    Exact,
}

/// How strictly a phrase has to match.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Matching {
    /// Every word matches a word of the document or the beginning of one.
    Strict,
    /// Some words match, typing errors allowed: for a phrase that matches too little otherwise.
    Loose(Loose),
}

/// The engine that answered. Their scores do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    Elasticsearch,
    Postgres,
}

/// The documents of the page are larger than [`PAGE_BYTES`].
pub(super) fn page_too_large() -> Error {
    Error::malformed(
        "page_too_large",
        format!("the records of this page take more than {} MiB; ask for fewer with limit", PAGE_BYTES >> 20),
    )
}

#[derive(Debug)]
pub struct Hits {
    /// In order, as the index stores them: JSON that nothing has parsed.
    pub documents: Vec<Bytes>,
    /// Absent if it was not asked for.
    pub total: Option<Total>,
    /// The last document's position, if another page follows.
    pub next: Option<SortPosition>,
    /// One for each of the query's aggregates; none for what took too long.
    pub counted: Vec<Option<Counted>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    pub value: u64,
    /// Whether there may be more.
    pub at_least: bool,
}

impl Total {
    /// The word on the wire.
    #[must_use]
    pub fn relation(self) -> &'static str {
        if self.at_least { "gte" } else { "eq" }
    }
}

impl Query {
    /// A list that only counts: it shows no documents.
    #[must_use]
    pub fn counting(filter: Filter, list: Vec<Aggregation>) -> Self {
        Self {
            filter,
            phrase: None,
            sort: Vec::new(),
            page: Page::Number(1),
            limit: 0,
            count: Count::None,
            aggregates: Aggregates { choices: Vec::new(), list },
        }
    }

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

impl Matching {
    /// What a cursor keeps of it.
    pub(super) fn loose(&self) -> Option<Loose> {
        match self {
            Self::Strict => None,
            Self::Loose(loose) => Some(Loose { shown: 0, ..loose.clone() }),
        }
    }
}

impl Engine {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Elasticsearch => "elasticsearch",
            Self::Postgres => "postgres",
        }
    }
}
