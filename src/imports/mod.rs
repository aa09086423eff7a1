//! Imports: the rows of a file become customers, accounts, payments and activities, by the rules and the SQL of requests.
//!
//! The file is stored, and its columns are mapped to fields. Then the rows of its sheet are staged, and all are looked at before one is
//! imported, because a column is read in one form. A validation turns them into records and rolls that back; a commit does the same
//! and keeps it. Both go chunk by chunk, each in one transaction with what became of its rows: whatever is killed, no row is done
//! twice and none is left out. Every row has a key that finds its record, so a second import of a file creates nothing. Only
//! `sheets` knows the format of the file.

mod fields;
pub mod guide;
mod headings;
pub mod intake;
pub mod mapping;
mod plan;
mod read;
mod report;
mod routes;
pub mod run;
pub mod store;
pub mod suggestion;
mod targets;
pub mod workbooks;

pub use crate::imports::fields::Target;
pub use crate::imports::read::value::{DayOrder, Decimal, Forms};
pub use crate::imports::report::{Issue, Severity};
pub use crate::imports::routes::{bulk_upload_routes, routes};
