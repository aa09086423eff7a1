//! The program; see the library for the map.

use std::process::ExitCode;

use collections::cli;

#[tokio::main]
async fn main() -> ExitCode {
    cli::main().await
}
