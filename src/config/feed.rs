//! Settings of the announcements.

use clap::Args;

/// Settings of the announcements.
#[derive(Args, Clone, Debug)]
pub struct Feed {
    /// Announcements kept for whoever was away for a moment and resumes; about 100 bytes each, here and in Redis.
    #[arg(id = "feed-history", long = "feed-history", env = "FEED_HISTORY", default_value_t = 100_000)]
    pub history: usize,
    /// How far the announcements may be behind and still be trusted, in milliseconds: no remembered row is older. At rest they are
    /// behind by 4 seconds at most.
    #[arg(id = "feed-silence-ms", long = "feed-silence-ms", env = "FEED_SILENCE_MS", default_value_t = 10_000)]
    pub silence_ms: u64,
}
