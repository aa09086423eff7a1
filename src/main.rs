//! The program; see the library for the map.

use std::process::ExitCode;

use collections::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    // Reads FAILPOINTS, in the builds of tests.
    let _scenario = fail::has_failpoints().then(fail::FailScenario::setup);
    cli::main().await
}
