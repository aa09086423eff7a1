//! Accounts: one debt each, with its ledger.

mod account;
mod fields;
mod ledger_routes;
mod routes;
mod rules;

pub use account::{Account, Status};
pub use fields::COLLECTION;
pub use routes::routes;
pub use rules::{NewAccount, change, insert, open, restore};
