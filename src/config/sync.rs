//! Settings of the change-data sync.

use clap::Args;

/// Settings of the change-data sync.
#[derive(Args, Clone, Debug)]
pub struct Sync {
    /// Name of the logical replication slot.
    #[arg(id = "sync-slot", long = "sync-slot", env = "SYNC_SLOT", default_value = "collections")]
    pub slot: String,
    /// Longest silence of the change stream, in milliseconds; then it is opened anew. A heartbeat comes every 3 seconds, but nothing
    /// while the server reads a huge transaction.
    #[arg(id = "sync-silence-ms", long = "sync-silence-ms", env = "SYNC_SILENCE_MS", default_value_t = 30_000)]
    pub silence_ms: u64,
    /// Documents to one bulk write.
    #[arg(id = "sync-batch-size", long = "sync-batch-size", env = "SYNC_BATCH_SIZE", default_value_t = 2_000)]
    pub batch_size: usize,
    /// Bulk writes under way at once.
    #[arg(id = "sync-in-flight", long = "sync-in-flight", env = "SYNC_IN_FLIGHT", default_value_t = 3)]
    pub in_flight: usize,
    /// Size of one bulk request, in bytes; a batch of larger documents is sent in several.
    #[arg(id = "sync-bulk-bytes", long = "sync-bulk-bytes", env = "SYNC_BULK_BYTES", default_value_t = 10 * 1024 * 1024)]
    pub bulk_bytes: usize,
    /// Documents that wait in memory while the index is slow or away; beyond that they wait in Postgres.
    #[arg(id = "sync-buffer-keys", long = "sync-buffer-keys", env = "SYNC_BUFFER_KEYS", default_value_t = 500_000)]
    pub buffer_keys: usize,
    /// Changes that the server keeps for the slot while the index is away, in bytes of its log; beyond that the documents wait in a
    /// table instead.
    #[arg(id = "sync-retain-bytes", long = "sync-retain-bytes", env = "SYNC_RETAIN_BYTES", default_value_t = 16 * 1024 * 1024)]
    pub retain_bytes: u64,
    /// Documents that follow a change of another at once; more are written in the slow lane.
    #[arg(id = "sync-fanout-inline", long = "sync-fanout-inline", env = "SYNC_FANOUT_INLINE", default_value_t = 2_000)]
    pub fanout_inline: usize,
    /// Documents to one bulk write of the slow lane; a fresh change waits behind one at most.
    #[arg(id = "sync-lane-size", long = "sync-lane-size", env = "SYNC_LANE_SIZE", default_value_t = 1_000)]
    pub lane_size: usize,
    /// Longest wait for a list that asks to see an earlier write, in milliseconds; then Postgres answers.
    #[arg(id = "sync-wait-ms", long = "sync-wait-ms", env = "SYNC_WAIT_MS", default_value_t = 2_000)]
    pub wait_ms: u64,
    /// Documents to compare with their rows in a second, in rounds without end; 0 turns that off.
    #[arg(id = "sync-sweep-rate", long = "sync-sweep-rate", env = "SYNC_SWEEP_RATE", default_value_t = 500)]
    pub sweep_rate: u32,
    /// Shortest time from one such round through a collection to the next, in seconds.
    #[arg(id = "sync-sweep-period-s", long = "sync-sweep-period-s", env = "SYNC_SWEEP_PERIOD_S", default_value_t = 300)]
    pub sweep_period_s: u32,
    /// Nothing is compared while changes wait longer than this to be found, in milliseconds.
    #[arg(id = "sync-sweep-lag-ms", long = "sync-sweep-lag-ms", env = "SYNC_SWEEP_LAG_MS", default_value_t = 1_000)]
    pub sweep_lag_ms: u64,
}
