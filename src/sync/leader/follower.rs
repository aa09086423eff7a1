//! For processes that do not lead: learns from Postgres how far the index is, soon while somebody waits for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::app::App;
use crate::collections;
use crate::sync::store::checkpoint::{self, Checkpoint, State};
use crate::sync::store::generations;
use crate::values::lsn::Lsn;

const BUSY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(1);

/// Moves the watermark after what the leader has stored, until it is told to stop.
pub async fn run(app: App, stop: CancellationToken) {
    let mut wanted = app.watermark.wanted();
    let mut pushed = Lsn::default();
    while !stop.is_cancelled() {
        match searchable(&app).await {
            Ok(State { epoch, standing, .. }) => app.watermark.advance(epoch, standing.searchable, standing.owed),
            Err(error) => debug!(error = %error, "cannot read how far the index is"),
        }
        let waited_for = *wanted.borrow_and_update();
        let is_waited_for = waited_for > app.watermark.get();
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = wanted.changed() => {}
            () = tokio::time::sleep(if is_waited_for { BUSY } else { IDLE }) => {
                // It may lie behind the last commit, where nothing would come before the leader's next heartbeat.
                if is_waited_for && waited_for != pushed {
                    pushed = waited_for;
                    checkpoint::request_flush(&app.db.server).await.ok();
                }
            }
        }
    }
}

/// Returns how far the index is: nowhere, unless every collection has one that lists read.
async fn searchable(app: &App) -> sqlx::Result<State> {
    // The position first: a new leader that begins anew sets it far ahead, and gives up every index by the same commit.
    let mut state = checkpoint::read(&app.db.server).await?;
    let generations = generations::all(&app.db.server).await?;
    let live = generations.iter().filter(|generation| generation.state == "live").count();
    if live < collections::ALL.len() {
        state.standing = Checkpoint::default();
    }
    Ok(state)
}
