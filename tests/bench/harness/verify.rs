//! Compares the index with the rows by `collections sync verify`.

use std::time::Duration;

use anyhow::Context as _;

use super::context::Context;
use super::report::measure::{Goal, Measure};
use super::server::command;

const TIMEOUT: Duration = Duration::from_secs(1_800);

/// Counts the documents that differ from their row.
pub async fn differences(context: &Context<'_>, id: &'static str) -> anyhow::Result<Measure> {
    let mut verify = command(context.sandbox, &["sync", "verify", "--deep", "--json"]);
    let output = tokio::time::timeout(TIMEOUT, verify.output()).await.context("sync verify timed out")??;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let different = found["different"].as_f64().with_context(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        format!("sync verify failed: {}", stderr.lines().last().unwrap_or("no reason given"))
    })?;
    Ok(Measure {
        id,
        what: "differences afterwards".into(),
        unit: "documents",
        ours: vec![different],
        goal: Goal::AtMost(0.0),
        how: "Differences that `collections sync verify --deep` finds in all indices.".into(),
        ..context.measure()
    })
}
