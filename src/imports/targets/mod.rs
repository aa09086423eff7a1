//! What rows become: one module for each collection.

pub(super) mod accounts;
pub(super) mod customers;
pub(super) mod payments;
