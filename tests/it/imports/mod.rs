//! Imports: what is imported, what is refused and in which cell, what a second import does, and what an undo takes back.

mod bulk_upload;
mod commands;
mod errors_workbook;
pub mod files;
mod flow;
pub mod harness;
mod kills;
mod modes;
mod rows;
mod template;
mod thousands;
mod undo;
