//! What the sync keeps in Postgres: checkpoint and statement, backlog, generations, sweep runs, dead letters.

pub mod analytics;
pub mod backlog;
pub mod checkpoint;
pub mod dead_letters;
pub mod generations;
pub mod ids;
pub mod statement;
pub mod sweep_runs;
