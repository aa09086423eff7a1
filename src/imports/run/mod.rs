//! The run of an import: its rows are staged, looked at, and turned into records chunk by chunk; an undo takes them back.

mod chunk;
mod control;
mod kinds;
mod stage;
mod staged;
mod steps;
mod undo;

pub use control::{SHORT, Task, run_now, start};
pub use kinds::{Commit, Undo, Validate};
