//! Imports in SQL: what was asked, the staged rows and what became of them, and the mappings that were saved.

mod import;
pub mod mappings;
pub mod rows;
mod sql;

pub use import::{Action, Blank, Column, Counts, Import, Mode, Options, State, Undone};
pub use sql::{Owner, find, insert, lock, page, same_file, save};
