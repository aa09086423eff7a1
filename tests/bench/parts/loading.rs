//! Throughput of `collections seed` and of an import.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::ensure;

use crate::harness::context::TRIAL;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::sandbox::Sandbox;
use crate::harness::server::command;

/// Seeds synthetic customers and the demo logins.
pub async fn seed(sandbox: &Sandbox, customers: u64) -> anyhow::Result<Vec<Measure>> {
    let seconds = seconds(sandbox, &["seed", "--demo", "--customers", &customers.to_string()].map(OsStr::new)).await?;
    let sql = "
        select (select count(*) from customers) + (select count(*) from contact_points) + (select count(*) from addresses)
          + (select count(*) from accounts) + (select count(*) from payments) + (select count(*) from ledger_entries)";
    let rows: i64 = sqlx::query_scalar(sql).fetch_one(&sandbox.pool).await?;
    Ok(vec![Measure {
        id: TRIAL,
        what: "seeding".into(),
        customers,
        unit: "rows/s",
        ours: vec![rows as f64 / seconds],
        goal: Goal::AtLeast(50_000.0),
        how: format!("The whole run of `collections seed`: {rows} rows in six tables."),
        ..Measure::default()
    }])
}

/// Imports a file of customers while the server runs.
pub async fn import(sandbox: &Sandbox, file: &Path, customers: u64) -> anyhow::Result<Vec<Measure>> {
    let count = async || sqlx::query_scalar::<_, i64>("select count(*) from customers").fetch_one(&sandbox.pool).await;
    let before = count().await?;
    let arguments = [OsStr::new("import"), file.as_os_str(), OsStr::new("--target"), OsStr::new("customers")];
    let seconds = seconds(sandbox, &arguments).await?;
    let people = count().await? - before;
    Ok(vec![Measure {
        id: TRIAL,
        what: "import of customers".into(),
        customers,
        unit: "rows/s",
        ours: vec![people as f64 / seconds],
        how: format!("The whole run of `collections import` with a file of {people} people, beside a running server."),
        ..Measure::default()
    }])
}

async fn seconds(sandbox: &Sandbox, arguments: &[&OsStr]) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let ended = command(sandbox, arguments).stdout(Stdio::null()).status().await?;
    ensure!(ended.success(), "collections {} failed", arguments[0].display());
    Ok(begin.elapsed().as_secs_f64())
}
