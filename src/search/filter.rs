//! The filter tree, which both engines compile.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::field::Field;

#[derive(Clone, Debug)]
pub enum Filter {
    /// An empty conjunction holds for every document.
    All(Vec<Filter>),
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
}

#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    pub value: Value,
    pub inclusive: bool,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
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
    /// Returns the field that it tests, if it tests only one.
    #[must_use]
    pub fn field(&self) -> Option<&'static Field> {
        match self {
            Self::Leaf(field, _) => Some(field),
            Self::Not(not) => not.field(),
            Self::All(parts) | Self::Any(parts) => {
                let first = parts.first()?.field()?;
                parts.iter().all(|part| part.field().is_some_and(|field| field.name == first.name)).then_some(first)
            }
        }
    }

    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
