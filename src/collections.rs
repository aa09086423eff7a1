//! The list of searchable collections, and what a change of a row makes dirty.

use crate::config::Analytics;
use crate::features::accounts::COLLECTION as ACCOUNTS;
use crate::features::activities::COLLECTION as ACTIVITIES;
use crate::features::analytics::accounts::COLLECTION as ANALYTICS_ACCOUNTS;
use crate::features::analytics::activities::COLLECTION as ANALYTICS_ACTIVITIES;
use crate::features::analytics::customers::COLLECTION as ANALYTICS_CUSTOMERS;
use crate::features::analytics::operations::COLLECTION as OPERATIONS;
use crate::features::analytics::payments::COLLECTION as ANALYTICS_PAYMENTS;
use crate::features::analytics::snapshots::COLLECTION as SNAPSHOTS;
use crate::features::customers::COLLECTION as CUSTOMERS;
use crate::features::payments::COLLECTION as PAYMENTS;
use crate::search::Collection;

/// Every collection that clients list and search.
pub static ALL: [&Collection; 4] = [&CUSTOMERS, &ACCOUNTS, &PAYMENTS, &ACTIVITIES];

/// Those for analysts, which the same sync writes.
pub static ANALYTICS: [&Collection; 6] =
    [&ANALYTICS_CUSTOMERS, &ANALYTICS_ACCOUNTS, &ANALYTICS_PAYMENTS, &ANALYTICS_ACTIVITIES, &SNAPSHOTS, &OPERATIONS];

/// Returns every collection that has an index.
#[must_use]
pub fn indexed(analytics: Analytics) -> Vec<&'static Collection> {
    match analytics {
        Analytics::Off => ALL.to_vec(),
        Analytics::On | Analytics::Agents => every().collect(),
    }
}

/// Returns every collection, whether the settings want an index of it or not.
pub fn every() -> impl Iterator<Item = &'static Collection> {
    ALL.into_iter().chain(ANALYTICS)
}

/// Returns the collection of that name, listed or for analysts.
#[must_use]
pub fn find(name: &str) -> Option<&'static Collection> {
    every().find(|collection| collection.name == name)
}

/// A table whose rows are announced although they have no document.
pub struct Announced {
    pub table: &'static str,
    /// The column that counts the updates that are announced; inserts and deletes always are.
    pub counter: &'static str,
}

/// Every such table: sessions begin and end, users are locked, jobs progress, users are notified.
pub static ANNOUNCED: [Announced; 4] = [
    Announced { table: "sessions", counter: "embedded_changes" },
    Announced { table: "users", counter: "summary_changes" },
    Announced { table: "jobs", counter: "embedded_changes" },
    Announced { table: "notifications", counter: "embedded_changes" },
];

/// A fan-out edge: a change of a row makes one document dirty, or all its children.
pub struct Edge {
    /// The table that changed.
    pub table: &'static str,
    /// The column whose values, the old one and the new one, say whose documents follow.
    pub column: &'static str,
    /// Which changes count.
    pub when: When,
    /// Where the documents are.
    pub collection: &'static Collection,
    /// Selects the documents by the values of the column, `$1`. Absent if the value is the document's own id.
    pub children: Option<&'static str>,
}

impl Edge {
    /// Its name in the backlog: what changed, and what follows.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.table, self.collection.name)
    }

    /// Returns the edge with children of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        EDGES.iter().find(|edge| edge.children.is_some() && edge.name() == name)
    }
}

/// Which changes of a row make documents dirty.
///
/// The named column counts the updates of columns that other documents show. It is part of the table's replica identity, so
/// the stream tells the old count from the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Every change.
    Always,
    /// Inserts, deletes, and updates that the column counts.
    Shown(&'static str),
    /// Updates that the column counts: no document shows a row that is only inserted, or deleted.
    Renamed(&'static str),
}

/// What a change of a row makes dirty.
///
/// A comparison with the indexed parent could not replace the counts: the parent may have
/// been read before a rename that is rolled back, while a child was read in between.
pub static EDGES: [Edge; 26] = [
    own("customers", "id", &CUSTOMERS),
    children("customers", "id", When::Renamed("embedded_changes"), &ACCOUNTS, ACCOUNTS_OF_CUSTOMERS),
    children("customers", "id", When::Renamed("embedded_changes"), &PAYMENTS, PAYMENTS_OF_CUSTOMERS),
    children("customers", "id", When::Renamed("embedded_changes"), &ACTIVITIES, ACTIVITIES_OF_CUSTOMERS),
    own("contact_points", "customer_id", &CUSTOMERS),
    children("contact_points", "customer_id", When::Always, &ACCOUNTS, ACCOUNTS_OF_CUSTOMERS),
    own("addresses", "customer_id", &CUSTOMERS),
    own("accounts", "id", &ACCOUNTS),
    Edge { when: When::Shown("summary_changes"), ..own("accounts", "customer_id", &CUSTOMERS) },
    children(
        "accounts",
        "id",
        When::Renamed("embedded_changes"),
        &PAYMENTS,
        "select id from payments where account_id = any($1)",
    ),
    children(
        "accounts",
        "id",
        When::Renamed("embedded_changes"),
        &ACTIVITIES,
        "select id from activities where account_id = any($1)",
    ),
    own("payments", "id", &PAYMENTS),
    own("activities", "id", &ACTIVITIES),
    children("users", "id", When::Renamed("embedded_changes"), &ACCOUNTS, ACCOUNTS_OF_ASSIGNEES),
    children("users", "id", When::Renamed("embedded_changes"), &ACTIVITIES, ACTIVITIES_OF_USERS),
    Edge { when: When::Shown("summary_changes"), ..own("customers", "id", &ANALYTICS_CUSTOMERS) },
    own("contact_points", "customer_id", &ANALYTICS_CUSTOMERS),
    own("addresses", "customer_id", &ANALYTICS_CUSTOMERS),
    Edge { when: When::Shown("summary_changes"), ..own("accounts", "customer_id", &ANALYTICS_CUSTOMERS) },
    own("accounts", "id", &ANALYTICS_ACCOUNTS),
    own("payments", "id", &ANALYTICS_PAYMENTS),
    own("activities", "id", &ANALYTICS_ACTIVITIES),
    children("users", "id", When::Renamed("embedded_changes"), &ANALYTICS_ACCOUNTS, ACCOUNTS_OF_ASSIGNEES),
    children("users", "id", When::Renamed("embedded_changes"), &ANALYTICS_ACTIVITIES, ACTIVITIES_OF_USERS),
    own("snapshot_transitions", "id", &SNAPSHOTS),
    own("operation_samples", "id", &OPERATIONS),
];

const ACCOUNTS_OF_CUSTOMERS: &str = "select id from accounts where customer_id = any($1)";

const PAYMENTS_OF_CUSTOMERS: &str = "
    select payments.id from payments join accounts on accounts.id = payments.account_id where accounts.customer_id = any($1)
    union all
    select id from payments where customer_id = any($1) and account_id is null";

const ACTIVITIES_OF_CUSTOMERS: &str = "
    select activities.id from activities join accounts on accounts.id = activities.account_id where accounts.customer_id = any($1)";

const ACCOUNTS_OF_ASSIGNEES: &str = "select id from accounts where assignee_id = any($1)";

const ACTIVITIES_OF_USERS: &str = "select id from activities where user_id = any($1)";

const fn own(table: &'static str, column: &'static str, collection: &'static Collection) -> Edge {
    Edge { table, column, when: When::Always, collection, children: None }
}

const fn children(
    table: &'static str,
    column: &'static str,
    when: When,
    collection: &'static Collection,
    sql: &'static str,
) -> Edge {
    Edge { table, column, when, collection, children: Some(sql) }
}
