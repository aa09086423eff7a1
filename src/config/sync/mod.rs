//! Settings of the change-data sync.

pub(super) mod feed;
pub(super) mod reindex;

use std::time::Duration;

use clap::Args;

use crate::config::range::{HOUR, duration, number};

#[derive(Args, Clone, Debug)]
pub struct Sync {
    /// Name of the logical replication slot.
    #[arg(id = "sync-slot", long = "sync-slot", env = "SYNC_SLOT", default_value = "collections")]
    pub slot: String,
    /// Documents in one bulk write; a reindex takes a quarter, the backlog worker half.
    #[arg(id = "sync-batch-size", long = "sync-batch-size", env = "SYNC_BATCH_SIZE", default_value_t = 2_000, value_parser = number(1..=100_000_usize))]
    pub batch_size: usize,
    /// Size of one bulk request, in bytes; a batch of larger documents is split.
    #[arg(id = "sync-bulk-bytes", long = "sync-bulk-bytes", env = "SYNC_BULK_BYTES", default_value_t = 10 * 1024 * 1024, value_parser = number(1_024..=100 * 1024 * 1024_usize))]
    pub bulk_bytes: usize,
    /// Documents that wait in memory while Elasticsearch is slow or away; more wait in Postgres.
    #[arg(id = "sync-buffer-keys", long = "sync-buffer-keys", env = "SYNC_BUFFER_KEYS", default_value_t = 500_000, value_parser = number(1..=100_000_000_usize))]
    pub buffer_keys: usize,
    /// Log that Postgres keeps for the slot while Elasticsearch is away, in bytes; then changed documents are stored in a table.
    #[arg(id = "sync-retain-bytes", long = "sync-retain-bytes", env = "SYNC_RETAIN_BYTES", default_value_t = 16 * 1024 * 1024, value_parser = number(0..=1_u64 << 50))]
    pub retain_bytes: u64,
    /// Documents written at once when a row that they show changes; more become a job of the backlog worker.
    #[arg(id = "sync-fanout-inline", long = "sync-fanout-inline", env = "SYNC_FANOUT_INLINE", default_value_t = 2_000, value_parser = number(0..=1_000_000_usize))]
    pub fanout_inline: usize,
    /// Longest wait of a list with a sync token for the index; then Postgres answers.
    #[arg(
        id = "sync-wait",
        long = "sync-wait",
        env = "SYNC_WAIT",
        default_value = "2s",
        value_parser = duration(Duration::ZERO..=HOUR)
    )]
    pub wait: Duration,
    /// Documents per second that the anti-entropy sweep compares with their rows; 0 disables it.
    #[arg(id = "sync-sweep-rate", long = "sync-sweep-rate", env = "SYNC_SWEEP_RATE", default_value_t = 500, value_parser = number(0..=1_000_000_u32))]
    pub sweep_rate: u32,
    /// Bulk requests in progress at once: with three, Postgres, the network and Elasticsearch are all busy.
    #[arg(skip = 3_usize)]
    pub in_flight: usize,
    /// Shortest time from one sweep of a collection to the next: a small collection is not compared all the time.
    #[arg(skip = Duration::from_secs(300))]
    pub sweep_period: Duration,
    /// Longest silence of the change stream before it is reopened. A heartbeat comes every 3 seconds, but nothing while Postgres
    /// reads a huge transaction.
    #[arg(skip = Duration::from_secs(30))]
    pub silence: Duration,
}

impl Sync {
    /// Documents in one bulk write of the backlog worker; a fresh change waits behind one at most.
    #[must_use]
    pub fn backlog_batch_size(&self) -> usize {
        (self.batch_size / 2).max(1)
    }

    /// Documents in one bulk write of a reindex; a quarter of it for a minute after a live change has waited too long.
    #[must_use]
    pub fn reindex_batch_size(&self) -> usize {
        (self.batch_size / 4).max(1)
    }
}
