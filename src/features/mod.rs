//! The features, each with its routes, rules, SQL and document.

pub mod accounts;
pub mod activities;
pub mod analytics;
pub mod audit;
pub mod customers;
pub mod jobs;
pub mod ledger;
pub mod payments;
pub mod resource;
pub mod users;
