//! P7, `p7-hot`: from a commit to the first list that shows it, for one row that changes many times a second.

use std::time::{Duration, Instant};

use anyhow::ensure;
use uuid::Uuid;

use super::freshness::{POLL_INTERVAL, TIMEOUT, percentile};
use crate::harness::context::Context;
use crate::harness::http::client::Client;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;

/// Changes per second.
const RATE: f64 = 20.0;

/// Changes one row again and again on an otherwise idle server.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let changes = context.sizes.freshness_seconds * RATE as u64;
    let sql = "select id, account_number from accounts order by id limit 1";
    let (id, account): (Uuid, String) = sqlx::query_as(sql).fetch_one(&context.sandbox.pool).await?;
    let (commits, sightings) = tokio::try_join!(change(context, id, changes), watch(context, &account, changes))?;
    let latencies = Latencies::new(first_shown(&commits, &sightings));
    ensure!(latencies.count() == commits.len(), "no list showed the last change");
    let how = format!(
        "{changes} changes of the same account, {RATE} per second, by SQL; from the commit's return until a list shows it or a \
         later change, polled {} ms after each answer.",
        POLL_INTERVAL.as_millis()
    );
    let row = |percent, goal| percentile(context, "commit → searchable, one hot row", &latencies, percent, goal, &how);
    Ok(vec![row(50.0, Goal::AtMost(50.0)), row(99.0, Goal::None)])
}

/// Numbers the changes from 0 in the name of the creditor, and returns when each commit returned.
async fn change(context: &Context<'_>, id: Uuid, changes: u64) -> anyhow::Result<Vec<Instant>> {
    let mut connection = context.sandbox.pool.acquire().await?;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / RATE));
    let mut commits = Vec::new();
    for number in 0..changes {
        ticks.tick().await;
        sqlx::query("update accounts set creditor = $2 where id = $1")
            .bind(id)
            .bind(format!("hot-{number}"))
            .execute(&mut *connection)
            .await?;
        commits.push(Instant::now());
    }
    Ok(commits)
}

/// Reads the row from the list until it shows the last change; returns when each number was seen first.
async fn watch(context: &Context<'_>, account: &str, changes: u64) -> anyhow::Result<Vec<(usize, Instant)>> {
    let endpoint = &context.server()?.endpoint;
    let mut client = Client::open(endpoint).await?;
    let request = endpoint.get(&format!("/api/v1/accounts?accountNumber={account}&limit=1"))?;
    let mut sightings: Vec<(usize, Instant)> = Vec::new();
    let mut latest = Instant::now();
    while sightings.last().is_none_or(|(number, _)| *number as u64 + 1 < changes) {
        ensure!(latest.elapsed() < TIMEOUT, "the list has not changed for {TIMEOUT:?}");
        let answer: serde_json::Value = serde_json::from_slice(&client.read(&request).await?)?;
        let creditor = answer["data"][0]["creditor"].as_str().unwrap_or_default();
        let number = creditor.strip_prefix("hot-").and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|number| sightings.last().is_none_or(|(seen, _)| seen < number)) {
            latest = Instant::now();
            sightings.push((number, latest));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(sightings)
}

/// Latency of each commit: until the first sighting of its number or a later one.
fn first_shown(commits: &[Instant], sightings: &[(usize, Instant)]) -> Vec<Duration> {
    let mut sightings = sightings.iter().peekable();
    let mut latencies = Vec::new();
    for (number, committed) in commits.iter().enumerate() {
        while sightings.next_if(|(seen, _)| *seen < number).is_some() {}
        // A list may show a change before the client has read that it was committed.
        latencies.extend(sightings.peek().map(|(_, shown)| shown.saturating_duration_since(*committed)));
    }
    latencies
}
