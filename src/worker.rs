//! The list of background work that belongs to no request.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::auth::session;
use crate::error::Result;

const INTERVAL: Duration = Duration::from_secs(600);

/// Does the work at intervals until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    loop {
        let removed = session::remove_ended(&app.db.server, app.clock.now()).await?;
        if removed > 0 {
            tracing::info!(removed, "removed old sessions");
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = app.stop.cancelled() => return Ok(()),
        }
    }
}
