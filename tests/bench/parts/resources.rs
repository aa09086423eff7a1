//! P19: memory under everyday load, and how long a start takes.

use std::time::Duration;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::server::Server;
use crate::parts::lists;

/// Starts the server several times, then lets it answer lists and looks at its memory.
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
        let (load, peak) = tokio::join!(lists::everyday(context), most(context));
        load?;
        memory.push(peak?);
    }
    let row = |what: &str, unit, ours, goal, how: &str| {
        let (goal, how) = (Goal::AtMost(goal), how.to_owned());
        Measure { id: "P19", what: what.to_owned(), customers: context.customers, unit, ours, reference: vec![], goal, how }
    };
    Ok(vec![
        row(
            "memory of the server",
            "MB",
            memory,
            150.0,
            "The largest resident size, looked at ten times a second, while it answers lists.",
        ),
        row(
            "start until ready",
            "s",
            starts,
            1.0,
            "From the start of the process until `/health/ready` says yes; the index is there already.",
        ),
    ])
}

/// The largest memory that the server shows within a round.
async fn most(context: &Context<'_>) -> anyhow::Result<f64> {
    let mut most = 0.0_f64;
    let begin = std::time::Instant::now();
    while begin.elapsed() < context.round {
        most = most.max(context.server()?.memory()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(most)
}
