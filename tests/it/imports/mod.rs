//! Imports: what is imported, what is refused and in which cell, what a second import does, and what an undo takes back.

mod commands;
pub mod harness;
mod kills;
mod modes;
mod rows;
mod undo;
