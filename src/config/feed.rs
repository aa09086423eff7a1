//! Settings of the announcements, and of the rows that they keep true.

use clap::Args;

/// Settings of the announcements, and of the rows that they keep true.
#[derive(Args, Clone, Debug)]
pub struct Feed {
    /// Announcements kept for whoever was away for a moment and resumes; about 100 bytes each, here and in Redis.
    #[arg(id = "feed-history", long = "feed-history", env = "FEED_HISTORY", default_value_t = 100_000)]
    pub history: usize,
    /// Longest silence after which the announcements are still trusted, in milliseconds. The sync speaks at least every 3 seconds.
    #[arg(id = "feed-silence-ms", long = "feed-silence-ms", env = "FEED_SILENCE_MS", default_value_t = 10_000)]
    pub silence_ms: u64,
    /// Memory for rows read by id, in bytes; 0 reads every row from Postgres.
    #[arg(id = "row-cache-bytes", long = "row-cache-bytes", env = "ROW_CACHE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub row_cache_bytes: u64,
}
