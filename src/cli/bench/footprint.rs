//! P19: memory under everyday load, and how long a start takes.

use std::time::Duration;

use super::report::{Goal, Measure};
use super::server::Server;
use super::{Scene, lists};

/// Starts the server several times, then lets it answer lists and looks at its memory.
pub(super) async fn measure(scene: &mut Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let mut starts = Vec::new();
    for _ in 0..scene.rounds {
        scene.stop_server().await?;
        let server = Server::start(scene.stage, scene.log).await?;
        starts.push(server.ready_after.as_secs_f64());
        scene.server = Some(server);
    }
    scene.sign_in().await?;
    let mut memory = Vec::new();
    for _ in 0..scene.rounds {
        let (load, peak) = tokio::join!(lists::everyday(scene), most(scene));
        load?;
        memory.push(peak?);
    }
    let row = |what: &str, unit, ours, goal, how: &str| {
        let (goal, how) = (Goal::AtMost(goal), how.to_owned());
        Measure { id: "P19", what: what.to_owned(), customers: scene.customers, unit, ours, reference: vec![], goal, how }
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
async fn most(scene: &Scene<'_>) -> anyhow::Result<f64> {
    let mut most = 0.0_f64;
    let begin = std::time::Instant::now();
    while begin.elapsed() < scene.round {
        most = most.max(scene.server()?.memory()?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(most)
}
