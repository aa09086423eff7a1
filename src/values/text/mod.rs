//! Brings names, numbers, phones and e-mail addresses to the one form in which they are compared, for indexing, for queries and
//! for the Postgres engine alike.

mod fold;
mod phone;

pub use fold::{fold, squash, suffixes, unordered, words};
pub use phone::{digits, email, phone};

/// Counts the versions of these functions: another one asks for a reindex.
pub const VERSION: u32 = 1;
