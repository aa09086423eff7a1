//! Writes what was read, soon and many entries at once, so that no answer waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Keys;
use super::entry::{self, Entry};
use crate::error::Result;
use crate::metrics;

/// Entries that wait for Postgres: half a minute of more reads than one server answers. They take about 2 MB.
const WAITING: usize = 10_000;
/// Entries of one statement.
const AT_ONCE: usize = 500;
/// How long entries are gathered: an entry costs a fifth in company.
const GATHER: Duration = Duration::from_millis(200);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last entries have when the server stops.
const LAST: Duration = Duration::from_secs(5);

/// Writes entries of the server.
pub struct Recorder {
    pub keys: Keys,
    db: PgPool,
    reads: bool,
    sender: mpsc::Sender<Entry>,
    /// Held by [`Recorder::run`].
    receiver: Mutex<mpsc::Receiver<Entry>>,
    /// Entries that found no room since the last that were written.
    lost: AtomicU64,
}

impl Recorder {
    #[must_use]
    pub fn new(db: PgPool, keys: Keys, reads: bool) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self { keys, db, reads, sender, receiver: Mutex::new(receiver), lost: AtomicU64::new(0) }
    }

    /// Notes that something was read or searched, if that is recorded. It is written soon; while Postgres is away it waits, and is
    /// lost when too many wait, which is counted.
    pub fn note(&self, entry: impl FnOnce() -> Entry) {
        if self.reads && self.sender.try_send(entry()).is_err() {
            self.lose(1);
        }
    }

    /// Writes an entry now. For what must not happen without being logged.
    pub async fn write(&self, entry: Entry) -> Result<()> {
        Ok(entry::insert(&self.db, &[entry]).await?)
    }

    /// Writes what is noted until it is stopped, and then the rest.
    pub async fn run(&self, stop: CancellationToken) {
        let (mut receiver, mut entries) = (self.receiver.lock().await, Vec::new());
        while !stop.is_cancelled() {
            tokio::select! {
                _ = receiver.recv_many(&mut entries, AT_ONCE) => {}
                () = stop.cancelled() => break,
            }
            pause(GATHER, &stop).await;
            take(&mut receiver, &mut entries);
            while !self.store(&mut entries).await && !stop.is_cancelled() {
                pause(RETRY, &stop).await;
            }
        }
        let rest = async {
            loop {
                take(&mut receiver, &mut entries);
                if entries.is_empty() || !self.store(&mut entries).await {
                    break;
                }
            }
        };
        timeout(LAST, rest).await.ok();
        entries.extend(std::iter::from_fn(|| receiver.try_recv().ok()));
        self.lose(entries.len() as u64);
        self.tell_lost();
    }

    /// Writes the entries and clears them; false if that failed.
    async fn store(&self, entries: &mut Vec<Entry>) -> bool {
        if let Err(error) = entry::insert(&self.db, entries).await {
            tracing::warn!(waiting = self.sender.max_capacity() - self.sender.capacity(), %error, "cannot write to the audit log");
            return false;
        }
        entries.clear();
        self.tell_lost();
        true
    }

    fn lose(&self, entries: u64) {
        self.lost.fetch_add(entries, Ordering::Relaxed);
        metrics::AUDIT_LOST.inc_by(entries);
    }

    fn tell_lost(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::error!(lost, "reads are missing in the audit log: Postgres was away for too long");
        }
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

fn take(receiver: &mut mpsc::Receiver<Entry>, entries: &mut Vec<Entry>) {
    while entries.len() < AT_ONCE
        && let Ok(entry) = receiver.try_recv()
    {
        entries.push(entry);
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = sleep(time) => {}
        () = stop.cancelled() => {}
    }
}
