//! How much of everything is measured.

use std::time::Duration;

use clap::Args;

/// Customers from which on a run takes fewer rounds.
const LARGE: u64 = 500_000;

/// How much is measured, and how often.
#[derive(Args, Clone, Debug)]
pub struct Sizes {
    /// Rounds of each side; a figure is the median of them.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rounds of each side with half a million customers or more.
    #[arg(long, default_value_t = 2)]
    large_rounds: usize,
    /// Length of one round of load, in seconds.
    #[arg(long, default_value_t = 10)]
    round_seconds: u64,
    /// Length of p7, of p8, and of each side of p9-live, in seconds.
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
    pub rival_changes: i64,
}

impl Sizes {
    /// Rounds of each side with so many customers.
    pub fn rounds(&self, customers: u64) -> usize {
        if customers < LARGE { self.rounds } else { self.large_rounds }
    }

    /// Length of one round of load.
    pub fn round(&self) -> Duration {
        Duration::from_secs(self.round_seconds)
    }
}
