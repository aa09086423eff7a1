//! The run of an import.

pub(super) mod batch;
