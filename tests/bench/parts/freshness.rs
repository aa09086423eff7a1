//! P7: from a commit to the first list that shows it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collections::values::ids;
use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::context::Context;
use crate::harness::http::client::{Client, Endpoint};
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;

/// Changes per second.
pub const RATE: f64 = 10.0;
/// Accounts that change in turn.
const ACCOUNTS: i64 = 1_000;
/// Changes that can be waited for at once.
const WATCHERS: usize = 4;
pub const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// A change that no list shows by then is lost.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Changes many rows in turn on an otherwise idle server.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let latencies = probe_for(context, Duration::from_secs(context.sizes.freshness_seconds)).await?;
    let how = format!(
        "{} changes of one account each, {RATE} per second, by SQL; from the commit's return until `GET \
         /api/v1/accounts?creditor=…` shows it, polled {} ms after each answer.",
        latencies.count(),
        POLL_INTERVAL.as_millis()
    );
    let row = |percent, goal| percentile(context, "commit → searchable", &latencies, percent, goal, &how);
    Ok(vec![row(50.0, Goal::AtMost(50.0)), row(99.0, Goal::AtMost(100.0))])
}

/// A percentile of the latencies.
pub fn percentile(context: &Context<'_>, what: &str, latencies: &Latencies, percent: f64, goal: Goal, how: &str) -> Measure {
    let (what, ours) = (format!("{what}, p{percent}"), vec![latencies.percentile(percent)]);
    Measure { id: "P7", what, unit: "ms", ours, goal, how: how.to_owned(), ..context.measure() }
}

/// Runs [`probe`] for so long.
pub async fn probe_for(context: &Context<'_>, span: Duration) -> anyhow::Result<Latencies> {
    let stop = CancellationToken::new();
    let clock = async {
        tokio::time::sleep(span).await;
        stop.cancel();
        Ok(())
    };
    Ok(tokio::try_join!(probe(context, &stop), clock)?.0)
}

/// Changes accounts at a steady rate and polls for each change until a list shows it, until stopped.
pub async fn probe(context: &Context<'_>, stop: &CancellationToken) -> anyhow::Result<Latencies> {
    let accounts: Vec<Uuid> = sqlx::query_scalar("select id from accounts order by id limit $1")
        .bind(ACCOUNTS)
        .fetch_all(&context.sandbox.pool)
        .await?;
    ensure!(!accounts.is_empty(), "there are no accounts to change");
    // Differs from the values of earlier probes.
    let name = ids::new().simple();
    let begin = Instant::now();
    let latencies = try_join_all((0..WATCHERS).map(async |watcher| {
        let endpoint = &context.server()?.endpoint;
        let mut client = Client::open(endpoint).await?;
        let mut latencies = Vec::new();
        for number in (watcher..).step_by(WATCHERS) {
            let due = begin + Duration::from_secs_f64(number as f64 / RATE);
            if stop.run_until_cancelled(tokio::time::sleep_until(due.into())).await.is_none() {
                break;
            }
            let creditor = format!("bench-{name}-{number}");
            sqlx::query("update accounts set creditor = $2 where id = $1")
                .bind(accounts[number % accounts.len()])
                .bind(&creditor)
                .execute(&context.sandbox.pool)
                .await?;
            let committed = Instant::now();
            wait(&mut client, endpoint, &creditor).await.with_context(|| format!("change {number}"))?;
            latencies.push(committed.elapsed());
        }
        anyhow::Ok(latencies)
    }))
    .await?;
    Ok(Latencies::new(latencies.concat()))
}

/// Polls the list until it shows an account of that creditor.
pub async fn wait(client: &mut Client, endpoint: &Endpoint, creditor: &str) -> anyhow::Result<()> {
    let request = endpoint.get(&format!("/api/v1/accounts?creditor={creditor}&limit=1"))?;
    let begin = Instant::now();
    loop {
        let answer = client.read(&request).await?;
        if String::from_utf8_lossy(&answer).contains(creditor) {
            return Ok(());
        }
        ensure!(begin.elapsed() < TIMEOUT, "no list shows it after {TIMEOUT:?}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
