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
mod plans;
pub(crate) mod rights;
mod timeline;
pub(crate) mod users;
pub(crate) mod values;
