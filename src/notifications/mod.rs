//! What users are notified of: money that came, debts that are overdue, new customers, accounts assigned to them, work that ended.
//!
//! What makes a change sends no notification. The notifier reads the audit log, which has every change in the transaction that made it,
//! behind a place that it keeps beside what it writes: so each user is notified once, whatever is killed. What one transaction did is one
//! notification, and so is what one import or job did. Rows hold no names; texts are made for each reader.

mod kind;
mod notification;
mod notifier;
mod overdue;
mod preferences;
mod removal;
mod routes;
mod store;

pub use kind::Kind;
pub use notifier::{catch_up, run};
pub use overdue::TellOverdue;
pub use removal::RemoveOldNotifications;
pub use routes::routes;
