//! Settings of exports.

use clap::Args;

use super::range::number;

#[derive(Args, Clone, Debug)]
pub struct Exports {
    /// Most records of an export that is answered at once; a job does a longer one.
    #[arg(
        id = "export-sync-rows",
        long = "export-sync-rows",
        env = "EXPORT_SYNC_ROWS",
        default_value_t = 100_000,
        value_parser = number(0..=10_000_000_u64)
    )]
    pub sync_rows: u64,
}
