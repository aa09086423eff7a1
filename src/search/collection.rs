//! A searchable collection, as the feature that owns it describes it.

use std::future::Future;
use std::pin::Pin;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Field, Filter};

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
    /// Conditions with a name of their own, such as `overdue=true`; some depend on what day it is.
    pub shortcuts: &'static [Shortcut],
    /// Where Postgres looks for words and numbers.
    pub sources: &'static [Source],
    /// Table with its alias and joins, for the Postgres engine and for scans: `customers c`. The id is the column `id` of the
    /// first alias.
    pub from: &'static str,
    /// The column that holds the id, qualified: `c.id`.
    pub id: &'static str,
    /// Reads rows and builds their documents, all in the snapshot of the connection's transaction. Ids without a row are absent.
    pub load: Load,
    /// Writes the members that are stored in no document, each behind a comma.
    pub computed: Computed,
    /// Name of the permission that its readers have: `read`.
    pub permission: &'static str,
}

impl Collection {
    /// The table that has the ids, with its alias and without what is joined to it: `customers c`.
    #[must_use]
    pub fn table(&self) -> String {
        self.from.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }
}

/// Builds the documents of the rows with these ids; see [`Collection::load`].
pub type Load =
    for<'a> fn(&'a mut PgConnection, &'a [Uuid]) -> Pin<Box<dyn Future<Output = sqlx::Result<Vec<Loaded>>> + Send + 'a>>;

/// Writes what a document shows on a day; see [`Collection::computed`].
pub type Computed = fn(&[u8], NaiveDate) -> serde_json::Result<String>;

/// A document as the index holds it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The row's id, which is the document's.
    pub id: Uuid,
    /// The document, serialised once: it goes into the bulk buffer and the content hash as it is.
    pub source: Vec<u8>,
}

/// A condition with a name.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    /// Name on the wire: `overdue`.
    pub name: &'static str,
    /// The condition on a day.
    pub filter: fn(NaiveDate) -> Filter,
}

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
    /// Numbers: an array of a number and its endings, and a column of whole numbers if one is indexed by its beginning.
    Number {
        /// The array.
        terms: &'static str,
        /// The column.
        whole: Option<&'static str>,
    },
    /// Contact points, by the alias of their table.
    Contacts(&'static str),
}
