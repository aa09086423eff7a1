//! Settings of background jobs.

use std::time::Duration;

use clap::Args;

use super::range::{DAY, duration};

#[derive(Args, Clone, Debug)]
pub struct Jobs {
    /// How long finished jobs are kept, with what failed of them.
    #[arg(id = "jobs-keep", long = "jobs-keep", env = "JOBS_KEEP", default_value = "30d", value_parser = duration(DAY..=3_650 * DAY))]
    pub keep: Duration,
    /// How long a worker that stops renewing its lease keeps others from its job: long enough for a restart of Postgres.
    #[arg(skip = Duration::from_secs(15))]
    pub lease: Duration,
}
