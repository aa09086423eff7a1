//! For processes that do not lead: follows the checkpoint in Postgres, more closely while a request waits.

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

/// Advances the watermark to what the leader has saved, until it is told to stop.
pub async fn run(app: App, stop: CancellationToken) {
    let mut wanted = app.watermark.wanted();
    let mut requested = Lsn::default();
    while !stop.is_cancelled() {
        match searchable(&app).await {
            Ok(State { epoch, checkpoint, .. }) => app.watermark.advance(epoch, checkpoint.searchable, checkpoint.backlog_since),
            Err(error) => debug!(error = %error, "cannot read the checkpoint"),
        }
        let waited_for = *wanted.borrow_and_update();
        let is_waited_for = waited_for > app.watermark.get();
        tokio::select! {
            () = stop.cancelled() => break,
            Ok(()) = wanted.changed() => {}
            () = tokio::time::sleep(if is_waited_for { BUSY } else { IDLE }) => {
                // It may lie behind the last commit, where nothing would come before the leader's next heartbeat.
                if is_waited_for && waited_for != requested {
                    requested = waited_for;
                    checkpoint::request_flush(&app.db.server).await.ok();
                }
            }
        }
    }
}

/// Reads the checkpoint; it is zero unless every collection has a live index and the checkpoint is certain.
async fn searchable(app: &App) -> sqlx::Result<State> {
    // The checkpoint first: a leader that starts a new epoch moves it far ahead and retires every index in the same commit.
    let mut state = checkpoint::read(&app.db.server).await?;
    let generations = generations::all(&app.db.server).await?;
    let live = generations.iter().filter(|generation| generation.state == generations::State::Live).count();
    if live < collections::ALL.len() || !state.is_certain() {
        state.checkpoint = Checkpoint::default();
    }
    Ok(state)
}
