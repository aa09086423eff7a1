//! The conventions of the interface.

pub(crate) mod idempotency;
pub(crate) mod records;
pub(crate) mod wire;
