//! Settings of files that come in.

use clap::Args;

/// Settings of files that come in.
#[derive(Args, Clone, Debug)]
pub struct Imports {
    /// Largest file to import, in bytes.
    #[arg(long = "import-max-file-bytes", env = "IMPORT_MAX_FILE_BYTES", default_value_t = 4_294_967_296)]
    pub max_file_bytes: u64,
    /// Most rows of a file to import.
    #[arg(long = "import-max-rows", env = "IMPORT_MAX_ROWS", default_value_t = 20_000_000)]
    pub max_rows: u64,
    /// Most columns of a file to import.
    #[arg(long = "import-max-columns", env = "IMPORT_MAX_COLUMNS", default_value_t = 200)]
    pub max_columns: usize,
    /// Most characters in one cell; a workbook takes as many.
    #[arg(long = "import-max-cell", env = "IMPORT_MAX_CELL", default_value_t = 32_767)]
    pub max_cell: usize,
    /// Longest row, in bytes; a quote that is never closed is given up here.
    #[arg(long = "import-max-row-bytes", env = "IMPORT_MAX_ROW_BYTES", default_value_t = 1_048_576)]
    pub max_row_bytes: usize,
    /// Rows to one transaction.
    #[arg(long = "import-batch-size", env = "IMPORT_BATCH_SIZE", default_value_t = 500)]
    pub batch_size: usize,
    /// Keys that are remembered to find rows that repeat an earlier one; beyond them a repetition counts as there already.
    #[arg(long = "import-remembered-keys", env = "IMPORT_REMEMBERED_KEYS", default_value_t = 1_000_000)]
    pub remembered_keys: usize,
}
