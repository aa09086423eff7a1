//! Waiting until an index has taken in everything up to a moment, from any process.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::search::Collection;
use crate::sync::store::checkpoint::{self, State};
use crate::values::lsn::Lsn;

/// How often the checkpoint is read.
const PERIOD: Duration = Duration::from_millis(50);
/// Longest time without progress; beyond that no process leads, or the index is away. Under more changes than the index can take
/// the checkpoint moves only once the backlog of some moment is written.
const LIMIT: Duration = Duration::from_secs(60);

/// The index does not get to where it should be.
#[derive(Debug, thiserror::Error)]
#[error("the index stands still at {searchable} and does not get to {wanted}: {problem}")]
pub struct Behind {
    pub wanted: Lsn,
    pub searchable: Lsn,
    /// The leader's, or what may be the reason.
    pub problem: String,
}

/// Waits until everything of a collection that was committed before the call is searchable, and returns the searchable LSN.
///
/// # Errors
/// [`Behind`] if the index comes no nearer.
pub async fn until_searchable(app: &App, collection: &Collection) -> anyhow::Result<Lsn> {
    let wanted = checkpoint::request_flush(&app.db.sync).await?;
    reached(app, collection, wanted).await
}

/// The same without a flush of what lingers.
///
/// # Errors
/// [`Behind`] if the index comes no nearer.
pub async fn until_caught_up(app: &App, collection: &Collection) -> anyhow::Result<Lsn> {
    let wanted = checkpoint::heartbeat(&app.db.sync).await?;
    reached(app, collection, wanted).await
}

async fn reached(app: &App, collection: &Collection, wanted: Lsn) -> anyhow::Result<Lsn> {
    let (mut nearest, mut moved) = (None, Instant::now());
    loop {
        let State { checkpoint, problem, .. } = checkpoint::read(&app.db.sync).await?;
        if checkpoint.includes(collection.name, wanted) {
            return Ok(checkpoint.searchable);
        }
        // Once the LSN is there, only the backlog is left.
        let near = (checkpoint.searchable.min(wanted), checkpoint.backlog_since.get(collection.name).copied());
        if nearest != Some(near) {
            (nearest, moved) = (Some(near), Instant::now());
        } else if moved.elapsed() > LIMIT {
            let problem = problem.unwrap_or_else(|| "no process leads the sync, or the index is away or busy".to_owned());
            return Err(Behind { wanted, searchable: checkpoint.searchable, problem }.into());
        }
        sleep(PERIOD).await;
    }
}
