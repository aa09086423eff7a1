//! Activities: what was done about an account, such as calls, notes, letters and visits.
//!
//! Agents add to them all day and correct them rarely; a correction keeps what stood there before. A contact moves the account's
//! `lastContactAt` in the same transaction.

mod activity;
mod bulk;
mod fields;
mod history;
mod routes;
mod rules;

pub use activity::Activity;
pub use fields::COLLECTION;
pub use routes::{account_routes, customer_routes, routes};
pub use rules::{change, record};
