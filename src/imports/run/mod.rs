//! The run of an import: its rows are staged, looked at, and turned into records chunk by chunk; an undo takes them back.

mod chunk;
mod control;
mod kinds;
mod outcome;
mod removal;
mod stage;
mod staged;
mod steps;
mod task;
mod undo;

pub use control::{SHORT, run_now, start};
pub use kinds::{Commit, Undo, Validate};
pub use removal::RemoveOldRows;
pub use task::Task;
