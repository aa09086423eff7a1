//! P9, its second half: what a reindex does to live changes.

use std::time::Duration;

use anyhow::Context;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::report::{Goal, Measure};
use super::{Scene, freshness, rebuild};
use crate::collections;
use crate::search::Collection;

/// The largest collection.
const REBUILT: &str = "payments";

/// Looks for live changes while the server is quiet, and again while it rebuilds an index.
pub(super) async fn measure(scene: &Scene<'_>) -> anyhow::Result<Vec<Measure>> {
    let collection = collections::find(REBUILT).context("no such collection")?;
    let span = Duration::from_secs(scene.sizes.freshness_seconds) / u32::try_from(scene.rounds)?.max(1);
    let (mut loud, mut quiet) = (Vec::new(), Vec::new());
    for _ in 0..scene.rounds {
        quiet.push(freshness::probe_for(scene, span).await?);
        let stop = CancellationToken::new();
        let rebuilding = async {
            let rebuilt = rebuild_for(scene, collection, span).await;
            stop.cancel();
            rebuilt
        };
        loud.push(tokio::try_join!(freshness::probe(scene, &stop), rebuilding)?.0);
    }
    let count: usize = loud.iter().map(super::statistics::Latencies::count).sum();
    let row = |percent: f64, goal| Measure {
        id: "P9",
        what: format!("commit → searchable during a reindex, p{percent}"),
        customers: scene.customers,
        unit: "ms",
        ours: loud.iter().map(|round| round.percentile(percent)).collect(),
        reference: quiet.iter().map(|round| round.percentile(percent)).collect(),
        goal,
        how: format!(
            "As in P7. Ours: {count} changes while {REBUILT} are rebuilt again and again, {span:?} a round. Reference: the \
             same server, quiet, just before."
        ),
    };
    Ok(vec![row(50.0, Goal::None), row(99.0, Goal::RatioAtMost(1.25))])
}

/// Rebuilds until the time is over, and gives up the last one: a large one takes most of an hour beside live changes.
async fn rebuild_for(scene: &Scene<'_>, collection: &Collection, span: Duration) -> anyhow::Result<()> {
    match timeout(span, rebuild_on(scene, collection)).await {
        Ok(failed) => failed,
        Err(_) => rebuild::cancel(scene, collection).await,
    }
}

/// Rebuilds again and again.
async fn rebuild_on(scene: &Scene<'_>, collection: &Collection) -> anyhow::Result<()> {
    loop {
        rebuild::reindex(scene, collection).await?;
    }
}
