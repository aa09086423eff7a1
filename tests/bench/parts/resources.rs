//! P19: memory under a light load, and startup time.

use std::time::Duration;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::Server;
use crate::parts::lists;

/// Restarts the server several times, then samples its memory while it answers lists.
pub async fn measure(context: &mut Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut starts = Vec::new();
    for _ in 0..context.rounds {
        context.stop_server().await?;
        let server = Server::start(context.sandbox, context.log).await?;
        starts.push(server.ready_after.as_secs_f64());
        context.server = Some(server);
    }
    context.sign_in().await?;
    let mut memory = Vec::new();
    for _ in 0..context.rounds {
        let (load, peak) = tokio::join!(lists::light_load(context), peak_memory(context));
        load?;
        memory.push(peak?);
    }
    let row = |what: &str, unit, ours, goal, how: &str| {
        let (what, goal, how) = (what.to_owned(), Goal::AtMost(goal), how.to_owned());
        Measure { id: "P19", what, unit, ours, goal, how, ..context.measure() }
    };
    Ok(vec![
        row(
            "memory of the server",
            "MB",
            memory,
            150.0,
            "Largest resident set while it answers lists, sampled ten times a second.",
        ),
        row(
            "start until ready",
            "s",
            starts,
            1.0,
            "From the start of the process until `/health/ready` succeeds, with an existing index.",
        ),
    ])
}

/// Largest resident set within one round, in MB.
async fn peak_memory(context: &Context<'_>) -> anyhow::Result<f64> {
    let mut peak = 0.0_f64;
    let begin = std::time::Instant::now();
    while begin.elapsed() < context.round {
        peak = peak.max(context.server()?.memory()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(peak)
}
