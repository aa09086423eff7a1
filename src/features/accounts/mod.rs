//! Accounts: one debt each, with its ledger.

pub mod document;
mod fields;
mod ledger;
mod patch;
mod routes;
pub mod store;

pub use fields::COLLECTION;
pub use patch::Patch;
pub use routes::routes;
