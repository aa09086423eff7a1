//! P20: time of a clean build, of a rebuild after a change, and of the tests.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use collections::values::clock::Clock;
use tokio::process::Command;

use crate::harness::report::measure::{Goal, Measure};

/// Rebuilds.
const ROUNDS: usize = 3;
/// Touched before each rebuild: a file of one feature.
const FEATURE: &str = "src/features/accounts/mod.rs";

/// Builds into an empty target folder, rebuilds after touching a file, and runs the tests; in the folder of the package.
pub async fn measure(target: &Path) -> anyhow::Result<Vec<Measure>> {
    ensure!(Path::new(FEATURE).exists(), "P20 has to run in the folder of the package");
    if target.exists() {
        std::fs::remove_dir_all(target)?;
    }
    let clean = seconds(Command::new("cargo").arg("build").env("CARGO_TARGET_DIR", target)).await?;
    let mut rebuilds = Vec::new();
    for _ in 0..ROUNDS {
        std::fs::File::options().append(true).open(FEATURE)?.set_modified(Clock::default().now().into())?;
        rebuilds.push(seconds(Command::new("cargo").arg("build").env("CARGO_TARGET_DIR", target)).await?);
    }
    std::fs::remove_dir_all(target).context("cannot remove the scratch build")?;
    let suite = seconds(&mut Command::new("bin/test")).await?;
    let row = |what: &str, ours, goal, how: &str| {
        let (what, goal, how) = (what.to_owned(), Goal::AtMost(goal), how.to_owned());
        Measure { id: "P20", what, unit: "s", ours, goal, how, ..Measure::default() }
    };
    Ok(vec![
        row("clean debug build", vec![clean], 360.0, "`cargo build` into an empty folder; the crates are downloaded already."),
        row("rebuild of one feature", rebuilds, 25.0, "`cargo build` after touching one file of a feature."),
        row("whole test suite", vec![suite], 600.0, "`bin/test`, including what it builds."),
    ])
}

async fn seconds(command: &mut Command) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let status = command.stdin(Stdio::null()).kill_on_drop(true).status().await?;
    ensure!(status.success(), "a build or the tests failed");
    Ok(begin.elapsed().as_secs_f64())
}
