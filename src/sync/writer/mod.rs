//! Writes documents: loads rows, builds bulk requests, handles every outcome.

pub mod apply;
mod obstacles;
pub mod target;
pub mod write;

pub use target::{BatchResult, Target};
pub use write::Writer;
