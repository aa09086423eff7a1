//! Settings of the change-data sync.

use clap::Args;

/// Settings of the change-data sync.
#[derive(Args, Clone, Debug)]
pub struct Sync {
    /// Name of the logical replication slot.
    #[arg(id = "sync-slot", long = "sync-slot", env = "SYNC_SLOT", default_value = "collections")]
    pub slot: String,
    /// Documents to one bulk write.
    #[arg(id = "sync-batch-size", long = "sync-batch-size", env = "SYNC_BATCH_SIZE", default_value_t = 2_000)]
    pub batch_size: usize,
    /// Bulk writes under way at once.
    #[arg(id = "sync-in-flight", long = "sync-in-flight", env = "SYNC_IN_FLIGHT", default_value_t = 3)]
    pub in_flight: usize,
    /// Documents that wait in memory while the index is slow or away; beyond that the server keeps the changes.
    #[arg(id = "sync-buffer-keys", long = "sync-buffer-keys", env = "SYNC_BUFFER_KEYS", default_value_t = 500_000)]
    pub buffer_keys: usize,
    /// Longest wait for a list that asks to see an earlier write, in milliseconds; then Postgres answers.
    #[arg(id = "sync-wait-ms", long = "sync-wait-ms", env = "SYNC_WAIT_MS", default_value_t = 2_000)]
    pub wait_ms: u64,
}
