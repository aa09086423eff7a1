//! Settings and limits of imports.

use clap::Args;

use super::range::number;

#[derive(Args, Clone, Debug)]
pub struct Imports {
    /// Largest file to import, in bytes.
    #[arg(long = "import-max-file-bytes", env = "IMPORT_MAX_FILE_BYTES", default_value_t = 4_294_967_296, value_parser = number(1..=1_u64 << 40))]
    pub max_file_bytes: u64,
    /// Most rows of a file to import.
    #[arg(long = "import-max-rows", env = "IMPORT_MAX_ROWS", default_value_t = 20_000_000, value_parser = number(1..=1_000_000_000_u64))]
    pub max_rows: u64,
    /// Rows in one transaction: larger batches are hardly faster, and hold their locks for longer.
    #[arg(skip = 500_usize)]
    pub batch_size: usize,
}
