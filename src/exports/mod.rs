//! Exports: whole lists as files, as they were at one moment.
//!
//! The address of a list ends with `/export`, takes the same conditions, and streams the file as its client takes it. What is long, or
//! what the client does not want to wait for, is done by a job: it writes to a stored file, which is fetched within a week with the
//! session or by a signed link.

mod described;
mod job;
mod link;
mod plan;
mod records;
mod routes;
mod store;
mod stored;
mod table;

pub use job::ExportRecords;
pub use plan::{Occasion, Plan};
pub use records::{Begun, Wanted, begin};
pub use routes::routes;
