//! Normalises names, numbers, phones and e-mail addresses for comparison: in documents, in queries and in Postgres alike. Texts in tables.

mod fold;
mod phone;
pub mod table;
mod visible;

pub use fold::{SUFFIX_LENGTHS, fold, squash, suffixes, unordered, words};
pub use phone::{digits, email, is_email, phone, phone_ending, without_extension};
pub use visible::is_invisible;

/// Version of these functions; a change requires a reindex.
pub const VERSION: u32 = 1;
