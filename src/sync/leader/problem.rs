//! Persists why the leader cannot work: an operator rarely asks the process that leads.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::app::App;
use crate::freshness::status::Role;
use crate::sync::store::checkpoint;

const PERIOD: Duration = Duration::from_secs(1);

/// Persists the problem of a process that leads, or led last, and that it is solved, until it is cancelled.
pub(crate) async fn persist(app: App) {
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut persisted = None;
    loop {
        period.tick().await;
        let report = app.watermark.status.report();
        // A process that is starting does not know yet whether the problem is solved.
        let is_known = report.role == Role::Leading || report.problem.is_some();
        let Some(lease) = report.lease.filter(|_| is_known) else { continue };
        let current = Some((lease, report.problem));
        if current == persisted {
            continue;
        }
        let problem = current.as_ref().and_then(|(_, problem)| problem.as_deref());
        match checkpoint::save_problem(&app.db.sync, lease, problem).await {
            Ok(()) => persisted = current,
            Err(error) => debug!(%error, "cannot persist the sync's problem"),
        }
    }
}
