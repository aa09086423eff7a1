//! The conventions of the interface.

pub(crate) mod idempotency;
mod records;
