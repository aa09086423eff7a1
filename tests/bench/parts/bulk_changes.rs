//! P16: a bulk change of accounts through its job, against one statement that changes the same rows.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::rows;

/// Accounts of one change.
const ACCOUNTS: i64 = 10_000;

/// Between two looks at the job.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Changes the same accounts in turn by a job and by a statement.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let ids = rows::random(&context.sandbox.pool, "accounts", ACCOUNTS).await?;
    let (mut ours, mut reference) = (Vec::new(), Vec::new());
    // The first of each is not counted.
    for round in 0..=context.rounds {
        let rate = |took: Duration| ids.len() as f64 / took.as_secs_f64();
        let by_job = rate(by_job(context, &ids, &format!("job {round}")).await?);
        let by_statement = rate(by_statement(context, &ids, &format!("statement {round}")).await?);
        if round > 0 {
            ours.push(by_job);
            reference.push(by_statement);
        }
    }
    let how = format!(
        "{} random accounts by their ids get another creditor. Ours: from the request until the job has succeeded, with a result, an \
         audit entry and a version for each, in chunks of 500. Reference: one `update … where id = any($1)` with the same triggers.",
        ids.len()
    );
    let what = "bulk change of accounts through its job".to_owned();
    Ok(vec![Measure {
        id: "P16",
        what,
        unit: "accounts/s",
        ours,
        reference,
        goal: Goal::RatioAtLeast(0.3),
        how,
        ..context.measure()
    }])
}

async fn by_job(context: &Context<'_>, ids: &[Uuid], creditor: &str) -> anyhow::Result<Duration> {
    let endpoint = &context.server()?.endpoint;
    let mut client = Client::open(endpoint).await?;
    let body = json!({ "ids": ids, "set": { "creditor": creditor } }).to_string();
    let request = endpoint.post("/api/v1/accounts/bulk-update", body)?;
    let begin = Instant::now();
    let begun: Value = serde_json::from_slice(&client.read(&request).await?)?;
    let job = begun["jobId"].as_str().context("the bulk change is no job")?;
    let request = endpoint.get(&format!("/api/v1/jobs/{job}"))?;
    loop {
        let job: Value = serde_json::from_slice(&client.read(&request).await?)?;
        match job["status"].as_str() {
            Some("queued" | "running") => tokio::time::sleep(POLL_INTERVAL).await,
            _ => {
                ensure!(job["succeeded"] == ids.len() && job["failed"] == 0, "the job has failed: {job}");
                return Ok(begin.elapsed());
            }
        }
    }
}

async fn by_statement(context: &Context<'_>, ids: &[Uuid], creditor: &str) -> anyhow::Result<Duration> {
    let mut connection = context.sandbox.pool.acquire().await?;
    let update = sqlx::query("update accounts set creditor = $2 where id = any($1)").bind(ids).bind(creditor);
    let begin = Instant::now();
    let updated = update.execute(&mut *connection).await?.rows_affected();
    ensure!(updated == ids.len() as u64, "{updated} accounts were changed");
    Ok(begin.elapsed())
}
