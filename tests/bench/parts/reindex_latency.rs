//! P9, `p9-live`: latency of live changes during a reindex.

use std::time::Duration;

use anyhow::Context as _;
use collections::collections::find;
use collections::search::Collection;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::harness::context::Context;
use crate::harness::report::measure::{Goal, Measure};
use crate::harness::report::statistics::Latencies;
use crate::parts::reindex::Progress;
use crate::parts::{freshness, reindex};

/// The largest collection.
const REBUILT: &str = "payments";

/// Measures live changes on an idle server, then during rebuilds.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let collection = find(REBUILT).context("no such collection")?;
    let span = Duration::from_secs(context.sizes.freshness_seconds) / u32::try_from(context.rounds)?.max(1);
    let (mut busy, mut idle, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        idle.push(freshness::probe_for(context, span).await?);
        let stop = CancellationToken::new();
        let rebuilding = async {
            let rebuilt = rebuild_for(context, collection, span).await;
            stop.cancel();
            rebuilt
        };
        let both = tokio::try_join!(freshness::probe(context, &stop), rebuilding);
        if both.is_err() {
            // A rebuild still running would disturb the next measure.
            reindex::cancel(context, collection).await?;
        }
        let (latencies, documents) = both?;
        busy.push(latencies);
        rates.push(documents as f64 / span.as_secs_f64());
    }
    let count: usize = busy.iter().map(Latencies::count).sum();
    let row = |percent: f64, goal| Measure {
        id: "P9",
        what: format!("commit → searchable during a reindex, p{percent}"),
        unit: "ms",
        ours: busy.iter().map(|round| round.percentile(percent)).collect(),
        reference: idle.iter().map(|round| round.percentile(percent)).collect(),
        goal,
        how: format!(
            "As in P7. Ours: {count} changes while {REBUILT} are rebuilt repeatedly, {span:?} a round. Reference: the \
             same server, idle, just before."
        ),
        ..context.measure()
    };
    let rate = Measure {
        id: "P9",
        what: format!("reindex of {REBUILT} beside live changes"),
        unit: "docs/s",
        ours: rates,
        how: format!("Documents written in the same {span:?} a round, including starts, checks and swaps."),
        ..context.measure()
    };
    Ok(vec![row(50.0, Goal::None), row(99.0, Goal::RatioAtMost(1.25)), rate])
}

/// Rebuilds repeatedly until the time is over, cancels the last rebuild, and returns the documents written.
async fn rebuild_for(context: &Context<'_>, collection: &Collection, span: Duration) -> anyhow::Result<i64> {
    let until = Instant::now() + span;
    let mut documents = 0;
    loop {
        let mut progress = Progress::default();
        let ended = timeout_at(until, reindex::run_with_progress(context, collection, &mut progress)).await;
        documents += progress.documents();
        let Ok(outcome) = ended else {
            reindex::cancel(context, collection).await?;
            return Ok(documents);
        };
        outcome?;
    }
}
