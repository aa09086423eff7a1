//! Generations: the index behind each alias, rebuilds, and indices that lost writes.

pub mod alias;
mod analytics;
pub mod index_rollback;
pub mod rebuild;
pub mod reconcile;
pub mod throttle;
