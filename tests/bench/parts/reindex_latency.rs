//! P9, its second half: what a reindex does to live changes.

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

/// Looks for live changes while the server is quiet, and again while it rebuilds an index.
pub async fn measure(context: &Context<'_>) -> anyhow::Result<Vec<Measure>> {
    let collection = find(REBUILT).context("no such collection")?;
    let span = Duration::from_secs(context.sizes.freshness_seconds) / u32::try_from(context.rounds)?.max(1);
    let (mut loud, mut quiet, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..context.rounds {
        quiet.push(freshness::probe_for(context, span).await?);
        let stop = CancellationToken::new();
        let rebuilding = async {
            let rebuilt = rebuild_for(context, collection, span).await;
            stop.cancel();
            rebuilt
        };
        let both = tokio::try_join!(freshness::probe(context, &stop), rebuilding);
        if both.is_err() {
            // The next measure shall not have to share the server with what is left of it.
            reindex::cancel(context, collection).await?;
        }
        let (latencies, documents) = both?;
        loud.push(latencies);
        rates.push(documents as f64 / span.as_secs_f64());
    }
    let count: usize = loud.iter().map(Latencies::count).sum();
    let row = |percent: f64, goal| Measure {
        id: "P9",
        what: format!("commit → searchable during a reindex, p{percent}"),
        customers: context.customers,
        unit: "ms",
        ours: loud.iter().map(|round| round.percentile(percent)).collect(),
        reference: quiet.iter().map(|round| round.percentile(percent)).collect(),
        goal,
        how: format!(
            "As in P7. Ours: {count} changes while {REBUILT} are rebuilt again and again, {span:?} a round. Reference: the \
             same server, quiet, just before."
        ),
    };
    let rate = Measure {
        id: "P9",
        what: format!("reindex of {REBUILT} beside live changes"),
        customers: context.customers,
        unit: "docs/s",
        ours: rates,
        reference: vec![],
        goal: Goal::None,
        how: format!("Documents written in the same {span:?} a round, the starts, the checks and the swaps included."),
    };
    Ok(vec![row(50.0, Goal::None), row(99.0, Goal::RatioAtMost(1.25)), rate])
}

/// Rebuilds again and again until the time is over, and gives up the last one: a large one takes most of an hour beside live
/// changes. Returns the documents that were written.
async fn rebuild_for(context: &Context<'_>, collection: &Collection, span: Duration) -> anyhow::Result<i64> {
    let until = Instant::now() + span;
    let mut documents = 0;
    loop {
        let mut progress = Progress::default();
        let ended = timeout_at(until, reindex::follow(context, collection, &mut progress)).await;
        documents += progress.documents();
        let Ok(pace) = ended else {
            reindex::cancel(context, collection).await?;
            return Ok(documents);
        };
        pace?;
    }
}
