//! Saved searches: lists that users keep under a name, with their columns and order, for themselves or for others.
//!
//! A search is stored as the list's own parameters and read by the list's own parser, when it is written and whenever it is shown. So
//! a table of fields may change: a search that no longer fits is shown as invalid and says why.

mod requests;
mod routes;
mod saved_search;
mod store;

pub use routes::routes;
pub use saved_search::Visibility;
