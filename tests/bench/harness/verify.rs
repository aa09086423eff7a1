//! Whether the index still equals the rows, asked of the program as an operator would.

use std::time::Duration;

use anyhow::Context as _;

use super::context::Context;
use super::report::measure::{Goal, Measure};
use super::server::command;

/// A comparison that is not over by then never will be.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Compares every document with its row.
pub async fn differences(context: &Context<'_>, id: &'static str) -> anyhow::Result<Measure> {
    let mut verify = command(context.sandbox, &["sync", "verify", "--deep", "--json"]);
    let output = tokio::time::timeout(PATIENCE, verify.output()).await.context("the index could not be compared in time")??;
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let different = found["different"].as_f64().with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("the index could not be compared: {}", said.lines().last().unwrap_or("no reason given"))
    })?;
    Ok(Measure {
        id,
        what: "differences afterwards".into(),
        customers: context.customers,
        unit: "documents",
        ours: vec![different],
        reference: vec![],
        goal: Goal::AtMost(0.0),
        how: "What `collections sync verify --deep` finds in every index.".into(),
    })
}
