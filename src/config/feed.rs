//! Settings of the announcements, and of the rows that they keep true.

use clap::Args;

/// Settings of the announcements, and of the rows that they keep true.
#[derive(Args, Clone, Debug)]
pub struct Feed {
    /// Announcements kept for whoever was away for a moment and resumes; about 100 bytes each, here and in Redis.
    #[arg(id = "feed-history", long = "feed-history", env = "FEED_HISTORY", default_value_t = 100_000)]
    pub history: usize,
    /// How far the announcements may be behind and still be trusted, in milliseconds: no remembered row is older. At rest they are
    /// behind by 4 seconds at most.
    #[arg(id = "feed-silence-ms", long = "feed-silence-ms", env = "FEED_SILENCE_MS", default_value_t = 10_000)]
    pub silence_ms: u64,
    /// Memory for rows read by id, in bytes; 0 reads every row from Postgres.
    #[arg(id = "row-cache-bytes", long = "row-cache-bytes", env = "ROW_CACHE_BYTES", default_value_t = 64 * 1024 * 1024)]
    pub row_cache_bytes: u64,
}
