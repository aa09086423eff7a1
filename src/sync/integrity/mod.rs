//! Comparison of the index with the rows: verify, repair, sweep, waiting until changes are searchable.

pub mod compare;
pub mod repair;
pub mod sweep;
pub mod verify;
pub mod wait;
