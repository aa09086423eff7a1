//! Settings of rebuilds: how fast they go, and what is kept after them.

use clap::Args;

/// Settings of rebuilds.
#[derive(Args, Clone, Debug)]
pub struct Rebuild {
    /// Bulk writes of a reindex under way at once.
    #[arg(id = "sync-reindex-parallel", long = "sync-reindex-parallel", env = "SYNC_REINDEX_PARALLEL", default_value_t = 4)]
    pub parallel: usize,
    /// Documents to one bulk write of a reindex; a quarter of it for a minute after a live change has waited too long.
    #[arg(
        id = "sync-reindex-batch-size",
        long = "sync-reindex-batch-size",
        env = "SYNC_REINDEX_BATCH_SIZE",
        default_value_t = 500
    )]
    pub batch_size: usize,
    /// Wait of a live change for the index, in milliseconds, beyond which a reindex slows down.
    #[arg(id = "sync-reindex-lag-ms", long = "sync-reindex-lag-ms", env = "SYNC_REINDEX_LAG_MS", default_value_t = 100)]
    pub lag_ms: u64,
    /// Longest time for which a new index or a rollback target may fail to take what the live index takes, in milliseconds; then it
    /// is given up.
    #[arg(
        id = "sync-reindex-patience-ms",
        long = "sync-reindex-patience-ms",
        env = "SYNC_REINDEX_PATIENCE_MS",
        default_value_t = 300_000
    )]
    pub patience_ms: u64,
    /// Hours for which the previous generation is kept current after a reindex, for `collections reindex --rollback`.
    #[arg(id = "sync-keep-hours", long = "sync-keep-hours", env = "SYNC_KEEP_HOURS", default_value_t = 24)]
    pub keep_hours: u16,
    /// Reindex without a request when the program brings another mapping than the live index has.
    #[arg(
        id = "sync-auto-reindex",
        long = "sync-auto-reindex",
        env = "SYNC_AUTO_REINDEX",
        default_value_t = false,
        action = clap::ArgAction::Set
    )]
    pub auto: bool,
}
