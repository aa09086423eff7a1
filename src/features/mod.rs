//! The features, each with its routes, rules, SQL and document.

pub mod accounts;
pub mod audit;
pub mod customers;
pub mod ledger;
pub mod payments;
pub mod resource;
pub mod users;
