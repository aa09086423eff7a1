//! The list of background work that belongs to no request.

use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::audit;
use crate::auth::session;
use crate::error::Result;
use crate::features::users;

const INTERVAL: Duration = Duration::from_secs(600);

/// Does the work until the application is stopped.
pub async fn run(app: App) -> Result<()> {
    let sealing = audit::run(&app.db.server, &app.audit.keys, &app.clock, &app.stop);
    tokio::try_join!(remove_ended_sessions(app.clone()), users::deliver_mail(app.clone()), sealing).map(drop)
}

async fn remove_ended_sessions(app: App) -> Result<()> {
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
