//! The list of background work that belongs to no request.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use crate::app::App;
use crate::auth::session;
use crate::error::Result;

/// Pause between two rounds.
const EVERY: Duration = Duration::from_secs(600);

/// How long an ended session is kept, so that somebody who asks where they were signed in gets an answer.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Does its rounds until the application is stopped.
///
/// # Errors
/// The database's; whoever runs this runs it again.
pub async fn run(app: App) -> Result<()> {
    loop {
        let removed = session::sweep(&app.db.server, app.clock.now() - KEPT).await?;
        if removed > 0 {
            tracing::info!(removed, "removed sessions that ended long ago");
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
    }
}
