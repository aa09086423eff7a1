//! Relevance: how well searches find what they have to, on both engines, by classes of queries whose answers are known.
//!
//! Every test ends in a table, which it compares with the committed one beside this file; that one also holds the thresholds, below
//! which a class fails. See [`report`].

mod baseline;
mod classes;
mod distorted;
mod errors;
mod query;
mod record;
mod report;
