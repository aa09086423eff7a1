//! Payments: money that came in, or is expected to.
//!
//! This product records payments and moves no money itself. So a payment may be recorded as `success` at once, as cash at the desk
//! or a line of a bank statement is, or as `pending` until its outcome is known. What counts is posted to the account's ledger in
//! the same transaction.

mod fields;
mod figures;
mod payment;
mod recording;
mod routes;
mod rules;
mod simulate;
mod status;

pub use fields::COLLECTION;
pub use payment::Payment;
pub use routes::{account_routes, routes};
pub use rules::{Payee, change, record, remove};
pub use status::Status;
