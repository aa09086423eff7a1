//! Imports in SQL: what was asked, the staged rows and what became of them, and the mappings that were saved.

mod import;
pub mod issues;
pub mod mappings;
pub mod rows;
mod sql;

pub(crate) use import::ACTIONS;
pub use import::{Action, Blank, Column, Counts, Import, KEPT, Mode, Options, State, Undone};
pub use sql::{Owner, find, insert, lock, page, remove, running, same_file, save};
