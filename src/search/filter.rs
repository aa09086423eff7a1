//! The filter tree, which both engines compile.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::field::Field;

/// A condition on documents.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every one holds; none holds always.
    All(Vec<Filter>),
    /// At least one holds.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A test of one field.
    Leaf(&'static Field, Test),
}

/// A test of one field. A document without a value passes none.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// One of these.
    In(Vec<Value>),
    /// Between two bounds, of which one may be absent.
    Range(Option<Bound>, Option<Bound>),
    /// Has a value.
    Exists,
    /// Begins with.
    Prefix(String),
    /// Ends with; normalised as the endings are.
    Suffix(String),
}

/// An end of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The value.
    pub value: Value,
    /// Whether the value itself passes.
    pub inclusive: bool,
}

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Words, texts, currencies.
    Text(String),
    /// Whole numbers and minor units.
    Integer(i64),
    /// Days.
    Day(NaiveDate),
    /// Moments, to the millisecond.
    Moment(DateTime<Utc>),
    /// Flags.
    Flag(bool),
    /// Identifiers.
    Id(Uuid),
}

impl Filter {
    /// The opposite.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}
