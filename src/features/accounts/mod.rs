//! Accounts: one debt each, with its ledger.

mod account;
mod fields;
mod ledger_routes;
mod named;
mod routes;
mod rules;

pub use account::{Account, Status};
pub use fields::COLLECTION;
pub use ledger_routes::{LedgerEntry, ledger_entries};
pub use named::{take_repeated_account, unknown_account, unknown_in_address};
pub use routes::routes;
pub use rules::{NewAccount, change, insert_all, open, restore};
