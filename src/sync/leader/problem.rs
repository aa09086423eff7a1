//! Says in the database what keeps the sync from working: whoever asks is rarely the process that leads.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::app::App;
use crate::freshness::status::Role;
use crate::sync::store::checkpoint;

/// How soon it is said.
const PERIOD: Duration = Duration::from_secs(1);

/// Says it, and when it is over, until it is cancelled. Only of a process that leads, or led last.
pub(crate) async fn tell(app: App) {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        period.tick().await;
        let report = app.watermark.status.report();
        // Who begins knows nothing yet.
        let is_known = report.role == Role::Leading || report.problem.is_some();
        let Some(lease) = report.lease.filter(|_| is_known) else { continue };
        let news = Some((lease, report.problem));
        if news == told {
            continue;
        }
        let problem = news.as_ref().and_then(|(_, problem)| problem.as_deref());
        match checkpoint::complain(&app.db.sync, lease, problem).await {
            Ok(()) => told = news,
            Err(error) => debug!(%error, "nobody hears what keeps the sync from working"),
        }
    }
}
