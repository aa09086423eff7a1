//! Failures on purpose: Elasticsearch away, a huge transaction, crashes during a reindex. Each trial ends with a comparison of
//! the index with the rows.

pub mod drift;
pub mod fanout;
pub mod large_transaction;
pub mod outage;
pub mod reindex_crash;
mod writers;
