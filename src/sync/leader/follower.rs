//! For every server: follows what the leader states in Postgres, more closely while a request waits.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::app::App;
use crate::db;
use crate::sync::store::{checkpoint, statement};
use crate::values::lsn::Lsn;

const BUSY: Duration = Duration::from_millis(50);
/// Also the time within which a restart of Postgres is noticed: a list that is read meanwhile may show what a restore has undone.
const IDLE: Duration = Duration::from_millis(250);
const RECONNECT: Duration = Duration::from_millis(100);
/// Longest wait for these one-row statements.
const DEADLINE: Duration = Duration::from_secs(3);

/// Reads the leader's statement and moves this server's watermark to it, until `stop`.
pub async fn run(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(follow(&app)).await {
            debug!(error = %format!("{error:#}"), "cannot read what the sync states");
        }
        app.watermark.lose_contact();
        stop.run_until_cancelled(sleep(RECONNECT)).await;
    }
}

/// Follows through one connection: its end shows that Postgres may come back as another one.
async fn follow(app: &App) -> anyhow::Result<Infallible> {
    const AWAY: &str = "postgres does not answer";
    let connecting = db::connect(&app.config.database, "collections follower");
    let mut connection = timeout(DEADLINE, connecting).await.context(AWAY)??;
    let mut wanted = app.watermark.wanted();
    let mut requested = Lsn::default();
    loop {
        let stated = timeout(DEADLINE, statement::read(&mut connection)).await.context(AWAY)??;
        app.watermark.observe(stated.statement);
        let waited_for = *wanted.borrow_and_update();
        let is_waited_for = waited_for > app.watermark.get();
        let is_busy = is_waited_for || app.watermark.is_unknown();
        tokio::select! {
            Ok(()) = wanted.changed() => {}
            () = app.watermark.unknown(), if !is_busy => {}
            () = sleep(if is_busy { BUSY } else { IDLE }) => {
                // It may lie behind the last commit, where nothing would come before the leader's next heartbeat.
                if is_waited_for && waited_for != requested {
                    requested = waited_for;
                    timeout(DEADLINE, checkpoint::request_flush(&mut connection)).await.context(AWAY)??;
                }
            }
        }
    }
}
