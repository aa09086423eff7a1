//! Waiting until an index has taken in everything up to a moment, from any process.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::app::App;
use crate::search::Collection;
use crate::sync::store::checkpoint;
use crate::values::lsn::Lsn;

/// How often the position is read.
const PERIOD: Duration = Duration::from_millis(50);
/// Longest time without any progress. Beyond that nobody leads, or the index is away. Under more changes than the index can take the
/// position moves only once all that waited at some moment is written.
const LIMIT: Duration = Duration::from_secs(60);

/// The index does not come to where it should be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the index stands still at {applied} and does not get to {wanted}: no process leads the sync, or the index is away or busy"
)]
pub struct Behind {
    /// Where it has to be.
    pub wanted: Lsn,
    /// Where it is.
    pub applied: Lsn,
}

/// Returns once everything of a collection that was committed before the call is in its index, with the position that it is at.
/// Waits for as long as the index comes nearer.
///
/// # Errors
/// The database's, or [`Behind`].
pub async fn now(app: &App, collection: &Collection) -> anyhow::Result<Lsn> {
    let wanted = checkpoint::request_flush(&app.db.sync).await?;
    reached(app, collection, wanted).await
}

/// The same without a flush of what lingers.
///
/// # Errors
/// The database's, or [`Behind`].
pub async fn in_time(app: &App, collection: &Collection) -> anyhow::Result<Lsn> {
    let wanted = checkpoint::heartbeat(&app.db.sync).await?;
    reached(app, collection, wanted).await
}

async fn reached(app: &App, collection: &Collection, wanted: Lsn) -> anyhow::Result<Lsn> {
    let (mut nearest, mut moved) = (None, Instant::now());
    loop {
        let standing = checkpoint::read(&app.db.sync).await?.standing;
        if standing.includes(collection.name, wanted) {
            return Ok(standing.searchable);
        }
        // Once it is there, only what is owed keeps it.
        let near = (standing.searchable.min(wanted), standing.owed.get(collection.name).copied());
        if nearest != Some(near) {
            (nearest, moved) = (Some(near), Instant::now());
        } else if moved.elapsed() > LIMIT {
            return Err(Behind { wanted, applied: standing.searchable }.into());
        }
        sleep(PERIOD).await;
    }
}
