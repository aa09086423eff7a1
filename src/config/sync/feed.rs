//! Settings of the announcements.

use clap::Args;

use crate::config::range::number;

/// Settings of the announcements.
#[derive(Args, Clone, Debug)]
pub struct Feed {
    /// Announcements kept for consumers that were away for a moment; about 150 bytes each, here and in Redis.
    #[arg(id = "feed-history", long = "feed-history", env = "FEED_HISTORY", default_value_t = 100_000, value_parser = number(1..=10_000_000_usize))]
    pub history: usize,
}
