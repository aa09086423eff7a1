//! The leader session: the connection that holds the lock, saves the checkpoint and sends heartbeats, so that the stream need not
//! wait for either.

use std::time::Duration;

use anyhow::Context;
use sqlx::{Executor, PgConnection};
use tokio::time::{interval, timeout};

use crate::failpoint;
use crate::sync::pipeline::SessionChannels;
use crate::sync::pipeline::progress::Progress;
use crate::sync::store::checkpoint;

/// A heartbeat goes through the stream and back: it shows that the stream is alive, and lets the slot of an idle database advance.
const HEARTBEAT: Duration = Duration::from_secs(3);
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
    let mut checkpoint = progress.checkpoint.subscribe();
    loop {
        tokio::select! {
            _ = heartbeat.tick() => beat(&mut connection).await?,
            _ = log_check.tick(), if logs_snapshots => {
                let passed = *progress.visible.borrow();
                if passed.0.saturating_sub(logged.0) >= LOG_STEP {
                    timeout(DEADLINE, checkpoint::log_snapshot(&mut connection)).await.context("postgres does not answer")??;
                    logged = passed;
                }
            }
            () = channels.heartbeat_now.notified() => beat(&mut connection).await?,
            changed = checkpoint.changed() => {
                changed?;
                let checkpoint = checkpoint.borrow_and_update().clone();
                let saving = checkpoint::save(&mut connection, lease, &checkpoint);
                failpoint::abort_at("sync-before-save");
                timeout(DEADLINE, saving).await.context("postgres does not answer")??;
                failpoint::abort_at("sync-after-save");
                channels.saved.send_replace(checkpoint.confirmed);
            }
        }
    }
}

async fn beat(connection: &mut PgConnection) -> anyhow::Result<()> {
    timeout(DEADLINE, checkpoint::heartbeat(connection)).await.context("postgres does not answer")??;
    Ok(())
}
