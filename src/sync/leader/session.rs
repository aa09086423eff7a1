//! The leader session: the connection that holds the lock, saves the checkpoint and sends heartbeats, so that the stream need not
//! wait for either.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Executor, PgConnection};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::freshness::Timeline;
use crate::sync::pipeline::SessionChannels;
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::checkpoint::{self, Checkpoint, SearchableAt};
use crate::values::lsn::Lsn;
use crate::{collections, failpoint};

/// A heartbeat goes through the stream and back: it shows that the stream is alive, how old the index is, and lets the slot of an idle
/// database advance.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The log grows by this many bytes between two lists of running transactions, which let the slot forget what is before them.
const LOG_STEP: u64 = 4 * 1024 * 1024;
const LOG_CHECK: Duration = Duration::from_millis(250);
/// A frozen process, or one whose host is gone, keeps its connection and with it the lock. Without heartbeats Postgres ends it.
const END_WHEN_SILENT: &str = "set idle_session_timeout = '8s'";
/// Longest wait for these one-row statements.
const DEADLINE: Duration = Duration::from_secs(5);

/// Runs until the connection breaks or another process has taken over.
///
/// # Errors
/// Always, in the end: without this connection the lock is gone.
pub(super) async fn hold(
    mut connection: PgConnection,
    lease: i64,
    progress: &Progress,
    channels: &SessionChannels,
) -> anyhow::Result<()> {
    connection.execute(END_WHEN_SILENT).await?;
    let logs_snapshots = checkpoint::may_log_snapshots(&mut connection).await?;
    let mut logged = *progress.visible.borrow();
    let mut log_check = interval(LOG_CHECK);
    let mut heartbeat = interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut timeline = Timeline::default();
    let mut checkpoint = progress.checkpoint.subscribe();
    let mut is_certain = progress.is_certain.subscribe();
    loop {
        tokio::select! {
            _ = heartbeat.tick() => {
                let beat = checkpoint::leader_heartbeat(&mut connection, lease);
                let (lsn, at) = timeout(DEADLINE, beat).await.context("postgres does not answer")??;
                timeline.add(lsn, at);
                continue;
            }
            _ = log_check.tick(), if logs_snapshots => {
                let passed = *progress.visible.borrow();
                if passed.0.saturating_sub(logged.0) >= LOG_STEP {
                    timeout(DEADLINE, checkpoint::log_snapshot(&mut connection)).await.context("postgres does not answer")??;
                    logged = passed;
                }
                continue;
            }
            () = channels.heartbeat_now.notified() => {
                timeout(DEADLINE, checkpoint::heartbeat(&mut connection)).await.context("postgres does not answer")??;
                continue;
            }
            changed = checkpoint.changed() => changed?,
            changed = is_certain.changed() => changed?,
        }
        let checkpoint = checkpoint.borrow_and_update().clone();
        let is_certain = *is_certain.borrow_and_update();
        let searchable_at = if is_certain { moments(&mut timeline, &checkpoint) } else { SearchableAt::new() };
        let saving = checkpoint::save(&mut connection, lease, &checkpoint, &searchable_at);
        failpoint::abort_at("sync-before-save");
        timeout(DEADLINE, saving).await.context("postgres does not answer")??;
        failpoint::abort_at("sync-after-save");
        channels.saved.send_replace(checkpoint.confirmed);
    }
}

/// For each collection the moment before which searches find every change, where this leader's heartbeats tell it.
fn moments(timeline: &mut Timeline, checkpoint: &Checkpoint) -> SearchableAt {
    let searchable = |collection: &str| {
        let since = checkpoint.backlog_since.get(collection);
        since.map_or(checkpoint.searchable, |since| checkpoint.searchable.min(Lsn(since.0.saturating_sub(1))))
    };
    let names = || collections::every().map(|collection| collection.name);
    timeline.forget_before(names().map(searchable).min().unwrap_or_default());
    names().filter_map(|name| Some((name.to_owned(), timeline.at(searchable(name))?))).collect()
}
