//! Waiting until an index has taken in everything up to a moment, from any process.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::state;
use crate::app::App;
use crate::position::Position;
use crate::search::Collection;

/// How often the position is read.
const PERIOD: Duration = Duration::from_millis(50);
/// Longest wait. Beyond that nobody leads, or the index is too far behind for anything to be said about it.
const LIMIT: Duration = Duration::from_secs(20);

/// The index does not come to where it should be.
#[derive(Debug, thiserror::Error)]
#[error("the index is at {applied} and does not get to {wanted}: no process leads the sync, or it is far behind")]
pub struct Behind {
    /// Where it has to be.
    pub wanted: Position,
    /// Where it is.
    pub applied: Position,
}

/// Returns once everything of a collection that was committed before the call is in its index, with the position that it is at.
///
/// # Errors
/// The database's, or [`Behind`].
pub async fn now(app: &App, collection: &Collection) -> anyhow::Result<Position> {
    let wanted = state::beat(&app.db.sync).await?;
    let waiting = async {
        loop {
            let standing = state::read(&app.db.sync).await?.standing;
            if standing.includes(collection.name, wanted) {
                return anyhow::Ok(standing.searchable);
            }
            sleep(PERIOD).await;
        }
    };
    match timeout(LIMIT, waiting).await {
        Ok(applied) => applied,
        Err(_) => Err(Behind { wanted, applied: state::read(&app.db.sync).await?.standing.searchable }.into()),
    }
}
