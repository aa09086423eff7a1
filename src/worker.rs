//! The list of background work that belongs to no request.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use crate::app::App;
use crate::auth::{lockout, session};
use crate::error::Result;

const INTERVAL: Duration = Duration::from_secs(600);

/// How long an ended session is kept, so that users can see where they were signed in.
const RETENTION: TimeDelta = TimeDelta::days(30);

/// Does the work at intervals until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    loop {
        let removed = session::remove_ended(&app.db.server, app.clock.now() - RETENTION).await?;
        if removed > 0 {
            tracing::info!(removed, "removed old sessions");
        }
        lockout::remove_expired(&app.db.server, app.clock.now()).await?;
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
    }
}
