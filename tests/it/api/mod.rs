//! The conventions of the interface.

mod authors;
mod crashes;
pub(crate) mod idempotency;
mod preferences;
pub(crate) mod records;
pub(crate) mod wire;
