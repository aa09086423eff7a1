//! Settings and limits of imports, and of the files that they read.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::range::{HOUR, SECOND, duration, number};

#[derive(Args, Clone, Debug)]
pub struct Imports {
    #[command(flatten)]
    pub sheets: SheetLimits,
    /// Rows in one transaction: larger batches are hardly faster, and hold their locks for longer.
    #[arg(skip = 500_usize)]
    pub batch_size: usize,
}

/// Limits of the files that are read.
#[derive(Args, Clone, Debug)]
pub struct SheetLimits {
    /// Largest file to import, in bytes.
    #[arg(long = "import-max-file-bytes", env = "IMPORT_MAX_FILE_BYTES", default_value_t = 104_857_600, value_parser = number(1..=1_u64 << 40))]
    pub max_file_bytes: u64,
    /// Most rows of a sheet to import, without its header; workbooks have no more than the default.
    #[arg(long = "import-max-rows", env = "IMPORT_MAX_ROWS", default_value_t = 1_048_575, value_parser = number(1..=1_000_000_000_u64))]
    pub max_rows: u64,
    /// Most columns of a sheet to import; workbooks have no more than 16,384.
    #[arg(long = "import-max-columns", env = "IMPORT_MAX_COLUMNS", default_value_t = 200, value_parser = number(1..=16_384_usize))]
    pub max_columns: usize,
    /// Memory that reading a workbook may take, in bytes, beside that of the server.
    #[arg(long = "import-memory", env = "IMPORT_MEMORY", default_value_t = 1_073_741_824, value_parser = number(64 * 1024 * 1024..=1_u64 << 40))]
    pub memory: u64,
    /// CPU time that reading a workbook may take, and longest wait for its next rows.
    #[arg(long = "import-read-timeout", env = "IMPORT_READ_TIMEOUT", default_value = "2m", value_parser = duration(SECOND..=HOUR))]
    pub read_timeout: Duration,
    /// The program that reads workbooks, which is this one: even if its file was replaced since it began.
    #[arg(skip = PathBuf::from("/proc/self/exe"))]
    pub program: PathBuf,
}
