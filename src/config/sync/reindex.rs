//! Settings of rebuilds: how fast they are, and how long the previous index is kept.

use std::time::Duration;

use clap::Args;

use crate::config::range::{DAY, duration};

#[derive(Args, Clone, Debug)]
pub struct Rebuild {
    /// How long the previous index is kept current after a reindex, for `collections reindex --rollback`.
    #[arg(
        id = "sync-keep",
        long = "sync-keep",
        env = "SYNC_KEEP",
        default_value = "24h",
        value_parser = duration(Duration::ZERO..=365 * DAY)
    )]
    pub keep: Duration,
    /// Reindex without a request when the program brings another mapping than the live index has.
    #[arg(
        id = "sync-auto-reindex",
        long = "sync-auto-reindex",
        env = "SYNC_AUTO_REINDEX",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    pub auto: bool,
    /// Bulk requests of a reindex in progress at once; more make live changes wait.
    #[arg(skip = 4_usize)]
    pub parallel: usize,
    /// How long a new index or the rollback target may reject what the live index accepts; then it is abandoned.
    #[arg(skip = Duration::from_secs(300))]
    pub patience: Duration,
}
