//! Writes documents: loads rows, builds bulk requests, settles every outcome.

pub mod apply;
pub mod rows;
pub mod target;
pub mod write;

pub use target::{Applied, Target};
pub use write::Writer;
