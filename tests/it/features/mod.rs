//! Every feature through HTTP.

pub(crate) mod accounts;
pub(crate) mod activities;
mod bulk;
mod customers;
mod figures;
pub(crate) mod ledger;
pub(crate) mod locks;
pub(crate) mod log;
pub(crate) mod payments;
pub(crate) mod rights;
pub(crate) mod users;
pub(crate) mod values;
