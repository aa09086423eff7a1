//! For every server: checks that the live indices are the ones that the leader has written.
//!
//! An index that was deleted and restored, or whose disk was put back, has its old name and old documents. The leader notices too and
//! builds another one; until then no list may read it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::app::App;
use crate::freshness::Identity;
use crate::search::shard_checkpoints::{self, ShardCheckpoints};
use crate::search::{Elastic, ElasticError};
use crate::sync::store::generations;

const PERIOD: Duration = Duration::from_secs(1);
/// Pause before the look that a failed search asks for: as long as it fails, few searches try.
const PAUSE: Duration = Duration::from_millis(100);

/// Compares the live indices with the recorded ones every second and after a failed search, until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    let Some(elastic) = app.search.elastic() else { return };
    while !stop.is_cancelled() {
        match look(&app, elastic).await {
            Ok(seen) => app.watermark.identify(seen),
            Err(error) => debug!(%error, "cannot read which indices are live"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.watermark.unseen() => {}
            () = app.search.faults.notified() => {
                app.watermark.doubt();
                sleep(PAUSE).await;
            }
            () = sleep(PERIOD) => {}
        }
    }
}

async fn look(app: &App, elastic: &Elastic) -> sqlx::Result<BTreeMap<Arc<str>, Identity>> {
    let names = app.watermark.live_indices();
    let written = generations::written(&app.db.watch).await?;
    let seen = shard_checkpoints::read(elastic, &names.iter().map(|name| &**name).collect::<Vec<_>>()).await;
    let identity = |name: &str| match (&seen, written.get(name)) {
        (_, None) => Identity::Replaced,
        (Ok(seen), Some(written)) => compare(written.as_ref(), seen.get(name)),
        (Err(ElasticError::Timeout | ElasticError::Rejected | ElasticError::Blocked(_)), _) => Identity::Busy,
        // An Elasticsearch that does not tell; the sweep notices in the end.
        (Err(ElasticError::Refused { .. }), _) => Identity::Genuine,
        (Err(ElasticError::Unavailable(_) | ElasticError::Broken(_)), _) => Identity::Unreachable,
    };
    Ok(names.iter().map(|name| (Arc::clone(name), identity(name))).collect())
}

/// Compares what the leader has recorded of an index with what is there.
fn compare(written: Option<&ShardCheckpoints>, seen: Option<&ShardCheckpoints>) -> Identity {
    match (written, seen) {
        (_, None) => Identity::Unreachable,
        (Some(written), Some(seen)) if written.has_lost(seen) => Identity::Replaced,
        (Some(written), Some(seen)) if !written.is_covered_by(seen) => Identity::Unreachable,
        (_, Some(_)) => Identity::Genuine,
    }
}
