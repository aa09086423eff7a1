//! Wakes workers: Postgres notifies of jobs that were committed.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::job::Lane;

/// The trigger of queued jobs notifies on this channel, with the lane as the payload.
const CHANNEL: &str = "collections_jobs";

/// Where Postgres cannot notify, workers look for jobs this often.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Counts the notifications of each lane.
#[derive(Debug, Default)]
pub(super) struct Listener([watch::Sender<u64>; Lane::ALL.len()]);

impl Listener {
    pub(super) fn subscribe(&self, lane: Lane) -> watch::Receiver<u64> {
        self.0[lane as usize].subscribe()
    }

    fn wake(&self, lane: Lane) {
        self.0[lane as usize].send_modify(|count| *count += 1);
    }

    fn wake_all(&self) {
        Lane::ALL.into_iter().for_each(|lane| self.wake(lane));
    }

    /// Listens for ever, connecting again after errors.
    pub(super) async fn run(&self, pool: &PgPool) {
        loop {
            if let Err(error) = self.listen(pool).await {
                tracing::debug!(%error, "postgres cannot notify this worker; it polls");
            }
            self.wake_all();
            sleep(RETRY_PAUSE).await;
        }
    }

    async fn listen(&self, pool: &PgPool) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        // What was notified before is unknown here.
        self.wake_all();
        loop {
            let notified = listener.try_recv().await?;
            let lane = notified.and_then(|notification| Lane::ALL.into_iter().find(|lane| lane.name() == notification.payload()));
            match lane {
                Some(lane) => self.wake(lane),
                // The connection was lost, and is a new one.
                None => self.wake_all(),
            }
        }
    }
}
