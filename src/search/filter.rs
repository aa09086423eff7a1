//! The filter tree, which both engines compile.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::field::Field;

#[derive(Clone, Debug)]
pub enum Filter {
    /// An empty conjunction holds for every document.
    All(Vec<Filter>),
    /// An empty disjunction holds for none.
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Leaf(&'static Field, Test),
}

/// A test of one field. A document without a value passes none.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    In(Vec<Value>),
    /// Lower and upper bound.
    Range(Option<Bound>, Option<Bound>),
    Exists,
    Prefix(String),
    /// Normalised as the field's endings are.
    Suffix(String),
    /// Folded words, each of which is a word of the field's text or begins one.
    Words(Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub value: Value,
    pub inclusive: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Words, texts, currencies.
    Text(String),
    /// Whole numbers and minor units.
    Integer(i64),
    Day(NaiveDate),
    /// To the millisecond.
    Moment(DateTime<Utc>),
    Flag(bool),
    Id(Uuid),
}

impl Filter {
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
