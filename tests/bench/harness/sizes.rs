//! How much is measured.

use std::time::Duration;

use clap::Args;

/// From so many customers on, `--large-rounds` applies.
const LARGE: u64 = 500_000;

#[derive(Args, Clone, Debug)]
pub struct Sizes {
    /// Rounds of each side; the result is their median.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rounds of each side with half a million customers or more.
    #[arg(long, default_value_t = 2)]
    large_rounds: usize,
    /// Length of one round of load, in seconds.
    #[arg(long, default_value_t = 10)]
    round_seconds: u64,
    /// Length of p7, p7-hot, p8, and each side of p9-live, in seconds.
    #[arg(long, default_value_t = 60)]
    pub freshness_seconds: u64,
    /// Rows that change in one round of p5, at most.
    #[arg(long, default_value_t = 100_000)]
    pub changes: i64,
    /// Documents that the reference of p9 writes in one round, at most.
    #[arg(long, default_value_t = 500_000)]
    pub documents: i64,
    /// Updates of p10.
    #[arg(long, default_value_t = 1_000_000)]
    pub hot_updates: u64,
    /// Changes in one round of p6.
    #[arg(long, default_value_t = 20_000)]
    pub pgsync_changes: i64,
    /// Rows of the workbook of p13.
    #[arg(long, default_value_t = 100_000)]
    pub import_rows: u32,
    /// Attacks with this in their names; all if absent.
    #[arg(long)]
    pub attack: Option<String>,
}

impl Sizes {
    pub fn rounds(&self, customers: u64) -> usize {
        if customers < LARGE { self.rounds } else { self.large_rounds }
    }

    pub fn round(&self) -> Duration {
        Duration::from_secs(self.round_seconds)
    }
}
