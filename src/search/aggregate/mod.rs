//! What a list counts and adds up besides its page: facets and aggregations. Both engines answer them.

use super::field::Field;
use super::filter::Filter;
use crate::values::money::Currency;
use crate::values::zone::Zone;

mod answer;
mod counted;
mod interval;

pub use answer::Aggregated;
pub(in crate::search) use counted::complete;
pub use counted::{Bucket, Counted, EXACT_LIMIT, Sums};
pub use interval::Interval;

/// The facets and aggregations of a list.
#[derive(Clone, Debug, Default)]
pub struct Aggregates {
    /// The conditions on what has facets, apart from the list's other conditions: a facet ignores its own.
    pub choices: Vec<Choice>,
    pub list: Vec<Aggregation>,
}

/// A condition on what a facet counts.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Name of the field or the named groups.
    pub of: &'static str,
    pub filter: Filter,
}

/// Counts the documents of a list, group by group.
#[derive(Clone, Debug)]
pub struct Aggregation {
    /// In the answer.
    pub name: String,
    pub scope: Scope,
    /// Which of those in scope.
    pub among: Filter,
    pub group: Group,
    /// What is added up in each group.
    pub stats: Option<Stats>,
}

/// Which documents are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of the list.
    List,
    /// Those that the list would have without its conditions on this name: what else could be chosen.
    Facet(&'static str),
}

#[derive(Clone, Debug)]
pub enum Group {
    /// All documents are one group.
    Whole,
    /// One for each value, the most frequent ones first, then by value; a document with several tags is in several. Those of
    /// `chosen` values are answered wherever they stand.
    Terms { field: &'static Field, size: u32, chosen: Vec<String> },
    /// One for each condition, in this order. A document meets at most one.
    Conditions {
        list: Vec<Named>,
        /// Of the documents that are counted, where the conditions compare amounts.
        currency: Option<Currency>,
    },
    /// One for each period that has documents, the earliest first, up to [`Interval::most`]. An hour that comes twice, because clocks
    /// are put back, may be two.
    Periods { field: &'static Field, interval: Interval, zone: Zone },
    /// None: only how many different values there are.
    Distinct(&'static Field),
}

/// A group with a name of its own.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    pub filter: Filter,
    /// Whether the list's conditions let its documents in by name.
    pub is_chosen: bool,
}

/// Count, sum, least, greatest and mean of a field. Amounts are added up by currency.
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Whole numbers or amounts.
    pub field: &'static Field,
    /// Of amounts.
    pub currency: Option<&'static Field>,
}

impl Group {
    /// Whether the list's own conditions name this value.
    fn is_chosen(&self, value: &str) -> bool {
        match self {
            Self::Terms { chosen, .. } => chosen.iter().any(|chosen| chosen == value),
            Self::Conditions { list, .. } => list.iter().any(|condition| condition.is_chosen && condition.name == value),
            _ => false,
        }
    }
}

impl Aggregates {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The conditions on what an aggregation counts, besides those of the list that are no choices.
    pub fn filters_of<'a>(&'a self, aggregation: &'a Aggregation) -> impl Iterator<Item = &'a Filter> + Clone {
        let choices = self.choices.iter().filter(|choice| aggregation.scope != Scope::Facet(choice.of));
        choices.map(|choice| &choice.filter).chain([&aggregation.among])
    }
}
