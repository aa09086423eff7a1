//! A searchable collection, as the feature that owns it describes it.

use std::future::Future;
use std::pin::Pin;

use chrono::{Days, NaiveDate};
use sqlx::PgConnection;
use uuid::Uuid;

use super::filter::{Bound, Test, Value};
use super::{Field, Filter};
use crate::values::aging::AsOf;

/// One searchable kind, described by the feature that owns it. Nothing in this room knows which ones exist.
pub struct Collection {
    /// Name of the alias, the index template and the URL, in the plural: `customers`.
    pub name: &'static str,
    /// Mapping of its index, in JSON; settings and the mapping of searchable forms are alike for all.
    pub template: &'static str,
    /// Counts the changes of what documents say in an unchanged mapping. A greater one asks for a reindex.
    pub revision: u32,
    /// What can be filtered and sorted by.
    pub fields: &'static [Field],
    /// How long its records are past due, if they can be.
    pub past_due: Option<PastDue>,
    /// Records of other collections that its own refer to.
    pub includes: &'static [Include],
    /// Where Postgres looks for words and numbers.
    pub sources: &'static [Source],
    /// The table that has the ids, with its alias: `customers c`.
    pub table: &'static str,
    /// What is joined to it, each to those before.
    pub joins: &'static [Join],
    /// The column that holds the id, qualified: `c.id`.
    pub id: &'static str,
    /// The column of the table that counts the changes of a row, which documents repeat as their member `version`.
    pub version: &'static str,
    /// Reads rows and builds their documents, all in the snapshot of the connection's transaction. Ids without a row are absent.
    pub load: Load,
    /// Writes the members that are stored in no document, each behind a comma.
    pub computed: Computed,
    /// Name of the permission that its readers have: `read`.
    pub permission: &'static str,
}

impl Collection {
    /// The members that hold who created and last changed a record, and those that are shown beside them with the names.
    pub const AUTHORS: [(&str, &str); 2] = [("createdBy", "createdByName"), ("updatedBy", "updatedByName")];

    /// Names of the members that its records are shown with.
    pub fn members(&'static self) -> impl Iterator<Item = &'static str> {
        let computed = self.past_due.iter().flat_map(|_| PastDue::FIELDS);
        let names = Self::AUTHORS.map(|(_, name)| name);
        self.fields.iter().map(|field| field.name).chain(computed).chain(names)
    }

    /// Whether clients list and search it; others are for analysts.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        !self.sources.is_empty()
    }

    /// The table with all joins.
    #[must_use]
    pub fn tables(&self) -> String {
        self.first_tables(self.joins.len())
    }

    /// The table with the joins that some SQL needs.
    #[must_use]
    pub fn tables_for(&self, sql: &str) -> String {
        let is_needed = |join: &Join| sql.contains(&format!("{}.", join.alias));
        self.first_tables(self.joins.iter().rposition(is_needed).map_or(0, |last| last + 1))
    }

    fn first_tables(&self, joins: usize) -> String {
        std::iter::once(self.table).chain(self.joins[..joins].iter().map(|join| join.sql)).collect::<Vec<_>>().join(" ")
    }
}

/// A table that is joined to another by a key: it adds one row to each at most, and removes none.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    pub alias: &'static str,
    pub sql: &'static str,
}

/// Builds the documents of the rows with these ids; see [`Collection::load`].
pub type Load =
    for<'a> fn(&'a mut PgConnection, &'a [Uuid]) -> Pin<Box<dyn Future<Output = sqlx::Result<Vec<Loaded>>> + Send + 'a>>;

/// A document as the index holds it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The row's id, which is the document's.
    pub id: Uuid,
    /// The document, serialised once: it goes into the bulk buffer and the content hash as it is.
    pub source: Vec<u8>,
}

/// Writes what a document shows on a day; see [`Collection::computed`].
pub type Computed = fn(&[u8], AsOf<'_>) -> serde_json::Result<String>;

/// A record that records of another collection refer to.
#[derive(Clone, Copy)]
pub struct Include {
    /// Name on the wire, of the member that is added: `customer`.
    pub name: &'static str,
    /// The member that holds its id: `customerId`.
    pub key: &'static str,
    pub collection: &'static Collection,
}

/// What is past due. `isOverdue`, `daysPastDue` and `agingBucket` follow from it when a list is asked for.
#[derive(Clone, Copy)]
pub struct PastDue {
    /// Selects the records that can be past due.
    pub among: fn() -> Filter,
    /// The last day on which they are not.
    pub due: &'static Field,
}

impl PastDue {
    /// The members and fields that follow from it.
    pub const FIELDS: [&str; 3] = ["isOverdue", "daysPastDue", "agingBucket"];

    /// Selects what is at least `from` and at most `to` days past due. What is not past due is so by 0 days.
    #[must_use]
    pub fn by(&self, today: NaiveDate, from: i64, to: Option<i64>) -> Filter {
        if to.is_some_and(|to| to < from.max(0)) {
            return Filter::Any(Vec::new());
        }
        if from <= 0 {
            return to.map_or(Filter::All(Vec::new()), |to| self.by(today, to.saturating_add(1), None).negated());
        }
        // Before the calendar begins, nothing is due.
        let due = |days: i64| {
            let day = today.checked_sub_days(Days::new(days.unsigned_abs()))?;
            Some(Bound { value: Value::Day(day), inclusive: true }).filter(|_| day >= FIRST_DAY)
        };
        match due(from) {
            Some(latest) => {
                Filter::All(vec![(self.among)(), Filter::Leaf(self.due, Test::Range(to.and_then(due), Some(latest)))])
            }
            None => Filter::Any(Vec::new()),
        }
    }
}

/// Both engines know the years of RFC 3339.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();

/// Where Postgres looks for words and numbers: a query of ids, and the column that is compared.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The collection's id in the terms of `from`.
    pub id: &'static str,
    /// Tables with aliases and joins.
    pub from: &'static str,
    /// What is compared.
    pub compares: Compares,
}

/// What a source compares.
#[derive(Clone, Copy, Debug)]
pub enum Compares {
    /// Names: a padded, folded column.
    Name(&'static str),
    /// Addresses and texts: a padded, folded column.
    Words(&'static str),
    /// Numbers: an array of a number and its endings, and a column of whole numbers, both indexed.
    Number {
        /// The array.
        terms: &'static str,
        /// The column.
        whole: &'static str,
    },
    /// Contact points, by the alias of their table.
    Contacts(&'static str),
}
