//! The list of background work that belongs to no request.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::sleep;

use crate::app::App;
use crate::audit;
use crate::auth::session;
use crate::error::Result;

const INTERVAL: Duration = Duration::from_secs(600);

/// How long an ended session is kept, so that users can see where they were signed in.
const RETENTION: TimeDelta = TimeDelta::days(30);

/// Does the work until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    let sealing = audit::run(&app.db.server, &app.audit.keys, &app.clock, &app.stop);
    tokio::try_join!(remove_old_sessions(&app), sealing).map(|_| ())
}

async fn remove_old_sessions(app: &App) -> Result<()> {
    loop {
        let removed = session::remove_ended(&app.db.server, app.clock.now() - RETENTION).await?;
        if removed > 0 {
            tracing::info!(removed, "removed old sessions");
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
    }
}
