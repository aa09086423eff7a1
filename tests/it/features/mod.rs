//! Every feature through HTTP.

pub(crate) mod accounts;
pub(crate) mod customers;
pub(crate) mod ledger;
pub(crate) mod payments;
